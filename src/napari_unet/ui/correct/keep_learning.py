"""Controls for background training after Improve, and for its better models."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_unet.annotation.improved import Improved
from napari_unet.annotation.keep_learning import Better, Renewed, continuing
from napari_unet.errors import UNetError
from napari_unet.project.project import Project
from napari_unet.ui.correct.form import CorrectForm
from napari_unet.ui.correct.learning_line import (
    kept_line,
    over_line,
    quiet_line,
    stopped_line,
)
from napari_unet.ui.correct.model_renewal import Renewal
from napari_unet.ui.correct.state import CorrectionState
from napari_unet.ui.correct.stillness import Stillness
from napari_unet.ui.correct.task import Task
from napari_unet.ui.hints import CORRECT
from napari_unet.ui.job import Job
from napari_unet.ui.result_layer import Result
from napari_unet.ui.session import Session

if TYPE_CHECKING:
    from napari_unet.training.continuation import Continuation, Further

__all__ = ["KeepLearning"]

_TICK = 500  # ms between two looks at whether a better model can be shown
_EVERY = 40  # of them between two better models


@dataclass(slots=True, eq=False)
class _Round:
    """Learning that goes on after one Improve.

    Attributes
    ----------
    model
        Name or file of the model in use.
    name
        What that is called, if this round may replace it; empty: it was there before.
    parent, before
        The model that was improved, and what it is right about.
    better
        What was found and is not shown yet.
    shown
        The ticks since a better model was shown.
    """

    sequel: "Continuation"
    project: Project
    result: Result
    model: str
    name: str
    parent: str
    before: float
    right: float
    job: Job
    steps: int = 0
    shown: int = 0
    better: "Further | None" = None
    painted: bool = False  # since it began
    ended: bool = False  # nothing is learned any more
    closed: bool = False  # nothing is shown any more
    said: str = ""  # once it has ended


class KeepLearning(QObject):
    """Goes on learning while people paint, and shows a better model when they rest.

    It is no task: nothing waits for it, and it waits for everything else.

    Attributes
    ----------
    changed
        It began or ended.
    renewed
        A better model has taken the place of the one in use: its name and file, and
        whether it is a new version.
    """

    changed = Signal()
    renewed = Signal(object, bool)

    def __init__(
        self,
        viewer: Any,
        session: Session,
        form: CorrectForm,
        desk: CorrectionState,
        task: Task,
    ) -> None:
        super().__init__(form)
        self._session = session
        self._form, self._desk, self._task = form, desk, task
        self._round: _Round | None = None
        self._sequel: Continuation | None = None
        self._renewing: _Round | None = None
        self._renewal = Renewal(viewer, session, self)
        self._renewal.done.connect(self._on_renewed)
        self._renewal.failed.connect(self._on_not_renewed)
        self._renewal.ended.connect(self._on_shown)
        self._stillness = Stillness(viewer)
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK)
        self._timer.timeout.connect(self._tick)
        session.on_start.append(self._make_way)
        session.on_end.append(self._make_way)
        form.stop.clicked.connect(self._on_stop)
        form.quiet.box.toggled.connect(self._on_toggled)
        desk.changed.connect(self._on_painted)

    @property
    def going(self) -> bool:
        """Whether something is learned, or waits until it can be."""
        return self._round is not None and not self._round.ended

    def begin(self, improved: Improved, result: Result, project: Project) -> None:
        """Go on with what Improve has learned, if that is wanted, and can be."""
        self.end()
        self._sequel = sequel = improved.sequel or self._sequel
        if improved.sequel is None or not self._form.quiet.box.isChecked():
            return
        if sequel is None or not (improved.published or sequel.lacking):
            return
        job = Job(lambda: continuing(sequel), self, CORRECT)
        name = improved.name if improved.published else ""
        parent = improved.path if not name else _parent(project, name)
        self._round = round_ = _Round(
            sequel,
            project,
            result,
            improved.path,
            name,
            parent,
            improved.before,
            improved.after,
            job,
        )
        job.yielded.connect(lambda event: self._on_event(round_, event))
        job.caught_up.connect(lambda: self._say(round_))
        job.finished.connect(lambda _: self._on_over(round_))
        job.failed.connect(lambda sentence: self._on_failed(round_, sentence))
        job.ended.connect(lambda: self._on_ended(round_))
        self._stillness.settle()
        job.start()
        self._make_way()
        self._timer.start()
        self._say(round_)
        self.changed.emit()

    def end(self) -> "Continuation | None":
        """End at once, and say nothing; return what the next lesson goes on with."""
        round_, self._round = self._round, None
        self._timer.stop()
        self._form.quiet.say("")
        if round_ is not None:
            round_.job.cancel()
        return self._sequel

    def begin_anew(self) -> None:
        """End, and let the next lesson go on with nothing: its classes changed."""
        self.end()
        self._sequel = None

    def follow(self) -> None:
        """End if something else is on the desk, or another model is in use."""
        round_, desk = self._round, self._desk
        if round_ is None:
            return
        same = desk.result is round_.result and round_.result.model == round_.model
        if desk.project is not round_.project:
            self._sequel = None
        if not same or self._sequel is None or not round_.result.shown:
            self.end()

    def leave(self) -> None:
        """Let go of everything: the dock is gone, and with it what runs."""
        session = self._session
        session.on_start.remove(self._make_way)
        session.on_end.remove(self._make_way)
        self._stillness.forget()
        self._round = self._sequel = None
        self._renewal.leave()

    # --- what is learned --------------------------------------------------------------

    def _make_way(self) -> None:
        """Rest while anything else runs; end where this model has to stay as it is."""
        round_ = self._round
        if round_ is None:
            return
        if round_.name and round_.model in self._session.fixed:
            self._finish(round_, kept_line(round_.name))
        elif self._session.jobs:
            round_.job.pause()
        else:
            round_.job.resume()
        self._say(round_)

    def _on_event(self, round_: _Round, further: "Further") -> None:
        round_.steps = further.steps
        if further.model is not None and not round_.closed:
            round_.better, round_.right = further, further.right

    def _on_painted(self) -> None:
        self._stillness.stir()
        if self._round is not None:
            self._round.painted = True

    def _on_over(self, round_: _Round) -> None:
        name, right = self._known_as(round_), round_.right
        round_.said = over_line(name, right, painted=round_.painted)
        self._say(round_)

    def _on_ended(self, round_: _Round) -> None:
        round_.ended = True
        round_.job.deleteLater()
        self.changed.emit()

    def _on_failed(self, round_: _Round, sentence: str) -> None:
        self._finish(round_, f"Learning has not gone on: {sentence}")

    def _on_stop(self) -> None:
        round_ = self._round
        if round_ is not None and not self._task.doing and not round_.said:
            round_.job.cancel()
            round_.said = stopped_line(self._known_as(round_), round_.right)
            round_.shown = _EVERY  # the best so far is kept
            self._say(round_)

    def _on_toggled(self, wanted: bool) -> None:
        if not wanted:
            self._on_stop()

    def _finish(self, round_: _Round, said: str) -> None:
        """End, and leave the model as it is."""
        round_.job.cancel()
        round_.better, round_.said, round_.closed = None, said, True
        self._say(round_)

    def _say(self, round_: _Round) -> None:
        if self._round is not round_:
            return
        name = self._known_as(round_)
        resting = round_.job.paused and not self._renewal.running
        going = quiet_line(name, round_.steps, round_.right, resting=resting)
        self._form.quiet.say(round_.said or going)

    def _known_as(self, round_: _Round) -> str:
        return Path(round_.name or round_.model).stem

    # --- what is shown ----------------------------------------------------------------

    def _tick(self) -> None:
        """Show a better model, if there is one and nobody is disturbed."""
        round_ = self._round
        if round_ is None:
            return
        round_.shown += 1
        if round_.better is None:
            if round_.said and not self._renewal.running:
                self._timer.stop()
        elif (round_.shown >= _EVERY or round_.said) and self._quiet(round_):
            self._show(round_, round_.better)

    def _quiet(self, round_: _Round) -> bool:
        idle = not self._session.jobs and not self._task.doing
        return idle and not round_.result.taken and self._stillness.lasts

    def _show(self, round_: _Round, found: "Further") -> None:
        """Put a better model in its place, and show what it makes of the view."""
        desk, result = self._desk, round_.result
        round_.better, round_.shown = None, 0
        if found.model is None:
            return
        try:
            view = desk.view(round_.model, result)
        except UNetError:  # the image was closed a moment ago
            return
        better = Better(
            round_.project,
            view,
            found.model,
            round_.name,
            round_.parent,
            found.right,
            round_.before,
            found.steps,
            round_.sequel.strokes,
            self._session.fixed,
        )
        self._renewing = round_
        self._renewal.start(better, result)

    def _on_renewed(self, renewed: Renewed | None) -> None:
        round_ = self._renewing
        if round_ is None or renewed is None:
            return
        new = not round_.name
        round_.name, round_.model = renewed.name, renewed.path
        round_.result.rename(renewed.path)
        if new:
            self._session.announce(renewed.path)
        self.renewed.emit(renewed, new)

    def _on_not_renewed(self, sentence: str) -> None:
        if self._renewing is not None:
            self._on_failed(self._renewing, sentence)

    def _on_shown(self) -> None:
        self._renewing = None
        self._stillness.settle()
        if self._round is not None:
            self._say(self._round)


def _parent(project: Project, name: str) -> str:
    found = (m.parent for m in project.index.models if m.name == name)
    return next(found, "")
