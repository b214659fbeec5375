"""Instances from a class map: components, growth into boundaries, stitching; targets.

An object is a connected component of one class (of the interior, when the model has a
boundary class), grown a few pixels into the boundary. Growth follows a local rule of
finite reach and components are joined across blocks, so a plane taken block by block
has the same objects as the whole plane at once.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet._steps import Steps
from napari_unet.errors import OutputError
from napari_unet.io.label_array import LabelArray, put
from napari_unet.labels.scores import add_scores, mean_scores
from napari_unet.tiling import Box, blocks

__all__ = [
    "instance_targets",
    "label_blocks",
    "label_plane",
    "label_tile",
]

Ids = NDArray[np.int32]
Classes = NDArray[np.uint8]

_LARGEST = np.iinfo(np.int32).max
_ROWS = 256  # are looked at at a time
_ALL = slice(None)


def label_tile(classes: Classes, *, boundary: int | None, reach: int = 3) -> Ids:
    """Return the objects of one array of classes (Y, X), numbered from 1, as int32.

    Parameters
    ----------
    classes
        Class of every pixel (Y, X), uint8; 0 is background.
    boundary
        Index of the boundary class. With one, objects are the 4-connected components of
        every other class, grown into the boundary; with None they are the 8-connected
        components of every class.
    reach
        How many pixels objects grow into the boundary.
    """
    ids, _ = _seeds(classes, boundary)
    return ids if boundary is None else _grow(classes, ids, boundary, reach)


def label_plane(
    classes: LabelArray,
    labels: LabelArray,
    plane: tuple[int, ...],
    *,
    boundary: int | None,
    first: int,
    min_size: int = 0,
    scores: LabelArray | None = None,
    min_score: float = 0.0,
    reach: int = 3,
    block: int = 2048,
) -> int:
    """Write the objects of one plane into `labels` and return how many there are.

    The partition does not depend on `block`; memory holds a few blocks and one number
    per object. Both arrays may be larger than memory.

    Parameters
    ----------
    classes
        Class of every pixel (..., Y, X), uint8; 0 is background.
    labels
        Written at `plane`, whatever it held before (..., Y, X), int32.
    plane
        Index of the plane, one number per axis before Y and X.
    boundary
        Index of the boundary class, or None; see `label_tile`.
    first
        Id of the first object, 1 or more; the others follow without gaps.
    min_size
        Objects of fewer pixels, growth included, become background.
    scores, min_score
        The byte of every pixel (..., Y, X), uint8, see `labels.scores`; objects of a
        lower score than this become background.
    reach
        How many pixels objects grow into the boundary.
    block
        Side of the squares that are worked on at a time, in pixels.

    Raises
    ------
    OutputError
        If the ids no longer fit into int32.
    """
    job = label_blocks(
        classes,
        labels,
        plane,
        boundary=boundary,
        first=first,
        min_size=min_size,
        scores=scores,
        min_score=min_score,
        reach=reach,
        block=block,
    )
    return Steps(job).finish()


def label_blocks(
    classes: LabelArray,
    labels: LabelArray,
    plane: tuple[int, ...],
    *,
    boundary: int | None,
    first: int,
    min_size: int = 0,
    scores: LabelArray | None = None,
    min_score: float = 0.0,
    reach: int = 3,
    block: int | tuple[int, int] = 2048,
) -> Generator[float, None, int]:
    """Do what `label_plane` does, and yield after every block the fraction done.

    Closing the generator cancels: `labels` then holds provisional ids in `plane`.
    `block` may be a pair (Y, X): where an array is stored in shards, theirs.
    """
    sides = (block, block) if isinstance(block, int) else block
    work = _Work(classes, labels, scores, plane, boundary, reach, sides)
    least = min_size, min_score
    boxes = work.boxes()
    if len(boxes) == 1:  # all in memory: nothing to join, one write
        ids = label_tile(work.read(boxes[0]), boundary=boundary, reach=reach)
        sizes = _sizes(ids)
        sums = work.sums(boxes[0], ids, len(sizes))
        lut, count = _number(np.arange(len(sizes)), sizes, sums, first, least)
        if not _is_identity(lut):
            _renumber(ids, lut)
        work.write(boxes[0], ids)
        return count
    pairs, sizes, sums = yield from _scan(work)
    if boundary is not None:
        yield from _extend(work, boundary, sizes)
    lut, count = _number(_roots(pairs, len(sizes)), sizes, sums, first, least)
    if not _is_identity(lut):
        for i, box in enumerate(boxes):
            ids = np.asarray(labels[(*plane, *box)])
            if ids.any():
                work.write(box, lut[ids])
            yield (2 + (i + 1) / len(boxes)) / 3
    return count


@dataclass(frozen=True, slots=True)
class _Work:
    """One plane and the rule by which it is labelled."""

    classes: LabelArray
    labels: LabelArray
    scores: LabelArray | None
    plane: tuple[int, ...]
    boundary: int | None
    reach: int
    block: tuple[int, int]

    def boxes(self) -> list[Box]:
        height, width = self.classes.shape[-2:]
        return list(blocks((height, width), *self.block))

    def read(self, box: Box) -> Classes:
        found: Classes = np.asarray(self.classes[(*self.plane, *box)])
        return found

    def sums(self, box: Box, ids: Ids, count: int) -> NDArray[np.int64]:
        """Return what the scores of the objects in `box` are made from."""
        sums = np.zeros((2, count), np.int64)
        if self.scores is not None:
            add_scores(sums, ids, np.asarray(self.scores[(*self.plane, *box)]))
        return sums

    def write(self, box: Box, ids: Ids) -> None:
        put(self.labels, (*self.plane, *box), ids)

    def widen(self, box: Box) -> tuple[Box, Box]:
        """Return `box` with a margin of `reach`, and where `box` lies inside it."""
        y, x = (
            slice(max(0, s.start - self.reach), min(n, s.stop + self.reach))
            for s, n in zip(box, self.classes.shape[-2:], strict=True)
        )
        inner_y, inner_x = (
            slice(s.start - wide.start, s.stop - wide.start)
            for s, wide in zip(box, (y, x), strict=True)
        )
        return (y, x), (inner_y, inner_x)


def _seeds(classes: Classes, boundary: int | None) -> tuple[Ids, int]:
    """Return the components of `classes` before growth, and how many there are."""
    structure = ndimage.generate_binary_structure(2, 2 if boundary is None else 1)
    ids = np.zeros(classes.shape, np.int32)
    count = 0
    for value in range(1, int(classes.max(initial=0)) + 1):
        if value == boundary:
            continue
        where = classes == value
        box = _extent(where)
        if box is None:
            continue
        if not count:
            count = ndimage.label(where[box], structure, output=ids[box])
            continue
        part, found = ndimage.label(where[box], structure)
        part[part > 0] += count
        ids[box] += part  # classes are disjoint
        count += found
    return ids, count


def _extent(mask: NDArray[np.bool_]) -> Box | None:
    """Return the smallest box with all that is set; faster than `find_objects`."""
    sides = [np.flatnonzero(mask.any(axis)) for axis in (1, 0)]
    if not len(sides[0]):
        return None
    y, x = (slice(int(at[0]), int(at[-1]) + 1) for at in sides)
    return y, x


def _grow(classes: Classes, ids: Ids, boundary: int, reach: int) -> Ids:
    """Return `ids` grown by `reach` pixels into the boundary.

    In each step a boundary pixel takes the id above, left, right or below, the first
    there is; all pixels look at the state before the step. So the rule reaches exactly
    `reach` pixels and depends on neither position nor the value of an id.
    """
    height, width = classes.shape
    padded = np.zeros((height + 2, width + 2), np.int32)
    padded[1:-1, 1:-1] = ids
    flat = padded.reshape(-1)
    todo = np.flatnonzero(classes == boundary)
    todo += todo // width * 2 + (width + 3)  # where they are in `padded`
    flat[todo] = 0  # a neighbouring block may have grown here already
    for _ in range(reach):
        found = flat.take(todo - (width + 2))
        for step in (-1, 1, width + 2):
            np.copyto(found, flat.take(todo + step), where=found == 0)
        taken = found > 0
        if not taken.any():
            break
        flat[todo[taken]] = found[taken]
        todo = todo[~taken]
    return padded[1:-1, 1:-1]


def _scan(
    work: _Work,
) -> Generator[float, None, tuple[Ids, NDArray[np.int64], NDArray[np.int64]]]:
    """Write provisional ids, and return which are one (2, N), with sizes and scores.

    Of every id the size without growth, and what its score is made from, (2, ids).
    """
    width = work.classes.shape[-1]
    above = np.zeros((2, width + 2), np.int32)  # ids and classes of the row above
    below, left = above.copy(), above
    pairs: list[NDArray[np.int32]] = []
    sizes, sums = [np.zeros(1, np.int64)], [np.zeros((2, 1), np.int64)]
    count, boxes = 0, work.boxes()
    for i, (y, x) in enumerate(boxes):
        classes = work.read((y, x))
        ids, found = _seeds(classes, work.boundary)
        sizes.append(_sizes(ids)[1:])
        sums.append(work.sums((y, x), ids, found + 1)[:, 1:])
        np.add(ids, np.int32(count), out=ids, where=ids > 0)
        count += found
        if x.start == 0:
            above, below = below, np.zeros_like(above)
        else:
            pairs += _joins(left, _line(ids, classes, (_ALL, 0)), work.boundary)
        top = _line(ids, classes, (0, _ALL))
        pairs += _joins(above[:, x.start : x.stop + 2], top, work.boundary)
        below[:, x.start + 1 : x.stop + 1] = _line(ids, classes, (-1, _ALL))
        left = np.pad(_line(ids, classes, (_ALL, -1)), ((0, 0), (1, 1)))
        work.write((y, x), ids)
        yield (i + 1) / len(boxes) / 3
    joined = np.concatenate(pairs, axis=1)
    return joined, np.concatenate(sizes), np.concatenate(sums, axis=1)


def _line(ids: Ids, classes: Classes, at: tuple[Any, Any]) -> NDArray[np.int32]:
    """Return ids and classes (2, n) along an edge of a block."""
    return np.stack((ids[at], classes[at].astype(np.int32)))


def _joins(
    edge: NDArray[np.int32], line: NDArray[np.int32], boundary: int | None
) -> Iterator[NDArray[np.int32]]:
    """Yield pairs (2, N) of ids that meet between `edge` (2, n + 2) and `line` (2, n).

    Both hold ids and classes; `edge` reaches one pixel further on both ends.
    """
    for shift in (0, 1, 2) if boundary is None else (1,):
        near = edge[:, shift : shift + line.shape[1]]
        same = (near[0] > 0) & (line[0] > 0) & (near[1] == line[1])
        yield np.stack((near[0][same], line[0][same]))


def _extend(
    work: _Work, boundary: int, sizes: NDArray[np.int64]
) -> Generator[float, None, None]:
    """Grow the provisional ids into the boundary, and add that to their `sizes`."""
    boxes = work.boxes()
    for i, box in enumerate(boxes):
        wide, inner = work.widen(box)
        classes = work.read(wide)
        edge = classes[inner] == boundary
        if edge.any():
            ids = np.asarray(work.labels[(*work.plane, *wide)])
            ids = _grow(classes, ids, boundary, work.reach)[inner]
            np.add.at(sizes, ids[edge], 1)
            work.write(box, ids)
        yield (1 + (i + 1) / len(boxes)) / 3


def _roots(pairs: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """Return for each of `n` ids the number of the object that it belongs to."""
    from scipy import sparse  # what fits one block need not wait for it

    ones = np.ones(pairs.shape[1], np.int8)
    graph = sparse.coo_array((ones, (pairs[0], pairs[1])), shape=(n, n))
    roots: NDArray[np.int32]
    _, roots = sparse.csgraph.connected_components(graph, directed=False)
    return roots


def _number(
    roots: NDArray[Any],
    sizes: NDArray[np.int64],
    sums: NDArray[np.int64],
    first: int,
    least: tuple[int, float],
) -> tuple[Ids, int]:
    """Return the look-up table from provisional to final ids, and how many remain.

    `least` is the size and the score of what remains.
    """
    keep = np.bincount(roots, weights=sizes) >= least[0]
    if least[1] > 0:
        pooled = np.stack([np.bincount(roots, weights=s) for s in sums])
        keep &= ~(mean_scores(pooled) < least[1])
    keep[roots[0]] = False  # background
    count = int(keep.sum())
    if first + count - 1 > _LARGEST:
        raise OutputError(
            f"Objects {first} to {first + count - 1} do not fit into 32-bit labels. "
            "Raise the minimum size, or segment fewer planes at once."
        )
    numbers = np.cumsum(keep, dtype=np.int32)
    numbers += np.int32(first - 1)
    numbers[~keep] = 0
    return numbers[roots], count


def _runs(ids: Ids) -> Iterator[tuple[Ids, Ids, NDArray[np.intp]]]:
    """Yield some rows at a time, the id of every run in them, and its length.

    Runs are far fewer than pixels; some rows at a time bound what they take.
    """
    for i in range(0, len(ids), _ROWS):
        rows = ids[i : i + _ROWS]
        flat = rows.reshape(-1)
        ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]), flat.size - 1)
        yield rows, flat[ends], np.diff(ends, prepend=-1)


def _sizes(ids: Ids) -> NDArray[np.int64]:
    """Return how many pixels have each id, 0 included."""
    sizes = np.zeros(int(ids.max(initial=0)) + 1, np.int64)
    for _, values, lengths in _runs(ids):
        part = np.bincount(values, weights=lengths)
        sizes[: len(part)] += part.astype(np.int64)
    return sizes


def _renumber(ids: Ids, lut: Ids) -> None:
    """Do ``ids[:] = lut[ids]``, but look up runs instead of pixels."""
    for rows, values, lengths in _runs(ids):
        rows[:] = np.repeat(lut[values], lengths).reshape(rows.shape)


def _is_identity(lut: Ids) -> bool:
    return bool((lut == np.arange(len(lut), dtype=np.int32)).all())


def instance_targets(labels: NDArray[np.integer[Any]]) -> Classes:
    """Return what a net with a boundary class should say about instances (Y, X).

    0 is background, 1 interior, 2 boundary: the outermost pixel of every object in its
    8-neighbourhood, and two pixels where objects touch. As uint8 (Y, X).
    """
    inside = labels > 0
    high = ndimage.maximum_filter(labels, 3, mode="nearest")
    low = ndimage.minimum_filter(labels, 3, mode="nearest")
    edge = (high != labels) | (low != labels)
    high = ndimage.maximum_filter(labels, 5, mode="nearest")
    far = np.where(inside, labels, labels.max(initial=0))  # only objects count
    edge |= ndimage.minimum_filter(far, 5, mode="nearest") != high
    classes: Classes = np.where(inside, np.where(edge, 2, 1), 0).astype(np.uint8)
    return classes
