"""The compute process itself: it takes calls, runs them in turns, and tells of them.

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
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, suppress
from functools import partial
from typing import Any

from napari_unet._memory import return_freed
from napari_unet.compute.arena import Arena, open_arena
from napari_unet.compute.call import Call, Kept
from napari_unet.compute.channel import Channel, Frame, Kind, load, whole_frame
from napari_unet.compute.far import FarTable, portable
from napari_unet.compute.outbox import Outbox
from napari_unet.compute.turns import Turns
from napari_unet.errors import UNetError

__all__ = ["main"]

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
    """Takes frames in one thread, and runs each of the calls among them in another."""

    def __init__(self, channel: Channel, arena: Arena) -> None:
        self._channel, self._arena = channel, arena
        self._waiting: dict[int, Frame] = {}
        self._numbers: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        self._asking = threading.Lock()  # there is room for one answer
        self._gone = False
        self._kept: dict[str, Kept] = {}
        self._outbox, self._turns = Outbox(channel, arena), Turns()

    def listen(self) -> None:
        """Take frames until there are no more; then see to it that this ends."""
        with suppress(EOFError, OSError):
            while True:
                self._take(self._channel.receive())
        self._gone = True
        self._replies.put(None)
        self._numbers.put(None)
        self._turns.dismiss_all()
        self._outbox.abandon()
        time.sleep(_GRACE)
        _leave()

    def work(self) -> None:
        """Run calls until the viewer has gone."""
        with suppress(OSError):
            self._channel.send(Frame(Kind.READY))
            while (number := self._numbers.get()) is not None:
                # A new one each: a job may change how many cores its thread has.
                threading.Thread(target=self._run, args=(number,)).start()

    def _take(self, frame: Frame) -> None:
        job = frame.job
        if frame.kind is Kind.PING:
            self._channel.send(Frame(Kind.PONG))
        elif frame.kind is Kind.JOB:
            self._waiting[job] = frame
            self._numbers.put(job)
        elif frame.kind is Kind.CANCEL:
            if self._waiting.pop(job, None) is not None:  # it never began
                self._channel.send(whole_frame(Kind.END, job, ("cancelled", None)))
            else:
                self._turns.dismiss(job)
        elif frame.kind is Kind.TOOK:
            self._outbox.took(job)
        elif frame.kind is Kind.REPLY:
            self._replies.put(frame)
        elif frame.kind in (Kind.REST, Kind.GO_ON):
            self._turns.rest(job, rests=frame.kind is Kind.REST)

    def _run(self, job: int) -> None:
        """Run a call to its end, and tell of that."""
        frame = self._waiting.pop(job, None)
        if frame is None:  # it was cancelled before
            return
        table = FarTable(partial(self._ask, job), self._kept)
        try:
            call = load(frame, self._arena.down, table.find)
            with self._turns.part(job, behind=call.behind):
                end = self._drive(job, call, table)
            self._post(Kind.END, job, end, table.name)
        except (UNetError, MemoryError) as error:
            self._post(Kind.END, job, ("raised", portable(error)))
        except Exception as error:  # noqa: BLE001 - the border to the viewer
            what = f"{type(error).__name__}: {error}"
            self._post(Kind.END, job, ("failed", (what, traceback.format_exc())))
        return_freed()

    def _drive(self, job: int, call: Call, table: FarTable) -> tuple[str, Any]:
        """Tell what a call yields; return how it ended, and with what."""
        steps: Generator[Any, None, Any] | None = None
        with ExitStack() as stack:
            while True:
                with self._turns.turn(job) as wanted:
                    if not wanted:
                        return "cancelled", None
                    if steps is None:
                        self._channel.send(Frame(Kind.BEGUN, job))
                        steps = stack.enter_context(closing(call()))
                    try:
                        event = next(steps)
                    except StopIteration as stop:
                        return "done", stop.value
                self._post(Kind.EVENT, job, event, table.name)

    def _post(
        self, kind: Kind, job: int, value: Any, name: Callable[[Any], Any] | None = None
    ) -> None:
        """Send a value; while the viewer does not take any, others compute."""
        if self._outbox.full(job):
            with self._turns.aside(job):
                self._outbox.wait(job)
        self._outbox.post(kind, job, value, name)

    def _ask(
        self,
        job: int,
        question: Any,
        name: Callable[[Any], Any],
        find: Callable[[Any], Any],
    ) -> Any:
        """Return the viewer's answer."""
        with self._asking:
            self._outbox.post(Kind.ASK, job, question, name)
            frame = None if self._gone else self._replies.get()
            if frame is None:
                raise ConnectionError("the viewer has gone")
            return load(frame, self._arena.down, find)
