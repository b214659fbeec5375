"""Resampling is linear, exact in parts, and the same for every window."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.segmentation.resample import Axis, resample


def apply(axis, values, wanted):
    have = axis.needs(wanted)
    return axis.weights(have, wanted) @ values[have]


@given(
    st.integers(1, 200), st.integers(1, 200), st.integers(0, 150), st.integers(1, 50)
)
def test_windows_equal_the_whole(source, target, start, length):
    axis = Axis(source, target)
    values = np.random.default_rng(source).random(source).astype(np.float32)
    whole = apply(axis, values, slice(0, target))
    start = min(start, target - 1)
    part = slice(start, min(start + length, target))
    np.testing.assert_array_equal(apply(axis, values, part), whole[part])
    assert whole.min() >= values.min() - 1e-6
    assert whole.max() <= values.max() + 1e-6


@given(st.integers(1, 300), st.integers(1, 300), st.lists(st.integers(0, 300)))
def test_cores_that_partition_the_target_partition_the_source(source, target, cuts):
    axis = Axis(source, target)
    edges = sorted({0, target, *(c for c in cuts if c < target)})
    parts = [axis.of_core(slice(a, b)) for a, b in pairwise(edges)]
    covered = [i for part in parts for i in range(part.start, part.stop)]
    assert covered == list(range(source))


@pytest.mark.parametrize("factor", [0.25, 0.5, 2, 3])
def test_straight_lines_stay_straight(factor):
    axis = Axis(120, int(120 * factor))
    ramp = ((np.arange(120) + 0.5) / 120).astype(np.float32)
    expected = (np.arange(axis.target) + 0.5) / axis.target
    inner = slice(axis.target // 4, axis.target * 3 // 4)
    np.testing.assert_allclose(apply(axis, ramp, inner), expected[inner], atol=1e-5)


def test_shrinking_averages_what_it_skips():
    checkers = np.indices((64, 64)).sum(0)[None].astype(np.float32) % 2
    axis = Axis(64, 16)
    weights = axis.weights(slice(0, 64), slice(0, 16))
    small = resample(checkers, weights, weights)
    np.testing.assert_allclose(small, 0.5, atol=0.05)
