"""The compute process of a session: started when it is needed, and again if need be."""

import os
import sys
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from napari_unet.compute.call import Call
from napari_unet.compute.life import Life, Patience
from napari_unet.compute.run import Run

__all__ = ["ComputeProcess", "State", "chosen"]

_CHOICE = "NAPARI_UNET_COMPUTE"  # "process" or "thread"; in the environment


@dataclass(frozen=True, slots=True)
class State:
    """How it is with a compute process.

    Attributes
    ----------
    kind
        ``"silent"``: it does not respond.
    pid
        Of the process; None if there is none.
    starts
        How often one was started since none was wanted: more than once after a crash.
    doing
        What its jobs do, the oldest first; empty where a call does not say.
    pixels
        How they cross: in shared memory, in a file that both have open, or through the
        pipe.
    """

    kind: Literal["stopped", "starting", "ready", "busy", "silent"]
    pid: int | None = None
    starts: int = 0
    doing: tuple[str, ...] = ()
    pixels: Literal["memory", "file", "pipe"] = "memory"


class ComputeProcess:
    """Runs calls in a process of its own, which ends with this object.

    Parameters
    ----------
    warm
        Modules that it imports as it starts, so that no call waits for them.
    patience
        How long it is waited for.
    """

    def __init__(
        self, warm: Sequence[str] = (), patience: Patience | None = None
    ) -> None:
        self._warm, self._patience = tuple(warm), patience or Patience()
        self._lock = threading.Lock()
        self._life: Life | None = None
        self._end = weakref.finalize(self, _nothing)
        self._starts, self._lost = 0, False

    def start(self) -> None:
        """Start the process if there is none; return at once."""
        self.life()

    def run(self, call: Call) -> Run:
        """Return the run of a call, which begins with its first `next`.

        One computes at a time, between two of its events; see `turns.Turns`.
        """
        return Run(self, call)

    def stop(self) -> None:
        """End the process, and with it what it runs; the next call starts another.

        Its memory, that of a graphics card included, is free then.
        """
        with self._lock:
            life, self._life, self._lost = self._life, None, False
        if life is not None:
            life.end()

    @property
    def state(self) -> State:
        """How it is with the process now."""
        life = self._life
        if life is None or life.ended.is_set():
            return State("stopped", starts=self._starts)
        kind: Literal["starting", "ready", "busy", "silent"] = "ready"
        if life.silent:
            kind = "silent"
        elif not life.ready.is_set():
            kind = "starting"
        elif life.busy:
            kind = "busy"
        pid = None if life.process is None else life.process.pid
        return State(kind, pid, self._starts, life.doing, life.arena.kind)

    def waited(self, since: float) -> float:
        """Return the seconds from `since` until the process was ready, or 0.

        `since` is a `time.monotonic`.
        """
        life = self._life
        ready = life is not None and life.ready.is_set()
        return max(0.0, life.ready_at - since) if life is not None and ready else 0.0

    def life(self) -> Life:
        """Return the process that runs or starts; one is started if there is none."""
        with self._lock:
            if self._life is None or self._life.ended.is_set():
                self._life = Life(self._warm, self._patience)
                self._starts = self._starts + 1 if self._lost else 1
                self._lost = True  # unless it is stopped on purpose
                self._end.detach()
                self._end = weakref.finalize(self, self._life.end)
            return self._life

    def replace(self, life: Life, why: str) -> None:
        """End a process, for a reason in words, and start another in its place.

        One that was stopped on purpose has no place any more.
        """
        life.kill(why)
        with self._lock:
            if self._life is not life:
                return
            self._life = None
        self.start()


def chosen(warm: Sequence[str]) -> ComputeProcess | None:
    """Return a process, to be started; None if the environment asks for threads.

    From a program that is frozen into one file none can be started.
    """
    if os.environ.get(_CHOICE) == "thread" or getattr(sys, "frozen", False):
        return None
    return ComputeProcess(warm)


def _nothing() -> None:
    """There is nothing to end."""
