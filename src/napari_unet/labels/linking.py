"""Linking objects through Z by overlap: one id for each object of a stack.

Memory holds a few blocks and some numbers per object, whatever the size of the stack.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_unet._steps import Steps
from napari_unet.io.label_array import LabelArray, put
from napari_unet.labels.scores import drop_low
from napari_unet.tiling import Box, blocks

__all__ = ["join_planes", "link", "relabel", "z_stacks"]

_BLOCK = (1024, 1024)  # rows and columns that are read at a time of what is no shard
_Ids = NDArray[np.int32]


def z_stacks(axes: str, shape: Sequence[int]) -> list[list[tuple[int, ...]]]:
    """Return the planes that follow each other in Z: a list for every time point.

    >>> z_stacks("TZ", (1, 3))
    [[(0, 0), (0, 1), (0, 2)]]

    Parameters
    ----------
    axes, shape
        Letters and lengths of the axes before Y and X, "Z" among them.
    """
    at = axes.index("Z")
    others = (n for i, n in enumerate(shape) if i != at)
    return [
        [(*place[:at], z, *place[at:]) for z in range(shape[at])]
        for place in np.ndindex(*others)
    ]


def join_planes(
    labels: LabelArray,
    classes: LabelArray | None,
    stacks: Sequence[Sequence[tuple[int, ...]]],
    count: int,
    *,
    boundary: int | None,
    scores: LabelArray | None = None,
    min_score: float = 0.0,
    kept: _Ids | None = None,
) -> Generator[float, None, int]:
    """Give one id to objects that go on through planes; yield the fraction done.

    The same objects are joined as in `link`, in place.

    Parameters
    ----------
    labels
        Objects (..., Y, X) int32, numbered plane by plane.
    classes
        (..., Y, X) uint8; None if all objects are of one class.
    stacks
        As `z_stacks` returns them.
    count
        The greatest id in `labels`.
    scores, min_score
        The byte of every pixel (..., Y, X), uint8, see `labels.scores`; joined objects
        of a lower score than this become background.
    kept
        Ids that people decided on; see `link`.

    Returns
    -------
    int
        How many ids there are now, if each from 1 to `count` was there.
    """
    chains = [
        [
            (_Plane(labels, at), None if classes is None else _Plane(classes, at))
            for at in stack
        ]
        for stack in stacks
    ]
    job = link(chains, count, boundary=boundary, side=_BLOCK, kept=kept)
    for fraction in (run := Steps(job)):
        yield fraction / 2
    table, objects = run.result
    if scores is not None and min_score > 0:
        both = [
            (plane, _Plane(scores, at))
            for chain, stack in zip(chains, stacks, strict=True)
            for (plane, _), at in zip(chain, stack, strict=True)
        ]
        drop = drop_low(both, table, objects, min_score, side=_BLOCK, kept=kept)
        for _ in (run := Steps(drop)):
            yield 0.5
        table, objects = run.result
    todo = [plane for chain in chains for plane, _ in chain]
    total = len(todo)
    try:
        while todo:
            relabel(plane := todo.pop(), plane, table, _BLOCK)
            yield 1 - len(todo) / total / 2
    finally:
        for plane in todo:  # cancelled halfway, one id would stand for two objects
            relabel(plane, plane, table, _BLOCK)
    return objects


@dataclass(frozen=True, slots=True)
class _Plane:
    """One plane of an array whose last axes are Y and X."""

    array: LabelArray
    at: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape[-2:])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    def __getitem__(self, box: Box) -> NDArray[Any]:
        return np.asarray(self.array[(*self.at, *box)])

    def __setitem__(self, box: Box, values: NDArray[Any]) -> None:
        self.array[(*self.at, *box)] = values


def link(
    chains: Sequence[Sequence[tuple[LabelArray, LabelArray | None]]],
    count: int,
    *,
    boundary: int | None,
    side: tuple[int, int],
    kept: _Ids | None = None,
) -> Generator[float, None, tuple[_Ids, int]]:
    """Find which objects of neighbouring planes are one; yield the fraction done.

    They are when a pixel of one lies on a pixel of the other, and the classes there are
    equal or one is the boundary, of which objects have a share.

    Parameters
    ----------
    chains
        Stacks of neighbouring planes (Y, X): of each its ids and its classes; None for
        the classes where there is only one.
    count
        How many ids there are, from 1.
    boundary
        Index of the boundary class, or None.
    side
        Rows and columns that are read at a time.
    kept
        Ids that people decided on. They stay as they are: what is linked to one of
        them takes its id, and what is linked to several is joined with none.

    Returns
    -------
    table, objects
        The new id of every old one, as int32 (count + 1,), and how many there are.
        Without `kept` they follow each other from 1.
    """
    pairs: list[_Ids] = [np.zeros((2, 0), np.int32)]
    steps = sum(len(chain) - 1 for chain in chains)
    for chain in chains:
        for low, high in pairwise(chain):
            found = list(_overlaps(low, high, boundary, side))
            pairs.append(np.unique(np.concatenate(found, axis=1), axis=1))
            yield (len(pairs) - 1) / steps
    joined = np.concatenate(pairs, axis=1)
    if kept is None or not len(kept):
        roots = _roots(joined, count)
        # Numbered by the first id that each has, and 0 stays 0.
        _, first, numbers = np.unique(roots, return_index=True, return_inverse=True)
        order = np.empty(len(first), np.int32)
        order[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
        return order[numbers], len(first) - 1
    return _around_kept(joined, count, kept)


def _roots(pairs: _Ids, count: int) -> _Ids:
    """Return for each id from 0 to `count` the number of the object it belongs to."""
    ones = np.ones(pairs.shape[1], np.int8)
    graph = sparse.coo_array((ones, tuple(pairs)), shape=(count + 1, count + 1))
    roots: _Ids
    _, roots = sparse.csgraph.connected_components(graph, directed=False)
    return roots


def _around_kept(pairs: _Ids, count: int, kept: _Ids) -> tuple[_Ids, int]:
    """Return the table of `link` in which the ids `kept` do not change."""
    roots = _roots(pairs, count)
    several = np.bincount(roots[kept], minlength=count + 1) > 1
    own = np.isin(pairs, kept).any(axis=0)
    roots = _roots(pairs[:, ~(own & several[roots[pairs[0]]])], count)
    _, first, numbers = np.unique(roots, return_index=True, return_inverse=True)
    names = first.astype(np.int32)
    names[numbers[kept]] = kept
    return names[numbers], len(names) - 1


def _overlaps(
    below: tuple[LabelArray, LabelArray | None],
    above: tuple[LabelArray, LabelArray | None],
    boundary: int | None,
    side: tuple[int, int],
) -> Iterator[_Ids]:
    """Yield the pairs (2, N) of ids that lie on each other, each once a block."""
    yield np.zeros((2, 0), np.int32)
    shape = below[0].shape
    for box in blocks((shape[-2], shape[-1]), *side):
        low, high = below[0][box], above[0][box]
        both = (low > 0) & (high > 0)
        if not both.any():
            continue
        low, high = low[both], high[both]
        if below[1] is not None and above[1] is not None:
            a, b = below[1][box][both], above[1][box][both]
            same = a == b
            if boundary is not None:
                same |= (a == boundary) | (b == boundary)
            low, high = low[same], high[same]
        codes = low.astype(np.int64) << 32 | high
        codes = np.unique(codes[np.flatnonzero(np.diff(codes, prepend=-1))])  # of runs
        yield np.stack((codes >> 32, codes & 0xFFFFFFFF)).astype(np.int32)


def relabel(
    source: LabelArray, target: LabelArray, table: NDArray[Any], side: tuple[int, int]
) -> None:
    """Write one plane of `source` into `target` with ids as in `table`."""
    for box in blocks((source.shape[-2], source.shape[-1]), *side):
        ids = source[box]
        if ids.any():
            put(target, box, table[ids])
