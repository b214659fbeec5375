"""What the dock U-Net: Correct lets one see: overlays, and the next uncertain place."""

from typing import Any

from qtpy.QtCore import QObject

from .correct_form import CorrectForm
from .desk import Desk
from .learning import Learning
from .overlays import Overlays
from .task import Task
from .tour import Tour, go_to, looking, seeing

__all__ = ["KEY", "Glasses"]

KEY = "N"  # goes to the next uncertain place


class Glasses(QObject):
    """Overlays that are there while their box is ticked, and the tour of places."""

    def __init__(
        self, viewer: Any, form: CorrectForm, desk: Desk, task: Task, learning: Learning
    ) -> None:
        super().__init__(form)
        self._viewer, self._form = viewer, form
        self._desk, self._task, self._learning = desk, task, learning
        self._overlays, self._tour = Overlays(viewer), Tour()
        form.show_reviewed.toggled.connect(self._show_reviewed)
        form.show_changed.toggled.connect(self._show_changed)
        form.show_uncertain.toggled.connect(self._on_uncertain)
        form.next.clicked.connect(self.go_on)
        desk.changed.connect(lambda: self._overlays.refresh("reviewed"))

    def follow(self) -> None:
        """Show what belongs to the subject that is on the desk now."""
        self._show_reviewed(self._form.show_reviewed.isChecked())
        self._show_changed(self._form.show_changed.isChecked())

    def take_off(self) -> None:
        """Remove all overlays."""
        for name in ("reviewed", "changed", "uncertain"):
            self._overlays.drop(name)

    def go_on(self) -> None:
        """Go to the next uncertain place; look for more when there is none left."""
        desk, correcting = self._desk, self._desk.correcting
        if correcting is None or self._task.doing:
            return
        reviews = correcting.reviews
        place = self._tour.next(desk.model, reviews)
        if place is not None:
            self._go(place)
            return
        view = self._task.attempt(lambda: desk.view(desk.model))
        visited = self._tour.visited if self._tour.model == desk.model else []
        if view is not None:
            self._task.start(
                "Looking for uncertain places",
                lambda: looking(view, reviews, visited),
                self._on_places,
            )

    def _on_places(self, places: list[Any]) -> None:
        correcting = self._desk.correcting
        self._tour.begin(self._desk.model, places)
        if correcting is None:
            return
        place = self._tour.next(self._desk.model, correcting.reviews)
        if place is None:
            self._form.progress.say("The model is sure of all that nobody reviewed.")
        else:
            self._go(place)

    def _go(self, place: Any) -> None:
        result = self._desk.result
        if result is not None and result.layer is not None:
            go_to(self._viewer, result.layer, place)
            left = len(self._tour.waiting)
            self._form.progress.say(f"{place.reason} ({left} more; key {KEY})")

    def _show_reviewed(self, wanted: bool) -> None:
        correcting, layer = self._desk.correcting, self._desk.image_layer
        self._overlays.drop("reviewed")
        if wanted and correcting is not None and layer is not None:
            shape = correcting.image.label_shape
            self._overlays.show_reviewed(layer, correcting.reviews, shape)

    def _show_changed(self, wanted: bool) -> None:
        correcting, layer = self._desk.correcting, self._desk.image_layer
        self._overlays.drop("changed")
        if wanted and correcting is not None and layer is not None:
            own = [c for c in self._learning.compared if c.key == correcting.key]
            self._overlays.show_changed(layer, own, correcting.image.label_shape)

    def _on_uncertain(self, wanted: bool) -> None:
        desk = self._desk
        self._overlays.drop("uncertain")
        if not wanted or desk.result is None or self._task.doing:
            return
        view = self._task.attempt(lambda: desk.view(desk.model))
        if view is None:
            return
        height, width = view.image.plane_shape
        place = view.plane, view.view or (slice(0, height), slice(0, width))
        layer = desk.image_layer
        self._task.start(
            "Asking the model how sure it is",
            lambda: seeing(view),
            lambda unsure: self._on_seen(layer, place, unsure),
        )

    def _on_seen(self, layer: Any, place: Any, unsure: Any) -> None:
        self._overlays.show_uncertain(layer, place, unsure)
        self._form.progress.say("Bright: the model is undecided between two classes.")
