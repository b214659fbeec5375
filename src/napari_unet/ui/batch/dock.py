"""The dock U-Net: Batch. It only translates: files, options, job, event, row."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog

from napari_unet.batch.inputs import find_inputs
from napari_unet.compute.call import Call, Here
from napari_unet.errors import UNetError
from napari_unet.events import BatchReport
from napari_unet.io.suffixes import PICTURES, TIFFS
from napari_unet.ui.batch.form import BatchForm
from napari_unet.ui.batch.messages import (
    ended_line,
    planned_line,
    running_line,
    stopped_line,
)
from napari_unet.ui.batch.plan_preview import Outlook
from napari_unet.ui.batch.results import BatchResults
from napari_unet.ui.batch.rows import BatchRow, BatchRows
from napari_unet.ui.batch.worker import BatchRequest, batching
from napari_unet.ui.dock import Dock
from napari_unet.ui.hints import BATCH, told
from napari_unet.ui.job import Job
from napari_unet.ui.layers import files_of, folder_of
from napari_unet.ui.recording.recording import recording_of
from napari_unet.ui.session import session_of
from napari_unet.ui.settings import write_settings

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["BatchDock"]

_IMAGES = f"Images ({' '.join(f'*{end}' for end in (*TIFFS, *PICTURES))});;All (*)"


class BatchDock(Dock):
    """Many files into one folder, in bounded memory; paused, cancelled, resumed."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__(napari_viewer)
        self._session = session_of(self._viewer)
        recording_of(self._viewer)  # results count from when they exist
        self._job: Job | None = None
        self.rows = BatchRows()
        self.form = BatchForm()
        self.results = BatchResults(self._viewer, self._session, self)
        self.outlook = Outlook(self._foreseen, self._session.process, self)
        self._arrange()
        self._connect()
        self._show_state()

    def dragEnterEvent(self, event: Any) -> None:
        """Take files; napari would open them."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Add the files that were dropped, unless a run is on."""
        names = [url.toLocalFile() for url in event.mimeData().urls()]
        if self._job is None and any(names):
            self.add([Path(name) for name in names if name])
        event.acceptProposedAction()

    def _arrange(self) -> None:
        self.setAcceptDrops(True)
        self.lay_out(self.form, self.form.foot)

    def _connect(self) -> None:
        form = self.form
        form.add_files.clicked.connect(self._on_add_files)
        form.add_folder.clicked.connect(self._on_add_folder)
        form.add_layers.clicked.connect(self._on_add_layers)
        form.remove.clicked.connect(self._on_remove)
        form.table.opened.connect(self._on_open)
        form.table.itemSelectionChanged.connect(self._show_state)
        form.open.clicked.connect(lambda: self._on_open(form.table.chosen()[0]))
        form.edit.clicked.connect(lambda: self._on_edit(form.table.chosen()[0]))
        form.start.clicked.connect(self._on_start)
        form.pause.clicked.connect(self._on_pause)
        form.cancel.clicked.connect(self._on_cancel)
        form.changed.connect(self._on_form)
        self.outlook.planned.connect(self._on_plan)
        self.outlook.caught_up.connect(lambda: form.show_need(self.rows))
        self.outlook.complete.connect(self._on_looked)
        self.outlook.failed.connect(lambda why: form.progress.say(why, wrong=True))
        self.results.failed.connect(self._fail)
        self.results.said.connect(form.progress.say)
        self._session.keep_up(form.model)
        self.destroyed.connect(self._leaving())

    def _leaving(self) -> Callable[[], None]:
        """Return what lets go of the viewer when the dock is gone."""
        session, model = self._session, self.form.model

        def leave() -> None:  # a method would be disconnected by then
            session.choosers.remove(model)
            for job in (self._job, self.results.job):
                if job is not None:  # it is cancelled with the dock
                    session.forget(job)

        return leave

    # --- which files ------------------------------------------------------------------

    def add(self, words: Sequence[Path]) -> None:
        """Add files and folders to the list."""
        try:
            new = self.rows.add(words)
        except UNetError as error:
            self._fail(told(error, BATCH))
            return
        if new:
            self.form.suggest_folder(self.rows.rows[0].source)
        self._on_rows()
        files = f"{new} file{'' if new == 1 else 's'}"
        self.form.progress.say(f"{files} added." if new else "They are there already.")

    def _on_add_files(self) -> None:
        place = self._beside()
        names, _ = QFileDialog.getOpenFileNames(self, "Add files", place, _IMAGES)
        if names:
            self.add([Path(name) for name in names])

    def _on_add_folder(self) -> None:
        place = self._beside()
        name = QFileDialog.getExistingDirectory(self, "Add a folder of images", place)
        if name:
            self.add([Path(name)])

    def _beside(self) -> str:
        """Return the folder of the last file, or of the image that is open."""
        if self.rows.rows:
            return str(self.rows.rows[-1].source.parent)
        return str(folder_of(self._viewer.layers.selection.active))

    def _on_add_layers(self) -> None:
        files, without = files_of(self._viewer)
        if files:
            self.add(files)
        if without:
            self._fail(
                f"In no file yet: {', '.join(without)}. Save with File > Save Selected "
                "Layers, and add the file."
            )
        elif not files:
            self._fail("No image is open. Open one with File > Open.")

    def _on_remove(self) -> None:
        self.rows.remove(self.form.table.chosen())
        self._on_rows()

    def _on_rows(self) -> None:
        self.form.table.show_rows(self.rows.rows)
        self.form.table.clearSelection()
        self._on_form()

    # --- what it will take ------------------------------------------------------------

    def _on_form(self) -> None:
        if self._job is None:
            self.outlook.ask()
        self._show_state()

    def _foreseen(self) -> BatchRequest | None:
        """Return what would be done now; None if there is nothing to look at."""
        if self._job is not None or not self.rows.rows or self.form.problem():
            return None
        return self._request()

    def _on_plan(self, plan: Any) -> None:
        number = self.rows.plan(plan)
        if number is not None:
            self.form.table.show_row(number, self.rows.rows[number])

    def _on_looked(self) -> None:
        self.form.progress.say(planned_line(self.rows))

    # --- the run ----------------------------------------------------------------------

    def _on_start(self) -> None:
        self.outlook.stop()
        try:
            request = self._request()
            self._check_edits(request)
            self.rows.begin(find_inputs(request.inputs), request)
        except UNetError as error:
            self._fail(told(error, BATCH))
            return
        settle = self.results.settling(request.folder)
        run = Call(batching, request, Here(settle), behind=True, doing="batch")
        job = self._job = Job(run, self, BATCH, self._session.process)
        job.yielded.connect(self._on_event)
        job.caught_up.connect(self._on_caught_up)
        job.finished.connect(self._on_finished)
        job.failed.connect(self._fail)
        job.cancelled.connect(self._on_cancelled)
        job.ended.connect(self._on_ended)
        self.form.table.show_rows(self.rows.rows)
        self.form.progress.begin("Loading the model...")
        self._session.fixed.add(request.model)
        self._session.start(job)
        self._show_state()

    def _check_edits(self, request: BatchRequest) -> None:
        """Refuse to replace a file that somebody paints on."""
        if request.options.overwrite and (edits := self.results.edits):
            raise UNetError(
                f"{edits[0].name} is painted on now. Close its layer first, or leave "
                "out 'replace results that are there'."
            )

    def _request(self) -> BatchRequest:
        form = self.form
        inputs = tuple(row.source for row in self.rows.rows)
        return BatchRequest(inputs, form.place(), form.options(), form.model.source())

    def _on_pause(self) -> None:
        if self._job is None:
            return
        (self._job.resume if self._job.paused else self._job.pause)()
        self._show_progress()
        self._show_state()

    def _on_cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()
            self.form.progress.say("Cancelling: the tiles that run now are finished...")
            self._show_state()

    def _on_event(self, event: Any) -> None:
        if self._job is not None:
            number = self.rows.take(event, self._job.elapsed)
            self.form.table.show_row(number, self.rows.rows[number])
            self.form.table.follow(number)

    def _on_caught_up(self) -> None:
        if self._job is not None and not self._job.cancelling:
            self._show_progress()

    def _show_progress(self) -> None:
        rows, paused = self.rows, self._job is not None and self._job.paused
        left = None if paused else rows.remaining
        text = running_line(rows, paused=paused)
        self.form.progress.show_fraction(text, rows.fraction, left)

    def _on_finished(self, report: BatchReport) -> None:
        self.form.progress.say(ended_line(report, self.form.place()))
        self.form.advanced.overwrite.setChecked(False)  # once is what was asked for
        write_settings(self.form.settings())  # of a run that worked

    def _on_cancelled(self) -> None:
        self.form.progress.say(stopped_line(self.rows))

    def _fail(self, sentence: str) -> None:
        self.form.progress.say(sentence, wrong=True)
        show_error(sentence)

    def _on_ended(self) -> None:
        if self._job is not None:
            self._job.deleteLater()
        self._job = None
        self.rows.stop()
        self.form.table.show_rows(self.rows.rows)
        self.form.progress.idle()
        self._show_state()

    # --- results ----------------------------------------------------------------------

    def _on_open(self, number: int) -> None:
        self._with_run(self.results.open, self.rows.rows[number])

    def _on_edit(self, number: int) -> None:
        self._with_run(self.results.edit, self.rows.rows[number])

    def _with_run(
        self, show: Callable[[BatchRow, BatchRequest], None], row: BatchRow
    ) -> None:
        """Show the result of a row, which this or an earlier session made."""
        try:
            show(row, row.run or self._request())
        except UNetError as error:
            self._fail(told(error, BATCH))

    def _show_state(self) -> None:
        """Let the buttons follow jobs, rows and form; nobody else does."""
        self.form.follow(self.rows, self._job)
