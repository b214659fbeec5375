"""Object identity: matching predicted objects to those shown before, to keep numbers.

Only this file knows how an object keeps its number through a new prediction.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.annotation.protect import ProtectedLabels
from napari_unet.annotation.reviews import ImageReviews
from napari_unet.annotation.split import Parts, across, clear
from napari_unet.io.label_array import LabelArray, put
from napari_unet.project.block_store import SIDE
from napari_unet.project.corrections import IGNORE
from napari_unet.tiling import Box

__all__ = ["Seen", "blank", "look", "recall", "rejoin"]

_MOST = 0.5  # of a predicted object must lie in a reviewed one to become a part of it
_LEAST = 4  # pixels of a piece, whatever the model finds: brushes leave single ones


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Part of a plane as people saw it before a new prediction.

    Attributes
    ----------
    plane, box
        Where.
    labels
        (Y, X) int32.
    view
        The part of the plane that alone is predicted anew; None: all of it.
    """

    plane: tuple[int, ...]
    box: Box
    labels: NDArray[np.int32]
    view: Box | None = None


def look(
    labels: LabelArray,
    plane: tuple[int, ...],
    boxes: Iterable[Box],
    view: Box | None = None,
) -> list[Seen]:
    """Remember the labels of boxes of a plane, and a block further; see `Seen`."""
    boxes = boxes if view is None else [*boxes, view]
    return [
        Seen(plane, box, np.asarray(labels[(*plane, *box)]).astype(np.int32), view)
        for box in _regions(labels.shape, boxes)
    ]


def blank(
    shape: tuple[int, ...], plane: tuple[int, ...], boxes: Iterable[Box]
) -> list[Seen]:
    """Return the same where no labels were shown: reviewed pixels are all there is."""
    return [
        Seen(plane, (y, x), np.zeros((y.stop - y.start, x.stop - x.start), np.int32))
        for y, x in _regions(shape, boxes)
    ]


def recall(array: LabelArray, reviews: ImageReviews, first: int, least: int = 0) -> int:
    """Show what was reviewed in objects (..., Y, X) that were found without it.

    See `rejoin` for `first` and `least`.

    Returns
    -------
    int
        Least number that no object has now.
    """
    kept, first = ProtectedLabels(array, reviews), max(first, reviews.greatest() + 1)
    for plane in reviews.planes():
        for part in blank(array.shape, plane, reviews.boxes(plane)):
            first = rejoin(part, kept, first, least)
    return first


