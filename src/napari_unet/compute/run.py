"""A job in the compute process, as an iterator of the viewer's side.

Whoever drives it in a thread of the viewer serves the process, too: what a job reads
and writes of the viewer's arrays happens between two of its events.
"""

import math
import queue
import time
from collections.abc import Iterator
from typing import Any, Protocol

from napari_unet.compute.arena import Ring
from napari_unet.compute.call import STILL, Call
from napari_unet.compute.channel import Frame, Kind, Part, dump, load
from napari_unet.compute.far import LocalTable
from napari_unet.compute.life import Inbox, Life
from napari_unet.errors import ComputeError

__all__ = ["JobError", "Lives", "Run"]

_TICK = 0.1  # seconds between two answers while there is nothing to tell
_LONG = 60.0  # seconds that a queue is waited for at once


class JobError(Exception):
    """A defect in the process, which nobody foresaw.

    Attributes
    ----------
    trace
        Where it was, for those who mend it.
    """

    def __init__(self, what: str, trace: str = "") -> None:
        super().__init__(what)
        self.trace = trace


class Lives(Protocol):
    """What starts a process where there is none."""

    def life(self) -> Life:
        """Return the process that runs, or starts."""

    def replace(self, life: Life, why: str) -> None:
        """End a process, and start another if it is the one that is in use."""


class Run:
    """The events of a call that runs elsewhere, and `STILL` while there are none.

    Its end is that of a generator: `StopIteration` with what the call returned, or what
    it raised. `close` cancels it.

    Raises
    ------
    ComputeError
        By `next`, if the process cannot be started, or ends in the midst of the work.
    JobError
        By `next`, if the call raised anything but a `UNetError`.
    """

    def __init__(self, lives: Lives, call: Call) -> None:
        self._lives, self._call = lives, call
        self._table = LocalTable()
        self._life: Life | None = None
        self._inbox: Inbox = queue.SimpleQueue()
        self._number = 0
        self._begun = self._again = self._over = self._rests = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._life is None:
            self._life = self._begin()
        try:
            return self._take(self._inbox.get(timeout=_TICK))
        except queue.Empty:
            return STILL

    def rest(self, *, rests: bool) -> None:
        """Let the call rest after the step that it is in, or go on."""
        if self._life is not None and rests != self._rests:
            self._rests = rests
            kind = Kind.REST if rests else Kind.GO_ON
            self._life.send(Frame(kind, self._number))

    def remaining(self) -> Iterator[Any]:
        """Cancel the call, and yield what it did until it stopped.

        A process that does not stop in time is replaced by another one, unless nobody
        waits for it.
        """
        if self._life is None or self._over:
            self._over = True
            return
        life = self._life
        life.send(Frame(Kind.CANCEL, self._number))
        patience = math.inf if self._call.quiet else life.patience.cancel
        until = time.monotonic() + patience
        while not self._over and (left := until - time.monotonic()) > 0:
            if self._life is None:  # it ended before it began with this
                break
            try:
                event = self._take(self._inbox.get(timeout=min(left, _LONG)))
            except queue.Empty:
                continue
            except Exception:  # noqa: BLE001 - nobody wants it: it ends, or is late
                break
            if event is not STILL:
                yield event
        if not self._over:
            self._over = True
            life.close(self._number)
            self._lives.replace(life, "it did not stop when that was asked of it")

    def leave(self) -> None:
        """Let the process end, and wait for nothing: the program ends."""
        self._over = True
        if self._life is not None:
            self._life.end()

    def close(self) -> None:
        """Cancel the call, if it runs still."""
        for _ in self.remaining():
            pass

    def _begin(self) -> Life:
        life = self._lives.life()
        body, buffers = dump(self._call, self._table.name)
        self._number, self._inbox = life.open(self._call.doing)
        life.send(Frame(Kind.JOB, self._number, body, tuple(buffers)))
        return life

    def _take(self, frame: Frame | None) -> Any:
        """Return the event of a frame, or `STILL` if it is about something else."""
        life = self._life
        if life is None or frame is None:
            return self._gone()
        if frame.kind is Kind.BEGUN:
            self._begun = True
            return STILL
        if frame.kind is Kind.ASK:
            self._answer(life, frame)
            return STILL
        try:
            value = load(frame, life.arena.up, self._table.find)
        finally:
            life.send(Frame(Kind.TOOK, self._number))
        if frame.kind is Kind.EVENT:
            return value
        if life.stopped:  # what it told as it was broken off is not the reason
            return self._gone()
        self._over = True
        life.close(self._number)
        return _come_to(*value)

    def _answer(self, life: Life, frame: Frame) -> None:
        """Do what the process asks for, and tell it what came of it."""
        body, buffers = self._table.answer(frame, life.arena.up)
        life.send(Frame(Kind.TOOK, self._number))
        ring = Ring(life.arena.half)  # all of it: the answer before was read
        parts: list[Part] = []
        for buffer in buffers:
            start = ring.take(len(buffer))
            if start is None:
                parts.append(buffer)
                continue
            life.arena.down[start : start + len(buffer)] = buffer
            parts.append((start, len(buffer)))
        life.send(Frame(Kind.REPLY, self._number, body, tuple(parts)))

    def _gone(self) -> Any:
        """Begin once more if nothing was begun; else say how the process ended."""
        life, self._life = self._life, None
        if life is None:
            return STILL
        life.close(self._number)
        self._rests = False
        if life.stopped:
            self._over = True
            raise ComputeError(
                "The process that computes has ended: it was stopped to free its "
                "memory. What was finished before is kept; start again."
            )
        if life.ready.is_set() and not self._begun and not self._again:
            self._again = True  # it was gone, or hung, before the call came to it
            return STILL
        self._over = True
        if not life.ready.is_set():
            raise ComputeError(
                f"The process that computes does not start: {life.failure}. Start "
                "again; if that does not help, set NAPARI_UNET_COMPUTE=thread before "
                "napari is started, to compute without it."
            )
        self._lives.replace(life, life.failure)
        raise ComputeError(
            f"The process that computes has ended: {life.failure}. Too little memory "
            "is the most frequent reason. What was finished before is kept; start "
            "again."
        )


def _come_to(how: str, value: Any) -> Any:
    """Return `STILL` for a call that was cancelled; else end as it has ended."""
    if how == "done":
        raise StopIteration(value)
    if how == "raised":
        raise value
    if how == "failed":
        raise JobError(*value)
    return STILL
