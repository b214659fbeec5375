"""Comparisons of two models as they are shown: maps of what was fixed and broken.

Plain data without torch; `compare` makes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BROKEN",
    "FIXED",
    "NOT_REVIEWED",
    "RIGHT",
    "WRONG",
    "Compared",
    "Comparing",
    "Counts",
    "total",
]

NOT_REVIEWED, RIGHT, FIXED, BROKEN, WRONG = range(5)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many reviewed pixels were right with both models, fixed, broken, or wrong."""

    right: int
    fixed: int
    broken: int
    wrong: int


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """What two models made of one correction.

    Attributes
    ----------
    index
        Of the correction among those that were given.
    source, key
        Which image it is, and what its project calls that.
    plane, corner
        Plane of the whole image, and the row and column where `map` begins.
    map
        (Y, X) uint8: `NOT_REVIEWED`, `RIGHT` with both models, `FIXED` by the new one,
        `BROKEN` by it, or `WRONG` with both.
    """

    index: int
    source: str
    key: str
    plane: tuple[int, ...]
    corner: tuple[int, int]
    map: NDArray[np.uint8]

    @property
    def counts(self) -> Counts:
        """How many pixels there are of each kind."""
        return Counts(*(int((self.map == kind).sum()) for kind in range(1, WRONG + 1)))


@dataclass(frozen=True, slots=True)
class Comparing:
    """A part was looked at, or of the time has passed; `fraction` of all, 0 to 1."""

    fraction: float


def total(compared: Sequence[Compared]) -> Counts:
    """Return how many pixels there are of each kind in all corrections."""
    counts = [c.counts for c in compared]
    return Counts(
        sum(c.right for c in counts),
        sum(c.fixed for c in counts),
        sum(c.broken for c in counts),
        sum(c.wrong for c in counts),
    )
