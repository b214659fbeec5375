"""Controls for overlays and for the tour of uncertain regions."""

from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_unet.segmentation.uncertain_regions import UncertainRegion
from napari_unet.tiling import whole
from napari_unet.ui.correct.form import CorrectForm
from napari_unet.ui.correct.improve import ImproveController
from napari_unet.ui.correct.overlays import Overlays
from napari_unet.ui.correct.state import CorrectionState
from napari_unet.ui.correct.task import Task
from napari_unet.ui.correct.uncertain import Stop, Tour, go_to, looking, seeing

__all__ = ["KEY", "OverlayControls"]

_ALL = "reviewed", "changed", "uncertain", "place"  # overlays
KEY = "N"  # goes to the next uncertain place


class OverlayControls(QObject):
    """Overlays that are there while their box is ticked, and the tour of places.

    Attributes
    ----------
    left
        The next uncertain place is in another image: its layer, and the place.
    """

    left = Signal(object, object)

    def __init__(
        self,
        viewer: Any,
        form: CorrectForm,
        desk: CorrectionState,
        task: Task,
        learning: ImproveController,
    ) -> None:
        super().__init__(form)
        self._viewer, self._form = viewer, form
        self._desk, self._task, self._learning = desk, task, learning
        self._overlays = Overlays(viewer)
        self._tours: WeakKeyDictionary[Any, Tour] = WeakKeyDictionary()  # by image
        self._asked = ""  # the model that was asked how sure it is
        form.show_reviewed.toggled.connect(self._show_reviewed)
        form.show_changed.toggled.connect(self._show_changed)
        form.show_uncertain.toggled.connect(self._on_uncertain)
        form.next.clicked.connect(self.go_on)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.bind_key(KEY, self._on_key, overwrite=True)
        desk.changed.connect(self._on_changed)

    def follow(self) -> None:
        """Show what belongs to the subject that is on the desk now."""
        form, bound = self._form, self._desk.correcting is not None
        form.show_reviewed.setEnabled(bound)
        changed = bool(self._changed())
        form.show_changed.setEnabled(changed)
        if not changed:
            form.show_changed.setChecked(False)
        self._show_reviewed(form.show_reviewed.isChecked())
        self._show_changed(form.show_changed.isChecked())
        if self._asked != self._desk.model:  # another model is unsure of others
            form.show_uncertain.setChecked(False)
        asking = form.show_uncertain.isChecked()
        form.show_uncertain.setEnabled(asking or (bound and not self._task.doing))

    def take_off(self) -> None:
        """Remove all overlays."""
        for name in _ALL:
            self._overlays.drop(name)
        self._form.show_uncertain.setChecked(False)

    def forget(self) -> None:
        """Listen to the viewer no more, and leave nothing there."""
        for name in _ALL:
            self._overlays.drop(name)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        if self._viewer.keymap.get(KEY) == self._on_key:  # another dock may have it
            self._viewer.bind_key(KEY, None, overwrite=True)

    def _on_key(self, _: Any) -> None:
        self.go_on()

    def _on_removed(self, event: Any) -> None:
        """Let a box follow an overlay that somebody deleted."""
        form = self._form
        boxes = {
            "reviewed": form.show_reviewed,
            "changed": form.show_changed,
            "uncertain": form.show_uncertain,
        }
        name = self._overlays.name_of(event.value)
        if name in boxes:
            boxes[name].setChecked(False)

    def _on_changed(self) -> None:
        self._overlays.refresh("reviewed")
        self._overlays.drop("place")  # somebody has seen it

    def go_on(self) -> None:
        """Go to the next uncertain place; look for more when there is none left."""
        desk, correcting = self._desk, self._desk.correcting
        if correcting is None or self._task.doing:
            return
        place = self._tour(desk.image_layer).next(desk.model, correcting.reviews)
        if place is not None:
            self._go(place)
            return
        stops = self._task.attempt(desk.stops)
        if stops is not None:
            stops = [replace(stop, visited=self._visited(stop)) for stop in stops]
            self._task.start(
                "Looking for uncertain places", lambda: looking(stops), self._on_places
            )

    def _tour(self, layer: Any) -> Tour:
        return self._tours.setdefault(layer, Tour())

    def _visited(self, stop: Stop) -> tuple[UncertainRegion, ...]:
        tour = self._tour(stop.layer)
        return tuple(tour.visited) if tour.model == stop.view.model else ()

    def _on_places(self, found: tuple[Stop, list[UncertainRegion]]) -> None:
        stop, places = found
        tour = self._tour(stop.layer)
        tour.begin(stop.view.model, places)
        place = tour.next(stop.view.model, stop.reviews)
        if place is None:
            self._form.progress.say("The model is sure of all that nobody reviewed.")
        elif stop.layer is self._desk.image_layer:
            self._go(place)
        elif stop.layer in self._viewer.layers:
            self.left.emit(stop.layer, place)

    def _go(self, place: UncertainRegion) -> None:
        result = self._desk.result
        if result is not None and result.layer is not None:
            go_to(self._viewer, result.layer, place)
            self.tell(place)

    def tell(self, place: UncertainRegion) -> None:
        """Say what is uncertain about a place, and mark it."""
        self._overlays.show_place(self._desk.image_layer, place)
        left = len(self._tour(self._desk.image_layer).waiting)
        self._form.progress.say(f"{place.reason} ({left} more; key {KEY})")

    def _show_reviewed(self, wanted: bool) -> None:
        correcting, layer = self._desk.correcting, self._desk.image_layer
        self._overlays.drop("reviewed")
        if wanted and correcting is not None and layer is not None:
            shape = correcting.image.label_shape
            self._overlays.show_reviewed(layer, correcting.reviews, shape)

    def _show_changed(self, wanted: bool) -> None:
        correcting, layer, own = (
            self._desk.correcting,
            self._desk.image_layer,
            self._changed(),
        )
        self._overlays.drop("changed")
        if wanted and own and correcting is not None and layer is not None:
            self._overlays.show_changed(layer, own, correcting.image.label_shape)

    def _changed(self) -> list[Any]:
        """Return what the last improvement changed in the image on the desk."""
        correcting, learning = self._desk.correcting, self._learning
        if correcting is None or correcting.project is not learning.compared_in:
            return []
        if self._desk.model != learning.compared_by:  # another is in use
            return []
        return [c for c in learning.compared if c.key == correcting.key]

    def _on_uncertain(self, wanted: bool) -> None:
        desk = self._desk
        self._overlays.drop("uncertain")
        if not wanted or desk.result is None or self._task.doing:
            return
        self._asked = desk.model
        view = self._task.attempt(lambda: desk.view(desk.model))
        if view is None:
            return
        place = view.plane, view.view or whole(view.image.plane_shape)
        layer = desk.image_layer
        self._task.start(
            "Asking the model how sure it is",
            lambda: seeing(view),
            lambda unsure: self._on_seen(layer, place, unsure),
        )

    def _on_seen(self, layer: Any, place: Any, unsure: Any) -> None:
        asked = self._form.show_uncertain.isChecked()
        if not asked or layer not in self._viewer.layers:
            self._form.progress.say("")
            return
        self._overlays.show_uncertain(layer, place, unsure)
        self._form.progress.say("Bright: the model is undecided between two classes.")
