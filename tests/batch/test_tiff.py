"""A pyramidal OME-TIFF holds what the OME-Zarr of the same stack holds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.stacks import EXACT, STACK, batch, left_over, read, write_image

from napari_unet.batch.stack import segment_stack
from napari_unet.io.open import open_image

TIFF = replace(STACK, format="ome-tiff")


@pytest.mark.parametrize(
    ("axes", "kind"),
    [("YX", "objects"), ("TZYX", "classes"), ("TZYX", "probabilities")],
)
def test_tiff_and_zarr_are_equal(
    tmp_path: Path, bright_model: Path, axes: str, kind: Any
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", axes)
    options = replace(TIFF, segment=replace(EXACT, output=kind))
    batch(source, tmp_path / "out.ome.tif", bright_model, options)
    zarr = replace(options, format="ome-zarr")
    batch(source, tmp_path / "out.ome.zarr", bright_model, zarr)
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as file:
        series = file.series[0]
        assert (file.is_ome, file.is_bigtiff) == (True, True)
        assert len(series.levels) == 2
        for level, found in enumerate(series.levels):
            expected = read(tmp_path / "out.ome.zarr", level)
            np.testing.assert_array_equal(found.asarray(), expected)
        assert series.levels[0].keyframe.is_tiled
    labels = open_image(tmp_path / "out.ome.tif")
    assert len(labels.levels) == 2
    assert labels.scale[-1] == pytest.approx(0.25)
    assert labels.units[-1] == "micrometer"
    assert left_over(tmp_path) == []


def test_interrupted_while_it_is_written_it_ends_with_the_same_bytes(
    tmp_path: Path, bright_model: Path
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "ZYX")
    batch(source, tmp_path / "calm.ome.tif", bright_model, TIFF)
    target = tmp_path / "out.ome.tif"
    job: Any = segment_stack(source, target, TIFF, model=str(bright_model))
    for event in job:
        if event.phase == "writing":
            break
    job.close()
    assert not target.exists()
    _, report = batch(source, target, bright_model, TIFF)
    assert report.tiles_done == 0
    assert target.read_bytes() == (tmp_path / "calm.ome.tif").read_bytes()
    _, report = batch(source, target, bright_model, TIFF)
    assert report.state == "skipped"


def test_tiff_can_be_measured_when_it_is_complete(
    tmp_path: Path, bright_model: Path
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "ZYX")
    target, other = tmp_path / "out.ome.tif", tmp_path / "other.ome.tif"
    batch(source, target, bright_model, TIFF)
    batch(source, target, bright_model, replace(TIFF, measure=True))
    batch(source, other, bright_model, replace(TIFF, measure=True))
    found, expected = (tmp_path / f"{name}.csv" for name in ("out", "other"))
    assert found.read_bytes() == expected.read_bytes()
