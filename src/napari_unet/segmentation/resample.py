"""Linear resampling of any window, by global position alone, antialiased.

Sample ``i`` of ``n`` lies at ``(i + 0.5) / n`` of the axis. Interpolation is linear;
when samples get fewer, the triangle widens with them, so that nothing is folded in.
Every value depends on its global position alone, never on the window it is computed in,
so windows that are resampled one by one fit together exactly.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Axis", "resample"]


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of `source` samples that is resampled to `target` samples."""

    source: int
    target: int

    @property
    def support(self) -> int:
        """How many source samples to either side one target sample can depend on."""
        return math.ceil(max(1.0, self.source / self.target)) + 1

    def back(self) -> "Axis":
        """Return the way back."""
        return Axis(self.target, self.source)

    def needs(self, wanted: slice) -> slice:
        """Return the source samples that the target samples `wanted` depend on."""
        ratio = self.source / self.target
        first = math.floor((wanted.start + 0.5) * ratio) - self.support
        last = math.ceil((wanted.stop - 0.5) * ratio) + self.support
        return slice(max(0, first), min(self.source, last))

    def of_core(self, core: slice) -> slice:
        """Return the source samples whose centres lie in the target's `core`.

        Cores that partition the target thereby partition the source.
        """
        start, stop = (
            -((self.target - 2 * at * self.source) // (2 * self.target))
            for at in (core.start, core.stop)
        )
        return slice(max(0, start), min(self.source, stop))

    def nearest(self, wanted: slice) -> NDArray[np.intp]:
        """Return the source sample in which the middle of each of `wanted` lies."""
        middles = 2 * np.arange(wanted.start, wanted.stop) + 1
        return middles * self.source // (2 * self.target)

    def weights(self, have: slice, wanted: slice) -> "sparse.csr_array":
        """Return the matrix from source samples `have` to target samples `wanted`."""
        from scipy import sparse  # what is not resampled need not wait for it

        ratio = self.source / self.target
        reach = max(1.0, ratio)
        centres = (np.arange(wanted.start, wanted.stop) + 0.5) * ratio - 0.5
        first = np.ceil(centres - reach).astype(np.int64)
        taps = first[:, None] + np.arange(math.floor(2 * reach) + 1)
        value = np.clip(1 - np.abs(taps - centres[:, None]) / reach, 0, None)
        value[(taps < 0) | (taps >= self.source)] = 0
        value /= value.sum(axis=1, keepdims=True)
        rows = np.broadcast_to(np.arange(len(centres))[:, None], taps.shape)
        used = value > 0
        shape = (len(centres), have.stop - have.start)
        at = (rows[used], taps[used] - have.start)
        return sparse.csr_array((value[used].astype(np.float32), at), shape=shape)


def resample(
    values: NDArray[np.float32], y: "sparse.csr_array", x: "sparse.csr_array"
) -> NDArray[np.float32]:
    """Apply the matrices of both axes to `values` (C, Y, X) float32."""
    planes = [(x @ np.ascontiguousarray((y @ plane).T)).T for plane in values]
    return np.ascontiguousarray(np.stack(planes))
