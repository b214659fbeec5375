"""Scores of objects: the mean probability of their interior, from a byte per pixel.

The byte of a pixel says how probable its class is, in parts of 255: 1 or more within
objects, 0 in the background and in the boundary class, which have no score. Bytes add
up to whole numbers, so a score does not depend on how a plane is cut into tiles.
"""

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.io.label_array import LabelArray
from napari_unet.tiling import blocks

__all__ = ["CERTAIN", "add_scores", "drop_low", "mean_scores"]

CERTAIN = 255  # the byte of a pixel whose class is certain
_ROWS = 256  # are added up at a time
_Ids = NDArray[np.int32]


def add_scores(
    sums: NDArray[np.int64], ids: NDArray[Any], scores: NDArray[np.uint8]
) -> None:
    """Add the pixels of a block to what the scores of objects are made from.

    Parameters
    ----------
    sums
        (2, N): of every id the sum of its bytes, and how many of its pixels have one.
    ids
        Objects (Y, X), less than N.
    scores
        The byte of every pixel (Y, X).
    """
    for top in range(0, len(ids), _ROWS):
        part = scores[top : top + _ROWS]
        inside = part > 0
        at = ids[top : top + _ROWS][inside]
        if at.size:
            low = int(at.min())  # ids of some rows lie near each other
            at = at - low
            here = slice(low, low + int(at.max()) + 1)
            sums[0, here] += np.bincount(at, weights=part[inside]).astype(np.int64)
            sums[1, here] += np.bincount(at)


def mean_scores(sums: NDArray[Any]) -> NDArray[np.float64]:
    """Return the scores of objects, 0 to 1, from their sums (2, N); see `add_scores`.

    That of an object without a pixel that has one is NaN.
    """
    total, pixels = sums
    scores = np.full(total.shape, np.nan)
    np.divide(total, CERTAIN * pixels, out=scores, where=pixels > 0)
    return scores


def drop_low(
    planes: Sequence[tuple[LabelArray, LabelArray]],
    table: _Ids,
    count: int,
    least: float,
    *,
    side: tuple[int, int],
    kept: _Ids | None = None,
) -> Generator[float, None, tuple[_Ids, int]]:
    """Drop linked objects whose score is too low; yield the fraction done.

    Parameters
    ----------
    planes
        Ids as they are before they are linked, and the byte of every pixel (Y, X).
    table, count
        As `linking.link` returns them.
    least
        The score that an object has at least.
    side
        Rows and columns that are read at a time.
    kept
        Ids that people decided on: they are not dropped, and no other changes.

    Returns
    -------
    table, count
        The same, with the new id 0 for what is dropped.
    """
    sums = np.zeros((2, len(table)), np.int64)
    for i, (ids, scores) in enumerate(planes):
        for box in blocks((ids.shape[-2], ids.shape[-1]), *side):
            here = np.asarray(scores[box])
            if here.any():
                add_scores(sums, np.asarray(ids[box]), here)
        yield (i + 1) / len(planes)
    low = mean_scores(np.stack([np.bincount(table, weights=s) for s in sums])) < least
    low[0] = False
    if kept is None or not len(kept):
        names = np.cumsum(~low, dtype=np.int32) - 1
    else:
        low[kept] = False
        names = np.arange(len(low), dtype=np.int32)
    names[low] = 0
    return names[table], count - int(low.sum())
