"""Controls for background training after Improve, and for its better models."""

from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_unet.annotation.improved import Improved
from napari_unet.annotation.keep_learning import Renewed, continuing
from napari_unet.annotation.lessons import LessonHandle
from napari_unet.compute.call import Call
from napari_unet.errors import UNetError
from napari_unet.project.project import Project
from napari_unet.ui.correct.learning_line import kept_line
from napari_unet.ui.correct.learning_round import Round, round_after
from napari_unet.ui.correct.model_renewal import Renewal
from napari_unet.ui.correct.state import CorrectionState
from napari_unet.ui.correct.stillness import Stillness
from napari_unet.ui.correct.task import Task
from napari_unet.ui.hints import CORRECT
from napari_unet.ui.job import Job
from napari_unet.ui.recording.recorder import note_model
from napari_unet.ui.result_layer import Result

__all__ = ["KeepLearning"]

_TICK = 500  # ms between two looks at whether a better model can be shown
_EVERY = 40  # of them between two better models


class KeepLearning(QObject):
    """Goes on learning while people paint, and shows a better model when they rest.

    It is no task: nothing waits for it, and it waits for everything else.

    Parameters
    ----------
    wanted
        Returns whether learning shall go on after Improve.

    Attributes
    ----------
    changed
        It began or ended.
    said
        A line about it; empty if there is nothing to say.
    """

    changed = Signal()
    said = Signal(str)

    def __init__(
        self,
        state: CorrectionState,
        task: Task,
        wanted: Callable[[], bool],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._state, self._task, self._wanted = state, task, wanted
        self._session = state.session
        self._round: Round | None = None
        self._lesson: LessonHandle | None = None
        self._renewing: Round | None = None
        self._renewal = Renewal(state.viewer, state.session, self)
        self._renewal.done.connect(self._on_renewed)
        self._renewal.failed.connect(self._on_not_renewed)
        self._renewal.ended.connect(self._on_shown)
        self._stillness = Stillness(state.viewer)
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK)
        self._timer.timeout.connect(self._tick)
        state.session.on_start.append(self._make_way)
        state.session.on_end.append(self._make_way)
        state.changed.connect(self._on_painted)

    @property
    def round(self) -> Round | None:
        """The round that goes on, or the last one; None after `end`."""
        return self._round

    @property
    def going(self) -> bool:
        """Whether something is learned, or waits until it can be."""
        return self._round is not None and not self._round.ended

    def begin(self, improved: Improved, result: Result, project: Project) -> None:
        """Go on with what Improve has learned, if that is wanted, and can be."""
        self.end()
        self._lesson = improved.lesson or self._lesson
        lesson, session = improved.lesson, self._session
        if lesson is None or not self._wanted():
            return
        if not (improved.published or lesson.lacking):
            return
        call = Call(
            continuing,
            session.lessons,
            lesson,
            behind=True,
            doing="learning on",
            quiet=True,
        )
        job = Job(call, self, CORRECT, session.process)
        self._round = round_ = round_after(improved, lesson, result, project, job)
        job.yielded.connect(lambda further: round_.take(further))
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

    def end(self) -> LessonHandle | None:
        """End at once, and say nothing; return what the next lesson goes on with."""
        round_, self._round = self._round, None
        self._timer.stop()
        self.said.emit("")
        if round_ is not None:
            round_.job.cancel()
        return self._lesson

    def begin_anew(self) -> None:
        """End, and let the next lesson go on with nothing: its classes changed."""
        self.end()
        self._forget()

    def follow(self) -> None:
        """End if something else is corrected now, or another model is in use."""
        round_, state = self._round, self._state
        if round_ is None:
            return
        if state.project is not round_.project:
            self._forget()
        same = state.result is round_.result and round_.current
        if not same or self._lesson is None:
            self.end()

    def stop(self) -> None:
        """End, unless a task runs, which is meant then; keep the best so far."""
        round_ = self._round
        if round_ is not None and not self._task.doing and not round_.said:
            round_.stop()
            round_.shown = _EVERY
            self._say(round_)

    def toggle(self, wanted: bool) -> None:
        """Stop where it is not wanted any more."""
        if not wanted:
            self.stop()

    def leave(self) -> None:
        """Let go of everything: the dock is gone, and with it what runs."""
        session = self._session
        session.on_start.remove(self._make_way)
        session.on_end.remove(self._make_way)
        self._stillness.forget()
        self._round = None
        self._forget()
        self._renewal.leave()

    def _forget(self) -> None:
        """Let the next lesson go on with none."""
        if self._lesson is not None:
            self._lesson = None
            self._session.empty(self._session.lessons)

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

    def _on_painted(self) -> None:
        self._stillness.stir()
        if self._round is not None:
            self._round.painted = True

    def _on_over(self, round_: Round) -> None:
        round_.over()
        self._say(round_)

    def _on_ended(self, round_: Round) -> None:
        round_.ended = True
        round_.job.deleteLater()
        self.changed.emit()

    def _on_failed(self, round_: Round, sentence: str) -> None:
        self._finish(round_, f"Learning has not gone on: {sentence}")

    def _finish(self, round_: Round, said: str) -> None:
        """End, and leave the model as it is."""
        round_.close(said)
        self._say(round_)

    def _say(self, round_: Round) -> None:
        if self._round is round_:
            self.said.emit(round_.line(showing=self._renewal.running))

    # --- what is shown ----------------------------------------------------------------

    def _tick(self) -> None:
        """Show a better model, if there is one and nobody is disturbed."""
        round_ = self._round
        if round_ is None:
            return
        round_.shown += 1
        if not round_.better:
            if round_.said and not self._renewal.running:
                self._timer.stop()
        elif (round_.shown >= _EVERY or round_.said) and self._quiet(round_):
            self._show(round_)

    def _quiet(self, round_: Round) -> bool:
        idle = not self._session.jobs and not self._task.doing
        return idle and not round_.result.taken and self._stillness.lasts

    def _show(self, round_: Round) -> None:
        """Put a better model in its place, and show what it makes of the view."""
        try:
            view = self._state.view(round_.model, round_.result)
        except UNetError:  # the image was closed a moment ago
            round_.better, round_.shown = False, 0
            return
        session = self._session
        better = round_.renewal(view, session.lessons, session.fixed.__contains__)
        if better is not None:
            self._renewing = round_
            self._renewal.start(better, round_.result)

    def _on_renewed(self, renewed: Renewed | None) -> None:
        round_ = self._renewing
        if round_ is None or renewed is None:
            return
        if round_.replace(renewed):
            self._session.announce(renewed.path)
            self._task.attempt(lambda: note_model(round_.project, renewed.name))

    def _on_not_renewed(self, sentence: str) -> None:
        if self._renewing is not None:
            self._on_failed(self._renewing, sentence)

    def _on_shown(self) -> None:
        self._renewing = None
        self._stillness.settle()
        if self._round is not None:
            self._say(self._round)
