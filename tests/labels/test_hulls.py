"""Hulls from the ends of rows are those that scikit-image finds in whole masks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label, regionprops_table

from napari_unet.labels.hulls import convex_areas, row_extents
from napari_unet.tiling import blocks


def hulls(ids: NDArray[np.int32], side: int) -> NDArray[np.int64]:
    return convex_areas(
        row_extents(ids[box], (box[0].start, box[1].start))
        for box in blocks(ids.shape, side, side)
    )


@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(5, 80))
def test_hulls_of_blobs_are_exact(seed: int, size: int, side: int) -> None:
    noise = np.random.default_rng(seed).random((70, 60))
    ids = label(ndimage.gaussian_filter(noise, size) > 0.5).astype(np.int32)
    expected = regionprops_table(ids, properties=("label", "area_convex"))
    np.testing.assert_array_equal(hulls(ids, side), expected["area_convex"])


def test_hulls_of_scattered_pixels_are_exact() -> None:
    ids = np.random.default_rng(0).integers(0, 9, (50, 40)).astype(np.int32)
    ids[20:30] = 0  # rows in the middle of every object without a pixel
    expected = regionprops_table(ids, properties=("area_convex",))["area_convex"]
    np.testing.assert_array_equal(hulls(ids, 16), expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_hull_of_a_line_is_the_line(shape: tuple[int, int]) -> None:
    assert hulls(np.full(shape, 5, np.int32), 4).tolist() == [shape[0] * shape[1]]


def test_no_objects_have_no_hulls() -> None:
    assert hulls(np.zeros((8, 8), np.int32), 4).tolist() == []
    assert convex_areas([]).tolist() == []
