"""Task runner of U-Net: Correct: one job at a time, with its progress."""

from collections.abc import Callable
from typing import Any, TypeVar

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_unet.annotation.resegment import Outcome, Step
from napari_unet.errors import UNetError
from napari_unet.ui.hints import CORRECT, told
from napari_unet.ui.job import Job, Work
from napari_unet.ui.result_filler import Filler
from napari_unet.ui.session import Session
from napari_unet.ui.widgets.progress import Progress

__all__ = ["Task"]

_T = TypeVar("_T")


class Task(QObject):
    """Runs verbs, one after the other, and shows how far they are.

    Attributes
    ----------
    changed
        Something began or ended.
    yielded
        What a work yields; `Step` and `Outcome` went into the result already.
    doing
        What runs now; empty if nothing does.
    """

    changed = Signal()
    yielded = Signal(object)

    def __init__(self, session: Session, progress: Progress, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._progress = session, progress
        self._job: Job | None = None
        self._filler: Filler | None = None
        self._stop: Callable[[], None] | None = None
        self.doing = self._failure = ""
        self.stopping = False

    def start(
        self,
        doing: str,
        work: Work,
        done: Callable[[Any], None],
        *,
        filler: Filler | None = None,
        stop: Callable[[], None] | None = None,
    ) -> None:
        """Run a work, beside the viewer.

        Parameters
        ----------
        doing
            What the user reads meanwhile.
        done
            Called with what the work returns.
        filler
            Takes the steps of a segmentation.
        stop
            How the work is asked to end early, with what it has; None: it is cancelled.
        """
        job = self._job = Job(work, self, CORRECT, self._session.process)
        self._filler, self._stop = filler, stop
        self.doing, self.stopping = doing, False
        if filler is not None and stop is None and filler.result.layer is not None:
            filler.on_gone = self.stop
        job.yielded.connect(self._on_event)
        job.caught_up.connect(self._on_caught_up)
        job.finished.connect(done)
        job.failed.connect(self._on_failed)
        job.cancelled.connect(lambda: self.say("Cancelled."))
        job.ended.connect(self._on_ended)
        self._progress.begin(f"{doing}...")
        self._session.start(job)
        self.changed.emit()

    def stop(self) -> None:
        """Ask what runs to end early."""
        if self._job is not None:
            self.stopping = True
            self.say("Stopping...")
            (self._stop or self._job.cancel)()
            self.changed.emit()

    def leave(self) -> None:
        """Let go of everything: the dock is gone, and with it what runs."""
        job, filler, self._job, self._filler = self._job, self._filler, None, None
        if filler is not None:
            filler.release()
        if job is not None:
            self._session.forget(job)

    @property
    def line(self) -> str:
        """What is said now."""
        return self._progress.line.text()

    def say(self, text: str) -> None:
        """Say something in place of what was said before."""
        self._progress.say(text)

    def unsay(self, text: str) -> None:
        """Say nothing, if this is what is said still."""
        if text and self.line == text:
            self.say("")

    def show(self, doing: str, fraction: float, left: float | None = None) -> None:
        """Show how far it is, 0 to 1, and the seconds that are left, if known."""
        self._progress.show_fraction(doing, fraction, left)

    def attempt(self, prepare: Callable[[], _T]) -> _T | None:
        """Return what `prepare` returns; None, and its sentence, if it cannot."""
        try:
            return prepare()
        except UNetError as error:
            self.fail(told(error, CORRECT))
            return None

    def fail(self, sentence: str) -> None:
        """Tell that something went wrong."""
        self._progress.say(sentence, wrong=True)
        show_error(sentence)

    def forgive(self) -> None:
        """Take back why the last job failed: the user does something about it."""
        self.unsay(self._failure)

    def _on_failed(self, sentence: str) -> None:
        self._failure = sentence
        self.fail(sentence)

    def _on_event(self, event: object) -> None:
        filler = self._filler
        if filler is not None and isinstance(event, Step):
            filler.take(event)
        elif filler is not None and isinstance(event, Outcome):
            filler.finish(event)
        self.yielded.emit(event)

    def _on_caught_up(self) -> None:
        if self._filler is not None:
            self._filler.refresh()

    def _on_ended(self) -> None:
        if self._job is not None:
            self._job.deleteLater()
        if self._filler is not None:
            self._filler.stop()
            self._filler.release()
        self._job = self._filler = self._stop = None
        self.doing, self.stopping = "", False
        self._progress.idle()
        self.changed.emit()
