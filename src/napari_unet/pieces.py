"""Objects that go on: which predicted ones are pieces of those that were there.

Only this file knows how an object keeps its number through a new prediction.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .blocks import SIDE
from .corrections import IGNORE
from .kept import Kept
from .labelstore import LabelArray, put
from .tiling import Box

__all__ = ["Seen", "look", "rejoin"]

_MOST = 0.5  # of a predicted object must lie in a reviewed one to become a part of it


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Part of a plane as people saw it before a new prediction.

    Attributes
    ----------
    plane, box
        Where.
    labels
        (Y, X) int32.
    """

    plane: tuple[int, ...]
    box: Box
    labels: NDArray[np.int32]


def look(
    labels: LabelArray, plane: tuple[int, ...], boxes: Iterable[Box]
) -> list[Seen]:
    """Remember the labels of boxes of a plane, and a block further."""
    shape = tuple(labels.shape[-2:])
    grid = np.zeros(tuple(-(-n // SIDE) for n in shape), bool)
    for y, x in boxes:
        grid[
            max(y.start // SIDE - 1, 0) : (y.stop - 1) // SIDE + 2,
            max(x.start // SIDE - 1, 0) : (x.stop - 1) // SIDE + 2,
        ] = True
    groups, _ = ndimage.label(grid, np.ones((3, 3)))
    found = []
    for part in ndimage.find_objects(groups):
        y, x = (
            slice(s.start * SIDE, min(s.stop * SIDE, n))
            for s, n in zip(part, shape, strict=True)
        )
        seen = np.asarray(labels[(*plane, y, x)]).astype(np.int32)
        found.append(Seen(plane, (y, x), seen))
    return found


def rejoin(before: Seen, kept: Kept, first: int) -> int:
    """Let predicted objects go on in those that were there, and keep their numbers.

    A predicted object of which most lies in one from before takes its number: colours
    stay, and what was selected. Of several that lie in one object only the largest
    does, unless somebody touched that object: two that were painted into one stay one.
    One that was cut in two keeps its number in the larger piece, though the net may see
    one object still.

    Parameters
    ----------
    before
        The labels before the prediction, strokes included.
    kept
        The labels after it.
    first
        Least number that no object has yet.

    Returns
    -------
    int
        Least number that no object has now.
    """
    plane, box = before.plane, before.box
    target, shown = kept.store.read(plane, box)
    seen = target != IGNORE
    labels = np.where(seen, shown, before.labels)  # whatever a layer showed there
    pieces, numbers, first = _pieces(labels, seen, first)
    if not numbers:
        return first
    predicted = np.asarray(kept[(*plane, *box)]).astype(np.int32)
    now = np.asarray(kept.array[(*plane, *box)]).copy()
    beyond = _cut_off(predicted, box, kept.shape)
    for old, piece in _heirs(predicted, pieces, set(pieces[seen].tolist())).items():
        if old in beyond:  # the rest of it is not here: it keeps its number
            numbers[piece] = old
        else:
            now[(now == old) & ~seen] = numbers[piece]
    table = np.zeros(pieces.max() + 1, np.int32)
    table[list(numbers)] = list(numbers.values())
    for old in _divided(predicted, pieces, seen) - beyond:
        inside = (predicted == old) & ~seen & (pieces > 0)
        now[inside] = table[pieces[inside]]
    own = seen & (pieces > 0)
    now[own] = table[pieces[own]]
    latest, said = kept.store.read(plane, box)  # somebody may have painted meanwhile
    own &= (latest == target) & (said == shown)
    said[own] = now[own]
    kept.store.write(plane, box, (latest, said))
    put(kept.array, (*plane, *box), now)
    return first


def _pieces(
    labels: NDArray[np.int32], seen: NDArray[np.bool_], first: int
) -> tuple[NDArray[np.int32], dict[int, int], int]:
    """Return pieces of objects (Y, X), and the number that each gets.

    Only objects that somebody touched can be in several. Also returns the next number
    that is free.
    """
    pieces = np.zeros(labels.shape, np.int32)
    numbers: dict[int, int] = {}
    touched = set(labels[seen].tolist())
    for value, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None:
            continue
        own = labels[box] == value
        found, count = ndimage.label(own) if value in touched else (own, 1)
        sizes = np.bincount(found.ravel())[1:] if count > 1 else np.ones(1)
        for rank, piece in enumerate(np.argsort(-sizes, kind="stable") + 1):
            number = len(numbers) + 1
            numbers[number] = value if rank == 0 else first
            first += rank > 0
            pieces[box][found == piece] = number
    return pieces, numbers, first


def _heirs(
    predicted: NDArray[np.int32], pieces: NDArray[np.int32], touched: set[int]
) -> dict[int, int]:
    """Return which predicted objects go on in which pieces."""
    sizes = np.bincount(predicted.ravel()), np.bincount(pieces.ravel())
    both = (predicted > 0) & (pieces > 0)
    width = len(sizes[1])
    pairs, counts = np.unique(
        predicted[both].astype(np.int64) * width + pieces[both], return_counts=True
    )
    found: dict[int, int] = {}
    claimed: set[int] = set()
    for at in np.argsort(-counts, kind="stable"):  # the largest overlaps first
        old, piece = divmod(int(pairs[at]), width)
        mine = piece in touched
        most = counts[at] > _MOST * sizes[0][old]
        most |= mine and counts[at] > _MOST * sizes[1][piece]
        if most and old not in found and (mine or piece not in claimed):
            found[old] = piece
            claimed.add(piece)
    return found


def _divided(
    predicted: NDArray[np.int32], pieces: NDArray[np.int32], seen: NDArray[np.bool_]
) -> set[int]:
    """Return the predicted objects in which somebody drew several."""
    both = seen & (predicted > 0) & (pieces > 0)
    width = int(pieces.max(initial=0)) + 1
    pairs = np.unique(predicted[both].astype(np.int64) * width + pieces[both])
    found, counts = np.unique(pairs // width, return_counts=True)
    return set(found[counts > 1].tolist())


def _cut_off(
    predicted: NDArray[np.int32], box: Box, shape: tuple[int, ...]
) -> set[int]:
    """Return the predicted objects that go on beyond the box."""
    y, x = box
    edges = [
        (y.start > 0, predicted[0]),
        (y.stop < shape[-2], predicted[-1]),
        (x.start > 0, predicted[:, 0]),
        (x.stop < shape[-1], predicted[:, -1]),
    ]
    return {int(n) for inside, edge in edges if inside for n in np.unique(edge)}
