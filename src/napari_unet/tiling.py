"""Tiling: cores, halos and windows of a plane; index arithmetic alone.

A plane is cut into cores, each pixel in exactly one. To compute a core, the net reads a
window that reaches a halo further on every side where the image goes on; at the image's
borders the window slides inward, so that the net's own zero padding falls exactly where
it falls when the whole plane is computed at once. Hence tiled equals whole.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from napari_unet.errors import OptionsError

__all__ = [
    "Box",
    "Tile",
    "TilePlan",
    "best_window",
    "blocks",
    "cut",
    "plan_tiles",
    "region",
    "round_up",
    "shifted",
    "whole",
]

Box = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Tile:
    """One window of a plane.

    Attributes
    ----------
    core
        What it writes: (Y, X) slices of the plane.
    read
        What it reads: (Y, X) slices of the plane; contains `core`.
    pad
        Rows below and columns right of `read` that are filled by reflection, because
        the net takes only multiples of its stride.
    """

    core: Box
    read: Box
    pad: tuple[int, int]

    @property
    def inner(self) -> Box:
        """The core's (Y, X) slices inside the window."""
        y, x = (
            slice(c.start - r.start, c.stop - r.start)
            for c, r in zip(self.core, self.read, strict=True)
        )
        return y, x


@dataclass(frozen=True, slots=True)
class TilePlan:
    """All tiles of a plane; every window has the same shape `window` (Y, X)."""

    window: tuple[int, int]
    tiles: tuple[Tile, ...]


def round_up(n: int, step: int) -> int:
    """Return the least multiple of `step` that is not below `n`."""
    return -(-n // step) * step


def shifted(box: Box, dy: int, dx: int) -> Box:
    """Return `box` moved by `dy` rows and `dx` columns."""
    y, x = box
    return slice(y.start + dy, y.stop + dy), slice(x.start + dx, x.stop + dx)


def whole(shape: tuple[int, ...]) -> Box:
    """Return the (Y, X) slices of all of a plane: the last sides of `shape`."""
    return slice(0, shape[-2]), slice(0, shape[-1])


def cut(box: Box, limits: Box) -> Box:
    """Return the part of `box` that lies within `limits`; it may be empty."""
    y, x = (
        slice(max(a.start, b.start), max(a.start, b.start, min(a.stop, b.stop)))
        for a, b in zip(box, limits, strict=True)
    )
    return y, x


def plan_tiles(
    shape: tuple[int, int], window: int | tuple[int, int], halo: int, stride: int
) -> TilePlan:
    """Plan the windows that cover a plane of `shape` (Y, X).

    Parameters
    ----------
    shape
        Rows and columns of the plane, in pixels.
    window
        Largest side (or sides Y, X) of a window in pixels. It is made smaller where
        that saves work: windows of one plan share a shape and overlap by the halo.
    halo
        Reach of the net in pixels, a multiple of `stride`.
    stride
        The net's total downsampling, ``2**depth``; cores and windows start on its
        multiples.

    Raises
    ------
    OptionsError
        If a window that must be repeated leaves no core between its halos.
    """
    sides = (window, window) if isinstance(window, int) else window
    rows, columns = (
        _plan_axis(n, side, halo, stride) for n, side in zip(shape, sides, strict=True)
    )
    tiles = tuple(
        Tile((cy, cx), (ry, rx), (py, px))
        for cy, ry, py in rows
        for cx, rx, px in columns
    )
    first = tiles[0]
    height, width = (
        r.stop - r.start + p for r, p in zip(first.read, first.pad, strict=True)
    )
    return TilePlan((height, width), tiles)


def blocks(shape: tuple[int, int], height: int, width: int) -> Iterator[Box]:
    """Yield (Y, X) slices that cover `shape` row by row, smaller at the far edges.

    >>> list(blocks((2, 5), 4, 3))
    [(slice(0, 2, None), slice(0, 3, None)), (slice(0, 2, None), slice(3, 5, None))]
    """
    for y, x in itertools.product(
        range(0, shape[0], height), range(0, shape[1], width)
    ):
        yield slice(y, min(y + height, shape[0])), slice(x, min(x + width, shape[1]))


def best_window(
    shape: tuple[int, int], pixels: int, halo: int, stride: int
) -> tuple[int, int]:
    """Return the window (Y, X) of at most `pixels` that computes a plane most cheaply.

    Few large windows waste little on halos; strips as wide as the plane waste nothing
    on two sides. Every division into rows is tried with the fewest columns that fit.

    Raises
    ------
    OptionsError
        If `pixels` is less than the smallest window that leaves a core.
    """
    best, least = None, 0
    heights, widths = (_window_sizes(round_up(n, stride), halo, stride) for n in shape)
    inner = max(0, round_up(shape[1], stride) - 2 * halo)
    for height, rows in heights:
        for width, columns in widths:
            if height * width > pixels:
                continue
            if (
                best is not None
                and height * rows * (inner + 2 * halo * columns) >= least
            ):
                break  # more columns only add halo
            cost = height * rows * width * columns
            if best is None or cost < least:
                best, least = (height, width), cost
    if best is None:
        raise OptionsError(
            f"A window of {pixels} pixels is too small: this model needs "
            f"{(2 * halo + stride) ** 2} or more."
        )
    return best


def region(shape: tuple[int, int], box: Box, halo: int, stride: int) -> Box:
    """Return the part of a plane that the net must read to be exact within `box`.

    It reaches a halo beyond `box`, starts on multiples of `stride`, and ends on one or
    at the plane's end, so that it can be planned like a plane of its own.
    """
    y, x = (
        slice(
            max(0, (side.start - halo) // stride * stride),
            min(n, round_up(side.stop + halo, stride)),
        )
        for n, side in zip(shape, box, strict=True)
    )
    return y, x


def _window_sizes(padded: int, halo: int, stride: int) -> list[tuple[int, int]]:
    """Return (window, count) for every useful number of windows along an axis."""
    inner = max(0, padded - 2 * halo)
    sizes = [(padded, 1)]
    for count in range(2, inner // stride + 2):
        window = round_up(-(-inner // count), stride) + 2 * halo
        if window < sizes[-1][0]:
            sizes.append((window, count))
    return sizes


def _plan_axis(
    size: int, window: int, halo: int, stride: int
) -> list[tuple[slice, slice, int]]:
    """Return (core, read, pad) for every window along one axis."""
    padded = round_up(size, stride)
    if padded <= round_up(window, stride):
        return [(slice(0, size), slice(0, size), padded - size)]
    step = window - window % stride - 2 * halo
    if step < stride:
        raise OptionsError(
            f"A tile of {window} pixels is too small: this model needs "
            f"{2 * halo + stride} or more."
        )
    # The first and last windows lie at the border and keep one halo more.
    count = -(-(padded - 2 * halo) // step)
    step = round_up(-(-(padded - 2 * halo) // count), stride)
    window = step + 2 * halo
    axis = []
    for i in range(count):
        start = min(i * step, padded - window)
        last = start + window >= padded
        core_start = i * step + halo if i else 0
        core = slice(core_start, size if last else core_start + step + halo * (not i))
        read = slice(start, min(start + window, size))
        axis.append((core, read, start + window - read.stop))
        if last:
            break
    return axis
