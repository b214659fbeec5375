"""Predictions around reviewed pixels: those never change, and objects go on in them.

Only this file knows how labels that people decided on and labels that a net predicts
come together in one array.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .blocks import SIDE
from .corrections import IGNORE
from .labelstore import LabelArray, put
from .painting import Store
from .tiling import Box, cut, shifted

__all__ = ["Kept", "Place", "Seen", "look", "rejoin", "restore"]

_MOST = 0.5  # of a predicted object must lie in a reviewed one to become a part of it
_Corner = tuple[int, int]
Place = tuple[tuple[int, ...], Box]


class Kept:
    """An array of labels in which reviewed pixels stay as people left them.

    Written to and read from like the array itself: what was written is read again, so
    whoever computes in it need not know.

    Parameters
    ----------
    array
        (..., Y, X), as it is shown.
    store
        Knows what was reviewed.
    """

    def __init__(self, array: LabelArray, store: Store) -> None:
        self.array, self.store = array, store
        self._written: dict[tuple[tuple[int, ...], _Corner], NDArray[Any]] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one pixel."""
        return self.array.dtype

    def __setitem__(self, key: Any, values: Any) -> None:
        """Write a part; reviewed pixels keep what people decided on."""
        *plane, y, x = key
        box, at = (y, x), tuple(plane)
        target, shown = self.store.read(at, box)
        seen = target != IGNORE
        if seen.any():
            values = np.broadcast_to(values, seen.shape)
            self._remember(at, box, values, seen)
            values = np.where(seen, shown, values).astype(self.dtype)
        self.array[key] = values

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Return a part as it was written."""
        *plane, y, x = key
        found = np.asarray(self.array[key])
        for place, corner, there, here in self._overlaps(tuple(plane), (y, x)):
            square = self._written[(place, corner)][there]
            part = found[here]
            found = found.copy() if found.base is not None else found
            found[here] = np.where(square >= 0, square, part)
        return found

    def _remember(
        self, plane: tuple[int, ...], box: Box, values: NDArray[Any], seen: Any
    ) -> None:
        y, x = box
        for top in range(y.start // SIDE * SIDE, y.stop, SIDE):
            for left in range(x.start // SIDE * SIDE, x.stop, SIDE):
                common = cut((slice(top, top + SIDE), slice(left, left + SIDE)), box)
                here = shifted(common, -y.start, -x.start)
                if not seen[here].any():
                    continue
                empty = np.full((SIDE, SIDE), -1, np.int32)
                square = self._written.setdefault((plane, (top, left)), empty)
                there = shifted(common, -top, -left)
                square[there] = np.where(seen[here], values[here], -1)

    def _overlaps(
        self, plane: tuple[int, ...], box: Box
    ) -> list[tuple[tuple[int, ...], _Corner, Box, Box]]:
        found = []
        for place, (top, left) in self._written:
            common = cut((slice(top, top + SIDE), slice(left, left + SIDE)), box)
            if place == plane and all(s.stop > s.start for s in common):
                here = shifted(common, -box[0].start, -box[1].start)
                there = shifted(common, -top, -left)
                found.append((place, (top, left), there, here))
        return found


def restore(array: LabelArray, store: Store, places: Iterable[Place]) -> None:
    """Show what was reviewed at some places (plane, box) in an array of labels."""
    height, width = array.shape[-2:]
    for plane, block in places:
        box = cut(block, (slice(0, height), slice(0, width)))
        target, shown = store.read(plane, box)
        key = (*plane, *box)
        put(array, key, np.where(target == IGNORE, np.asarray(array[key]), shown))


# --- objects from before ---------------------------------------------------


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
