"""The dock U-Net: Segment. It only translates: form, options, job, event, layer."""

from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_unet.errors import UNetError

from .diameter import measure_by_line, median_diameter
from .form import SegmentForm
from .job import Job
from .layers import as_image, looked_at
from .outcome import about, cancelled_line, result_line
from .progress import Progress
from .result import Result
from .segmenting import Outcome, Request, Step, segmenting
from .session import session_of
from .settings import write_settings

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["SegmentDock"]


class SegmentDock(QWidget):
    """Choose an image and a model, click Segment, and a Labels layer fills."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        # Plugins get a proxy; layers taken from it would not be those of the viewer.
        self._viewer: Any = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self._session = session_of(self._viewer)
        self._job: Job | None = None
        self._result: Result | None = None
        self._step: Step | None = None
        self.form = SegmentForm(self._viewer)
        self.view_button = QPushButton("Segment this view")
        self.button = QPushButton("Segment")
        self.progress = Progress()
        self._arrange()
        self._connect()
        self._show_state()

    def _arrange(self) -> None:
        self.setMinimumWidth(370)  # so that nothing in Advanced is cut off
        self.button.setMinimumHeight(34)
        font = self.button.font()
        font.setBold(True)
        self.button.setFont(font)
        layout = QVBoxLayout(self)
        for widget in (self.form, self.view_button, self.button, self.progress):
            layout.addWidget(widget)
        layout.addStretch(1)

    def _connect(self) -> None:
        form, advanced = self.form, self.form.advanced
        self.button.clicked.connect(self._on_button)
        self.view_button.clicked.connect(lambda: self._start(only=True))
        self.progress.save_wanted.connect(self._on_save)
        form.changed.connect(self._show_state)
        advanced.line_wanted.connect(self._on_line_wanted)
        advanced.result_wanted.connect(self._on_result_wanted)
        chooser = form.image
        self.destroyed.connect(lambda: chooser.forget())

    def _on_button(self) -> None:
        if self._job is None:
            self._start(only=False)
        else:
            self._job.cancel()
            self._show_state()

    def _start(self, *, only: bool) -> None:
        try:
            request = self._request(only)
        except UNetError as error:
            self._fail(str(error))
            return
        self._step = None
        job = self._job = Job(lambda: segmenting(request), self)
        job.yielded.connect(self._on_step)
        job.caught_up.connect(self._on_caught_up)
        job.finished.connect(self._on_finished)
        job.failed.connect(self._on_failed)
        job.cancelled.connect(self._on_cancelled)
        job.ended.connect(self._on_ended)
        self.progress.begin("Loading the model...")
        self._session.start(job)
        self._show_state()

    def _request(self, only: bool) -> Request:
        """Return what the form asks for, and bind the result to the chosen layer."""
        layer: Any = self.form.image.layer()
        view = looked_at(self._viewer, layer)
        image = as_image(layer)
        options = self.form.options()
        self._result = self._session.result_for(
            layer, self.form.model.source(), options.output if only else None
        )
        self._result.lock(True)  # strokes would be painted over
        return Request(
            image,
            self.form.model.source(),
            options,
            self._session.models,
            array=self._result.array if only else None,
            last_id=self._result.last_id if only else 0,
            view=view.box,
            plane=view.plane,
            only=only,
        )

    def _on_step(self, step: Step) -> None:
        self._step = step
        if self._result is not None:
            self._result.show(self._viewer, step.array)
            self._result.lock(True)
            if step.key is not None:
                self._result.add(step.key)

    def _on_caught_up(self) -> None:
        if self._result is not None:
            self._result.refresh()
        if self._job is not None and self._step is not None:
            step = self._step
            self.progress.show_step(step, self._job.remaining(step.done, step.total))

    def _on_finished(self, outcome: Outcome) -> None:
        if self._result is not None:
            self._result.complete(about(outcome), outcome)
        self.progress.say(result_line(outcome))
        write_settings(self.form.settings())  # of a run that worked

    def _on_cancelled(self) -> None:
        if self._result is not None and self._step is not None:
            self._result.stopped(self._step.last_id)
        self.progress.say(cancelled_line(self._step))

    def _on_failed(self, sentence: str) -> None:
        if self._result is not None and self._step is not None:
            self._result.stopped(self._step.last_id)
        self._fail(sentence)

    def _fail(self, sentence: str) -> None:
        self.progress.say(sentence, wrong=True)
        show_error(sentence)

    def _on_ended(self) -> None:
        if self._job is not None:
            self._job.deleteLater()
        self._job = None
        if self._result is not None:
            self._result.lock(False)
        self.progress.idle()
        self._show_state()

    def _show_state(self) -> None:
        """Let buttons and lines follow the job and the form; nobody else does."""
        problem = self.form.problem()
        running = self._job is not None
        cancelling = self._job is not None and self._job.cancelling
        text = "Cancelling..." if cancelling else "Cancel" if running else "Segment"
        self.button.setText(text)
        self.button.setEnabled(not cancelling and (running or problem is None))
        self.button.setToolTip(_tip(running, problem))
        self.view_button.setEnabled(not running and problem is None)
        self.view_button.setToolTip(
            problem or "Segment only what is in view now, to try settings."
        )
        table = None if running or self._result is None else self._result.table
        self.progress.save.setEnabled(table is not None)
        if not running:
            self.progress.hint(problem)

    def _on_line_wanted(self) -> None:
        layer = self.form.image.layer()
        if layer is not None:
            self.progress.say("Draw a line across a typical object. The last counts.")
            measure_by_line(self._viewer, layer, self.form.advanced.diameter.setValue)

    def _on_result_wanted(self) -> None:
        table = None if self._result is None else self._result.table
        diameter = None if table is None else median_diameter(table)
        if diameter is None:
            self.progress.say("There are no objects to measure yet. Segment first.")
        else:
            self.form.advanced.diameter.setValue(diameter)

    def _on_save(self) -> None:
        if self._result is None:
            return
        path, _ = QFileDialog.getSaveFileName(
            self, "Save table", f"{self._result.name}.csv", "CSV (*.csv)"
        )
        try:
            if path:
                self._result.save_table(path)
        except UNetError as error:
            self._fail(str(error))


def _tip(running: bool, problem: str | None) -> str:
    if running:
        return "Stop after this tile; what is done is kept."
    return problem or "Segment the whole image, what is in view first."
