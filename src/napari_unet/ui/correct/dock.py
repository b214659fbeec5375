"""The dock U-Net: Correct. It only translates: buttons, jobs, events, layers."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog

from napari_unet.annotation.models import source_of, use
from napari_unet.annotation.resegment import Request
from napari_unet.annotation.start import Begun, from_labels, going_on, new_classes
from napari_unet.ui.correct.form import CorrectForm
from napari_unet.ui.correct.image_controls import ImageControls
from napari_unet.ui.correct.improve import ImproveController
from napari_unet.ui.correct.keep_learning import KeepLearning
from napari_unet.ui.correct.live import Live
from napari_unet.ui.correct.messages import begun_line, nowhere_line
from napari_unet.ui.correct.missing_classes import place_of
from napari_unet.ui.correct.overlay_controls import OverlayControls
from napari_unet.ui.correct.state import CorrectionState
from napari_unet.ui.correct.tables import model_rows, score_points
from napari_unet.ui.correct.task import Task
from napari_unet.ui.correct.uncertain import go_to
from napari_unet.ui.dock import Dock
from napari_unet.ui.job import Verb
from napari_unet.ui.layers import looked_at
from napari_unet.ui.result_filler import Filler
from napari_unet.ui.result_layer import Result
from napari_unet.ui.session import session_of

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["CorrectDock"]


class CorrectDock(Dock):
    """Paint over what is wrong, click Improve, and the model learns."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__(napari_viewer)
        viewer = self._viewer
        self._session = session_of(viewer)
        self.form = CorrectForm(viewer, self._session)
        self.desk = CorrectionState(viewer, self._session, self)
        self.task = Task(self._session, self.form.progress, self)
        parts = self.form, self.desk, self.task
        self.afterwards = KeepLearning(viewer, self._session, *parts)
        self.learning = ImproveController(
            viewer, self._session, *parts, self.afterwards
        )
        self.live = Live(viewer, *parts)
        self.glasses = OverlayControls(viewer, *parts, self.learning)
        self.gathering = ImageControls(viewer, self._session, *parts, self.glasses)
        self._guide = ""  # what was said of the place that the camera was sent to
        self._arrange()
        self._connect()
        self._on_subject()

    def _arrange(self) -> None:
        self.lay_out(self.form, self.form.foot)

    def _connect(self) -> None:
        form, desk, task = self.form, self.desk, self.task
        form.subject.changed.connect(self._on_subject)
        form.open.clicked.connect(self._on_open)
        self.gathering.moved.connect(self._show_all)
        self.gathering.wanted.connect(self._on_go_on)
        form.go_on.clicked.connect(self._on_go_on)
        form.from_labels.clicked.connect(self._on_from_labels)
        form.from_nothing.clicked.connect(lambda: self._make_model(empty=True))
        form.new_classes.clicked.connect(lambda: self._make_model(empty=False))
        form.right.clicked.connect(self._on_right)
        form.withdraw.clicked.connect(self._on_withdraw)
        form.classes.chosen.connect(self._on_class)
        form.lacking.wanted.connect(self._on_where)
        form.classes.renamed.connect(self._on_renamed)
        form.classes.added.connect(self._on_added)
        desk.changed.connect(self._on_reviewed)
        desk.said.connect(task.fail)
        desk.refused.connect(lambda why: form.progress.say(why, wrong=True))
        task.changed.connect(self._show_state)
        self.afterwards.changed.connect(self._show_state)
        self._session.on_start.append(self._show_state)
        self.learning.wanted.connect(self._segment_view)
        self._session.on_end.append(self._on_session)
        self.destroyed.connect(self._leaving())

    def _leaving(self) -> Callable[[], None]:
        """Return what lets go of the viewer when the dock is gone."""
        session, desk = self._session, self.desk
        ended, began = self._on_session, self._show_state

        def leave() -> None:  # a method would be disconnected by then
            session.on_end.remove(ended)
            session.on_start.remove(began)
            self.form.subject.forget()
            self.glasses.forget()
            self.gathering.forget()
            self.live.forget()
            self.afterwards.leave()
            desk.said.disconnect()  # nobody reads it any more
            desk.refused.disconnect()
            desk.clear()
            self.task.leave()

        return leave

    # --- what is corrected ------------------------------------------------------------

    def _on_subject(self) -> None:
        self.glasses.take_off()
        if not self.task.doing:
            self.form.progress.say("")
        self.desk.take(self.form.subject.subject())
        self._show_all()

    def _on_session(self) -> None:
        """Bind a result that has just been finished, by whichever dock."""
        subject, desk = self.form.subject.subject(), self.desk
        if subject is None or not subject.same(desk.subject):
            return
        result = subject.result
        if desk.correcting is None and result is not None and result.rules is not None:
            desk.take(subject)
        desk.tell()
        self._show_all()

    def _on_open(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a project")
        if folder:
            self.desk.move(Path(folder))
            self._show_all()

    def _on_renamed(self, value: int, name: str) -> None:
        self.afterwards.begin_anew()
        self.task.attempt(lambda: self.desk.rename(value, name))
        self._on_names()

    def _on_added(self, name: str) -> None:
        self.task.attempt(lambda: self.desk.draft((*self.desk.names, name)))
        self._on_names()

    def _on_names(self) -> None:
        """Show the classes as they are kept, which may be as before."""
        self.form.classes.set_rows(self.desk.rows())
        self.desk.colour()
        self._show_state()

    def _on_class(self, value: int) -> None:
        result, correcting = self.desk.result, self.desk.correcting
        if result is None or result.layer is None:
            return
        if self.desk.objects and value and correcting is not None:
            value = correcting.new_number()
        result.layer.selected_label = value
        result.layer.mode = "paint"
        self._viewer.layers.selection.active = result.layer

    def _on_where(self, value: int) -> None:
        """Go where a class is best painted, with its brush."""
        desk, name = self.desk, self.desk.names[value]
        place = place_of(self._viewer, desk, value)
        self._on_class(value)
        self.form.classes.select(value)
        if place is None or desk.result is None:
            self._guide = nowhere_line(name)
        else:
            go_to(self._viewer, desk.result.layer, place)
            self._guide = f"Paint a little of it here, if this is {name}."
        self.form.progress.say(self._guide)

    def _on_right(self) -> None:
        correcting = self.desk.correcting
        view = looked_at(self._viewer, self.desk.image_layer)
        plane, box = view.plane, view.box
        if correcting is None or correcting.result.busy:
            return
        if box is None:
            self.task.fail("Look at a plane (not in 3D) to say that it is right.")
            return
        pixels = self.task.attempt(lambda: correcting.approve(plane, box))
        if pixels is not None:
            self.form.progress.say(f"{pixels:,} pixels in view are marked as right.")

    def _on_withdraw(self) -> None:
        correcting = self.desk.correcting
        view = looked_at(self._viewer, self.desk.image_layer)
        if correcting is None or correcting.result.busy:
            return
        if view.box is None:
            self.task.fail("Look at a plane (not in 3D) to forget what is in view.")
            return
        pixels = correcting.withdraw(view.plane, view.box)
        self.form.progress.say(f"{pixels:,} pixels in view count as not reviewed.")

    def _on_reviewed(self) -> None:
        self.task.forgive()
        if self._guide and self.form.progress.line.text() == self._guide:
            self.form.progress.say("")
        self.form.classes.set_rows(self.desk.rows())
        self.gathering.show()
        self._show_state()

    # --- how it begins ----------------------------------------------------------------

    def _on_go_on(self) -> None:
        project = self.desk.project
        active = "" if project is None else project.index.active
        model = source_of(project, active) if project and active else self.desk.model
        self._segment_view("Going on", model)

    def _segment_view(self, doing: str, model: str) -> None:
        """Segment the view with a model, into the result or a new one."""
        desk = self.desk
        result = desk.result
        rules = None if result is None else result.rules
        view = self.task.attempt(lambda: desk.view(model, result))
        if view is not None:
            target = result or self._session.new_result(desk.image_layer, model)
            self._begin(doing, lambda: going_on(view, rules), target, view)

    def _make_model(self, *, empty: bool) -> None:
        desk, names = self.desk, self.form.classes.names()
        if desk.correcting is not None:
            self.task.attempt(desk.correcting.save)
        project = self.task.attempt(desk.open_project)
        view = self.task.attempt(lambda: desk.view(desk.model))
        if project is None or view is None:
            return
        self._begin(
            "Making a model",
            lambda: new_classes(project, names, view, empty=empty),
            self._session.new_result(desk.image_layer, "new"),
            view,
        )

    def _on_from_labels(self) -> None:
        desk, subject = self.desk, self.desk.subject
        reviews = self.task.attempt(desk.reviews)
        view = self.task.attempt(lambda: desk.view(desk.model))
        if subject is None or reviews is None or view is None:
            return
        labels, dense = subject.layer.data, self.form.zero.currentData()
        self._begin(
            "Taking the labels",
            lambda: from_labels(reviews, labels, view, dense=dense),
            self._session.new_result(desk.image_layer, desk.model),
            view,
        )

    def _begin(self, doing: str, verb: Verb, result: Result, view: Request) -> None:
        filler, project = Filler(self._viewer, result), self.desk.project
        result.options = view.options

        def done(begun: Begun) -> None:
            self._fill(begun, filler)
            if project is not None:
                self.task.attempt(lambda: use(project, begun.model))
            self._on_begun(begun, result)

        self.task.start(doing, verb, done, filler=filler)

    def _fill(self, begun: Begun, filler: Filler) -> None:
        result = filler.result
        result.show(self._viewer, begun.array)
        result.rename(begun.model)
        result.rules, result.output = begun.rules, begun.rules.kind
        if begun.outcome is not None:
            filler.finish(begun.outcome)
        filler.release()

    def _on_begun(self, begun: Begun, result: Result) -> None:
        """Let the user paint, unless the image was left meanwhile."""
        desk, chooser = self.desk, self.form.subject
        self._session.announce(begun.model)
        if not result.shown or desk.image_layer is not result.source():
            self.form.progress.say(f"{result.name} is not there: it was closed.")
            return
        chooser.fill()
        chooser.choose(result.layer)
        desk.went_on()
        desk.hide_others(result)
        self._viewer.layers.selection.active = result.layer
        self.form.progress.say(begun_line(begun, desk.project))

    # --- how it looks -----------------------------------------------------------------

    def _show_all(self) -> None:
        """Show what is on the desk."""
        form, desk = self.form, self.desk
        form.show_place(None if desk.project is None else desk.project.folder)
        form.classes.set_rows(desk.rows())
        self.gathering.show()
        form.history.set_models(model_rows(desk.project), desk.known_as)
        if desk.project is not self.learning.learnt_in:
            form.curve.clear()
        form.curve.set_models(score_points(desk.project), desk.known_as)
        self.glasses.follow()
        if desk.correcting is not None:
            self.learning.warm_up()
        self._show_state()

    def _show_state(self) -> None:
        """Let buttons follow the desk and the task; nobody else does."""
        self.afterwards.follow()
        task, going = self.task, self.afterwards.going
        self.form.follow(self.desk, task.doing, task.stopping, going=going)
