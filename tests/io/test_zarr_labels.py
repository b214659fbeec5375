"""Labels beside an OME-Zarr image are found through the image, which stays as it is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from helpers.stacks import EXACT, STACK, arrays, batch, multiscale, read
from napari.utils.notifications import notification_manager

from napari_unet.batch.files import segment_files
from napari_unet.batch.stack import segment_stack
from napari_unet.errors import OutputError
from napari_unet.ui.reader_writer import layers_of


@pytest.fixture
def image(tmp_path: Path) -> Path:
    from helpers.stacks import blobs

    path = tmp_path / "cells.ome.zarr"
    multiscale(path, blobs((2, 200, 200)), 3, None)
    return path


def test_labels_in_their_image_are_listed_and_open_with_it(
    image: Path, bright_model: Path
) -> None:
    yaozarrs = pytest.importorskip("yaozarrs")
    before = arrays(image)
    for name in ("a.ome.zarr", "b.ome.zarr"):
        _, report = batch(image, image / "labels" / name, bright_model)
        assert (report.state, report.objects > 0) == ("done", True)
    after = arrays(image)
    assert {name: after[name] for name in before} == before
    group = zarr.open_group(image / "labels", mode="r").attrs["ome"]
    assert group["labels"] == ["a.ome.zarr", "b.ome.zarr"]
    label = zarr.open_group(image / "labels" / "a.ome.zarr", mode="r").attrs["ome"]
    assert label["image-label"]["source"] == {"image": "../../"}
    yaozarrs.validate_zarr_store(image / "labels" / "a.ome.zarr")
    shown, first, second = layers_of(image)
    assert [shown[2], first[2], second[2]] == ["image", "labels", "labels"]
    np.testing.assert_array_equal(first[0], read(image / "labels" / "a.ome.zarr"))
    assert tuple(first[1]["scale"]) == tuple(shown[1]["scale"])


def test_complete_labels_are_left_alone_and_others_may_follow(
    image: Path, bright_model: Path
) -> None:
    out = image / "labels"
    for expected in ("done", "skipped"):
        job: Any = segment_files([image], out, STACK, model=str(bright_model))
        reports = [event for event in job if hasattr(event, "state")]
        assert [report.state for report in reports] == [expected]


def test_labels_in_an_image_are_ome_zarr_where_nobody_chose(
    image: Path, bright_model: Path
) -> None:
    options = replace(STACK, format="auto")
    job = segment_files([image], image / "labels", options, model=str(bright_model))
    (report,) = [event for event in job if hasattr(event, "state")]
    assert (report.state, report.target.name) == ("done", "cells.ome.zarr")


def test_image_itself_is_never_replaced(image: Path, bright_model: Path) -> None:
    before = arrays(image)
    job = segment_stack(
        image, image, replace(STACK, overwrite=True), model=str(bright_model)
    )
    with pytest.raises(OutputError, match="is the image itself"):
        next(job)
    assert {name: arrays(image)[name] for name in before} == before


def test_probabilities_are_no_labels(image: Path, bright_model: Path) -> None:
    options = replace(STACK, segment=replace(EXACT, output="probabilities"))
    batch(image, image / "labels" / "p.ome.zarr", bright_model, options)
    assert not (image / "labels" / "zarr.json").exists()


def test_older_image_is_left_alone(tmp_path: Path, bright_model: Path) -> None:
    path = tmp_path / "old.zarr"
    multiscale(path, np.ones((2, 200, 200), np.uint16), 2, None)
    with pytest.raises(OutputError, match=r"before 0\.5"):
        batch(path, path / "labels" / "a.ome.zarr", bright_model)
    assert not (path / "labels" / "a.ome.zarr").exists()


def without_a_list(labels: Path) -> None:
    (labels / ".napari-unet" / "a.ome.zarr").mkdir(parents=True)  # of a batch


def name(labels: Path, *names: object) -> None:
    group = zarr.create_group(labels)
    group.attrs["ome"] = {"version": "0.5", "labels": list(names)}


def with_null(labels: Path) -> None:
    zarr.create_group(labels).attrs["ome"] = {"labels": None}


def damaged(labels: Path) -> None:
    labels.mkdir()
    (labels / "zarr.json").write_text('{"attributes": [')


def gone(labels: Path) -> None:
    name(labels, "nuclei")


def outside(labels: Path) -> None:
    multiscale(labels.parent.parent / "other", np.ones((2, 9, 9), np.int32), 3, None)
    name(labels, "../../other")


def of_fractions(labels: Path) -> None:
    name(labels, "nuclei")
    multiscale(labels / "nuclei", np.ones((2, 9, 9), np.float32), 3, None)


def cut_short(labels: Path) -> None:
    name(labels, "nuclei")
    multiscale(labels / "nuclei", np.ones((2, 9, 9), np.int32), 3, None)
    chunk = labels / "nuclei" / "0" / "c" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:20])


@pytest.mark.parametrize(
    ("fill", "sentence"),
    [
        (without_a_list, "If a batch writes to it"),
        (with_null, ""),
        (damaged, "cells.ome.zarr cannot be read"),
        (gone, "'nuclei' that cells.ome.zarr names are not there"),
        (outside, "'../../other' lie outside of cells.ome.zarr"),
        (of_fractions, "nuclei has pixels of float32"),
        (cut_short, "Labels of cells.ome.zarr are not shown"),
    ],
)
def test_image_opens_whatever_is_wrong_with_its_labels(
    image: Path, fill: Any, sentence: str
) -> None:
    fill(image / "labels")
    notification_manager.records.clear()
    ((_, _, kind),) = layers_of(image)
    assert kind == "image"
    said = [record.message for record in notification_manager.records]
    assert len(said) == bool(sentence)
    assert all(sentence in message for message in said)


def into_its_labels(image: Path, model: Path) -> Any:
    return segment_files([image], image / "labels", STACK, model=str(model))


def test_refused_batch_leaves_nothing_in_the_image(
    tmp_path: Path, bright_model: Path
) -> None:
    old = tmp_path / "old.ome.zarr"
    multiscale(old, np.ones((2, 80, 80), np.uint16), 2, None)
    with pytest.raises(OutputError, match=r"before 0\.5"):
        next(into_its_labels(old, bright_model))
    assert not (old / "labels").exists()
    two = tmp_path / "two.ome.zarr"
    write_channels(two)
    (report,) = into_its_labels(two, bright_model)
    assert (report.state, "Choose a channel" in report.reason) == ("failed", True)
    assert not (two / "labels").exists()


def write_channels(path: Path) -> None:
    multiscale(path, np.ones((2, 80, 80), np.uint16), 3, None)
    group = zarr.open_group(path)
    about = dict(group.attrs["ome"])
    about["multiscales"][0]["axes"][0] = {"name": "c", "type": "channel"}
    group.attrs["ome"] = about


def test_image_opens_while_a_batch_writes_its_labels_and_after_that_was_stopped(
    image: Path, bright_model: Path
) -> None:
    job = into_its_labels(image, bright_model)
    next(job)
    assert [kind for _, _, kind in layers_of(image)] == ["image"]
    job.close()
    assert [kind for _, _, kind in layers_of(image)] == ["image"]
    *_, report = into_its_labels(image, bright_model)
    assert report.state == "done"
    assert [kind for _, _, kind in layers_of(image)] == ["image", "labels"]


def test_list_of_labels_that_is_damaged_is_not_replaced(
    image: Path, bright_model: Path
) -> None:
    damaged(image / "labels")
    before = arrays(image)
    with pytest.raises(OutputError, match=r"labels/zarr\.json' is damaged"):
        next(into_its_labels(image, bright_model))
    assert arrays(image) == before


def test_labels_of_an_image_that_lies_elsewhere_lie_over_it(
    image: Path, bright_model: Path
) -> None:
    group = zarr.open_group(image)
    about = dict(group.attrs["ome"])
    moved = {"type": "translation", "translation": [4.0, 15.0, 20.5]}
    about["multiscales"][0]["datasets"][0]["coordinateTransformations"].append(moved)
    group.attrs["ome"] = about
    *_, report = into_its_labels(image, bright_model)
    assert report.state == "done"
    for _, meta, _ in layers_of(image):
        assert tuple(meta["translate"]) == (4.0, 15.0, 20.5)
