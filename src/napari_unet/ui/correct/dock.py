"""The dock U-Net: Correct. It only wires: clicks, controllers, and what is shown."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog

from napari_unet.ui.correct.facts import Running
from napari_unet.ui.correct.form import CorrectForm
from napari_unet.ui.correct.form_state import FormState, form_state
from napari_unet.ui.correct.image_controls import ImageControls
from napari_unet.ui.correct.improve import ImproveController
from napari_unet.ui.correct.keep_learning import KeepLearning
from napari_unet.ui.correct.live import Live
from napari_unet.ui.correct.messages import nowhere_line, waiting_line
from napari_unet.ui.correct.missing_classes import place_of
from napari_unet.ui.correct.overlay_controls import OverlayControls
from napari_unet.ui.correct.overlays import Overlays
from napari_unet.ui.correct.snapshot import facts_of
from napari_unet.ui.correct.start import StartControls
from napari_unet.ui.correct.state import CorrectionState
from napari_unet.ui.correct.task import Task
from napari_unet.ui.correct.tour_controls import TourControls
from napari_unet.ui.correct.uncertain import go_to
from napari_unet.ui.dock import Dock
from napari_unet.ui.layers import looked_at
from napari_unet.ui.session import session_of

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["CorrectDock"]


class CorrectDock(Dock):
    """Paint over what is wrong, click Improve, and the model learns.

    The controllers know what is corrected and the task, and neither the form nor each
    other: what one has to say to another is connected here. After every change the
    form renders one state, see `form_state`.
    """

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__(napari_viewer)
        viewer = self._viewer
        self._session = session_of(viewer)
        self.form = form = CorrectForm(viewer, self._session)
        self.state = state = CorrectionState(viewer, self._session, self)
        self.task = task = Task(self._session, form.progress, self)
        overlays = Overlays(viewer)
        self.keep_learning = KeepLearning(state, task, form.quiet.box.isChecked, self)
        self.improve = ImproveController(state, task, self)
        self.live = Live(state, task, self)
        self.overlays = OverlayControls(state, task, overlays, self)
        self.images = ImageControls(state, task, self)
        self.tour = TourControls(state, task, overlays, self.images.show, self)
        self.start = StartControls(state, task, self._choose, self)
        self._guide = ""  # what was said of the place that the camera was sent to
        self.lay_out(form, form.foot)
        self._connect_form()
        self._connect_learning()
        self._connect_state()
        self._on_subject()

    def _connect_form(self) -> None:
        form, begin, images = self.form, self.start, self.images
        form.subject.changed.connect(self._on_subject)
        form.open.clicked.connect(self._on_open)
        form.invitation.join.clicked.connect(images.join)
        form.invitation.stay.clicked.connect(images.stay)
        form.images.wanted.connect(images.go_to)
        form.go_on.clicked.connect(begin.go_on)
        form.from_labels.clicked.connect(self._on_from_labels)
        form.from_nothing.clicked.connect(lambda: begin.make_model(empty=True))
        form.new_classes.clicked.connect(lambda: begin.make_model(empty=False))
        form.right.clicked.connect(self._on_right)
        form.withdraw.clicked.connect(self._on_withdraw)
        form.classes.chosen.connect(self._on_class)
        form.classes.renamed.connect(self._on_renamed)
        form.classes.added.connect(self._on_added)
        form.lacking.wanted.connect(self._on_where)
        form.next.clicked.connect(self.tour.go_on)
        want = self.overlays.want
        form.show_reviewed.toggled.connect(lambda on: want("reviewed", on))
        form.show_uncertain.toggled.connect(lambda on: want("uncertain", on))
        form.show_changed.toggled.connect(lambda on: want("changed", on))

    def _connect_learning(self) -> None:
        form, improve, after = self.form, self.improve, self.keep_learning
        form.improve.clicked.connect(self._on_improve)
        form.lacking.anyway.clicked.connect(self._improve)
        form.stop.clicked.connect(after.stop)
        form.stop.clicked.connect(self.task.stop)
        form.undo.clicked.connect(improve.undo)
        form.history.wanted.connect(improve.use)
        form.save.clicked.connect(improve.save)
        form.quiet.box.toggled.connect(after.toggle)
        form.live.toggled.connect(self.live.turn)
        improve.began.connect(form.curve.begin)
        improve.stepped.connect(form.curve.add)
        improve.scored.connect(form.curve.finish)
        improve.improved.connect(after.begin)
        improve.wanted.connect(self.start.segment_view)
        after.said.connect(form.quiet.say)
        self.live.failed.connect(lambda: form.live.setChecked(False))

    def _connect_state(self) -> None:
        state, form = self.state, self.form
        state.changed.connect(self._on_reviewed)
        state.said.connect(self.task.fail)
        state.refused.connect(lambda why: form.progress.say(why, wrong=True))
        self.task.changed.connect(self._show)
        self.keep_learning.changed.connect(self._show)
        form.live.toggled.connect(self._show)
        form.show_uncertain.toggled.connect(self._show)
        self.overlays.gone.connect(form.untick)
        self.images.moved.connect(self._show_all)
        self.images.wanted.connect(self.start.go_on)
        self.tour.wanted.connect(self.start.go_on)
        for emitter in self._emitters():
            emitter.connect(self._show)
        self._session.on_start.append(self._show)
        self._session.on_end.append(self._on_session)
        self.destroyed.connect(self._leaving())

    def _emitters(self) -> tuple[Any, ...]:
        events = self._viewer.layers.events
        return events.inserted, events.removed

    def _leaving(self) -> Callable[[], None]:
        """Return what lets go of the viewer when the dock is gone."""
        session, state, emitters = self._session, self.state, self._emitters()
        ended, show = self._on_session, self._show

        def leave() -> None:  # a method would be disconnected by then
            session.on_end.remove(ended)
            session.on_start.remove(show)
            for emitter in emitters:
                emitter.disconnect(show)
            self.form.subject.forget()
            self.overlays.forget()
            self.tour.forget()
            self.live.forget()
            self.keep_learning.leave()
            state.said.disconnect()  # nobody reads it any more
            state.refused.disconnect()
            state.clear()
            self.task.leave()

        return leave

    # --- what is corrected ------------------------------------------------------------

    def _choose(self, layer: Any) -> None:
        self.form.subject.fill()
        self.form.subject.choose(layer)

    def _on_subject(self) -> None:
        self.overlays.take_off()
        if not self.task.doing:
            self.task.say("")
        self.state.take(self.form.subject.subject())
        self._show_all()

    def _on_session(self) -> None:
        """Bind a result that has just been finished, by whichever dock."""
        subject, state = self.form.subject.subject(), self.state
        if subject is None or not subject.same(state.subject):
            return
        result = subject.result
        if state.correcting is None and result is not None and result.rules is not None:
            state.take(subject)
        state.tell()
        self._show_all()

    def _on_open(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open a project")
        if folder:
            self.state.move(Path(folder))
            self._show_all()

    def _on_from_labels(self) -> None:
        self.start.take_labels(dense=self.form.zero.currentData())

    # --- what is painted --------------------------------------------------------------

    def _on_renamed(self, value: int, name: str) -> None:
        self.keep_learning.begin_anew()
        self.task.attempt(lambda: self.state.rename(value, name))
        self._on_names()

    def _on_added(self, name: str) -> None:
        self.task.attempt(lambda: self.state.draft((*self.state.names, name)))
        self._on_names()

    def _on_names(self) -> None:
        """Show the classes as they are kept, which may be as before."""
        self.state.colour()
        self._show()

    def _on_class(self, value: int) -> None:
        result, correcting = self.state.result, self.state.correcting
        if result is None or result.layer is None:
            return
        if self.state.objects and value and correcting is not None:
            value = correcting.new_number()
        result.layer.selected_label = value
        result.layer.mode = "paint"
        self._viewer.layers.selection.active = result.layer

    def _on_where(self, value: int) -> None:
        """Go where a class is best painted, with its brush."""
        state, name = self.state, self.state.names[value]
        place = place_of(self._viewer, state, value)
        self._on_class(value)
        self.form.classes.select(value)
        if place is None or state.result is None:
            self._guide = nowhere_line(name)
        else:
            go_to(self._viewer, state.result.layer, place)
            self._guide = f"Paint a little of it here, if this is {name}."
        self.task.say(self._guide)

    def _on_right(self) -> None:
        correcting = self.state.correcting
        view = looked_at(self._viewer, self.state.image_layer)
        plane, box = view.plane, view.box
        if correcting is None or correcting.result.busy:
            return
        if box is None:
            self.task.fail("Look at a plane (not in 3D) to say that it is right.")
            return
        pixels = self.task.attempt(lambda: correcting.approve(plane, box))
        if pixels is not None:
            self.task.say(f"{pixels:,} pixels in view are marked as right.")

    def _on_withdraw(self) -> None:
        correcting = self.state.correcting
        view = looked_at(self._viewer, self.state.image_layer)
        if correcting is None or correcting.result.busy:
            return
        if view.box is None:
            self.task.fail("Look at a plane (not in 3D) to forget what is in view.")
            return
        pixels = correcting.withdraw(view.plane, view.box)
        self.task.say(f"{pixels:,} pixels in view count as not reviewed.")

    def _on_reviewed(self) -> None:
        self.task.forgive()
        self.task.unsay(self._guide)
        self._show()

    # --- what is learned --------------------------------------------------------------

    def _on_improve(self) -> None:
        """Improve, unless the model would see nothing of a class."""
        if self.state.correcting is not None:
            self.state.correcting.settle()  # the stroke of the moment before counts
        unpainted = self._form_state().learn.unpainted
        if unpainted:
            self.task.say(waiting_line(unpainted))
        else:
            self._improve()

    def _improve(self) -> None:
        self.improve.start(float(self.form.seconds.value()), self.keep_learning.end)

    # --- how it looks -----------------------------------------------------------------

    def _show_all(self) -> None:
        """Show what is being corrected, and the overlays that belong to it."""
        self.overlays.follow()
        if self.state.correcting is not None:
            self.improve.warm_up()
        self._show()

    def _show(self, event: Any = None) -> None:
        """Let the form follow whatever changed; nothing else does."""
        self.keep_learning.follow()
        self.form.show_state(self._form_state())

    def _form_state(self) -> FormState:
        """Return what the form has to show now."""
        running = Running(
            self.task.doing,
            self.task.stopping,
            learning=self.keep_learning.going,
            live=self.live.on,
            unsure="uncertain" in self.overlays.wanted,
        )
        return form_state(facts_of(self.state, running), self.form.state)
