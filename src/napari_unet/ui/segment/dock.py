"""The dock U-Net: Segment. It only translates: form, options, job, event, layer."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog, QPushButton

from napari_unet.annotation.calls import calling
from napari_unet.annotation.resegment import Outcome, Request, Step, segmenting
from napari_unet.compute.call import Call
from napari_unet.errors import UNetError
from napari_unet.segmentation.measure import measuring
from napari_unet.ui.dock import Dock
from napari_unet.ui.hints import SEGMENT, told
from napari_unet.ui.job import Job
from napari_unet.ui.layers import as_image, folder_of, looked_at, read_from
from napari_unet.ui.outcome import cancelled_line, result_line
from napari_unet.ui.recording.recording import recording_of
from napari_unet.ui.result_filler import Filler
from napari_unet.ui.result_layer import Result
from napari_unet.ui.segment.diameter import measure_by_line, median_diameter
from napari_unet.ui.segment.form import SegmentForm
from napari_unet.ui.session import session_of
from napari_unet.ui.settings import write_settings
from napari_unet.ui.unapplied import unapplied
from napari_unet.ui.widgets.main_button import MainButton
from napari_unet.ui.widgets.pace import Pace
from napari_unet.ui.widgets.progress import Progress
from napari_unet.ui.widgets.save_path import file_name, whole_name

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["SegmentDock"]


class SegmentDock(Dock):
    """Choose an image and a model, click Segment, and a Labels layer fills."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__(napari_viewer)
        self._session = session_of(self._viewer)
        recording_of(self._viewer)  # results count from when they exist
        self._job: Job | None = None
        self._filler: Filler | None = None
        self._stop_measuring: Callable[[], None] = lambda: None
        self._clicked, self._pace = 0.0, Pace()  # when and how fast the run goes
        self.form = SegmentForm(self._viewer)
        self.view_button = QPushButton("Segment this view")
        self.button = MainButton("Segment")
        self.progress = Progress()
        self._arrange()
        self._connect()
        self._show_state()

    def _arrange(self) -> None:
        self.lay_out(self.form, self.view_button, self.button, self.progress)

    def _connect(self) -> None:
        form, advanced = self.form, self.form.advanced
        self.button.clicked.connect(self._on_button)
        self.view_button.clicked.connect(lambda: self._start(only=True))
        self.progress.save_wanted.connect(self._on_save)
        form.changed.connect(self._show_state)
        advanced.line_wanted.connect(self._on_line_wanted)
        advanced.result_wanted.connect(self._on_result_wanted)
        self._session.keep_up(form.model)
        self._viewer.layers.events.removed.connect(self._on_removed)
        self.destroyed.connect(self._leaving())

    def _leaving(self) -> Callable[[], None]:
        """Return what lets go of the viewer when the dock is gone."""

        def leave() -> None:  # a method would be disconnected by then
            self.form.image.forget()
            self._viewer.layers.events.removed.disconnect(self._on_removed)
            self._session.choosers.remove(self.form.model)
            if self._filler is not None:
                self._filler.release()
            if self._job is not None:  # it is cancelled with the dock
                self._session.forget(self._job)

        return leave

    def _on_button(self) -> None:
        if self._job is None:
            self._start(only=False)
        else:
            self._job.cancel()
            self.progress.say("Cancelling: what is being done is ended...")
            self._show_state()

    def _start(self, *, only: bool) -> None:
        self._stop_measuring()
        self._clicked = time.monotonic()
        try:
            request = self._request(only)
        except UNetError as error:
            self._fail(told(error, SEGMENT))
            return
        self._pace = Pace()
        call = calling(segmenting, request, doing="segmenting")
        job = self._job = Job(call, self, SEGMENT, self._session.process)
        if self._filler is not None:
            self._filler.on_gone = self._on_gone
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
        image = as_image(layer, read_from(layer))
        options = self.form.options()
        result = self._session.result_for(
            layer, self.form.model.source(), options.output, only=only
        )
        if result.taken:
            raise UNetError(
                f"U-Net: Correct works on {result.name} now. Wait until that has "
                "ended, or click Stop there."
            )
        self._filler = Filler(self._viewer, result)
        result.options = options
        if result.layer is not None:
            result.layer.visible = True
        return Request(
            image,
            self.form.model.source(),
            options,
            self._session.models,
            array=result.array if only else None,
            shown=result.array,
            reviews=result.reviews,
            last_id=result.last_id if only else 0,
            view=view.box,
            plane=view.plane,
            only=only,
            link_z=self.form.links(),
        )

    def _on_step(self, step: Step) -> None:
        if not step.progress:
            self.progress.say(f"{step.doing.capitalize()}...")
        if self._filler is not None:
            self._filler.take(step)

    def _on_caught_up(self) -> None:
        filler = self._filler
        if filler is None or self._job is None:
            return
        filler.refresh()
        if filler.step is not None and not self._job.cancelling:
            doing, fraction = filler.step.doing, filler.step.progress
            left = self._pace.left(self._job.elapsed, fraction)
            self.progress.show_fraction(f"{doing.capitalize()}...", fraction, left)

    def _on_finished(self, outcome: Outcome) -> None:
        lines = [""]
        if self._filler is not None:
            self._filler.finish(outcome)
            lines.append(unapplied(self._viewer, self._session, self._filler.result))
        taken, waited = time.monotonic() - self._clicked, self._session.waited
        lines[0] = result_line(outcome, taken, waited(self._clicked))
        self.progress.say("\n".join(filter(None, lines)))
        settings = self.form.settings()
        self._session.in_use = settings.model
        write_settings(settings)  # of a run that worked

    def _on_removed(self, event: Any) -> None:
        """Forget what was said about an image, or labels, that are no more."""
        result = None if self._filler is None else self._filler.result
        if self._job is None and result is not None:
            if event.value in (result.layer, result.source()):
                self.progress.say("")
            self._show_state()

    def _on_gone(self) -> None:
        """Stop what nobody can see any more."""
        if self._job is not None:
            self._job.cancel()
            self._show_state()

    def _on_cancelled(self) -> None:
        filler = self._filler
        if filler is not None and filler.gone:
            self.progress.say("Stopped: the labels were removed.")
            return
        self.progress.say(cancelled_line(filler.step if filler else None))
        if filler is not None:
            filler.stop()

    def _on_failed(self, sentence: str) -> None:
        if self._filler is not None:
            self._filler.stop()
        self._fail(sentence)

    def _fail(self, sentence: str) -> None:
        self.progress.say(sentence, wrong=True)
        show_error(sentence)

    def _on_ended(self) -> None:
        if self._job is not None:
            self._job.deleteLater()
        self._job = None
        if self._filler is not None:
            self._filler.release()
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
        result = None if running or self._filler is None else self._filler.result
        kept = result is not None and (result.table is not None or result.countable)
        self.progress.save.setEnabled(kept)
        if not running:
            self.progress.hint(problem)

    def _on_line_wanted(self) -> None:
        layer = self.form.image.layer()
        if layer is not None:
            self._stop_measuring()
            self.progress.say("Draw a line across a typical object.")
            field = self.form.advanced.diameter
            self._stop_measuring = measure_by_line(self._viewer, layer, field.setValue)

    def _on_result_wanted(self) -> None:
        table = None if self._filler is None else self._filler.result.table
        diameter = None if table is None else median_diameter(table)
        if diameter is None:
            self.progress.say("There are no objects to measure yet. Segment first.")
        else:
            self.form.advanced.diameter.setValue(diameter)

    def _on_save(self) -> None:
        if self._filler is None:
            return
        result = self._filler.result
        place = folder_of(result.source()) / f"{file_name(result.name)}.csv"
        path, _ = QFileDialog.getSaveFileName(
            self, "Save table", str(place), "CSV (*.csv)"
        )
        if path and result.table is None:
            self._measure(result, path)  # it was cancelled before that was done
        elif path:
            self._save(result, path)

    def _measure(self, result: Result, path: str) -> None:
        source, array, options = result.source(), result.array, result.options
        if source not in self._viewer.layers or array is None or options is None:
            self._fail(f"The image of {result.name} was closed: open it again.")
            return
        image, channel = as_image(source), options.channel
        call = Call(measuring, image, array, channel, doing="measuring")
        job = self._job = Job(call, self, SEGMENT, self._session.process)
        job.finished.connect(result.take_table)
        job.finished.connect(lambda _: self._save(result, path))
        job.failed.connect(self._fail)
        job.cancelled.connect(lambda: self.progress.say("Cancelled."))
        job.ended.connect(self._on_ended)
        self.progress.begin("Measuring...")
        self._session.start(job)
        self._show_state()

    def _save(self, result: Result, path: str) -> None:
        try:
            path = whole_name(path, ".csv")
            result.save_table(path)
        except UNetError as error:
            self._fail(told(error, SEGMENT))
        else:
            self.progress.say(f"The table is saved to {path}.")


def _tip(running: bool, problem: str | None) -> str:
    if running:
        return "Stop after this tile; what is done is kept."
    return problem or "Segment the whole image, what is in view first."
