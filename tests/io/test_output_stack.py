"""An array in any order of axes is walked as planes and blocks of the file's order."""

from typing import Any

import numpy as np
import pytest

from napari_unet.errors import OutputError
from napari_unet.io.output_stack import OutputStack
from napari_unet.tiling import blocks

STACK: dict[str, Any] = {
    "data": np.arange(3 * 40 * 50).reshape(3, 40, 50),
    "axes": "ZYX",
    "scale": (2.0, 0.5, 0.25),
    "units": ("micrometer",) * 3,
    "name": "cells",
    "channel_names": (),
    "order": "ZYX",
}


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (8, 6), (3, 20)])
def test_blocks_cover_every_pixel_once(shape: tuple[int, int]) -> None:
    seen = np.zeros(shape, int)
    for y, x in blocks(shape, 4, 3):
        assert (y.stop - y.start, x.stop - x.start) <= (4, 3)
        seen[y, x] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("axes", ["YX", "XY", "TZYX", "YXZ", "XTY", "CYX"])
def test_blocks_are_read_in_the_order_of_the_file(axes: str) -> None:
    sizes = {"T": 2, "Z": 3, "C": 2, "Y": 5, "X": 7}
    data = np.random.default_rng(2).random([sizes[axis] for axis in axes])
    order = "".join(axis for axis in "TCZYX" if axis in axes)
    planes = OutputStack(
        **{
            **STACK,
            "data": data,
            "axes": axes,
            "order": order,
            "scale": [float(sizes[axis]) for axis in axes],
            "units": axes,
        }
    )
    wanted = data.transpose([axes.index(axis) for axis in order])
    assert planes.shape == wanted.shape
    assert list(planes.indices()) == list(np.ndindex(wanted.shape[:-2]))
    for index in planes.indices():
        block = planes.read(index, slice(1, 4), slice(2, 7))
        np.testing.assert_array_equal(block, wanted[index][1:4, 2:7])
    assert planes.scales == {axis: sizes[axis] for axis in axes}
    assert planes.unit_names == {axis: axis for axis in axes}


def test_extrema_are_found_in_every_block_and_plane() -> None:
    data = np.zeros((2, 3, 2100), np.int64)
    data[1, 2, 2099], data[0, 0, 5] = 2**40, -7
    assert OutputStack(**{**STACK, "data": data}).extrema() == (-7, 2**40)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"axes": "YX"}, "axes 'YX'", id="too-few-axes"),
        pytest.param({"axes": "QYX"}, "axes 'QYX'", id="unknown-axis"),
        pytest.param({"axes": "YYX"}, "axes 'YYX'", id="axis-twice"),
        pytest.param({"axes": "TZC"}, "axes 'TZC'", id="no-plane"),
        pytest.param({"order": "ZXY"}, "order", id="order"),
        pytest.param({"order": "YX"}, "order", id="order-short"),
        pytest.param({"scale": (1.0,)}, "scale", id="scale"),
        pytest.param({"units": ("pixel",)}, "units", id="units"),
        pytest.param({"channel_names": ("one", "two")}, "channel names", id="names"),
    ],
)
def test_description_that_does_not_fit_is_refused(
    change: dict[str, Any], words: str
) -> None:
    with pytest.raises(OutputError, match=words):
        OutputStack(**{**STACK, **change})


def test_empty_labels_are_refused() -> None:
    empty = np.zeros((0, 40, 40), np.uint8)
    with pytest.raises(OutputError, match="at least one pixel"):
        OutputStack(**{**STACK, "data": empty})
