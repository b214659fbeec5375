"""What a batch has written opens elsewhere: in napari, on top of its image, lazily."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
from helpers.stacks import EXACT, STACK, batch, write_image

SUFFIXES = {"ome-zarr": ".ome.zarr", "ome-tiff": ".ome.tif"}


@pytest.mark.parametrize("form", SUFFIXES)
def test_result_is_a_lazy_pyramid_on_top_of_its_image(
    tmp_path: Path,
    bright_model: Path,
    make_napari_viewer: Any,
    monkeypatch: pytest.MonkeyPatch,
    form: Any,
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "TZYX")
    target = tmp_path / f"out{SUFFIXES[form]}"
    _, report = batch(source, target, bright_model, replace(STACK, format=form))
    monkeypatch.setattr("napari_unet.ui.reader_writer._IN_MEMORY", 1000)
    viewer = make_napari_viewer()
    (image,) = viewer.open(source, plugin="napari-unet-annotator")
    (labels,) = viewer.open(target, plugin="napari-unet-annotator")
    assert type(labels).__name__ == "Labels"
    assert [level.shape for level in labels.data] == [
        (2, 3, 600, 530),
        (2, 3, 300, 265),
    ]
    assert all(isinstance(level, da.Array) for level in labels.data)
    assert int(labels.data[0].max()) == report.objects > 0
    np.testing.assert_allclose(labels.extent.world, image.extent.world)
    assert labels.units == image.units
    assert labels.axis_labels == image.axis_labels


@pytest.mark.parametrize("kind", ["objects", "probabilities"])
def test_ome_zarr_is_valid(tmp_path: Path, bright_model: Path, kind: Any) -> None:
    yaozarrs = pytest.importorskip("yaozarrs")
    source, target = tmp_path / "cells.ome.tif", tmp_path / "out.ome.zarr"
    write_image(source, "TCZYX")
    segment = replace(EXACT, channel=1, output=kind)
    batch(source, target, bright_model, replace(STACK, segment=segment))
    yaozarrs.validate_zarr_store(target)


def test_ome_tiff_says_pixel_sizes_and_channels_as_fiji_reads_them(
    tmp_path: Path, bright_model: Path
) -> None:
    source, target = tmp_path / "cells.ome.tif", tmp_path / "out.ome.tif"
    write_image(source, "ZYX")
    segment = replace(EXACT, output="probabilities")
    batch(
        source, target, bright_model, replace(STACK, segment=segment, format="ome-tiff")
    )
    with tifffile.TiffFile(target) as file:
        about = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
        assert file.series[0].axes == "CZYX"
    assert about["PhysicalSizeX"] == pytest.approx(0.25)
    assert about["PhysicalSizeXUnit"] == "µm"
    assert (about["SizeC"], about["SizeZ"], about["SizeX"]) == (3, 3, 530)
    names = [channel["Name"] for channel in about["Channel"]]
    assert names == ["background", "interior", "boundary"]
