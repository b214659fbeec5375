"""A generator in a background thread, whose events reach the GUI thread.

Jobs of the docks run in a thread here alone, or in the compute process, which a thread
here serves meanwhile. It touches no Qt object at all: it fills a bounded queue that a
timer in the GUI thread empties, so a viewer that is closed, or slower than the work,
does no harm.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_unet.compute.call import STILL, Call
from napari_unet.compute.process import ComputeProcess
from napari_unet.compute.run import JobError, Run
from napari_unet.errors import UNetError
from napari_unet.ui.hints import Names, told

__all__ = ["Job", "Work"]

Work = Callable[[], Generator[Any, None, Any]]
_Steps = Generator[Any, None, Any] | Run

_log = logging.getLogger(__name__)
_TICK = 100  # ms between two looks at what has arrived: ten refreshes a second
_AHEAD = 256  # events that may wait; then the thread waits for the viewer
_NAP = 0.1  # seconds between two looks of a paused job at whether it is wanted still
_BATCH = 0.05  # seconds of events that are shown in one tick


class Job(QObject):
    """Work that runs in a thread, as a handful of signals in the GUI thread.

    Whatever happens, exactly one of `finished`, `failed` and `cancelled` is emitted,
    and `ended` once after it.

    Attributes
    ----------
    started
        The thread runs.
    yielded
        One object that the work yielded.
    caught_up
        All that has arrived so far was emitted; at most ten times a second.
    finished
        The work's return value.
    failed
        A sentence for the user.
    cancelled
        The work was closed on request.
    ended
        Always the last one.
    """

    started = Signal()
    yielded = Signal(object)  # QObject has a method event
    caught_up = Signal()
    finished = Signal(object)
    failed = Signal(str)
    cancelled = Signal()
    ended = Signal()

    def __init__(
        self,
        work: Work,
        parent: QObject | None = None,
        names: Names | None = None,
        process: ComputeProcess | None = None,
    ) -> None:
        """Prepare to run what `work` returns; it is called in the thread.

        `names` are those that a failure uses for what would help; `process` runs the
        work if it is a `Call` that may run apart.
        """
        super().__init__(parent)
        run: Callable[[], _Steps] = work
        if process is not None and isinstance(work, Call) and work.apart:
            run = partial(process.run, work)
        self._worker = _Worker(run, names or {})
        self.destroyed.connect(self._worker.stop.set)  # with its dock, or the viewer
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK)
        self._timer.timeout.connect(self._tick)
        self._started_at = self._stopped_at = 0.0
        self._paused_at = self._rested = 0.0

    def start(self) -> None:
        """Start the thread; a job runs once."""
        self._started_at = time.monotonic()
        self._worker.thread.start()
        self._timer.start()
        self.started.emit()

    def cancel(self) -> None:
        """Ask the work to stop after the step that it is in."""
        self._worker.stop.set()

    def pause(self) -> None:
        """Let the work rest after the step that it is in, until `resume`."""
        if not self.paused:
            self._paused_at = time.monotonic()
            self._worker.awake.clear()

    def resume(self) -> None:
        """Let the work go on."""
        if self.paused:
            self._rested += time.monotonic() - self._paused_at
            self._worker.awake.set()

    @property
    def paused(self) -> bool:
        """Whether `pause` was called, and `resume` was not yet."""
        return not self._worker.awake.is_set()

    @property
    def running(self) -> bool:
        """Whether the job was started and has not ended."""
        return self._timer.isActive()

    @property
    def cancelling(self) -> bool:
        """Whether `cancel` was called."""
        return self._worker.stop.is_set()

    @property
    def elapsed(self) -> float:
        """Seconds since the start, until the end; pauses do not count."""
        now = self._stopped_at or time.monotonic()
        if self.paused:
            now = self._paused_at
        return now - self._started_at - self._rested

    def _tick(self) -> None:
        ended = not self._worker.thread.is_alive()  # before the queue is emptied
        until = time.monotonic() + _BATCH
        arrived = False
        while ended or time.monotonic() < until:
            try:
                event = self._worker.events.get_nowait()
            except queue.Empty:
                break
            arrived = True
            self.yielded.emit(event)
        if arrived:
            self.caught_up.emit()
        if ended:
            self._end()

    def _end(self) -> None:
        self._timer.stop()
        self._stopped_at = time.monotonic()
        worker = self._worker
        try:
            if worker.failure is not None:
                self.failed.emit(worker.failure)
            elif worker.complete:
                self.finished.emit(worker.result)
            else:
                self.cancelled.emit()
        finally:
            worker.forget()
            self.ended.emit()


def _nothing() -> Generator[Any, None, Any]:
    yield from ()


class _Worker:
    """The thread's side of a job; knows nothing of Qt."""

    def __init__(self, work: Callable[[], _Steps], names: Names) -> None:
        self.work, self.names = work, names
        self.events: queue.Queue[Any] = queue.Queue(_AHEAD)
        self.stop, self.awake = threading.Event(), threading.Event()
        self.awake.set()
        self.result: Any = None
        self.complete = False
        self.failure: str | None = None
        # No daemon: Python must not be torn down under a running net.
        self.thread = threading.Thread(target=self._run, name="napari-unet job")

    def forget(self) -> None:
        """Let go of image and result: a job is remembered longer than it runs."""
        self.work, self.result = _nothing, None

    def _run(self) -> None:
        try:
            with contextlib.closing(self.work()) as steps:
                self._drive(steps)
        except UNetError as error:
            self.failure = told(error, self.names)
        except MemoryError:
            self.failure = (
                "There is too little memory for this. Close other programs, or allow "
                "less in 'Memory'."
            )
        except JobError as error:
            _log.error("A job failed in the compute process.\n%s", error.trace)
            self.failure = _unexpected(str(error))
        except Exception as error:  # noqa: BLE001 - the border to the user
            _log.exception("A job failed.")
            self.failure = _unexpected(f"{type(error).__name__}: {error}")

    def _drive(self, steps: _Steps) -> None:
        while not self._unwanted(steps):
            try:
                event = next(steps)
            except StopIteration as stop:
                self.result, self.complete = stop.value, True
                return
            if event is not STILL:
                self._offer(event)
        if isinstance(steps, Run):
            if not threading.main_thread().is_alive():
                steps.leave()
            for event in steps.remaining():
                self._offer(event)

    def _offer(self, event: Any) -> None:
        while True:
            with contextlib.suppress(queue.Full):
                return self.events.put(event, timeout=0.1)
            if not threading.main_thread().is_alive():
                return None
            if self.stop.is_set():  # kept, so that the work done can be seen
                with contextlib.suppress(queue.Full):
                    self.events.put(event, timeout=1.0)
                return None

    def _unwanted(self, steps: _Steps) -> bool:
        """Whether to stop; waits while the job is paused.

        One in the process rests there: others need what it would hold up here.
        """
        if isinstance(steps, Run):
            steps.rest(rests=not self.awake.is_set())
            return self.stop.is_set() or not threading.main_thread().is_alive()
        while not self.stop.is_set() and threading.main_thread().is_alive():
            if self.awake.wait(_NAP):
                return False
        return True


def _unexpected(what: str) -> str:
    what = what.strip().rstrip(".:")
    return f"Something unexpected went wrong ({what}). Try again."
