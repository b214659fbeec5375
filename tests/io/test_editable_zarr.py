"""Painting in a file: level 0 at once, the coarser levels after it, no more."""

import itertools
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.errors import ImageError, OutputError
from napari_unet.io.editable_zarr import EditableZarr
from napari_unet.io.save import save_labels


def make(path: Path, shape: tuple[int, ...] = (2, 1050, 1100)) -> Path:
    labels = np.random.default_rng(0).integers(0, 9, shape, np.int32)
    axes, scale, units = (
        "ZYX"[-len(shape) :],
        (1,) * len(shape),
        ("pixel",) * len(shape),
    )
    save_labels(path, labels, axes=axes, scale=scale, units=units, name="a")
    return path


def levels(path: Path) -> list[Any]:
    group = zarr.open_group(path, mode="r")
    return [np.asarray(group[name][...]) for name in sorted(group.array_keys())]


def check(path: Path) -> None:
    """Every level has every second row and column of the one before."""
    found = levels(path)
    assert len(found) > 2
    for finer, coarser in itertools.pairwise(found):
        np.testing.assert_array_equal(coarser, finer[..., ::2, ::2])


KEYS = {
    "stamp": (slice(1, 2), slice(500, 530), slice(511, 513)),
    "plane and slices": (0, slice(1040, 1050), slice(1099, 1100)),
    "pixel": (1, 1049, 1099),
    "indices": (np.array([0, 1]), np.array([3, 1049]), np.array([1024, 0])),
    "all of a plane": (1,),
    "ellipsis": (..., slice(0, 1), slice(0, 700)),
    "negative": (-1, -1, -1),
    "nothing": (0, slice(5, 5), slice(0, 9)),
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_coarser_levels_follow(tmp_path: Path, key: Any) -> None:
    path = make(tmp_path / "a.ome.zarr")
    before = levels(path)[0]
    pyramid = EditableZarr(path)
    pyramid[key] = 77
    before[key] = 77
    np.testing.assert_array_equal(levels(path)[0], before)  # at once
    pyramid.settle()
    np.testing.assert_array_equal(levels(path)[0], before)
    check(path)


@settings(max_examples=8)
@given(
    st.lists(
        st.tuples(st.integers(0, 639), st.integers(0, 739), st.integers(1, 60)),
        max_size=12,
    )
)
def test_strokes_anywhere_leave_a_sound_pyramid(
    tmp_path_factory: pytest.TempPathFactory, strokes: list[tuple[int, ...]]
) -> None:
    path = make(tmp_path_factory.mktemp("any") / "a.ome.zarr", (1030, 1040))
    expected = levels(path)[0]
    pyramid = EditableZarr(path)
    for number, (y, x, side) in enumerate(strokes, 100):
        box = slice(y, y + side), slice(x, x + side)
        pyramid[box] = number
        expected[box] = number
    pyramid.settle()
    np.testing.assert_array_equal(levels(path)[0], expected)
    check(path)


def test_coarser_levels_follow_by_themselves(tmp_path: Path) -> None:
    path = make(tmp_path / "a.ome.zarr", (700, 700))
    pyramid = EditableZarr(path)
    pyramid[100:200, 100:200] = 50
    timer = pyramid._timer
    assert timer is not None
    timer.join()
    check_top = levels(path)[-1]
    assert (check_top == 50).any()


def test_time_of_the_file_is_that_of_the_last_stroke(tmp_path: Path) -> None:
    path = make(tmp_path / "a.ome.zarr", (700, 700))
    os.utime(path / "zarr.json", (1, 1))
    pyramid = EditableZarr(path)
    pyramid.settle()
    assert (path / "zarr.json").stat().st_mtime == 1  # nothing was painted
    pyramid[3, 3] = 5
    assert (path / "zarr.json").stat().st_mtime > 1  # at once
    pyramid.settle()


def test_it_is_an_array_for_those_who_read(tmp_path: Path) -> None:
    path = make(tmp_path / "a.ome.zarr", (700, 600))
    pyramid = EditableZarr(path)
    assert (pyramid.shape, pyramid.ndim, pyramid.dtype) == ((700, 600), 2, np.int32)
    np.testing.assert_array_equal(np.asarray(pyramid), levels(path)[0])
    pyramid[8:16, 8:16] = 4000
    pyramid.settle()
    assert pyramid.greatest() == 4000


def test_what_cannot_be_painted_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        EditableZarr(tmp_path)
    other = make(tmp_path / "other.ome.zarr")
    coarser = zarr.open_group(other, mode="r+")
    coarser.create_array(
        "1", shape=(2, 400, 400), dtype="i4", chunks=(1, 400, 400), overwrite=True
    )
    with pytest.raises(OutputError, match="another program"):
        EditableZarr(other)


def test_lost_file_is_told_with_the_next_stroke(tmp_path: Path) -> None:
    path = make(tmp_path / "a.ome.zarr", (700, 700))
    pyramid = EditableZarr(path)
    pyramid[3, 3] = 5
    shutil.rmtree(path)
    with pytest.raises(OutputError, match="cannot be written"):
        pyramid.settle()
