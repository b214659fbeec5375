"""Controls for the tour of uncertain regions: from one to the next, through images."""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_unet.annotation.calls import far
from napari_unet.annotation.resegment import Request
from napari_unet.annotation.reviews import ImageReviews
from napari_unet.compute.call import Call
from napari_unet.segmentation.uncertain_regions import UncertainRegion
from napari_unet.ui.correct.overlays import Overlays
from napari_unet.ui.correct.state import CorrectionState
from napari_unet.ui.correct.task import Task
from napari_unet.ui.correct.uncertain import Stop, Tour, go_to, looking

__all__ = ["KEY", "TourControls"]

KEY = "N"  # goes to the next uncertain place


class TourControls(QObject):
    """Goes to uncertain places, of this image first, then of others of the project.

    Parameters
    ----------
    show_image
        Shows an image layer, with its labels, and nothing on top of it.

    Attributes
    ----------
    wanted
        The view shall be segmented with the model in use: it is of another image.
    """

    wanted = Signal()

    def __init__(
        self,
        state: CorrectionState,
        task: Task,
        overlays: Overlays,
        show_image: Callable[[Any], None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._state, self._task = state, task
        self._overlays, self._show_image = overlays, show_image
        self._tours: WeakKeyDictionary[Any, Tour] = WeakKeyDictionary()  # by image
        state.viewer.bind_key(KEY, self._on_key, overwrite=True)
        state.changed.connect(self._on_changed)

    def forget(self) -> None:
        """Let go of the key; another dock may have it by now."""
        viewer = self._state.viewer
        if viewer.keymap.get(KEY) == self._on_key:
            viewer.bind_key(KEY, None, overwrite=True)

    def go_on(self) -> None:
        """Go to the next uncertain place; look for more when there is none left."""
        state, correcting = self._state, self._state.correcting
        if correcting is None or self._task.doing:
            return
        place = self._tour(state.image_layer).next(state.model, correcting.reviews)
        if place is not None:
            self._go(place)
            return
        stops = self._task.attempt(self._stops)
        if stops is not None:
            apart = all(stop.view.portable for stop in stops)
            views = [(far(stop.view), stop.visited) for stop in stops]
            self._task.start(
                "Looking for uncertain places",
                Call(looking, views, apart=apart, doing="looking for uncertain places"),
                lambda found: self._on_places(stops[found[0]], found[1]),
            )

    def _stops(self) -> list[Stop]:
        """Return where uncertain places are looked for: in this image, then others."""
        state, images = self._state, self._state.collection
        model, layer = state.model, state.image_layer
        found = [self._stop(layer, state.view(model), state.reviews())]
        if images is None:
            return found
        others = [x for x in images.layers() if x is not layer]
        return found + [
            self._stop(other, images.view(other, model), images.reviews_on(other))
            for other in others
        ]

    def _stop(self, layer: Any, view: Request, reviews: ImageReviews) -> Stop:
        tour = self._tour(layer)
        visited = tuple(tour.visited) if tour.model == view.model else ()
        return Stop(layer, view, reviews, visited)

    def _tour(self, layer: Any) -> Tour:
        return self._tours.setdefault(layer, Tour())

    def _on_key(self, _: Any) -> None:
        self.go_on()

    def _on_changed(self) -> None:
        self._overlays.drop("place")  # somebody has seen it

    def _on_places(self, stop: Stop, places: list[UncertainRegion]) -> None:
        tour = self._tour(stop.layer)
        tour.begin(stop.view.model, places)
        place = tour.next(stop.view.model, stop.reviews)
        if place is None:
            self._task.say("The model is sure of all that nobody reviewed.")
        elif stop.layer is self._state.image_layer:
            self._go(place)
        elif stop.layer in self._state.viewer.layers:
            self._leave_for(stop.layer, place)

    def _go(self, place: UncertainRegion) -> None:
        result = self._state.result
        if result is not None and result.layer is not None:
            go_to(self._state.viewer, result.layer, place)
            self._tell(place)

    def _leave_for(self, layer: Any, place: UncertainRegion) -> None:
        """Go to a place of another image, and show the model's labels there."""
        self._show_image(layer)
        go_to(self._state.viewer, layer, place)
        self._tell(place)
        if self._state.resumable:
            QTimer.singleShot(0, self.wanted.emit)  # once the search has ended

    def _tell(self, place: UncertainRegion) -> None:
        """Say what is uncertain about a place, and mark it."""
        layer = self._state.image_layer
        self._overlays.show_place(layer, place)
        left = len(self._tour(layer).waiting)
        self._task.say(f"{place.reason} ({left} more; key {KEY})")
