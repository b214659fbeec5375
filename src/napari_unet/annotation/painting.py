"""Strokes into training targets: which pixels, which class; and undo.

Only this file knows how painted objects turn into classes, which pixels a stroke
decides besides those that it covers, and how strokes are taken back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.io.label_array import LabelArray
from napari_unet.options import Output
from napari_unet.project.block_store import SIDE, Pixels
from napari_unet.project.corrections import FOREGROUND, IGNORE
from napari_unet.project.label_files import targets_from_labels
from napari_unet.tiling import Box, cut, shifted

__all__ = ["Change", "LabelSchema", "PaintRecorder", "Store"]

_NEAR = 2  # pixels around a stroke whose class it may change: the width of a boundary
_REACH = 2  # pixels that the class of a pixel of an object depends on

Mask = NDArray[np.bool_]


class Store(Protocol):
    """Where reviewed pixels of an image are kept; see `annotation.reviews`."""

    def read(self, plane: tuple[int, ...], box: Box) -> Pixels:
        """Return target and shown (Y, X) of a box."""

    def write(self, plane: tuple[int, ...], box: Box, pixels: Pixels) -> None:
        """Replace them."""


@dataclass(frozen=True, slots=True)
class LabelSchema:
    """What the numbers of a label layer mean to a model.

    Attributes
    ----------
    kind
        ``"objects"``: every object has a number of its own. ``"classes"``: the numbers
        are indices of `classes`.
    classes
        Names, background first.
    boundary
        Index of the class that separates touching objects, if there is one.
    """

    kind: Output
    classes: tuple[str, ...]
    boundary: int | None = None

    def targets(self, labels: NDArray[Any]) -> NDArray[np.uint8]:
        """Return what the model should say of labels (Y, X); `IGNORE` if that is open.

        Objects need `_REACH` pixels of context: at the edge of `labels` they are taken
        to go on.
        """
        if self.kind == "objects":
            numbers = labels.astype(np.int32)
            return targets_from_labels(numbers, self.classes, self.boundary, "labels")
        known = (labels >= 0) & (labels < len(self.classes))
        return np.where(known, labels, IGNORE).astype(np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """Labels of one plane that were painted over.

    Attributes
    ----------
    plane
        Position along the axes before Y and X.
    box
        (Y, X) slices that hold all that changed.
    before
        (Y, X): the labels of the box before.
    """

    plane: tuple[int, ...]
    box: Box
    before: NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Edit:
    """Reviews of some pixels of a box before and after somebody painted."""

    plane: tuple[int, ...]
    box: Box
    where: Mask
    old: Pixels
    new: Pixels


@dataclass(frozen=True, slots=True, eq=False)
class _Painted:
    """The pixels of a change, to see whether it was undone."""

    plane: tuple[int, ...]
    box: Box
    at: tuple[NDArray[np.intp], ...]
    before: NDArray[Any]
    after: NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Stroke:
    """All that one stroke did; `PaintRecorder.confirm` may add to its edits."""

    painted: list[_Painted]
    edits: list[_Edit]


class PaintRecorder:
    """Labels that somebody paints on, and what that says about their image.

    Parameters
    ----------
    labels
        (..., Y, X), as the user sees them.
    store
        Takes what was reviewed.
    rules
        What the numbers mean.
    """

    def __init__(self, labels: LabelArray, store: Store, rules: LabelSchema) -> None:
        self.labels, self.store, self.rules = labels, store, rules
        self.greatest = 0  # number that was painted
        self._done: list[_Stroke] = []
        self._undone: list[_Stroke] = []

    @property
    def strokes(self) -> int:
        """How many strokes can be taken back."""
        return len(self._done)

    def forget(self) -> None:
        """Forget how to take strokes back: the labels under them were made anew."""
        self._done, self._undone = [], []

    def paint(self, changes: Sequence[Change]) -> None:
        """Note one stroke, which is in the labels already."""
        self._undone = []
        stroke = _Stroke([], [])
        for change in changes:
            after = self._read(change.plane, change.box)
            changed = after != change.before
            at = np.nonzero(changed)
            self.greatest = max(self.greatest, int(after[at].max(initial=0)))
            stroke.painted.append(
                _Painted(
                    change.plane, change.box, at, change.before[at].copy(), after[at]
                )
            )
            stroke.edits.extend(self._decide(change.plane, change.box, changed))
        self._done.append(stroke)

    def confirm(
        self, plane: tuple[int, ...], box: Box, passed: Mask, *, painted: bool
    ) -> None:
        """Note that a brush passed over pixels: those that it left alone are right.

        Parameters
        ----------
        passed
            (Y, X): which pixels of `box`.
        painted
            Whether the same stroke changed others; it is taken back with them then.
        """
        target, _ = self.store.read(plane, box)
        unknown = (target == IGNORE) | (target == FOREGROUND)
        edits = self._decide(plane, box, passed & unknown)
        if painted and self._done:
            self._done[-1].edits.extend(edits)
        else:
            list(edits)

    def approve(
        self, plane: tuple[int, ...], box: Box, where: Mask | None = None
    ) -> int:
        """Note that a box is right; return how many pixels that are.

        Parameters
        ----------
        where
            (Y, X): which pixels of the box; None: all.
        """
        pixels = 0
        for part in _squares(box):
            shape = part[0].stop - part[0].start, part[1].stop - part[1].start
            here = np.ones(shape, bool)
            if where is not None:
                here = where[shifted(part, -box[0].start, -box[1].start)]
            if here.any():  # so many pixels are not kept to be taken back
                self._edit(plane, part, here, 0)
                pixels += int(here.sum())
        return pixels

    def look_again(self, *, undone: bool) -> bool:
        """Take the last stroke back, or do it again, if the labels were; say whether.

        Parameters
        ----------
        undone
            What happened to the labels: undo, or redo. They alone do not tell: where
            all of a stroke was erased, they are as before it.
        """
        source, there = self._done, self._undone
        if not undone:
            source, there = there, source
        if not source or not self._holds(source[-1], "before" if undone else "after"):
            return False
        stroke = source.pop()
        there.append(stroke)
        for edit in reversed(stroke.edits) if undone else stroke.edits:
            self._put(edit, edit.old if undone else edit.new)
        return True

    def _put(self, edit: _Edit, pixels: Pixels) -> None:
        """Let the pixels of an edit be these, and no others around them."""
        target, shown = self.store.read(edit.plane, edit.box)
        np.copyto(target, pixels[0], where=edit.where)
        np.copyto(shown, pixels[1], where=edit.where)
        self.store.write(edit.plane, edit.box, (target, shown))

    def _holds(self, stroke: _Stroke, when: str) -> bool:
        """Whether the labels are as they were before, or after, a stroke."""
        return bool(stroke.painted) and all(
            bool((self._read(p.plane, p.box)[p.at] == getattr(p, when)).all())
            for p in stroke.painted
        )

    def _decide(
        self, plane: tuple[int, ...], box: Box, touched: Mask, around: int = _NEAR
    ) -> Iterator[_Edit]:
        """Review the touched pixels of a box, and what they decide; yield the edits."""
        for part in _squares(box):
            inside = touched[shifted(part, -box[0].start, -box[1].start)]
            if inside.any():
                yield self._edit(plane, part, inside, around)

    def _edit(
        self, plane: tuple[int, ...], box: Box, touched: Mask, around: int
    ) -> _Edit:
        objects = self.rules.kind == "objects"
        near = around if objects else 0
        wide = self._widened(box, near)
        context = self._widened(wide, _REACH if objects else 0)
        labels = self._read(plane, context)
        target = self.rules.targets(labels)
        inner = shifted(wide, -context[0].start, -context[1].start)
        labels, target = labels[inner], target[inner]
        decided = np.zeros(labels.shape, bool)
        decided[shifted(box, -wide[0].start, -wide[1].start)] = touched
        if near:  # where an object begins or ends now, its boundary moved
            square = np.ones((2 * near + 1,) * 2, bool)
            decided |= ndimage.binary_dilation(decided, square) & (labels > 0)
        decided &= target != IGNORE
        old = self.store.read(plane, wide)
        new = (
            np.where(decided, target, old[0]),
            np.where(decided, labels, old[1]).astype(np.int32),
        )
        self.store.write(plane, wide, new)
        return _Edit(plane, wide, decided, old, new)

    def _read(self, plane: tuple[int, ...], box: Box) -> NDArray[Any]:
        return np.asarray(self.labels[(*plane, *box)])

    def _widened(self, box: Box, margin: int) -> Box:
        height, width = self.labels.shape[-2:]
        y, x = (slice(s.start - margin, s.stop + margin) for s in box)
        return cut((y, x), (slice(0, height), slice(0, width)))


def _squares(box: Box) -> Iterator[Box]:
    """Cut a box where blocks of the project end: long strokes touch few of them."""
    y, x = box
    for top in range(y.start // SIDE * SIDE, y.stop, SIDE):
        for left in range(x.start // SIDE * SIDE, x.stop, SIDE):
            square = slice(top, top + SIDE), slice(left, left + SIDE)
            yield cut(square, box)
