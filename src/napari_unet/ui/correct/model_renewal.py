"""Replacing the model in use by a better one, on disk and on screen."""

from typing import Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_unet.annotation.keep_learning import Better, renewing
from napari_unet.annotation.resegment import Outcome, Step
from napari_unet.compute.call import Call
from napari_unet.ui.hints import CORRECT
from napari_unet.ui.job import Job
from napari_unet.ui.result_filler import Filler
from napari_unet.ui.result_layer import Result
from napari_unet.ui.session import Session

__all__ = ["Renewal"]


class Renewal(QObject):
    """Runs the job that writes a better model and segments the view with it.

    Attributes
    ----------
    done
        It is in its place: a `Renewed`.
    failed
        A sentence for the user.
    ended
        Always the last one.
    """

    done = Signal(object)
    failed = Signal(str)
    ended = Signal()

    def __init__(self, viewer: Any, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._session = viewer, session
        self._job: Job | None = None
        self._filler: Filler | None = None

    @property
    def running(self) -> bool:
        """Whether one is on its way."""
        return self._job is not None

    def start(self, better: Better, result: Result) -> None:
        """Begin; the labels are locked only while tiles arrive."""
        work = Call(renewing, better, apart=better.view.portable, doing="segmenting")
        job = self._job = Job(work, self, CORRECT, self._session.process)
        filler = self._filler = Filler(self._viewer, result, later=True)
        job.yielded.connect(lambda event: _fill(filler, event))
        job.caught_up.connect(filler.refresh)
        job.finished.connect(self.done)
        job.failed.connect(self.failed)
        job.ended.connect(self._on_ended)
        self._session.start(job)

    def leave(self) -> None:
        """Let go of everything: the dock is gone, and with it what runs."""
        job, filler, self._job, self._filler = self._job, self._filler, None, None
        if filler is not None:
            filler.release()
        if job is not None:
            self._session.forget(job)

    def _on_ended(self) -> None:
        job, filler, self._job, self._filler = self._job, self._filler, None, None
        if filler is not None:
            filler.stop()
            filler.release()
        if job is not None:
            job.deleteLater()
        self.ended.emit()


def _fill(filler: Filler, event: object) -> None:
    if isinstance(event, Step):
        filler.take(event)
    elif isinstance(event, Outcome):
        filler.finish(event)
