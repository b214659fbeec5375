"""The compute process itself: it takes calls, runs them one by one, and tells of them.

Knows neither napari nor what is computed. Started by `life.Life` as a program of its
own, so that no `__main__` is imported again, and ended by the end of its input.
"""

import ctypes
import importlib
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from functools import partial
from typing import Any

from napari_unet._memory import return_freed
from napari_unet.compute.arena import Arena, Ring, open_arena
from napari_unet.compute.call import Kept
from napari_unet.compute.channel import (
    Channel,
    Frame,
    Kind,
    Part,
    dump,
    load,
    whole_frame,
)
from napari_unet.compute.far import FarTable, portable
from napari_unet.errors import UNetError

__all__ = ["main"]

_AHEAD = 4  # frames that the viewer has not taken yet; then the job waits for it
_SMALL = 2**14  # bytes that are not worth a place in the shared memory
_NICE = 10  # a tenth of a core, while others want all of them
_GRACE = 2.0  # seconds to leave in order when the viewer has gone
_PR_SET_PDEATHSIG = 1  # of Linux's prctl.h


def main(told: dict[str, Any]) -> None:
    """Run what comes through standard input until that ends.

    Parameters
    ----------
    told
        ``parent``, the process that started this one; ``kind``, ``half`` and ``handle``
        of its `arena.Arena`; ``warm``, modules to import before the first call.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the viewer
    _die_with(told["parent"])
    if hasattr(os, "nice"):
        os.nice(_NICE)
    channel = _take_pipes()
    arena = open_arena(told["kind"], told["half"], told["handle"])
    server = _Server(channel, arena)
    threading.Thread(target=server.listen, daemon=True).start()
    for name in told["warm"]:
        importlib.import_module(name)
    server.work()


def _die_with(parent: int) -> None:
    """Let the system end this process when the thread that started it ends.

    On Linux, also when it is stopped, or in the midst of C code. Elsewhere the end of
    the input does it.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was gone before
            _leave()


def _leave() -> None:
    """End this process at once, whatever its other threads are at."""
    os.kill(os.getpid(), signal.SIGTERM)


def _take_pipes() -> Channel:
    """Return standard input and output as a channel; prints go to standard error."""
    reading, writing = os.fdopen(os.dup(0), "rb", 0), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    channel = Channel(reading, writing)
    channel.greet()
    return channel


class _Server:
    """Takes frames in one thread, and runs the calls among them in another."""

    def __init__(self, channel: Channel, arena: Arena) -> None:
        self._channel, self._arena = channel, arena
        self._waiting: dict[int, Frame] = {}
        self._numbers: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        self._unwanted: set[int] = set()
        self._gone = False
        self._kept: dict[str, Kept] = {}
        self._outbox = _Outbox(channel, arena)

    def listen(self) -> None:
        """Take frames until there are no more; then see to it that this ends."""
        with suppress(EOFError, OSError):
            while True:
                self._take(self._channel.receive())
        self._gone = True
        self._replies.put(None)
        self._numbers.put(None)
        self._outbox.abandon()
        time.sleep(_GRACE)
        _leave()

    def work(self) -> None:
        """Run calls until the viewer has gone."""
        with suppress(OSError):
            self._channel.send(Frame(Kind.READY))
            while (number := self._numbers.get()) is not None:
                frame = self._waiting.pop(number, None)
                if frame is not None:  # it was not cancelled before
                    self._run(frame)
                    return_freed()

    def _take(self, frame: Frame) -> None:
        if frame.kind is Kind.PING:
            self._channel.send(Frame(Kind.PONG))
        elif frame.kind is Kind.JOB:
            self._waiting[frame.job] = frame
            self._numbers.put(frame.job)
        elif frame.kind is Kind.CANCEL:
            if self._waiting.pop(frame.job, None) is not None:  # it never began
                self._channel.send(
                    whole_frame(Kind.END, frame.job, ("cancelled", None))
                )
            self._unwanted.add(frame.job)
        elif frame.kind is Kind.TOOK:
            self._outbox.took()
        elif frame.kind is Kind.REPLY:
            self._replies.put(frame)

    def _run(self, frame: Frame) -> None:
        job = frame.job
        self._channel.send(Frame(Kind.BEGUN, job))
        table = FarTable(partial(self._ask, job), self._kept)
        try:
            call = load(frame, self._arena.down, table.find)
            with closing(call()) as steps:
                end = self._drive(job, steps, table)
            self._outbox.post(Kind.END, job, end, table.name)
        except (UNetError, MemoryError) as error:
            self._outbox.post(Kind.END, job, ("raised", portable(error)))
        except Exception as error:  # noqa: BLE001 - the border to the viewer
            what = f"{type(error).__name__}: {error}"
            end = "failed", (what, traceback.format_exc())
            self._outbox.post(Kind.END, job, end)

    def _drive(
        self, job: int, steps: Generator[Any, None, Any], table: FarTable
    ) -> tuple[str, Any]:
        """Tell what the job yields; return how it ended, and with what."""
        while job not in self._unwanted and not self._gone:
            try:
                event = next(steps)
            except StopIteration as stop:
                return "done", stop.value
            self._outbox.post(Kind.EVENT, job, event, table.name)
        return "cancelled", None

    def _ask(
        self,
        job: int,
        question: Any,
        name: Callable[[Any], Any],
        find: Callable[[Any], Any],
    ) -> Any:
        """Return the viewer's answer."""
        self._outbox.post(Kind.ASK, job, question, name)
        frame = None if self._gone else self._replies.get()
        if frame is None:
            raise ConnectionError("the viewer has gone")
        return load(frame, self._arena.down, find)


class _Outbox:
    """What goes to the viewer: so much at a time that it and the memory can take it."""

    def __init__(self, channel: Channel, arena: Arena) -> None:
        self._channel, self._memory = channel, arena.up
        self._ring = Ring(arena.half)
        self._turn, self._room = threading.Lock(), threading.Condition()
        self._sent: deque[int] = deque()  # of frames not taken yet: places in the ring
        self._gone = False

    def post(
        self, kind: Kind, job: int, value: Any, name: Callable[[Any], Any] | None = None
    ) -> None:
        """Send a value as soon as there is room for it; see `channel.dump`."""
        body, buffers = dump(value, name)
        with self._turn, self._room:
            self._room.wait_for(lambda: len(self._sent) < _AHEAD or self._gone)
            self._sent.append(0)
            parts = tuple(self._place(buffer) for buffer in buffers)
            self._channel.send(Frame(kind, job, body, parts))

    def took(self) -> None:
        """Free the room of the frame that was sent first."""
        with self._room:
            for _ in range(self._sent.popleft()):
                self._ring.give_back()
            self._room.notify_all()

    def abandon(self) -> None:
        """Wait no more: nobody will take anything."""
        with self._room:
            self._gone = True
            self._room.notify_all()

    def _place(self, buffer: memoryview) -> Part:
        """Put a buffer into the shared memory if it fits there, as soon as it does."""
        size = len(buffer)
        while _SMALL <= size <= self._ring.size and not self._gone:
            start = self._ring.take(size)
            if start is not None:
                self._memory[start : start + size] = buffer
                self._sent[-1] += 1
                return start, size
            if len(self._sent) == 1:  # all that is taken is of this frame
                break
            self._room.wait()
        return buffer
