"""Reviewed pixels of one image, as opposed to predicted ones; counts per class."""

import threading
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_unet.project.block_store import SIDE, Pixels
from napari_unet.project.corrections import IGNORE
from napari_unet.project.piece_count import Count, Pieces, Spot
from napari_unet.project.project import Project
from napari_unet.tiling import Box

__all__ = ["Count", "ImageReviews", "Reviews"]

_BOUNDARY = "boundary"  # as in `unet`, which needs torch


class Reviews(Protocol):
    """What a segmentation needs of `ImageReviews`.

    Attributes
    ----------
    key
        How the project calls the image.
    """

    key: str

    def read(self, plane: tuple[int, ...], box: Box) -> Pixels:
        """Return target and shown (Y, X) of a box."""

    def write(self, plane: tuple[int, ...], box: Box, pixels: Pixels) -> None:
        """Replace them."""

    def renumber(
        self,
        plane: tuple[int, ...],
        box: Box,
        before: Pixels,
        numbers: NDArray[np.int32],
    ) -> None:
        """Give objects other numbers; see `ImageReviews.renumber`."""

    def boxes(self, plane: tuple[int, ...]) -> list[Box]:
        """Return the blocks of a plane with anything in them."""

    def blocks(self) -> list[tuple[tuple[int, ...], Box]]:
        """Return plane and block of all of them."""

    def planes(self) -> set[tuple[int, ...]]:
        """Return the planes with anything in them."""

    def greatest(self) -> int:
        """Return the greatest number that people gave an object."""

    def reviewed(self, plane: tuple[int, ...], box: Box) -> NDArray[np.bool_]:
        """Return which pixels (Y, X) of a box somebody reviewed."""

    def counts(self) -> dict[int, Count]:
        """Return how much of every class was reviewed."""


class ImageReviews:
    """What people said about one image of a project; a `painting.Store`.

    Counting waits until somebody asks, since painting must not.

    Parameters
    ----------
    project, key
        The project, and how it calls the image.
    """

    def __init__(self, project: Project, key: str) -> None:
        self.project, self.key = project, key
        names = project.index.classes
        self._pieces = Pieces(objects=_BOUNDARY in names)
        self._greatest: dict[Spot, int] = {}
        self._changed: set[Spot] = set()
        self._lock = threading.Lock()
        for plane, box in project.reviewed(key):
            self._changed |= _places(plane, box)

    def read(self, plane: tuple[int, ...], box: Box) -> Pixels:
        """Return target and shown (Y, X) of a box; see `project.Project.read`."""
        return self.project.read(self.key, plane, box)

    def write(self, plane: tuple[int, ...], box: Box, pixels: Pixels) -> None:
        """Replace them; see `project.Project.write`."""
        self.project.write(self.key, plane, box, pixels)
        self._changed |= _places(plane, box)

    def renumber(
        self,
        plane: tuple[int, ...],
        box: Box,
        before: Pixels,
        numbers: NDArray[np.int32],
    ) -> None:
        """Give objects of a box other numbers, but where somebody has painted since.

        Parameters
        ----------
        before
            Target and shown (Y, X), as they were read.
        numbers
            (Y, X), for all pixels.
        """
        target, shown = before
        latest, said = self.read(plane, box)
        same = (latest == target) & (said == shown)
        said[same] = numbers[same]
        self.write(plane, box, (latest, said))

    def count_by(self, *, objects: bool) -> None:
        """Count the pieces of objects, or of classes."""
        with self._lock:
            if objects != self._pieces.objects:
                self._changed |= set(self._pieces.spots())
                self._pieces = Pieces(objects=objects)

    def boxes(self, plane: tuple[int, ...]) -> list[Box]:
        """Return the blocks of a plane in which somebody reviewed something."""
        return [
            (slice(y, y + SIDE), slice(x, x + SIDE))
            for place, y, x in self._looked().spots()
            if place == plane
        ]

    def blocks(self) -> list[tuple[tuple[int, ...], Box]]:
        """Return plane and block wherever somebody reviewed something."""
        return [(plane, box) for plane in self.planes() for box in self.boxes(plane)]

    def planes(self) -> set[tuple[int, ...]]:
        """Return the planes in which somebody reviewed something."""
        return {plane for plane, _, _ in self._looked().spots()}

    def greatest(self) -> int:
        """Return the greatest number that people gave an object; 0 if none."""
        self._looked()
        with self._lock:
            return max(self._greatest.values(), default=0)

    def counts(self) -> dict[int, Count]:
        """Return what was said of every class; `FOREGROUND` stands for any but 0."""
        pieces = self._looked()
        with self._lock:
            return pieces.counts()

    def reviewed(self, plane: tuple[int, ...], box: Box) -> NDArray[np.bool_]:
        """Return which pixels (Y, X) of a box somebody reviewed."""
        return np.not_equal(self.read(plane, box)[0], IGNORE)

    def _looked(self) -> Pieces:
        """Return the pieces, once what changed was looked at."""
        with self._lock:  # the viewer and a job may ask at once
            while self._changed:
                place = self._changed.pop()
                plane, y, x = place
                block = slice(y, y + SIDE), slice(x, x + SIDE)
                target, shown = self.read(plane, block)
                self._pieces.take(place, target)
                self._greatest[place] = int(shown[target != IGNORE].max(initial=0))
            return self._pieces


def _places(plane: tuple[int, ...], box: Box) -> set[Spot]:
    y, x = box
    return {
        (plane, top, left)
        for top in range(y.start // SIDE * SIDE, y.stop, SIDE)
        for left in range(x.start // SIDE * SIDE, x.stop, SIDE)
    }
