"""The reviewed pixels of one image, and how many there are of every class."""

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .blocks import SIDE, Pixels
from .corrections import IGNORE, strokes
from .project import Project
from .tiling import Box

__all__ = ["Count", "ImageReviews"]

_Place = tuple[tuple[int, ...], int, int]  # plane, first row and column of a block


@dataclass(frozen=True, slots=True)
class Count:
    """How much was said of one class: pieces that hang together, and pixels."""

    strokes: int = 0
    pixels: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.strokes + other.strokes, self.pixels + other.pixels)


class ImageReviews:
    """What people said about one image of a project; a `painting.Store`.

    Counting waits until somebody asks, since painting must not. Counts are of whole
    blocks: a stroke over the border of two counts in both.

    Parameters
    ----------
    project, key
        The project, and how it calls the image.
    """

    def __init__(self, project: Project, key: str) -> None:
        self.project, self.key = project, key
        self._counts: dict[_Place, dict[int, Count]] = {}
        self._greatest: dict[_Place, int] = {}
        self._changed: set[_Place] = set()
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

    def boxes(self, plane: tuple[int, ...]) -> list[Box]:
        """Return the blocks of a plane in which somebody reviewed something."""
        return [
            (slice(y, y + SIDE), slice(x, x + SIDE))
            for (place, y, x), counts in self._counted().items()
            if place == plane and counts
        ]

    def places(self) -> list[tuple[tuple[int, ...], Box]]:
        """Return plane and block wherever somebody reviewed something."""
        return [(plane, box) for plane in self.planes() for box in self.boxes(plane)]

    def planes(self) -> set[tuple[int, ...]]:
        """Return the planes in which somebody reviewed something."""
        return {plane for (plane, _, _), counts in self._counted().items() if counts}

    def greatest(self) -> int:
        """Return the greatest number that people gave an object; 0 if none."""
        self._counted()
        with self._lock:
            return max(self._greatest.values(), default=0)

    def counts(self) -> dict[int, Count]:
        """Return what was said of every class; `FOREGROUND` stands for any but 0."""
        found: dict[int, Count] = {}
        for counts in self._counted().values():
            for value, count in counts.items():
                found[value] = found.get(value, Count()) + count
        return found

    def reviewed(self, plane: tuple[int, ...], box: Box) -> NDArray[np.bool_]:
        """Return which pixels (Y, X) of a box somebody reviewed."""
        return np.not_equal(self.read(plane, box)[0], IGNORE)

    def _counted(self) -> dict[_Place, dict[int, Count]]:
        with self._lock:  # the viewer and a job may ask at once
            while self._changed:
                place = self._changed.pop()
                plane, y, x = place
                block = slice(y, y + SIDE), slice(x, x + SIDE)
                target, shown = self.read(plane, block)
                self._counts[place] = _count(target)
                self._greatest[place] = int(shown[target != IGNORE].max(initial=0))
            return dict(self._counts)


def _count(target: NDArray[np.uint8]) -> dict[int, Count]:
    """Return how often every class is there, and in how many pieces."""
    numbers, _ = strokes(target)
    found = np.unique(numbers.ravel().astype(np.int64) * 256 + target.ravel()) % 256
    pixels = np.bincount(target.ravel(), minlength=IGNORE + 1)
    return {
        value: Count(int((found == value).sum()), int(pixels[value]))
        for value in np.flatnonzero(pixels[:IGNORE]).tolist()
    }


def _places(plane: tuple[int, ...], box: Box) -> set[_Place]:
    y, x = box
    return {
        (plane, top, left)
        for top in range(y.start // SIDE * SIDE, y.stop, SIDE)
        for left in range(x.start // SIDE * SIDE, x.stop, SIDE)
    }
