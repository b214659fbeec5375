"""Intensity normalisation: percentiles of a whole image channel mapped to 0 and 1.

A `Scaling` is the rule and belongs to the model; `Intensities` are the numbers that
the rule finds in one image. They are found once per image and channel, never per tile:
tiles scaled one by one would not fit together.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import ModelError

__all__ = ["LUMA", "Intensities", "Scaling"]

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601; the shipped model was trained on it
_CLIP = (-1.0, 4.0)  # a hot pixel must not drown its neighbourhood


@dataclass(frozen=True, slots=True)
class Intensities:
    """Offset and gain of every channel of one image: ``(raw - offset) * gain``."""

    offset: tuple[float, ...]
    gain: tuple[float, ...]

    def apply(self, raw: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return `raw` (C, Y, X) of any dtype scaled to about 0..1, as float32.

        NaN and infinite pixels become 0, which is what background looks like.
        """
        # 24 bits hold every 16-bit number; differences of larger ones need more.
        wide = raw.dtype.itemsize > (4 if raw.dtype.kind == "f" else 2)
        scaled: NDArray[Any] = raw.astype(np.float64 if wide else np.float32)
        real = raw.dtype.kind == "f"  # others are finite
        if real:
            scaled[~np.isfinite(scaled)] = np.nan
        scaled -= np.asarray(self.offset, scaled.dtype)[:, None, None]
        scaled *= np.asarray(self.gain, scaled.dtype)[:, None, None]
        np.clip(scaled, *_CLIP, out=scaled)
        if real:
            np.nan_to_num(scaled, copy=False, nan=0.0)
        return scaled.astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True)
class Scaling:
    """Map percentile `low` of a channel to 0 and percentile `high` to 1."""

    low: float = 1.0
    high: float = 99.8

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 100:
            raise ModelError(
                f"Intensities cannot be scaled from percentile {self.low} to "
                f"{self.high}; both lie in 0..100 and the first is the smaller."
            )

    def measure(self, sample: NDArray[np.generic]) -> Intensities:
        """Return the intensities of an image from a `sample` (C, N) of its pixels.

        A constant channel gets gain 0: it becomes 0 everywhere.
        """
        offsets, gains = [], []
        for values in sample:
            finite = values[np.isfinite(values)].astype(np.float64)
            low, high = (
                np.percentile(finite, (self.low, self.high)) if finite.size else (0, 0)
            )
            if high <= low and finite.size:  # nearly all one value: take what is there
                low, high = finite.min(), finite.max()
            offsets.append(float(low))
            gains.append(1 / float(high - low) if high > low else 0.0)
        return Intensities(tuple(offsets), tuple(gains))
