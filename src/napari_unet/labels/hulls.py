"""Convex hull areas of objects, from the first and last column of each row.

An object's hull depends on nothing else, so that objects of any size are measured block
by block. Counted are the pixels whose centre lies in the hull of the midpoints of all
pixels' sides, as scikit-image does; in whole numbers, so that no rounding decides.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["convex_areas", "row_extents"]

Extents = NDArray[np.int64]  # (4, N): id, row, first column, last column


def row_extents(ids: NDArray[np.integer], origin: tuple[int, int]) -> Extents:
    """Return first and last column of every object in every row of a block (Y, X).

    Parameters
    ----------
    origin
        Row and column of the block in the plane.
    """
    rows, columns = np.nonzero(ids)
    found = ids[rows, columns].astype(np.int64)
    return _merge(found, rows + origin[0], columns + origin[1], columns + origin[1])


def _merge(
    ids: NDArray[np.int64],
    rows: NDArray[np.int64],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
) -> Extents:
    order = np.lexsort((rows, ids))
    ids, rows = ids[order], rows[order]
    new = np.ones(len(ids), bool)
    new[1:] = (np.diff(ids) != 0) | (np.diff(rows) != 0)
    starts = np.flatnonzero(new)
    if not starts.size:
        return np.zeros((4, 0), np.int64)
    low = np.minimum.reduceat(first[order], starts)
    high = np.maximum.reduceat(last[order], starts)
    return np.stack((ids[starts], rows[starts], low, high))


def convex_areas(parts: Iterable[Extents]) -> NDArray[np.int64]:
    """Return the pixels of each object's convex hull, in the order of the ids.

    Parameters
    ----------
    parts
        Extents of all blocks of a plane.
    """
    every = np.concatenate([np.zeros((4, 0), np.int64), *parts], axis=1)
    ids, rows, first, last = _merge(*every)
    if not ids.size:
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.diff(ids, prepend=0))
    ends = [*starts[1:].tolist(), len(ids)]
    return np.array(
        [
            _area(rows[a:b].tolist(), first[a:b].tolist(), last[a:b].tolist())
            for a, b in zip(starts.tolist(), ends, strict=True)
        ],
        np.int64,
    )


def _area(rows: list[int], first: list[int], last: list[int]) -> int:
    """Return the pixels in the hull of one object."""
    left = _outline(rows, [-column for column in first])
    right = _outline(rows, last)
    return sum(a + b + 1 for a, b in zip(left, right, strict=True))


def _outline(rows: list[int], columns: list[int]) -> list[int]:
    """Return the last column inside the hull, for every row from first to last.

    Rows and columns are doubled inside, so that midpoints of sides are whole numbers.
    """
    reach: dict[int, int] = {}
    for row, column in zip(rows, columns, strict=True):
        for y, x in (
            (2 * row - 1, 2 * column),
            (2 * row, 2 * column + 1),
            (2 * row + 1, 2 * column),
        ):
            reach[y] = max(x, reach.get(y, x))
    hull: list[tuple[int, int]] = []
    for y, x in sorted(reach.items()):
        while len(hull) > 1 and not _turns(hull[-2], hull[-1], (y, x)):
            hull.pop()
        hull.append((y, x))
    found, at = [], 0
    for y in range(2 * rows[0], 2 * rows[-1] + 1, 2):
        while hull[at + 1][0] < y:
            at += 1
        (y0, x0), (y1, x1) = hull[at], hull[at + 1]
        found.append((x0 * (y1 - y0) + (x1 - x0) * (y - y0)) // (2 * (y1 - y0)))
    return found


def _turns(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> bool:
    """Whether `b` lies beyond the line from `a` to `c`."""
    return (b[1] - a[1]) * (c[0] - a[0]) > (c[1] - a[1]) * (b[0] - a[0])
