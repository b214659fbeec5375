"""Corrections larger than memory: loaded lazily and exchanged while a net learns.

Learning begins with some of them; others take their place as it goes on. Knows how many
that are, by the bytes that a lesson holds of them.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

import numpy as np
import psutil

from napari_unet.errors import CorrectionError, MemoryBudgetError
from napari_unet.project.corrections import Correction

__all__ = ["ROOM", "Drawn", "More", "begin", "by_turns", "room_for"]

_T = TypeVar("_T")

ROOM = 600_000_000  # bytes that a lesson holds of corrections; below that, of all
_LEARNING = 300_000_000  # bytes that learning takes beside what is resident before
_WIDTH = 25_000_000  # and for each channel of the net's first level: measured with 16
_KEPT = 100_000_000  # bytes of what would else be read again and again
_LEAST = 50_000_000  # bytes of corrections with which learning is of use
_FREE = 0.5  # part of the free memory that is taken when nobody says how much


class Drawn(Sequence[Correction]):
    """Corrections that are read whenever they are looked at; few of them are kept.

    Parameters
    ----------
    read
        Returns a correction by its number; None if there is none (any more).
    """

    def __init__(self, read: Callable[[Any], Correction | None]) -> None:
        self._read = read
        self._numbers: list[Any] = []
        self._kept: dict[Any, Correction] = {}
        self._room = _KEPT

    def add(self, number: Any, correction: Correction) -> None:
        """Add a correction, as it was read the first time."""
        self._numbers.append(number)
        self._room -= _resident(correction)
        if self._room > 0:
            self._kept[number] = correction

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Correction: ...
    @overload
    def __getitem__(self, index: slice) -> list[Correction]: ...
    def __getitem__(self, index: int | slice) -> Correction | list[Correction]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        number = self._numbers[index]
        found = self._kept.get(number) or self._read(number)
        if found is None:
            raise CorrectionError(
                "Something that is learned from was removed or changed meanwhile. "
                "Begin again."
            )
        return found


@dataclass(frozen=True, slots=True, eq=False)
class More:
    """What is learned from later, one by one, in the place of what came before.

    Attributes
    ----------
    draws
        Goes through all there are again and again, without an end; None: nothing is
        said there.
    room
        Bytes that training may hold of them. What it began with is held beside that.
    """

    draws: Iterator[Correction | None]
    room: int


def room_for(memory: int | None, width: int) -> int:
    """Return how many bytes of corrections a lesson may hold.

    Parameters
    ----------
    memory
        Most resident bytes that the process may take; None: a part of what is free.
    width
        Channels of the first level of the net that learns.

    Raises
    ------
    MemoryBudgetError
        If that is too little to learn at all.
    """
    learning = _LEARNING + _WIDTH * width
    resident = int(psutil.Process().memory_info().rss)
    if memory is None:
        free = int(psutil.virtual_memory().available * _FREE) - learning
        return min(max(free, _LEAST), ROOM)
    free = memory - resident - learning
    if free < _LEAST:
        need = (resident + learning + _LEAST) / 1e6
        raise MemoryBudgetError(
            f"{memory / 1e6:.0f} MB of memory is too little to learn; it takes "
            f"{need:.0f} MB or more here. Raise the memory that may be used.",
            option="memory",
        )
    return min(free, ROOM)


def by_turns(last: Sequence[_T], places: Sequence[_T]) -> list[_T]:
    """Return the same ones, each once: alternately the next of `last` and a random one.

    What was painted last is what people wait for; the others stand for all that was
    painted before.
    """
    order = np.random.default_rng(0).permutation(len(places)).tolist()
    both = zip(last, (places[i] for i in order), strict=True)
    return list(dict.fromkeys(itertools.chain.from_iterable(both)))


def begin(
    draws: Iterator[Any],
    read: Callable[[Any], Correction | None],
    room: int,
    tries: Callable[[], int],
) -> Drawn:
    """Return the first corrections that there is room for in bytes.

    Parameters
    ----------
    draws
        Numbers of what may be a correction.
    tries
        After how many of them all have been looked at.
    """
    found, spots = Drawn(read), set()
    for tried in itertools.count(1):
        number = next(draws)
        correction = read(number)
        if correction is not None and correction.spot not in spots:
            found.add(number, correction)
            spots.add(correction.spot)
            room -= correction.nbytes
        if room < 0 or tried >= tries():
            break
    return found


def _resident(correction: Correction) -> int:
    """Return how many bytes a correction takes whose image is in memory."""
    sample = 0 if correction.sample is None else correction.sample.nbytes
    pixels = math.prod(correction.image.shape) * correction.image.dtype.itemsize
    return correction.target.nbytes + sample + pixels
