"""Controls for Improve, Undo improvement and Save model as..."""

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_unet._files import read_whole, write_whole
from napari_unet.annotation.calls import far
from napari_unet.annotation.improve import improving, warming_up
from napari_unet.annotation.improved import Improved, ImproveRequest, Learned
from napari_unet.annotation.lessons import LessonHandle
from napari_unet.annotation.models import source_of
from napari_unet.annotation.project_link import ProjectLink
from napari_unet.compute.call import Call, Here
from napari_unet.errors import UNetError
from napari_unet.options import TrainOptions
from napari_unet.project.project import Project
from napari_unet.ui.correct.messages import improved_line
from napari_unet.ui.correct.state import Comparison, CorrectionState
from napari_unet.ui.correct.task import Task
from napari_unet.ui.hints import CORRECT
from napari_unet.ui.job import Job
from napari_unet.ui.recording.recorder import note_model
from napari_unet.ui.result_filler import Filler
from napari_unet.ui.result_layer import Result
from napari_unet.ui.settings import read_settings, write_settings
from napari_unet.ui.widgets.save_path import whole_name

__all__ = ["ImproveController"]


class ImproveController(QObject):
    """Models of a project: made, taken into use, taken back, saved.

    Attributes
    ----------
    began
        A training began.
    stepped
        Seconds, loss and score of a step of it.
    scored
        Its end: the scores of the model before and of the one in use.
    improved
        What it came to (`Improved`), the result, and the project.
    wanted
        The view shall be segmented: what the user reads meanwhile, and the model.
    """

    began = Signal()
    stepped = Signal(float, float, float)
    scored = Signal(float, float)
    improved = Signal(object, object, object)
    wanted = Signal(str, str)

    def __init__(self, state: CorrectionState, task: Task, parent: QWidget) -> None:
        super().__init__(parent)
        self._state, self._task, self._parent = state, task, parent
        self._seconds = 0.0  # that the training may take
        self._warm = False
        task.yielded.connect(self._on_event)

    def warm_up(self) -> None:
        """Load what the first lesson needs, once, while people paint."""
        if not self._warm:
            self._warm = True
            call = Call(warming_up, behind=True, doing="preparing to learn", quiet=True)
            job = Job(call, self, CORRECT, self._state.session.process)
            job.ended.connect(job.deleteLater)
            job.start()

    def start(
        self, seconds: float, previous: Callable[[], LessonHandle | None]
    ) -> None:
        """Learn from all strokes of the project, for so many seconds at most.

        Parameters
        ----------
        previous
            Ends the previous lesson, and returns it.
        """
        state = self._state
        result, project, correcting = state.result, state.project, state.correcting
        if result is None or project is None or correcting is None:
            return
        correcting.settle()
        self._task.attempt(correcting.note_seen)
        view = self._task.attempt(lambda: state.view(state.model, result))
        if view is None:
            return
        stop = threading.Event()
        request = ImproveRequest(
            ProjectLink(project),
            far(view),
            TrainOptions(seconds, view.options.device),
            Here(stop.is_set),
            previous(),
            state.session.lessons,
        )
        self._seconds, state.learned_in = seconds, project
        self.began.emit()
        self._task.start(
            "Improving",
            Call(improving, request, apart=view.portable, doing="improving"),
            lambda improved: self._on_improved(improved, result, project),
            filler=Filler(state.viewer, result, later=True),
            stop=stop.set,
        )
        self._task.say("Reading the strokes...")

    def _on_event(self, event: Any) -> None:
        task = self._task
        if isinstance(event, Learned):
            loss = event.loss if event.step else math.nan  # of the fit: another loss
            if self._state.project is self._state.learned_in:
                self.stepped.emit(event.seconds, loss, event.score)
            left = event.seconds * (1 / max(event.fraction, 1e-3) - 1)
            left = max(min(left, self._seconds - event.seconds), 0)
            doing = "Stopping..." if task.stopping else "Improving..."
            task.show(doing, event.fraction, left)
        elif hasattr(event, "fraction"):
            task.show(f"{task.doing}...", event.fraction)

    def _on_improved(
        self, improved: Improved, result: Result, project: Project
    ) -> None:
        if self._state.project is project:
            self.scored.emit(improved.before, improved.after)
        self._task.say(improved_line(improved))
        if improved.published:
            result.rename(improved.path)
            found = tuple(improved.compared)
            self._state.comparison = Comparison(project, improved.path, found)
            self._state.session.announce(improved.path)
            self._task.attempt(lambda: note_model(project, improved.name))
        self.improved.emit(improved, result, project)

    def undo(self) -> None:
        """Use the model again that the one in use was improved from."""
        record = self._state.record
        if record is not None:
            self.use(record.parent)

    def use(self, name: str) -> None:
        """Use another model of the history, and show what it makes of the view."""
        project = self._state.project
        if project is None or self._task.doing:
            return
        source = source_of(project, name)
        self.wanted.emit(f"Going back to {Path(name).stem}", source)

    def save(self) -> None:
        """Write the model in use as a file of its own, where the user says."""
        record, project = self._state.record, self._state.project
        if record is None or project is None:
            return
        path, _ = QFileDialog.getSaveFileName(
            self._parent,
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
        # Offered, not chosen: whoever chose it would lose the strokes from view.
        self._state.session.offer(path)
        write_settings(read_settings().listing(path))
        self._task.say(f"Saved to {path}. It is in the list of U-Net: Segment, too.")
