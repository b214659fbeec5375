"""Intensities: one offset and gain per channel, whatever the type of the pixels."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from napari_unet.errors import ModelError
from napari_unet.network.normalization import Intensities, Scaling

TYPES = ["uint8", "uint16", "int16", "int32", "uint32", "float16", "float32", "float64"]


def ramp(dtype: DTypeLike) -> NDArray[Any]:
    """One channel (1, 10, 10) that holds 0, 1, ..., 99."""
    return np.arange(100).reshape(1, 10, 10).astype(dtype)


@pytest.mark.parametrize("dtype", TYPES)
def test_low_and_high_percentiles_become_0_and_1(dtype: str) -> None:
    image = ramp(dtype)
    found = Scaling(low=0, high=100).measure(image.reshape(1, -1)).apply(image)
    assert found.dtype == np.float32
    assert found.ravel() == pytest.approx(np.arange(100) / 99, abs=1e-6)


def test_bool_is_0_and_1() -> None:
    image = np.array([[[False, True], [True, False]]])
    found = Scaling().measure(image.reshape(1, -1)).apply(image)
    assert found.tolist() == [[[0, 1], [1, 0]]]


@given(
    gain=st.floats(0.01, 100), offset=st.floats(-500, 500), seed=st.integers(0, 1000)
)
def test_result_does_not_depend_on_camera_gain_and_offset(
    gain: float, offset: float, seed: int
) -> None:
    image = np.random.default_rng(seed).normal(100, 20, (1, 16, 16))
    other = image * gain + offset
    expected = Scaling().measure(image.reshape(1, -1)).apply(image)
    found = Scaling().measure(other.reshape(1, -1)).apply(other)
    # float32 keeps 24 bits of an offset that may be large beside the signal
    tolerance = 1e-4 * (1 + abs(offset) / (20 * gain))
    assert np.abs(found - expected).max() < tolerance


def test_channels_are_scaled_one_by_one() -> None:
    image = np.concatenate([ramp("uint16"), 500 + 100 * ramp("uint16")])
    found = Scaling(0, 100).measure(image.reshape(2, -1)).apply(image)
    assert found[0] == pytest.approx(found[1], abs=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_pixels_that_are_no_numbers_become_0(dtype: str, bad: float) -> None:
    image = ramp(dtype) + np.asarray(50, dtype)
    clean = Scaling().measure(image.reshape(1, -1))
    image[0, 3, 4] = bad
    found = Scaling().measure(image.reshape(1, -1))
    assert np.isfinite(found.offset + found.gain).all()
    scaled = found.apply(image)
    assert scaled[0, 3, 4] == 0
    assert np.isfinite(scaled).all()
    assert found.offset[0] == pytest.approx(clean.offset[0], abs=2)


def test_image_is_not_changed_by_scaling_it() -> None:
    image = ramp("float32")
    image[0, 0, 0] = np.nan
    before = image.copy()
    Intensities((3.0,), (2.0,)).apply(image)
    assert np.array_equal(image, before, equal_nan=True)


@pytest.mark.parametrize("value", [0, 1, 4000, 65535])
def test_constant_image_becomes_0(value: int) -> None:
    image = np.full((1, 8, 8), value, np.uint16)
    found = Scaling().measure(image.reshape(1, -1))
    assert found.gain == (0.0,)
    assert (found.apply(image) == 0).all()


def test_image_without_a_single_number_becomes_0() -> None:
    image = np.full((1, 4, 4), np.nan, np.float32)
    found = Scaling().measure(image.reshape(1, -1))
    assert (found.apply(image) == 0).all()


def test_few_bright_pixels_on_black_are_still_seen() -> None:
    image = np.zeros((1, 100, 100), np.uint8)
    image[0, 50, 50:55] = 200  # fewer than the highest percentile shows
    found = Scaling().measure(image.reshape(1, -1)).apply(image)
    assert found[0, 50, 50] == 1
    assert found[0, 0, 0] == 0


def test_extremes_are_clipped() -> None:
    image = np.array([[[-1e6, 0, 1, 1e6]]])
    assert Intensities((0.0,), (1.0,)).apply(image).tolist() == [[[-1, 0, 1, 4]]]


def test_large_numbers_keep_their_differences() -> None:
    image = (2**31 + 1000 * np.arange(100, dtype=np.int64)).reshape(1, 10, 10)
    found = Scaling(0, 100).measure(image.reshape(1, -1)).apply(image)
    assert found.ravel() == pytest.approx(np.arange(100) / 99, abs=2e-2)


@pytest.mark.parametrize(
    ("low", "high"), [(50, 50), (90, 10), (-1, 99), (1, 101), (float("nan"), 99)]
)
def test_impossible_percentiles_are_refused(low: float, high: float) -> None:
    with pytest.raises(ModelError, match=r"0\.\.100"):
        Scaling(low, high)


def test_small_differences_of_large_numbers_are_kept() -> None:
    raw = np.array([[[4_000_000_000, 4_000_000_100]]], np.uint32)
    scaled = Scaling(0, 100).measure(raw.reshape(1, -1)).apply(raw)
    np.testing.assert_allclose(scaled, [[[0, 1]]], atol=1e-6)
