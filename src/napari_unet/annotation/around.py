"""The array that a segmentation writes into: reviewed pixels and used ids stay.

Works in the thread: torch, and what comes with it, is loaded there.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.io.save import LabelArray
from napari_unet.project.corrections import IGNORE

if TYPE_CHECKING:
    from napari_unet.annotation.match import Seen
    from napari_unet.annotation.resegment import Request

__all__ = ["Around"]


class Around:
    """What is in an array besides the objects that are being found.

    Attributes
    ----------
    last
        The greatest number that is taken.
    target
        What the net writes into.
    """

    def __init__(
        self, request: "Request", array: LabelArray, last: int, objects: bool
    ) -> None:
        from napari_unet.annotation.protect import ProtectedLabels

        self._request, self._array = request, array
        self.last, self.target = last, array
        self._kept: ProtectedLabels | None = None
        self._seen: list[Seen] = []
        if request.reviews is not None:
            self.target = self._kept = ProtectedLabels(array, request.reviews)
            if objects:
                self.last = max(last, request.reviews.greatest())
                self._look()
            if request.restore:
                self.restore(everywhere=True)
        if self.last:
            self.target = _Renumbered(self.target, self.last)

    def _look(self) -> None:
        """Remember what the user sees now, if anything: objects keep their numbers."""
        from napari_unet.annotation.match import blank, look

        request, reviews = self._request, self._request.reviews
        shown, shape = request.shown, self._array.shape
        if reviews is None:
            return
        known = shown is not None and shown.shape == shape
        for plane in [request.plane] if request.only else reviews.planes():
            boxes = reviews.boxes(plane)
            if not known or shown is None:
                self._seen += blank(shape, plane, boxes)
                continue
            view = request.box if request.only else None
            self._seen += look(shown, plane, boxes, view)

    def rejoin(self, last: int, least: int) -> int:
        """Let objects go on in those from before; return the greatest number."""
        from napari_unet.annotation.match import rejoin

        if self._kept is not None:
            for seen in self._seen:
                last = rejoin(seen, self._kept, last + 1, least) - 1
        return last

    def restore(self, *, everywhere: bool = False) -> None:
        """Show what was reviewed, that which was painted meanwhile, too."""
        from napari_unet.annotation.protect import restore

        request, reviews = self._request, self._request.reviews
        if reviews is None:
            return
        blocks = reviews.blocks()
        if request.only and not everywhere:
            blocks = [(p, box) for p, box in blocks if p == request.plane]
        restore(self._array, reviews, blocks)

    def decided(self) -> NDArray[np.int32]:
        """Return the numbers of the objects that people decided on."""
        reviews = self._request.reviews
        found = [np.zeros(0, np.int32)]
        if reviews is None:
            return found[0]
        for plane, box in reviews.blocks():
            target, shown = reviews.read(plane, box)
            found.append(np.unique(shown[(target != IGNORE) & (shown > 0)]))
        return np.unique(np.concatenate(found)).astype(np.int32)


@dataclass(frozen=True, slots=True)
class _Renumbered:
    """An array of objects in which ids up to `last` are taken: 1 becomes last + 1."""

    array: LabelArray
    last: int

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def dtype(self) -> "np.dtype[Any]":
        return self.array.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        ids = np.asarray(self.array[key])
        return np.where(ids > self.last, ids - self.last, 0).astype(ids.dtype)

    def __setitem__(self, key: Any, ids: NDArray[Any]) -> None:
        self.array[key] = np.where(ids > 0, ids + self.last, 0).astype(self.dtype)
