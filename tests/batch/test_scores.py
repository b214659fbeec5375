"""Scores of a batch: what is dropped, the column of the table, and resuming."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.stacks import (
    EXACT,
    arrays,
    batch,
    finish,
    left_over,
    read,
    same_partition,
    write_image,
)
from helpers.tables import MEASURE, table
from numpy.typing import NDArray

from napari_unet.batch.loaded_model import LoadedModel
from napari_unet.batch.setup import prepare
from napari_unet.batch.stack import segment_stack
from napari_unet.errors import OutputError
from napari_unet.io.editable_zarr import EditableZarr
from napari_unet.io.open import open_image
from napari_unet.network.model import load, save
from napari_unet.options import BatchOptions
from napari_unet.segmentation.files import segment_file
from napari_unet.segmentation.predict import segment

LEAST = 0.7
SCORED = replace(MEASURE, segment=replace(EXACT, min_score=LEAST))


def scores_of(source: Path, model: Path) -> NDArray[np.uint8]:
    """The byte of every pixel, of whole planes."""
    image, options = open_image(source), replace(EXACT, tile=None)
    scores = np.zeros(image.label_shape, np.uint8)
    finish(segment(load(model), image, options, scores=scores))
    return scores


def means(labels: NDArray[np.int32], scores: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The score of every object of a stack by its id, from 1."""
    inside = scores > 0
    total = np.bincount(labels[inside], weights=scores[inside])
    return total[1:] / np.bincount(labels[inside])[1:] / 255


@pytest.mark.parametrize("linked", [False, True], ids=["planes", "linked"])
def test_what_is_left_and_its_scores_are_those_of_whole_objects(
    tmp_path: Path, bright_model: Path, linked: bool
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "ZYX")
    options = replace(SCORED, link_z=linked)
    every = replace(options, segment=EXACT)
    batch(source, tmp_path / "all.ome.zarr", bright_model, every)
    _, report = batch(source, tmp_path / "out.ome.zarr", bright_model, options)
    scores = scores_of(source, bright_model)
    labels, found = read(tmp_path / "all.ome.zarr"), read(tmp_path / "out.ome.zarr")
    kept = np.concatenate(([False], means(labels, scores) >= LEAST))
    numbers = np.where(kept, np.cumsum(kept), 0)
    assert 5 < kept.sum() == report.objects < labels.max()
    np.testing.assert_array_equal(found, numbers[labels])
    np.testing.assert_array_equal(
        read(tmp_path / "out.ome.zarr", 1), found[:, ::2, ::2]
    )
    file = tmp_path / "labels.tif"
    how = {"model": str(bright_model), "options": SCORED.segment, "link_z": linked}
    result = segment_file(source, file, **how)
    assert result.objects == report.objects
    assert same_partition(tifffile.imread(file), found)
    rows = table(tmp_path / "out.csv")
    own = means(found, scores)[rows["label"].astype(int) - 1]
    np.testing.assert_allclose(rows["score"], own, rtol=1e-12)
    assert (rows["score"] >= LEAST).all()
    assert "interior" not in rows
    assert "score" not in table(tmp_path / "all.csv")
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("linked", [False, True], ids=["planes", "linked"])
def test_interrupted_it_ends_with_the_same_bytes(
    tmp_path: Path, bright_model: Path, linked: bool
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "ZYX")
    options = replace(SCORED, link_z=linked)
    (tmp_path / "calm").mkdir()
    calm, target = tmp_path / "calm" / "out.ome.zarr", tmp_path / "out.ome.zarr"
    events, _ = batch(source, calm, bright_model, options)
    for count in (3, len(events) // 2, len(events) - 2):
        job = segment_stack(source, target, options, model=str(bright_model))
        for _ in range(count):
            next(job, None)
        job.close()
    batch(source, target, bright_model, options)
    assert arrays(target) == arrays(calm)
    tables = [path.with_name("out.csv").read_bytes() for path in (target, calm)]
    assert tables[0] == tables[1]


def test_planes_without_objects_leave_the_columns(
    tmp_path: Path, bright_model: Path
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "ZYX", Y=90, X=80)
    segment_ = replace(SCORED.segment, min_size=10**6)
    for linked in (False, True):
        options = replace(SCORED, link_z=linked, segment=segment_)
        batch(source, tmp_path / f"{linked}.ome.zarr", bright_model, options)
        [line] = (tmp_path / f"{linked}.csv").read_text().splitlines()
        assert "intensity_max,score,class,solidity" in line


def test_labels_that_were_painted_on_have_no_scores(
    tmp_path: Path, bright_model: Path
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "YX", Y=90, X=80)
    target = tmp_path / "out.ome.zarr"
    batch(source, target, bright_model, SCORED)
    assert "score" in table(tmp_path / "out.csv")
    labels = EditableZarr(target)
    labels[:5, :5] = 77
    labels.settle()
    batch(source, target, bright_model, SCORED)
    rows = table(tmp_path / "out.csv")
    assert 77 in rows["label"]
    assert "score" not in rows


def header_of(target: Path) -> dict[str, object]:
    ledger = target.parent / ".napari-unet" / f"{target.name}.jsonl"
    header: dict[str, object] = json.loads(ledger.read_text().splitlines()[0])
    return header


def test_the_record_has_what_is_in_force(tmp_path: Path, bright_model: Path) -> None:
    """The model's own counts: its checksum is that of the weights alone."""
    source = write_image(tmp_path / "cells.ome.tif", "YX", Y=90, X=80)
    model = tmp_path / "picky.safetensors"
    bare = load(bright_model)
    save(replace(bare, card={**bare.card, "min_score": LEAST}), model)
    target = tmp_path / "out.ome.zarr"
    plain = BatchOptions(EXACT)
    zero = replace(plain, segment=replace(EXACT, min_score=0))
    batch(source, target, bright_model, plain)
    assert header_of(target)["options"]["min_score"] is None  # type: ignore[index]
    assert batch(source, target, bright_model, zero)[1].state == "skipped"
    assert batch(source, target, model, zero)[1].state == "skipped"
    with pytest.raises(OutputError, match=r"min_score \(was None, now 0.7\)"):
        batch(source, target, model, plain)
    _, report = batch(source, target, model, replace(plain, overwrite=True))
    assert report.state == "done"
    named = replace(plain, segment=replace(EXACT, min_score=LEAST))
    assert batch(source, target, bright_model, named)[1].state == "skipped"


def test_nothing_is_kept_or_planned_for_scores_that_nobody_wants(
    tmp_path: Path, bright_model: Path
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "ZYX")
    net = LoadedModel(str(bright_model))
    plain = prepare(source, MEASURE, net)
    scored = prepare(source, SCORED, net)
    pixels = 3 * 600 * 530
    assert scored.plan.disk == plain.plan.disk + pixels
    assert scored.plan.memory > plain.plan.memory
    classes = replace(SCORED.segment, output="classes")
    other = prepare(source, BatchOptions(classes), net)
    assert other.least_score == 0
    assert other.header["options"]["min_score"] is None
    for options, there in ((MEASURE, False), (SCORED, True)):
        job = segment_stack(
            source, tmp_path / "out.ome.zarr", options, model=str(bright_model)
        )
        next(job)
        work = tmp_path / ".napari-unet" / "out.ome.zarr"
        assert (work / "scores").exists() is there
        job.close()
        (tmp_path / ".napari-unet" / "out.ome.zarr.jsonl").unlink()
