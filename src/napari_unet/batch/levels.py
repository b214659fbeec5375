"""Levels of a plane in the work store, each half of the one before, on the disk."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.batch.store import PlaneView
from napari_unet.io.label_array import put
from napari_unet.tiling import blocks, whole

__all__ = ["write_levels"]


def write_levels(
    views: Sequence[PlaneView], finest: NDArray[Any] | None = None
) -> Iterator[None]:
    """Write a plane into all of its levels, and wait until they are on the disk.

    Parameters
    ----------
    views
        The plane in every level, full resolution first.
    finest
        The plane (Y, X), where it is in memory; None: it stands in the first level.
    """
    if finest is not None:
        put(views[0], whole(finest.shape), finest)
    for finer, coarser in itertools.pairwise(views):
        if finest is not None:  # what is in memory need not be read again
            finest = finest[::2, ::2]
            put(coarser, whole(finest.shape), finest)
            yield
        else:
            yield from _halve(finer, coarser)
        coarser.settle()
    views[0].settle()


def _halve(finer: PlaneView, coarser: PlaneView) -> Iterator[None]:
    """Fill a level from the one before: every second row and column, shard by shard."""
    high, wide = (coarser.array.shards or coarser.array.chunks)[-2:]
    for y, x in blocks(coarser.array.shape[-2:], high, wide):
        out = np.zeros(
            (*coarser.shape[:-2], y.stop - y.start, x.stop - x.start), coarser.dtype
        )
        # Four reads: two levels of a shard are never in memory at once.
        for part in blocks(out.shape[-2:], -(-high // 2), -(-wide // 2)):
            source = [
                slice(2 * (side.start + s.start), 2 * (side.start + s.stop) - 1)
                for side, s in zip((y, x), part, strict=True)
            ]
            out[(..., *part)] = finer[source[0], source[1]][..., ::2, ::2]
        put(coarser, (y, x), out)
        yield
