"""The widest place of a class: the centre of the largest disk inside it."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["middle_of"]

_PIXELS = 1_000_000  # that are looked at: more take longer than a click may


def middle_of(mask: NDArray[np.bool_]) -> tuple[int, int, int] | None:
    """Return the largest disk that fits into a mask (Y, X): row, column, radius.

    What lies outside the array counts as not in the mask, so that the disk is inside.
    A large mask is looked at in steps of several pixels.

    Returns
    -------
    tuple of int, or None
        In pixels; None if the mask is empty.

    Examples
    --------
    >>> mask = np.zeros((9, 9), bool)
    >>> mask[2:7, 1:6] = True
    >>> middle_of(mask)
    (4, 3, 3)
    """
    step = max(math.isqrt(mask.size // _PIXELS), 1)
    depth = ndimage.distance_transform_edt(np.pad(mask[::step, ::step], 1))
    if depth.any():
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        return (int(y) - 1) * step, (int(x) - 1) * step, round(depth.max() * step)
    if not mask.any():
        return None
    y, x = np.unravel_index(int(mask.argmax()), mask.shape)  # smaller than a step
    return int(y), int(x), 1
