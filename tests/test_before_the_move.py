"""Files that the code from before the packages left are gone on with by today's."""

import json
import os
import shutil
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import tifffile
from helpers.stacks import arrays, finish, left_over, read

import napari_unet as nu
from napari_unet.batch.stack import segment_stack
from napari_unet.io.image import Image
from napari_unet.network.model import load
from napari_unet.options import BatchOptions, SegmentOptions
from napari_unet.project.project import Project
from napari_unet.segmentation.files import segment_file

DATA = Path(__file__).parent / "data" / "before_the_move"
IMAGES = json.loads((DATA / "images.json").read_text())
STORED = json.loads((DATA / "project.json").read_text())
BATCH = BatchOptions(
    SegmentOptions(precision="fp32", device="cpu", tile=64), measure=True, link_z=True
)
BOX = slice(0, 50), slice(0, 60)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy of the files, as they lay on the disk."""
    return Path(shutil.copytree(DATA, tmp_path / "old"))


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def test_there_are_ten_images() -> None:
    assert len(IMAGES) == 10


@pytest.mark.parametrize("name", IMAGES)
def test_labels_are_the_same_bit_for_bit(name: str, tmp_path: Path) -> None:
    how = dict(IMAGES[name])
    model = DATA / f"{how.pop('model')}.safetensors"
    options = SegmentOptions(**how.pop("options"))
    out = tmp_path / "labels.tif"
    segment_file(DATA / "images" / name, out, model=str(model), options=options, **how)
    with np.load(DATA / "labels.npz") as labels:
        before = labels[name]
    found = tifffile.imread(out)
    assert found.dtype == before.dtype
    np.testing.assert_array_equal(found, before)


def test_project_holds_what_was_painted_and_learned(old: Path) -> None:
    project = Project.open(old / "project.unet")
    assert project.notes == []
    assert as_json(asdict(project.index)) == STORED["index"]
    with np.load(old / "project.npz") as before:
        corrections = project.corrections()
        assert len(corrections) == len(STORED["corrections"]) > 1
        for i, (found, about) in enumerate(
            zip(corrections, STORED["corrections"], strict=True)
        ):
            said = {name: getattr(found, name) for name in about if name != "axes"}
            assert as_json(said | {"axes": found.image.axes}) == about
            target, shown = project.read(found.key, found.cut[0], BOX)
            for name, pixels in (
                ("target", found.target),
                ("sample", found.sample),
                ("raw", found.image.data),
                ("read", target),
                ("shown", shown),
            ):
                np.testing.assert_array_equal(pixels, before[f"{i}.{name}"])


def test_model_of_the_project_is_the_one_that_was_learned(old: Path) -> None:
    project = Project.open(old / "project.unet")
    model = load(project.model_file(project.index.active))
    assert model.checksum() == STORED["checksum"]
    assert as_json(model.card) == STORED["card"]
    assert "history" in model.card


def test_project_goes_on_being_painted_and_learned_from(old: Path) -> None:
    project = Project.open(old / "project.unet")
    (record, _) = project.index.images
    raw = np.load(old / "project.npz")["0.raw"][0]
    image = Image(record.name, raw, record.axes)
    assert project.add_image(image) == record.key
    before, shown = project.read(record.key, (), BOX)
    more = before.copy()
    more[40:42] = 0
    project.write(record.key, (), BOX, (more, shown))
    trained = nu.train(old / "more.safetensors", project=project, seconds=1)
    history = Project.open(old / "project.unet")
    np.testing.assert_array_equal(history.read(record.key, (), BOX)[0], more)
    assert trained.score_after >= trained.score_before
    parent = STORED["card"]["history"]
    assert trained.model.card["history"][: len(parent)] == parent


def test_batch_goes_on_where_it_was_killed(old: Path) -> None:
    ledger = old / "batch" / ".napari-unet" / "stack.ome.zarr.jsonl"
    header, *done = map(json.loads, ledger.read_text().splitlines())
    # What was checked out has other times.
    changed = header["image"]["changed"]
    os.utime(old / "stack.tif", ns=(changed, changed))
    tiles = sum("tile" in line for line in done)
    assert tiles
    assert any("plane" in line for line in done)
    model = str(old / "objects.safetensors")
    target = old / "batch" / "stack.ome.zarr"
    _, report = finish(segment_stack(old / "stack.tif", target, BATCH, model=model))
    (old / "fresh").mkdir()
    fresh = old / "fresh" / "stack.ome.zarr"
    _, whole = finish(segment_stack(old / "stack.tif", fresh, BATCH, model=model))
    assert report.tiles_resumed == tiles
    assert report.tiles_done == whole.tiles_done - tiles
    assert report.objects == whole.objects > 1
    assert arrays(target) == arrays(fresh)
    assert read(target).any()
    assert left_over(target.parent) == []
    tables = (path.with_name("stack.csv").read_bytes() for path in (target, fresh))
    assert len(set(tables)) == 1


def test_training_goes_on_where_it_was_broken_off(old: Path) -> None:
    kept = old / "learned.safetensors.training"
    with safetensors.safe_open(kept, framework="np") as file:
        (about,) = file.metadata().values()
    before = json.loads(about)["numbers"]["step"]
    job = nu.train_iter(
        old / "learned.safetensors",
        images=old / "learn" / "images",
        labels=old / "learn" / "labels",
        model=old / "objects.safetensors",
        seconds=None,
    )
    with closing(iter(job)) as steps:
        first = next(event for event in steps if event.event.step)
    assert first.event.step >= before > 0
