"""Plan preview: what a batch will take, predicted while the form is filled in."""

from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_unet.compute.call import Call
from napari_unet.compute.process import ComputeProcess
from napari_unet.ui.batch.worker import BatchRequest, looking
from napari_unet.ui.hints import BATCH
from napari_unet.ui.job import Job

__all__ = ["Outlook"]

_CALM = 400  # ms without a change before the files are looked at


class Outlook(QObject):
    """Looks at all files once nothing was changed for a moment.

    Attributes
    ----------
    planned
        What one file will take; a `FilePlan`.
    caught_up
        All plans that are known so far were told.
    complete
        All files were looked at.
    failed
        A sentence: nothing can be done at all.
    """

    planned = Signal(object)
    caught_up = Signal()
    complete = Signal()
    failed = Signal(str)

    def __init__(
        self,
        request: Callable[[], BatchRequest | None],
        process: ComputeProcess | None,
        parent: QObject,
    ) -> None:
        """Prepare to look at what `request` returns by then; None is nothing."""
        super().__init__(parent)
        self._request, self._process = request, process
        self._job: Job | None = None
        self._calm = QTimer(self)
        self._calm.setSingleShot(True)
        self._calm.setInterval(_CALM)
        self._calm.timeout.connect(self._look)

    @property
    def busy(self) -> bool:
        """Whether something is not looked at yet."""
        return self._calm.isActive() or self._job is not None

    def ask(self) -> None:
        """Look at everything again, a moment after the last change."""
        self._calm.start()

    def stop(self) -> None:
        """Look no more; what is not told yet is not told."""
        self._calm.stop()
        job, self._job = self._job, None
        if job is not None:
            job.yielded.disconnect()
            job.cancel()

    def _look(self) -> None:
        self.stop()
        request = self._request()
        if request is None:
            return
        call = Call(looking, request, behind=True, doing="looking at files", quiet=True)
        job = self._job = Job(call, self, BATCH, self._process)
        job.yielded.connect(self.planned)
        job.caught_up.connect(self.caught_up)
        job.finished.connect(lambda _: self.complete.emit())
        job.failed.connect(self.failed)
        job.ended.connect(lambda: self._on_ended(job))
        job.start()

    def _on_ended(self, job: Job) -> None:
        job.deleteLater()
        if self._job is job:
            self._job = None