def _regions(shape: tuple[int, ...], boxes: Iterable[Box]) -> list[Box]:
    """Return what holds the boxes and a block around; near ones are in one."""
    height, width = shape[-2:]
    grid = np.zeros((-(-height // SIDE), -(-width // SIDE)), bool)
    for y, x in boxes:
        grid[
            max(y.start // SIDE - 1, 0) : (y.stop - 1) // SIDE + 2,
            max(x.start // SIDE - 1, 0) : (x.stop - 1) // SIDE + 2,
        ] = True
    groups, _ = ndimage.label(grid, np.ones((3, 3)))
    return [
        (
            slice(y.start * SIDE, min(y.stop * SIDE, height)),
            slice(x.start * SIDE, min(x.stop * SIDE, width)),
        )
        for y, x in ndimage.find_objects(groups)
    ]


def rejoin(before: Seen, kept: ProtectedLabels, first: int, least: int = 0) -> int:
    """Let predicted objects go on in those that were there, and keep their numbers.

    A predicted object of which most lies in one from before takes its number: colours
    stay, and what was selected; so does one that goes on out of the view. Of several
    that lie in one object only the largest does, unless somebody touched that object:
    two that were painted into one stay one. One that was cut in two keeps its number in
    the larger piece, though the net may see one object still. Where only the reviewed
    pixels of an object are known, as after a restart, they part what is predicted, and
    a part takes the number of those that it touches most.

    Parameters
    ----------
    before
        The labels before the prediction, strokes included.
    kept
        The labels after it.
    first
        Least number that no object has yet.
    least
        Pixels that an object has at least. What strokes leave of others is no object.

    Returns
    -------
    int
        Least number that no object has now.
    """
    plane, box = before.plane, before.box
    target, shown = kept.store.read(plane, box)
    seen = target != IGNORE
    labels = np.where(seen, shown, before.labels)  # whatever a layer showed there
    predicted = np.asarray(kept[(*plane, *box)]).astype(np.int32)
    now = np.where(seen, shown, np.asarray(kept.array[(*plane, *box)]))
    bare = seen & ~np.isin(labels, np.unique(labels[~seen])) & (labels > 0)
    between = (predicted > 0) & ~seen & (labels == 0)
    pieces, numbers, first = _pieces(labels, seen, bare, between, first, least)
    beyond = _cut_off(predicted, box, kept.shape)
    held = np.where(bare, 0, pieces)
    touched = set(held[seen].tolist())
    heirs = _heirs(predicted, held, touched)
    decided = {old for old, piece in heirs.items() if piece in touched}
    decided |= set(predicted[bare].tolist())
    outside = across(predicted, pieces, box, before.view)
    heirs |= {old: piece for old, piece in outside.items() if old not in decided}
    names = np.arange(max(now.max(initial=0), *heirs, 0) + 1, dtype=np.int32)
    for old, piece in heirs.items():
        if old in beyond:  # the rest of it is not here: it keeps its number
            numbers[piece] = old
        else:
            names[old] = numbers[piece]
    now[~seen] = names[now[~seen]]
    divided = _divided(predicted, pieces, seen) - beyond
    inside = np.isin(predicted, list(divided)) & ~seen & (pieces > 0)
    parts = Parts(predicted, pieces, numbers, seen, bare)
    first = parts.settle(set(heirs) - divided, divided, beyond, now, first)
    own = seen & (pieces > 0)
    inside |= parts.joined | own
    table = np.zeros(pieces.max(initial=0) + 1, np.int32)
    table[list(numbers)] = list(numbers.values())
    now[inside] = table[pieces[inside]]
    clear(now, seen, least, _cut_off(now, box, kept.shape))
    kept.store.renumber(plane, box, (target, shown), np.where(own, now, shown))
    put(kept.array, (*plane, *box), now)
    return first


def _pieces(
    labels: NDArray[np.int32],
    seen: NDArray[np.bool_],
    bare: NDArray[np.bool_],
    between: NDArray[np.bool_],
    first: int,
    least: int,
) -> tuple[NDArray[np.int32], dict[int, int], int]:
    """Return pieces of objects (Y, X), and the number that each gets.

    Only objects that somebody touched can be in several. Also returns the next number
    that is free.

    Parameters
    ----------
    bare
        (Y, X): objects of which nothing but reviewed pixels is known.
    between
        (Y, X): what may connect those.
    least
        A smaller piece belongs to the one beside it.
    """
    pieces = np.zeros(labels.shape, np.int32)
    numbers: dict[int, int] = {}
    touched = set(labels[seen].tolist())
    for value, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None:
            continue
        own = labels[box] == value
        whole = own | between[box] if (own & bare[box]).any() else own
        found = ndimage.label(whole)[0] if value in touched else own.astype(np.int32)
        sizes = np.bincount(found.ravel())
        found[~own] = 0
        here, main = pieces[box], len(numbers) + 1
        parts = np.unique(found[own])
        for rank, part in enumerate(parts[np.argsort(-sizes[parts], kind="stable")]):
            where = found == part
            if rank and sizes[part] < max(least, _LEAST):
                here[where] = _beside(where, np.where(own, here, 0)) or main
                continue
            here[where] = len(numbers) + 1
            numbers[len(numbers) + 1] = value if rank == 0 else first
            first += rank > 0
    return pieces, numbers, first


def _beside(crumb: NDArray[np.bool_], found: NDArray[np.int32]) -> int:
    """Return what `found` says most around a crumb, corners included; 0 if nothing."""
    around = ndimage.binary_dilation(crumb, np.ones((3, 3))) & ~crumb & (found > 0)
    return int(np.bincount(found[around], minlength=1).argmax())


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
