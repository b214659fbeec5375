"""The few planes and windows from which intensity percentiles are measured."""

import math

import numpy as np

__all__ = ["sample_planes", "sample_windows"]

_PLANES = 16
_GRID = 8  # windows along each side of a plane
_SIDE = 256  # pixels along each side of a window


def sample_planes(stack_shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return up to 16 evenly spaced planes of a stack, with the first and last."""
    count = math.prod(stack_shape)
    numbers = _spread(count - 1, min(count, _PLANES))
    return [
        tuple(int(i) for i in np.unravel_index(n, stack_shape)) if stack_shape else ()
        for n in numbers
    ]


def sample_windows(
    shape: tuple[int, int], limit: int
) -> tuple[list[tuple[slice, slice]], int]:
    """Return (Y, X) windows of a plane, and the step that keeps about `limit` pixels.

    A plane of up to 2048 x 2048 pixels is one window; of a larger one, 64 windows of
    256 x 256 are read.
    """
    sides = [_along(n) for n in shape]
    windows = [(y, x) for y in sides[0] for x in sides[1]]
    pixels = math.prod(sum(s.stop - s.start for s in side) for side in sides)
    return windows, max(math.ceil(math.sqrt(pixels / limit)), 1)


def _along(length: int) -> list[slice]:
    """Return the windows along one side of a plane."""
    if length <= _GRID * _SIDE:
        return [slice(0, length)]
    return [slice(n, n + _SIDE) for n in _spread(length - _SIDE, _GRID)]


def _spread(last: int, count: int) -> list[int]:
    """Return `count` whole numbers from 0 to `last`, evenly spaced."""
    return [round(i * last / max(count - 1, 1)) for i in range(count)]
