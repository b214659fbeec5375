"""Turns: which of several jobs computes now, and whether a job is wanted still."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Turns"]


@dataclass(slots=True)
class _Place:
    behind: bool
    spent: float  # seconds, from those that the others had when it came


class Turns:
    """One job computes at a time, from one of its events to the next.

    A job that is behind waits while there is another that is not, and does not rest.
    Among equals it is the turn of the one that has had the least time, so that each has
    its share, however long its steps are.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._places: dict[int, _Place] = {}
        self._unwanted: set[int] = set()
        self._resting: set[int] = set()
        self._aside: set[int] = set()
        self._busy = False

    @contextmanager
    def part(self, job: int, *, behind: bool) -> Iterator[None]:
        """Let a job take part, as long as the context lasts."""
        with self._changed:
            spent = min((place.spent for place in self._places.values()), default=0.0)
            self._places[job] = _Place(behind, spent)
        try:
            yield
        finally:
            with self._changed:
                del self._places[job]
                self._unwanted.discard(job)
                self._resting.discard(job)
                self._changed.notify_all()

    @contextmanager
    def turn(self, job: int) -> Iterator[bool]:
        """Wait for the turn of a job, which lasts as long as the context.

        What that is says whether the job is wanted still; if not, nobody waits.
        """
        with self._changed:
            self._changed.wait_for(lambda: job in self._unwanted or self._next() == job)
            wanted = job not in self._unwanted
            self._busy |= wanted
        began = time.monotonic()
        try:
            yield wanted
        finally:
            with self._changed:
                self._places[job].spent += time.monotonic() - began
                self._busy &= not wanted
                self._changed.notify_all()

    def dismiss(self, job: int) -> None:
        """Give a job no more turns: nobody wants it."""
        with self._changed:
            self._unwanted.add(job)
            self._changed.notify_all()

    def dismiss_all(self) -> None:
        """Give no more turns to those that take part."""
        with self._changed:
            self._unwanted.update(self._places)
            self._changed.notify_all()

    def rest(self, job: int, *, rests: bool) -> None:
        """Give a job no turns for a while, or again."""
        with self._changed:
            (self._resting.add if rests else self._resting.discard)(job)
            self._changed.notify_all()

    @contextmanager
    def aside(self, job: int) -> Iterator[None]:
        """Let others have the turns that a job cannot take in this context."""
        with self._changed:
            self._aside.add(job)
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._aside.discard(job)

    def _next(self) -> int | None:
        """Return whose turn it is; None while somebody computes."""
        if self._busy:
            return None
        out = self._resting | self._aside | self._unwanted
        able = [
            (place.behind, place.spent, job)
            for job, place in self._places.items()
            if job not in out
        ]
        return min(able)[2] if able else None
