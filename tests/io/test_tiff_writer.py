"""TIFFs say what they hold to every program that reads them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_unet.errors import OutputError
from napari_unet.io import tiff_writer
from napari_unet.io.save import save_labels

STACK: dict[str, Any] = {
    "axes": "TZYX",
    "scale": (2.5, 1.5, 0.25, 0.325),
    "units": ("second", "micrometer", "micrometer", "micrometer"),
    "name": "cells",
}
PLANE: dict[str, Any] = {
    "axes": "YX",
    "scale": (1, 1),
    "units": ("pixel", "pixel"),
    "name": "cells",
}


def pixels_of(path: Path) -> dict[str, Any]:
    """Return what the file's OME-XML says about its pixels."""
    found = tifffile.xml2dict(tifffile.TiffFile(path).ome_metadata)
    return {**found["OME"]["Image"], **found["OME"]["Image"]["Pixels"]}


def test_pixel_size_is_kept_for_readers_of_ome_and_of_tags(tmp_path: Path) -> None:
    save_labels(tmp_path / "a.tif", np.ones((2, 3, 20, 30), np.int32), **STACK)
    said = pixels_of(tmp_path / "a.tif")
    sizes = [said[f"PhysicalSize{axis}"] for axis in "ZYX"]
    assert sizes == [1.5, 0.25, 0.325]
    assert {said[f"PhysicalSize{axis}Unit"] for axis in "ZYX"} == {"µm"}
    assert (said["TimeIncrement"], said["TimeIncrementUnit"]) == (2.5, "s")
    assert said["Name"] == "cells"
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        for page in file.pages:
            density = page.keyframe.get_resolution("micrometer")
            assert density == pytest.approx((1 / 0.325, 1 / 0.25), rel=1e-6)


@pytest.mark.parametrize("unit", tiff_writer._CENTIMETERS)
def test_every_length_unit_is_the_same_in_ome_and_tags(
    tmp_path: Path, unit: str
) -> None:
    about = {**PLANE, "units": (unit, unit), "scale": (0.5, 0.5)}
    save_labels(tmp_path / "a.tif", np.ones((20, 30), np.uint8), **about)
    said = pixels_of(tmp_path / "a.tif")
    assert said["PhysicalSizeX"] == 0.5
    assert said["PhysicalSizeXUnit"] == tiff_writer._SYMBOLS[unit]
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        density = file.pages[0].get_resolution("centimeter")[0]
    if unit != "picometer":  # more pixels per centimetre than the tag can count
        assert 1 / density == pytest.approx(0.5 * tiff_writer._CENTIMETERS[unit])


def test_plain_pixels_get_no_invented_size(tmp_path: Path) -> None:
    save_labels(tmp_path / "a.tif", np.ones((20, 30), np.uint8), **PLANE)
    assert "PhysicalSizeX" not in pixels_of(tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].tags["ResolutionUnit"].value == 1  # none


@pytest.mark.parametrize("step", [0.0, -1.0, np.nan, np.inf])
def test_impossible_pixel_size_is_left_out(tmp_path: Path, step: float) -> None:
    about = {**PLANE, "scale": (0.5, step), "units": ("micrometer",) * 2}
    save_labels(tmp_path / "a.tif", np.ones((20, 30), np.uint8), **about)
    said = pixels_of(tmp_path / "a.tif")
    assert "PhysicalSizeX" not in said
    assert said["PhysicalSizeY"] == 0.5


def test_spacing_without_a_unit_is_kept(tmp_path: Path) -> None:
    about = {**PLANE, "axes": "ZYX", "scale": (4, 1, 1), "units": ("pixel",) * 3}
    save_labels(tmp_path / "a.tif", np.ones((2, 20, 30), np.uint8), **about)
    said = pixels_of(tmp_path / "a.tif")
    assert (said["PhysicalSizeZ"], said["PhysicalSizeZUnit"]) == (4.0, "pixel")


