"""Objects of a stack on the disk: plane by plane, and linked through Z if wanted.

Memory holds a few tiles and some numbers per object, whatever the size of the stack.
"""

from collections.abc import Generator, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .labelstore import put
from .shards import PlaneView
from .tiling import blocks

__all__ = ["link", "relabel"]

_Pairs = NDArray[np.int32]  # (2, N): ids that are one object


def link(
    chains: Sequence[Sequence[tuple[PlaneView, PlaneView]]],
    count: int,
    *,
    boundary: int | None,
    side: tuple[int, int],
) -> Generator[float, None, tuple[NDArray[np.int32], int]]:
    """Find which objects of neighbouring planes are one; yield the fraction done.

    They are when a pixel of one lies on a pixel of the other, and the classes there are
    equal or one is the boundary, of which objects have a share.

    Parameters
    ----------
    chains
        Stacks of neighbouring planes: of each plane its ids and its classes.
    count
        How many ids there are, from 1.
    boundary
        Index of the boundary class, or None.
    side
        Rows and columns that are read at a time.

    Returns
    -------
    table, objects
        The new id of every old one, as int32 (count + 1,), and how many there are.
    """
    pairs: list[_Pairs] = [np.zeros((2, 0), np.int32)]
    steps = sum(len(chain) - 1 for chain in chains)
    for chain in chains:
        for low, high in pairwise(chain):
            found = list(_overlaps(low, high, boundary, side))
            pairs.append(np.unique(np.concatenate(found, axis=1), axis=1))
            yield (len(pairs) - 1) / steps
    joined = np.concatenate(pairs, axis=1)
    ones = np.ones(joined.shape[1], np.int8)
    graph = sparse.coo_array((ones, tuple(joined)), shape=(count + 1, count + 1))
    roots: NDArray[np.int32]
    _, roots = sparse.csgraph.connected_components(graph, directed=False)
    # Numbered by the first id that each has, and 0 stays 0.
    _, first, numbers = np.unique(roots, return_index=True, return_inverse=True)
    order = np.empty(len(first), np.int32)
    order[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    return order[numbers], len(first) - 1


def _overlaps(
    below: tuple[PlaneView, PlaneView],
    above: tuple[PlaneView, PlaneView],
    boundary: int | None,
    side: tuple[int, int],
) -> Iterator[_Pairs]:
    """Yield the pairs of ids that lie on each other, each once a block."""
    yield np.zeros((2, 0), np.int32)
    shape = below[0].shape
    for box in blocks((shape[-2], shape[-1]), *side):
        low, high = below[0][box], above[0][box]
        both = (low > 0) & (high > 0)
        if not both.any():
            continue
        a, b = below[1][box][both], above[1][box][both]
        same = a == b
        if boundary is not None:
            same |= (a == boundary) | (b == boundary)
        yield np.unique(np.stack((low[both][same], high[both][same])), axis=1)


def relabel(
    source: PlaneView, target: PlaneView, table: NDArray[Any], side: tuple[int, int]
) -> None:
    """Write one plane of `source` into `target` with ids as in `table`."""
    for box in blocks((source.shape[-2], source.shape[-1]), *side):
        ids = source[box]
        if ids.any():
            put(target, box, table[ids])
