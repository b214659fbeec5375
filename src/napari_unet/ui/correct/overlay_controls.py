"""Controls for overlays: each is there while its box is ticked."""

from typing import Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_unet.annotation.calls import calling
from napari_unet.tiling import whole
from napari_unet.ui.correct.overlays import Overlays
from napari_unet.ui.correct.state import CorrectionState
from napari_unet.ui.correct.task import Task
from napari_unet.ui.correct.uncertain import seeing

__all__ = ["OverlayControls"]

_ALL = "reviewed", "changed", "uncertain", "place"


class OverlayControls(QObject):
    """Overlays of what was reviewed, what is uncertain, and what Improve changed.

    Attributes
    ----------
    wanted
        Names of those that the user wants: reviewed, uncertain, changed.
    gone
        One is not wanted any more: its name.
    """

    gone = Signal(str)

    def __init__(
        self, state: CorrectionState, task: Task, overlays: Overlays, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._state, self._task, self._overlays = state, task, overlays
        self.wanted: set[str] = set()
        self._asked = ""  # the model that was asked how sure it is
        state.viewer.layers.events.removed.connect(self._on_removed)
        state.changed.connect(self._on_changed)

    def want(self, name: str, wanted: bool) -> None:
        """Show an overlay, or do so no more."""
        if wanted:
            self.wanted.add(name)
        else:
            self.wanted.discard(name)
        show = {
            "reviewed": self._show_reviewed,
            "uncertain": self._show_uncertain,
            "changed": self._show_changed,
        }
        show[name]()

    def follow(self) -> None:
        """Show what belongs to the subject that is being corrected."""
        if not self._state.compared:
            self._end("changed")
        self._show_reviewed()
        self._show_changed()
        if self._asked != self._state.model:  # another model is unsure of others
            self._end("uncertain")

    def take_off(self) -> None:
        """Remove all overlays."""
        self._drop_all()
        self._end("uncertain")

    def forget(self) -> None:
        """Listen to the viewer no more, and leave nothing there."""
        self._drop_all()
        self._state.viewer.layers.events.removed.disconnect(self._on_removed)

    def _drop_all(self) -> None:
        for name in _ALL:
            self._overlays.drop(name)

    def _end(self, name: str) -> None:
        if name in self.wanted:
            self.want(name, False)
            self.gone.emit(name)

    def _on_removed(self, event: Any) -> None:
        """Let a box follow an overlay that somebody deleted."""
        name = self._overlays.name_of(event.value)
        if name is not None:
            self._end(name)

    def _on_changed(self) -> None:
        self._overlays.refresh("reviewed")

    def _show_reviewed(self) -> None:
        correcting, layer = self._state.correcting, self._state.image_layer
        self._overlays.drop("reviewed")
        if "reviewed" in self.wanted and correcting is not None and layer is not None:
            shape = correcting.image.label_shape
            self._overlays.show_reviewed(layer, correcting.reviews, shape)

    def _show_changed(self) -> None:
        state, correcting = self._state, self._state.correcting
        layer, found = state.image_layer, state.compared
        self._overlays.drop("changed")
        if "changed" in self.wanted and found and correcting is not None:
            self._overlays.show_changed(layer, found, correcting.image.label_shape)

    def _show_uncertain(self) -> None:
        state = self._state
        self._overlays.drop("uncertain")
        if "uncertain" not in self.wanted or state.result is None or self._task.doing:
            return
        self._asked = state.model
        view = self._task.attempt(lambda: state.view(state.model))
        if view is None:
            return
        place = view.plane, view.view or whole(view.image.plane_shape)
        layer = state.image_layer
        self._task.start(
            "Asking the model how sure it is",
            calling(seeing, view, doing="looking for uncertain places"),
            lambda unsure: self._on_seen(layer, place, unsure),
        )

    def _on_seen(self, layer: Any, place: Any, unsure: Any) -> None:
        if "uncertain" not in self.wanted or layer not in self._state.viewer.layers:
            self._task.say("")
            return
        self._overlays.show_uncertain(layer, place, unsure)
        self._task.say("Bright: the model is undecided between two classes.")
