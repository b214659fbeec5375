"""One life of a compute process, as the viewer sees it: from its start to its end.

Threads of the viewer start it, read what it tells, write what it is told, and ask now
and then whether it is there. Nobody who uses a `Life` waits for the process.
"""

import itertools
import json
import math
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from napari_unet.compute.arena import Arena, make_arena
from napari_unet.compute.channel import Channel, Frame, Kind

__all__ = ["Inbox", "Life", "Patience"]

Inbox = queue.SimpleQueue[Frame | None]  # None: the process has ended

_HALF = 2**24  # bytes of pixels that are under way in each direction
# The viewer's own path, whatever it was started with, and no `__main__` of anybody.
_BOOT = (
    "import json, sys; told = json.loads(sys.argv[1]); sys.path[:] = told['path']; "
    "from napari_unet.compute.child import main; main(told)"
)
_STOPPED = "it was stopped"
_CLOSING = 2  # ticks to end in order; it is killed at the next one


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a process is waited for.

    Attributes
    ----------
    tick
        Seconds between two questions whether it is there.
    silent, lost, starting
        So many without an answer: it does not respond; it is killed, once it was ready,
        and before.
    cancel
        Seconds to end a job that is not wanted any more.
    """

    tick: float = 1.0
    silent: int = 5
    lost: int = 60
    starting: int = 300
    cancel: float = 3.0


class Life:
    """A process that is starting, runs, or has ended.

    Attributes
    ----------
    patience
        How long it is waited for.
    arena
        What it shares with the viewer.
    process
        None before it is started, and if it cannot be.
    ready_at
        When it was ready, by `time.monotonic`; infinite before.
    ready, ended
        Set once it has imported what takes long; once it is no more.
    silent
        Whether it does not respond.
    failure
        Why it ended, in words; empty before.
    """

    def __init__(self, warm: Sequence[str], patience: Patience) -> None:
        """Start a process that imports the modules `warm` first; return at once."""
        self.patience, self._warm = patience, tuple(warm)
        self.arena: Arena = make_arena(_HALF)
        self.process: subprocess.Popen[bytes] | None = None
        self.ready, self.ended = threading.Event(), threading.Event()
        self.ready_at = math.inf
        self.silent, self.failure = False, ""
        self._out: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        self._heard = threading.Event()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._inboxes: dict[int, Inbox] = {}
        self._doing: dict[int, str] = {}
        self._closing, self._why = False, ""
        # It ends with this thread on Linux, which therefore lives as long as it does.
        threading.Thread(target=self._live, name="compute", daemon=True).start()

    @property
    def busy(self) -> bool:
        """Whether it has a job, or is about to."""
        return bool(self._inboxes)

    @property
    def doing(self) -> tuple[str, ...]:
        """What the jobs that it has do, the oldest first."""
        with self._lock:
            return tuple(self._doing.values())

    @property
    def stopped(self) -> bool:
        """Whether it was ended on purpose."""
        return self._why == _STOPPED

    def open(self, doing: str = "") -> tuple[int, Inbox]:
        """Return the number of a new job, and where frames about it will come."""
        inbox: Inbox = queue.SimpleQueue()
        with self._lock:
            number = next(self._numbers)
            self._inboxes[number], self._doing[number] = inbox, doing
            if self.ended.is_set():
                inbox.put(None)
        return number, inbox

    def close(self, number: int) -> None:
        """Forget a job, whose frames go nowhere from now on."""
        with self._lock:
            self._inboxes.pop(number, None)
            self._doing.pop(number, None)

    def send(self, frame: Frame) -> None:
        """Send a frame when the ones before it are sent."""
        self._out.put(frame)

    def end(self) -> None:
        """Let it end in order, or else without."""
        self._why, self._closing = self._why or _STOPPED, True
        self._out.put(None)

    def kill(self, why: str) -> None:
        """End it at once; `why` it was, in words."""
        self._why, self._closing = self._why or why, True
        if self.process is not None:
            self.process.kill()

    def _live(self) -> None:
        """Start the process, read until it is gone, and say so."""
        with tempfile.TemporaryFile() as said:
            try:
                self.process = self._start(said)
            except OSError as error:
                self._over(f"it cannot be started ({error.strerror or error})")
                return
            finally:
                self.arena.close_handle()
            try:
                self._read(self.process)
                self.process.wait(self.patience.cancel)
            except subprocess.TimeoutExpired:  # it has nothing to tell any more
                pass
            finally:
                self.process.kill()
                code = self.process.wait()
                self._over(self._why or _ended(code, said))

    def _start(self, said: BinaryIO) -> subprocess.Popen[bytes]:
        """Start the process, whose complaints go into the file `said`."""
        arena = self.arena
        shared = isinstance(arena.handle, int) and arena.handle >= 0
        told = {
            "path": sys.path,
            "parent": os.getpid(),
            "kind": arena.kind,
            "half": arena.half,
            "handle": arena.handle,
            "warm": self._warm,
        }
        more: dict[str, Any] = {"pass_fds": (arena.handle,)} if shared else {}
        if sys.platform == "win32":
            flags = subprocess.BELOW_NORMAL_PRIORITY_CLASS | subprocess.CREATE_NO_WINDOW
            more = {"creationflags": flags | subprocess.CREATE_NEW_PROCESS_GROUP}
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT, json.dumps(told)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            **more,
        )

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        """Take what the process tells until it tells no more."""
        if process.stdin is None or process.stdout is None:
            return
        channel = Channel(process.stdout, process.stdin)
        for work in (self._write, self._watch):
            threading.Thread(target=work, args=(channel,), daemon=True).start()
        with suppress(EOFError, OSError):
            channel.meet()
            while True:
                self._take(channel.receive())
        process.stdout.close()

    def _take(self, frame: Frame) -> None:
        self._heard.set()
        if frame.kind is Kind.READY:
            self.ready_at = time.monotonic()
            self.ready.set()
        inbox = self._inboxes.get(frame.job)
        if inbox is not None:
            inbox.put(frame)

    def _write(self, channel: Channel) -> None:
        """Send what there is to send; None closes the pipe."""
        with suppress(OSError, ValueError):
            while (frame := self._out.get()) is not None:
                channel.send(frame)
        with suppress(OSError):
            channel.close()

    def _watch(self, _: Channel) -> None:
        """Ask again and again whether the process is there, until it is no more.

        Ticks count, not the time of day: while the viewer is stopped there are none.
        """
        patience, quiet, closing = self.patience, 0, 0
        while not self.ended.wait(patience.tick):
            quiet = 0 if self._heard.is_set() else quiet + 1
            self._heard.clear()
            self.silent = quiet >= patience.silent
            closing += self._closing
            most = patience.lost if self.ready.is_set() else patience.starting
            if quiet >= most or closing > _CLOSING:
                seconds = quiet * patience.tick
                self.kill(f"it has not responded for {seconds:.0f} s")
            self._out.put(Frame(Kind.PING))

    def _over(self, failure: str) -> None:
        with self._lock:
            self.failure = failure
            self.ended.set()
            for inbox in self._inboxes.values():
                inbox.put(None)
        self._out.put(None)


def _ended(code: int, said: BinaryIO) -> str:
    """Return how a process ended, and the last that it said."""
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    how = f"it was ended by signal {-code}" if code < 0 else f"it ended with {code}"
    return f"{how}: {lines[-1].strip()}" if lines and code > 0 else how
