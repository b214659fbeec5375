"""Label pyramid: coarser levels kept in step with the finest.

Each level has every second row and column of the one before.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.io.label_array import LabelArray, create_labels
from napari_unet.tiling import Box

__all__ = ["LabelPyramid", "follow", "touched"]

_COARSEST = 1024  # rows and columns of the last level at most


class LabelPyramid:
    """An array of labels (..., Y, X) with coarser levels that follow what is written.

    For planes that are too large to be drawn at once. It is written and read like the
    array that it is made of.

    Attributes
    ----------
    arrays
        All levels, the finest first.
    """

    def __init__(self, finest: LabelArray) -> None:
        self.arrays = [finest]
        shape = tuple(finest.shape)
        while max(shape[-2:]) > _COARSEST:
            shape = (*shape[:-2], *(-(-n // 2) for n in shape[-2:]))
            self.arrays.append(create_labels(shape, finest.dtype))

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(self.arrays[0].shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one pixel."""
        return self.arrays[0].dtype

    def __getitem__(self, key: Any) -> Any:
        return self.arrays[0][key]

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        return np.asarray(self.arrays[0][...], dtype)

    def __setitem__(self, key: Any, values: Any) -> None:
        self.arrays[0][key] = values
        planes, box = touched(key, self.shape)
        for plane in itertools.product(*planes):
            follow(self.arrays, plane, box)


def follow(levels: Sequence[Any], plane: tuple[int, ...], box: Box) -> None:
    """Make coarser `levels` again where `box` of a plane of the finest was written."""
    y, x = box
    for finer, coarser in itertools.pairwise(levels):
        y, x = (slice(-(-s.start // 2), -(-s.stop // 2)) for s in (y, x))
        source = (slice(2 * s.start, 2 * s.stop - 1) for s in (y, x))
        block = np.asarray(finer[(*plane, *source)])[::2, ::2]
        if not block.size:
            return
        y, x = (
            slice(s.start, s.start + n)
            for s, n in zip((y, x), block.shape, strict=True)
        )
        coarser[(*plane, y, x)] = block


def touched(key: Any, shape: tuple[int, ...]) -> tuple[list[range], Box]:
    """Return planes, and a box of them, that hold all that a key of an array selects.

    Parameters
    ----------
    key
        Integers, slices, one ``...``, and arrays of integers.
    shape
        Of the array (..., Y, X).
    """
    keys = key if isinstance(key, tuple) else (key,)
    if Ellipsis in [k for k in keys if not isinstance(k, np.ndarray)]:
        at = next(i for i, k in enumerate(keys) if k is Ellipsis)
        missing = (slice(None),) * (len(shape) - len(keys) + 1)
        keys = (*keys[:at], *missing, *keys[at + 1 :])
    keys = (*keys, *(slice(None),) * (len(shape) - len(keys)))
    ranges = [_range(k, n) for k, n in zip(keys, shape, strict=True)]
    y, x = (slice(r[0], r[-1] + 1) if r else slice(0, 0) for r in ranges[-2:])
    return ranges[:-2], (y, x)


def _range(key: Any, length: int) -> range:
    """Return the range that holds all that a key selects of one axis."""
    if isinstance(key, slice):
        return range(*key.indices(length))
    numbers = np.atleast_1d(np.asarray(key))
    if not numbers.size:
        return range(0)
    numbers = np.where(numbers < 0, numbers + length, numbers)
    return range(int(numbers.min()), int(numbers.max()) + 1)
