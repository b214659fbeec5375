"""Controls for how corrections begin: from labels, from nothing, or where they were."""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject

from napari_unet.annotation.calls import calling, far
from napari_unet.annotation.models import source_of, use
from napari_unet.annotation.project_link import ProjectLink
from napari_unet.annotation.resegment import Request
from napari_unet.annotation.start import Begun, from_labels, going_on, new_classes
from napari_unet.compute.call import Call
from napari_unet.ui.correct.messages import begun_line
from napari_unet.ui.correct.state import CorrectionState
from napari_unet.ui.correct.task import Task
from napari_unet.ui.job import Work
from napari_unet.ui.result_filler import Filler
from napari_unet.ui.result_layer import Result

__all__ = ["StartControls"]


class StartControls(QObject):
    """Makes a result that can be corrected, and lets the user paint on it.

    Parameters
    ----------
    choose
        Lets a labels layer be what is corrected.
    """

    def __init__(
        self,
        state: CorrectionState,
        task: Task,
        choose: Callable[[Any], None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._state, self._task, self._choose = state, task, choose

    def go_on(self) -> None:
        """Segment the view with the project's model."""
        state, project = self._state, self._state.project
        active = "" if project is None else project.index.active
        model = source_of(project, active) if project and active else state.model
        self.segment_view("Going on", model)

    def segment_view(self, doing: str, model: str) -> None:
        """Segment the view with a model, into the result or a new one.

        Parameters
        ----------
        doing
            What the user reads meanwhile.
        """
        state, result = self._state, self._state.result
        rules = None if result is None else result.rules
        view = self._task.attempt(lambda: state.view(model, result))
        if view is not None:
            target = result or state.session.new_result(state.image_layer, model)
            call = calling(going_on, view, rules, doing="segmenting")
            self._begin(doing, call, target, view)

    def make_model(self, *, empty: bool) -> None:
        """Make a model for the classes in the table; `empty`: on a bare image."""
        state, names = self._state, self._state.names
        if state.correcting is not None:
            self._task.attempt(state.correcting.save)
        project = self._task.attempt(state.open_project)
        view = self._task.attempt(lambda: state.view(state.model))
        if project is None or view is None:
            return
        self._begin(
            "Making a model",
            Call(
                new_classes,
                ProjectLink(project),
                names,
                far(view),
                empty,
                apart=view.portable,
                doing="making a model",
            ),
            state.session.new_result(state.image_layer, "new"),
            view,
        )

    def take_labels(self, *, dense: bool) -> None:
        """Take the user's own labels; `dense`: where they are 0 is background."""
        state, subject = self._state, self._state.subject
        reviews = self._task.attempt(state.reviews)
        view = self._task.attempt(lambda: state.view(state.model))
        if subject is None or reviews is None or view is None:
            return
        labels = subject.layer.data
        self._begin(
            "Taking the labels",
            lambda: from_labels(reviews, labels, view, dense=dense),
            state.session.new_result(state.image_layer, state.model),
            view,
        )

    def _begin(self, doing: str, work: Work, result: Result, view: Request) -> None:
        filler, project = Filler(self._state.viewer, result), self._state.project
        result.options = view.options

        def done(begun: Begun) -> None:
            self._fill(begun, filler)
            if project is not None:
                self._task.attempt(lambda: use(project, begun.model))
            self._on_begun(begun, result)

        self._task.start(doing, work, done, filler=filler)

    def _fill(self, begun: Begun, filler: Filler) -> None:
        result = filler.result
        result.show(self._state.viewer, begun.array)
        result.rename(begun.model)
        result.rules, result.output = begun.rules, begun.rules.kind
        if begun.outcome is not None:
            filler.finish(begun.outcome)
        filler.release()

    def _on_begun(self, begun: Begun, result: Result) -> None:
        """Let the user paint, unless the image was left meanwhile."""
        state = self._state
        state.session.announce(begun.model)
        if not result.shown or state.image_layer is not result.source():
            self._task.say(f"{result.name} is not there: it was closed.")
            return
        self._choose(result.layer)
        state.went_on()
        self._hide_others(result)
        state.viewer.layers.selection.active = result.layer
        self._task.say(begun_line(begun, state.project))

    def _hide_others(self, result: Result) -> None:
        """Hide the other results of the image: two on top of each other confuse."""
        for other in self._state.session.results:
            same = other.source() is result.source()
            if same and other is not result and other.layer is not None:
                other.layer.visible = False
