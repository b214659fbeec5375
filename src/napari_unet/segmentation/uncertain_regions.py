"""Uncertain regions: margin of the two best classes, averaged and kept apart.

A pixel is uncertain as far as the two most probable classes are close; a place, as far
as the pixels around it are on average. One wrong pixel is noise, a wrong patch is not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.tiling import Box

__all__ = ["Scanned", "UncertainRegion", "UncertainRegions", "best_less_second"]

_DEPTH = 3  # planes on either side in which one object is seen again
_LEAST = 0.02  # of a score: below, there is nothing to decide
_EQUAL = 1e-4  # sums of running means differ by less
_KEPT = 500  # places in memory, of which the best that are far apart are told


@dataclass(frozen=True, slots=True)
class UncertainRegion:
    """Somewhere that the model is not sure of.

    Attributes
    ----------
    plane
        Index along the image's plane axes.
    y, x
        Its middle: row and column.
    radius
        In pixels; there is no other place within the square of this radius.
    score
        How unsure the model is around it: 0 sure, 1 undecided.
    reason
        A phrase for the user, as in "cell or background? 52 % against 46 %".
    """

    plane: tuple[int, ...]
    y: int
    x: int
    radius: int
    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class Scanned:
    """A part of the image was looked at.

    Attributes
    ----------
    fraction
        How much of the search is done, 0 to 1: of the image, or of the time.
    looked
        How much of the image was looked at, 0 to 1.
    places
        The most uncertain ones so far, best first.
    """

    fraction: float
    looked: float
    places: tuple[UncertainRegion, ...]


class UncertainRegions:
    """The places that were found so far.

    Parameters
    ----------
    classes
        Names of the model's classes.
    radius
        Least distance of two places in rows or columns, in pixels.
    visited
        What is near one of these is left out.
    most
        How many places are wanted.
    """

    def __init__(
        self,
        classes: Sequence[str],
        radius: int,
        visited: Sequence[UncertainRegion],
        most: int,
    ) -> None:
        self.classes, self.radius = classes, radius
        self.visited, self.most = visited, most
        self._found: list[UncertainRegion] = []

    def best(self) -> list[UncertainRegion]:
        """Return the best places that are far enough apart."""
        kept: list[UncertainRegion] = []
        for place in self._found:
            if len(kept) == self.most:
                break
            if not any(self._same(place, other) for other in kept):
                kept.append(place)
        return kept

    def look(
        self,
        plane: tuple[int, ...],
        box: Box,
        p: NDArray[np.float16],
        reviewed: NDArray[np.bool_],
    ) -> None:
        """Look at the probabilities (K, Y, X) of a box of a plane.

        Pixels that people `reviewed` (Y, X) count as sure, and are no place.
        """
        unsure = np.where(reviewed, np.float32(0), 1 - best_less_second(p))
        side = 2 * (self.radius // 2) + 1
        score = ndimage.uniform_filter(unsure, side, mode="reflect")
        score[reviewed] = 0
        peaks = self._peaks(score)
        top, left = box[0].start, box[1].start
        for place in self.visited:
            if _apart(plane, place.plane) <= _DEPTH:
                peaks[self._around(place.y - top, place.x - left)] = 0
        for y, x, best in self._highest(peaks):
            reason = self._reason(p, unsure, y, x)
            place = UncertainRegion(plane, top + y, left + x, self.radius, best, reason)
            self._found.append(place)
        self._found.sort(key=lambda place: -place.score)  # equal ones as they came
        del self._found[_KEPT:]

    def _peaks(self, score: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the score where it is highest around, else 0.

        The slope of a peak is no place, even when its top was visited.
        """
        highest = ndimage.maximum_filter(score, 2 * self.radius + 1, mode="nearest")
        found: NDArray[np.float32] = np.where(score >= highest - _EQUAL, score, 0)
        return found

    def _highest(self, peaks: NDArray[np.float32]) -> Iterator[tuple[int, int, float]]:
        """Go through the peaks, best first; what is near them goes."""
        for _ in range(self.most):
            y, x = (int(i) for i in np.unravel_index(peaks.argmax(), peaks.shape))
            best = min(float(peaks[y, x]), 1.0)
            if best < _LEAST:
                return
            yield y, x, best
            peaks[self._around(y, x)] = 0

    def _around(self, y: int, x: int) -> Box:
        """Return a square as slices; its middle may lie outside."""
        rows, columns = (
            slice(max(at - self.radius, 0), max(at + self.radius + 1, 0))
            for at in (y, x)
        )
        return rows, columns

    def _same(self, a: UncertainRegion, b: UncertainRegion) -> bool:
        near = max(abs(a.y - b.y), abs(a.x - b.x)) <= self.radius
        return near and _apart(a.plane, b.plane) <= _DEPTH

    def _reason(
        self, p: NDArray[np.float16], unsure: NDArray[np.float32], y: int, x: int
    ) -> str:
        """Say between which classes the model wavers around (y, x)."""
        half = self.radius // 2
        rows, columns = (slice(max(at - half, 0), at + half + 1) for at in (y, x))
        weight = unsure[rows, columns]
        mean = (p[:, rows, columns] * weight).sum((1, 2)) / weight.sum()
        second, first = (int(i) for i in np.argsort(mean, kind="stable")[-2:])
        return (
            f"{self.classes[first]} or {self.classes[second]}? "
            f"{100 * mean[first]:.0f} % against {100 * mean[second]:.0f} %"
        )


def best_less_second(p: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return how far ahead the best of the probabilities (K, Y, X) is, (Y, X)."""
    best: NDArray[np.float32] = p[0].astype(np.float32)
    second = np.zeros_like(best)
    for other in p[1:]:
        np.maximum(second, np.minimum(best, other), out=second)
        np.maximum(best, other, out=best)
    best -= second
    return best


def _apart(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    return sum(abs(i - j) for i, j in zip(a, b, strict=True))
