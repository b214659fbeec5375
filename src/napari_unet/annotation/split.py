"""Splitting predicted objects where reviewed pixels contradict them.

Only this file knows what becomes of the pixels around reviewed ones where no object was
shown before.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.tiling import Box

__all__ = ["Parts", "across", "clear"]


class Parts:
    """Predicted objects, as reviewed pixels part them; all arrays are (Y, X).

    Parameters
    ----------
    predicted
        Numbers of the objects that a net found; 0 is background.
    pieces, numbers
        Pieces of objects from before, and the number of each. Both are added to.
    seen
        Which pixels were reviewed.
    bare
        Pixels of objects of which nothing but reviewed pixels is known.

    Attributes
    ----------
    joined
        (Y, X): the pixels that became a part of a piece.
    """

    def __init__(
        self,
        predicted: NDArray[np.int32],
        pieces: NDArray[np.int32],
        numbers: dict[int, int],
        seen: NDArray[np.bool_],
        bare: NDArray[np.bool_],
    ) -> None:
        self.predicted, self.pieces, self.numbers = predicted, pieces, numbers
        self.seen, self.bare = seen, bare
        self.joined = np.zeros(seen.shape, bool)

    def settle(
        self,
        done: set[int],
        divided: set[int],
        beyond: set[int],
        now: NDArray[np.int32],
        first: int,
    ) -> int:
        """Give every part a piece or a number; return the next that is free.

        Parameters
        ----------
        done
            Objects that have a number already.
        divided
            Those of which the parts that were there before have one.
        beyond
            Those of which the rest is not here.
        now
            (Y, X): numbers, changed in place.
        """
        bare = set(self.pieces[self.bare].tolist())
        taken = {self.numbers[piece] for piece in bare}
        touched = set(self.predicted[self.seen].tolist()) - {0}
        for old in (taken - touched - done - beyond) & set(now[~self.seen].tolist()):
            now[(now == old) & ~self.seen] = first  # by chance called as a reviewed one
            first += 1
        boxes = ndimage.find_objects(self.predicted)
        for old in sorted(touched - done):
            box = boxes[old - 1]
            own = self.predicted[box] == old
            inside = np.where(own & self.seen[box], self.pieces[box], 0)
            if old not in divided:
                inside[~self.bare[box]] = 0
            found = set(np.unique(inside).tolist()) - {0}
            if old in beyond and len(found) < 2:
                self.numbers.update(dict.fromkeys(found, old))
                continue
            first = self._join(box, own, inside, old in divided, now[box], first)
        return first

    def _join(
        self,
        box: Box,
        own: NDArray[np.bool_],
        inside: NDArray[np.int32],
        divided: bool,
        now: NDArray[np.int32],
        first: int,
    ) -> int:
        free = own & ~self.seen[box]
        if divided:
            inside = np.where(own, self.pieces[box], 0)
            free &= inside == 0
        parts, count = ndimage.label(free)
        touching = _touching(parts, inside, count)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        taken = set(self.numbers.values())
        for part in np.argsort(-sizes[1:], kind="stable") + 1:
            where = parts == part
            if touching[part]:
                self.pieces[box][where] = touching[part]
                self.joined[box] |= where
            elif not divided:
                number = int(self.predicted[box][where][0])
                if number in taken:
                    number, first = first, first + 1
                taken.add(number)
                now[where] = number
        return first


def _touching(
    parts: NDArray[np.int32], pieces: NDArray[np.int32], count: int
) -> NDArray[np.int64]:
    """Return the piece that each of `count` parts touches most; 0 if none."""
    width = int(pieces.max(initial=0)) + 1
    pairs = []
    for one, other in ((parts, pieces), (parts.T, pieces.T)):
        for a, b in ((one[1:], other[:-1]), (one[:-1], other[1:])):
            both = (a > 0) & (b > 0)
            pairs.append(a[both].astype(np.int64) * width + b[both])
    found, counts = np.unique(np.concatenate(pairs), return_counts=True)
    touching = np.zeros(count + 1, np.int64)
    for pair in found[np.argsort(counts, kind="stable")]:  # the longest contact last
        touching[pair // width] = pair % width
    return touching


def across(
    predicted: NDArray[np.int32],
    pieces: NDArray[np.int32],
    box: Box,
    view: Box | None,
) -> dict[int, int]:
    """Return which objects in a view go on in which pieces outside of it.

    Parameters
    ----------
    predicted, pieces
        (Y, X) of a `box` of the plane that reaches further than the view, where the
        image does.
    """
    if view is None:
        return {}
    y, x = (
        slice(max(v.start - b.start, 0), min(v.stop - b.start, n))
        for v, b, n in zip(view, box, predicted.shape, strict=True)
    )
    inside, outside = np.zeros_like(predicted), pieces.copy()
    inside[y, x], outside[y, x] = predicted[y, x], 0
    found = np.unique(inside)
    parts = np.searchsorted(found, inside).astype(np.int32)
    touching = _touching(parts, outside, len(found) - 1)
    pairs = zip(found.tolist(), touching.tolist(), strict=True)
    return {old: piece for old, piece in pairs if old and piece}


def clear(
    now: NDArray[np.int32], seen: NDArray[np.bool_], least: int, beyond: set[int]
) -> None:
    """Let crumbs beside reviewed pixels be what surrounds them; all in place (Y, X).

    A crumb is a part of an object that has fewer than `least` pixels, none of them
    reviewed. Objects that go on `beyond` the array are left alone.
    """
    near = ndimage.binary_dilation(seen) & ~seen
    boxes = ndimage.find_objects(now)
    for value in set(now[near].tolist()) - beyond - {0}:
        y, x = boxes[value - 1]
        box = (
            slice(max(y.start - 1, 0), y.stop + 1),
            slice(max(x.start - 1, 0), x.stop + 1),
        )
        parts, _ = ndimage.label(now[box] == value)
        sizes = np.bincount(parts.ravel())
        reviewed = set(parts[seen[box]].tolist())
        for part in set(np.flatnonzero(sizes < least).tolist()) - reviewed - {0}:
            crumb = parts == part
            around = ndimage.binary_dilation(crumb) & ~crumb
            now[box][crumb] = np.bincount(now[box][around]).argmax()
