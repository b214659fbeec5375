"""Labels beside an OME-Zarr image are found through the image, which stays as it is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from test_batch import EXACT, STACK, arrays, batch, multiscale, read

from napari_unet.batch import segment_stack
from napari_unet.batchfolder import segment_files
from napari_unet.errors import OutputError
from napari_unet.ui.files import layers_of


@pytest.fixture
def image(tmp_path: Path) -> Path:
    from test_batch import blobs

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