@pytest.mark.parametrize(
    ("dtype", "low", "high", "stored"),
    [
        ("int32", 0, 5, "uint16"),
        ("int32", 0, 65_535, "uint16"),
        ("int32", 0, 65_536, "int32"),
        ("int32", -1, 5, "int32"),
        ("int64", 0, 70_000, "int32"),
        ("uint32", 0, 300, "uint16"),
        ("uint8", 0, 255, "uint8"),
        ("bool", 0, 1, "uint8"),
        ("float16", 0, 1, "float16"),
        ("float32", 0, 1, "float32"),
    ],
)
def test_stored_type_is_the_one_that_programs_read(
    tmp_path: Path, dtype: str, low: int, high: int, stored: str
) -> None:
    labels = np.zeros((40, 50), dtype)
    labels[-1, -2:] = low, high
    save_labels(tmp_path / "a.tif", labels, **PLANE)
    found = tifffile.imread(tmp_path / "a.tif")
    assert found.dtype == stored
    np.testing.assert_array_equal(found, labels)


@pytest.mark.parametrize(
    "labels",
    [np.full((20, 20), 2**40), np.full((20, 20), -(2**40)), np.ones((20, 20), complex)],
    ids=["too-large", "too-small", "complex"],
)
def test_labels_that_no_tiff_holds_are_refused(
    tmp_path: Path, labels: np.ndarray
) -> None:
    with pytest.raises(OutputError, match="'cells' are of type"):
        save_labels(tmp_path / "a.tif", labels, **PLANE)
    assert list(tmp_path.iterdir()) == []


def test_two_equal_results_are_equal_byte_for_byte(tmp_path: Path) -> None:
    labels = np.arange(2 * 3 * 20 * 30, dtype=np.int32).reshape(2, 3, 20, 30)
    for name in ("a.tif", "b.ome.tif"):
        save_labels(tmp_path / name, labels, **STACK)
    save_labels(tmp_path / "c.tif", labels, **{**STACK, "name": "other"})
    first = (tmp_path / "a.tif").read_bytes()
    assert first == (tmp_path / "b.ome.tif").read_bytes()
    ids = [
        tifffile.xml2dict(tifffile.TiffFile(tmp_path / name).ome_metadata)["OME"][
            "UUID"
        ]
        for name in ("a.tif", "c.tif")
    ]
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    "shape", [(1, 1), (5, 3), (16, 16), (512, 512), (513, 1025), (20, 5000)]
)
def test_tiles_of_every_shape_come_back(tmp_path: Path, shape: tuple[int, int]) -> None:
    labels = np.random.default_rng(1).integers(0, 9999, shape).astype(np.int32)
    save_labels(tmp_path / "a.tif", labels, **PLANE)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages[0]
        assert page.is_tiled
        assert page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        assert max(page.tile) <= 512
        np.testing.assert_array_equal(page.asarray(), labels)


def test_names_with_odd_characters_are_written(tmp_path: Path) -> None:
    about = {**PLANE, "name": 'a&b <"µ"> {x}\x07\udcff'}
    save_labels(tmp_path / "a.tif", np.ones((20, 30), np.uint8), **about)
    assert pixels_of(tmp_path / "a.tif")["Name"] == 'a&b <"µ"> {x}'


def test_class_names_are_kept(tmp_path: Path) -> None:
    about = {
        **PLANE,
        "axes": "CYX",
        "scale": (1,) * 3,
        "units": ("pixel",) * 3,
        "channel_names": ("background", "nucleus"),
    }
    save_labels(tmp_path / "a.tif", np.ones((2, 20, 30), np.float16), **about)
    channels = pixels_of(tmp_path / "a.tif")["Channel"]
    assert [channel["Name"] for channel in channels] == ["background", "nucleus"]


def test_large_results_become_bigtiff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.random.default_rng(1).integers(0, 9, (3, 40, 50)).astype(np.uint8)
    about = {**PLANE, "axes": "ZYX", "scale": (1,) * 3, "units": ("pixel",) * 3}
    save_labels(tmp_path / "classic.tif", labels, **about)
    monkeypatch.setattr(tiff_writer, "_CLASSIC", 3 * 48 * 64 - 1)  # padded to tiles
    save_labels(tmp_path / "big.tif", labels, **about)
    with tifffile.TiffFile(tmp_path / "classic.tif") as file:
        assert not file.is_bigtiff
    with tifffile.TiffFile(tmp_path / "big.tif") as file:
        assert file.is_bigtiff
        np.testing.assert_array_equal(file.series[0].asarray(), labels)
