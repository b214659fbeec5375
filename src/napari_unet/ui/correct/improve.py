"""Controls for Improve, Stop, Undo improvement and Save model as..."""

import math
import threading
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog

from napari_unet._files import read_whole, write_whole
from napari_unet.annotation.improve import improving, warm_up
from napari_unet.annotation.improved import Improved, ImproveRequest, Learned
from napari_unet.annotation.keep_learning import Renewed
from napari_unet.annotation.models import source_of
from napari_unet.errors import UNetError
from napari_unet.options import TrainOptions
from napari_unet.project.project import Project
from napari_unet.ui.correct.form import CorrectForm
from napari_unet.ui.correct.keep_learning import KeepLearning
from napari_unet.ui.correct.messages import improved_line
from napari_unet.ui.correct.missing_classes import lacking
from napari_unet.ui.correct.state import CorrectionState
from napari_unet.ui.correct.task import Task
from napari_unet.ui.correct.unpainted_classes import listed
from napari_unet.ui.recording.recorder import note_model
from napari_unet.ui.result_filler import Filler
from napari_unet.ui.result_layer import Result
from napari_unet.ui.session import Session
from napari_unet.ui.settings import read_settings, write_settings
from napari_unet.ui.widgets.save_path import whole_name

__all__ = ["ImproveController"]


class ImproveController(QObject):
    """Models of a project: made, taken into use, taken back, saved.

    Attributes
    ----------
    wanted
        The view shall be segmented: what the user reads meanwhile, and the model.
    compared, compared_in, compared_by
        What the last improvement fixed and broke, in which project, and the model.
    learnt_in
        The project of the last training.
    """

    wanted = Signal(str, str)

    def __init__(
        self,
        viewer: Any,
        session: Session,
        form: CorrectForm,
        desk: CorrectionState,
        task: Task,
        afterwards: KeepLearning,
    ) -> None:
        super().__init__(form)
        self._viewer, self._session = viewer, session
        self._form, self._desk, self._task = form, desk, task
        self._afterwards = afterwards
        self.compared: list[Any] = []
        self.compared_in: Project | None = None
        self.compared_by = ""
        self.learnt_in: Project | None = None
        self._warm = False
        form.improve.clicked.connect(self._on_asked)
        form.lacking.anyway.clicked.connect(self._on_improve)
        form.stop.clicked.connect(task.stop)
        form.undo.clicked.connect(self._on_undo)
        form.history.wanted.connect(self._use)
        form.save.clicked.connect(self._on_save)
        task.yielded.connect(self._on_event)
        afterwards.renewed.connect(self._on_renewed)

    def warm_up(self) -> None:
        """Load what the first lesson needs, once, while people paint."""
        if not self._warm:
            self._warm = True
            threading.Thread(target=warm_up, name="napari-unet warm-up").start()

    def _on_asked(self) -> None:
        """Improve, unless the model would see nothing of a class."""
        if self._desk.correcting is not None:
            self._desk.correcting.settle()  # the stroke of the moment before counts
        rows = lacking(self._desk)
        if rows:
            names = listed([row.name for row in rows], "and")
            self._form.progress.say(
                f"Improve waits for a stroke of {names}: see above."
            )
        else:
            self._on_improve()

    def _on_improve(self) -> None:
        desk = self._desk
        result, project, correcting = desk.result, desk.project, desk.correcting
        if result is None or project is None or correcting is None:
            return
        correcting.settle()
        self._task.attempt(correcting.note_seen)
        view = self._task.attempt(lambda: desk.view(desk.model, result))
        if view is None:
            return
        seconds = float(self._form.seconds.value())
        options = TrainOptions(seconds, view.options.device)
        before = self._afterwards.end()
        request = ImproveRequest(project, view, options, before=before)
        self._form.curve.begin()
        self.learnt_in = project
        self._task.start(
            "Improving",
            lambda: improving(request),
            lambda improved: self._on_improved(improved, result, project),
            filler=Filler(self._viewer, result, later=True),
            stop=request.stop.set,
        )
        self._form.progress.say("Reading the strokes...")

    def _on_event(self, event: Any) -> None:
        form = self._form
        if isinstance(event, Learned):
            loss = event.loss if event.step else math.nan  # of the fit: another loss
            if self._desk.project is self.learnt_in:
                form.curve.add(event.seconds, loss, event.score)
            left = event.seconds * (1 / max(event.fraction, 1e-3) - 1)
            left = max(min(left, form.seconds.value() - event.seconds), 0)
            doing = "Stopping..." if self._task.stopping else "Improving..."
            form.progress.show_fraction(doing, event.fraction, left)
        elif hasattr(event, "fraction"):
            form.progress.show_fraction(self._task.doing + "...", event.fraction, None)

    def _on_improved(
        self, improved: Improved, result: Result, project: Project
    ) -> None:
        if self._desk.project is project:
            self._form.curve.finish(improved.before, improved.after)
        self._form.progress.say(improved_line(improved))
        if improved.published:
            result.rename(improved.path)
            self.compared, self.compared_in = improved.compared, project
            self.compared_by = improved.path
            self._session.announce(improved.path)
            self._task.attempt(lambda: note_model(project, improved.name))
        self._afterwards.begin(improved, result, project)

    def _on_renewed(self, renewed: Renewed, new: bool) -> None:
        """Note a model that came after Improve had found none."""
        project = self._desk.project
        if new and project is not None:
            self._task.attempt(lambda: note_model(project, renewed.name))

    def _on_undo(self) -> None:
        record = self._desk.record
        if record is not None:
            self._use(record.parent)

    def _use(self, name: str) -> None:
        """Use another model of the history, and show what it makes of the view."""
        project = self._desk.project
        if project is None or self._task.doing:
            return
        source = source_of(project, name)
        self.wanted.emit(f"Going back to {Path(name).stem}", source)

    def _on_save(self) -> None:
        record, project = self._desk.record, self._desk.project
        if record is None or project is None:
            return
        path, _ = QFileDialog.getSaveFileName(
            self._form,
            "Save model",
            str(project.folder.parent / f"{record.name}.safetensors"),
            "U-Net (*.safetensors)",
        )
        if path:
            self._copy(project.model_file(record.name), path)

    def _copy(self, file: Path, path: str) -> None:
        try:
            path = whole_name(path, ".safetensors")
            write_whole(Path(path), read_whole(file))
        except (UNetError, FileNotFoundError) as error:
            self._task.fail(str(error))
            return
        self._session.offer(path)  # whoever chose it would lose the strokes from view
        write_settings(read_settings().listing(path))
        self._form.progress.say(
            f"Saved to {path}. It is in the list of U-Net: Segment, too."
        )
