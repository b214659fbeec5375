"""OME-Zarrs validate, and their pyramids fit the pixels below."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_unet.io.save import save_labels

yaozarrs = pytest.importorskip("yaozarrs")

CASES = {
    "plane": ("YX", (0.25, 0.325), ("micrometer",) * 2),
    "movie": ("TYX", (2.5, 0.25, 0.325), ("second", "micrometer", "micrometer")),
    "z-first": ("ZTYX", (1.5, 2.5, 1, 1), ("micrometer", "second", "pixel", "pixel")),
    "no-units": ("ZYX", (1, 1, 1), ("pixel",) * 3),
}
SIZES = {"T": 2, "Z": 3, "Y": 40, "X": 30, "C": 2}


def validated(path: Path) -> Any:
    """Return the metadata of a valid OME-Zarr; a warning is a failure too."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return yaozarrs.validate_zarr_store(str(path)).ome_metadata()


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
@pytest.mark.parametrize("case", CASES)
def test_labels_validate_with_their_scale_and_units(
    tmp_path: Path, case: str, dtype: str
) -> None:
    axes, scale, units = CASES[case]
    labels = np.ones([SIZES[axis] for axis in axes], dtype)
    path = tmp_path / "a.ome.zarr"
    save_labels(path, labels, axes=axes, scale=scale, units=units, name="cells")
    found = validated(path)
    assert isinstance(found, yaozarrs.v05.LabelImage)
    multiscale = found.multiscales[0]
    assert multiscale.name == "cells"
    names = [axis.name.upper() for axis in multiscale.axes]
    assert "".join(names) == "".join(axis for axis in "TCZYX" if axis in axes)
    steps = dict(zip(names, multiscale.datasets[0].scale_transform.scale, strict=True))
    assert steps == dict(zip(axes, scale, strict=True))
    written = {axis.name.upper(): axis.unit or "pixel" for axis in multiscale.axes}
    assert written == dict(zip(axes, units, strict=True))


def test_probabilities_are_an_image_with_named_channels(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.zarr"
    save_labels(
        path,
        np.ones((2, 40, 30), np.float16),
        axes="CYX",
        scale=(1, 0.5, 0.5),
        units=("pixel", "micrometer", "micrometer"),
        name="cells",
        channel_names=("background", "nucleus"),
    )
    found = validated(path)
    assert not isinstance(found, yaozarrs.v05.LabelImage)
    assert [c.label for c in found.omero.channels] == ["background", "nucleus"]
    assert zarr.open_group(path, mode="r")["0"].dtype == np.float16


@pytest.mark.parametrize(
    ("shape", "levels"),
    [((512, 512), 1), ((513, 10), 2), ((2, 2100, 4099), 5)],
    ids=["one-level", "just-above", "many-blocks"],
)
def test_every_level_keeps_each_second_pixel(
    tmp_path: Path, shape: tuple[int, ...], levels: int
) -> None:
    axes = "ZYX"[-len(shape) :]
    labels = np.random.default_rng(3).integers(0, 99999, shape).astype(np.int32)
    path = tmp_path / "a.ome.zarr"
    units = ["micrometer"] * len(axes)
    save_labels(path, labels, axes=axes, scale=[2] * len(axes), units=units, name="a")
    datasets = validated(path).multiscales[0].datasets
    assert len(datasets) == levels
    group = zarr.open_group(path, mode="r")
    for level, dataset in enumerate(datasets):
        step = 2**level
        np.testing.assert_array_equal(
            group[dataset.path][...], labels[..., ::step, ::step]
        )
        assert dataset.scale_transform.scale[-2:] == [2 * step, 2 * step]


def test_background_takes_no_room(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.zarr"
    labels = np.zeros((2000, 2000), np.int32)
    save_labels(path, labels, axes="YX", scale=(1, 1), units=["pixel"] * 2, name="a")
    names = {entry.name for entry in path.rglob("*") if entry.is_file()}
    assert names == {"zarr.json"}
