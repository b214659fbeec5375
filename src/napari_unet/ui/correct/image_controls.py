"""Controls for a project's images: joining, listing, going to one."""

from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_unet.project.project import Project
from napari_unet.segmentation.uncertain_regions import UncertainRegion
from napari_unet.ui.correct.form import CorrectForm
from napari_unet.ui.correct.messages import closed_line
from napari_unet.ui.correct.overlay_controls import OverlayControls
from napari_unet.ui.correct.state import CorrectionState
from napari_unet.ui.correct.task import Task
from napari_unet.ui.correct.uncertain import go_to, show_all_of
from napari_unet.ui.layers import add_layers
from napari_unet.ui.open_image import opening
from napari_unet.ui.session import Session

__all__ = ["ImageControls"]


class ImageControls(QObject):
    """What happens at clicks on the invitation and in the list of images.

    Attributes
    ----------
    moved
        Something else is on the desk, or in another project.
    wanted
        The view shall be segmented with the model in use.
    """

    moved = Signal()
    wanted = Signal()

    def __init__(
        self,
        viewer: Any,
        session: Session,
        form: CorrectForm,
        desk: CorrectionState,
        task: Task,
        glasses: OverlayControls,
    ) -> None:
        super().__init__(form)
        self._viewer, self._session = viewer, session
        self._form, self._desk, self._task = form, desk, task
        self._glasses = glasses
        form.invitation.join.clicked.connect(self._on_join)
        form.invitation.stay.clicked.connect(self._on_stay)
        form.images.wanted.connect(self._on_image)
        glasses.left.connect(self._on_left)
        for emitter in self._emitters():
            emitter.connect(self.show)

    def forget(self) -> None:
        """Listen to the viewer no more."""
        for emitter in self._emitters():
            emitter.disconnect(self.show)

    def show(self, event: Any = None) -> None:
        """List the images of the project as they are now."""
        images = self._desk.collection
        rows = [] if images is None else images.rows(self._desk.image_layer)
        self._form.images.set_rows(rows)

    def _emitters(self) -> tuple[Any, ...]:
        events = self._viewer.layers.events
        return events.inserted, events.removed

    def _on_join(self) -> None:
        """Put the image into the project in use, and go on with its model."""
        desk = self._desk
        self._task.attempt(desk.join)
        self.moved.emit()
        if desk.project is not None and desk.found:
            self.wanted.emit()

    def _on_stay(self) -> None:
        self._desk.stay()
        self.moved.emit()

    def _on_image(self, key: str) -> None:
        """Go to another image of the project; open it first if need be."""
        images = self._desk.collection
        layer = None if images is None else images.layer_of(key)
        if layer is not None:
            self._show_image(layer)
        elif images is not None:
            self._open_image(key, images.project)

    def _open_image(self, key: str, project: Project) -> None:
        record = next(r for r in project.index.images if r.key == key)
        path = Path(record.path)
        if not record.path or not path.exists():
            self._task.fail(closed_line(record.name, record.path))
            return
        self._session.recent = project.folder  # where the image is looked for first
        self._task.start(
            f"Opening {path.name}",
            lambda: opening(path, None, "", bare=True),
            lambda found: self._on_opened(found[0], path),
        )

    def _on_opened(self, found: list[Any], path: Path) -> None:
        layers = add_layers(self._viewer, found, path)
        self._form.progress.say("")
        if layers:
            self._show_image(layers[0])

    def _show_image(self, layer: Any) -> None:
        """Show an image of the project, with its labels, and hide the other images."""
        desk, images = self._desk, self._desk.collection
        result = None if images is None else images.result_on(layer, desk.model)
        layers = [] if images is None else images.layers()
        for other in {*layers, desk.image_layer, layer} - {None}:
            other.visible = other is layer
            for one in self._session.shown():
                if one.source() is other and one.layer is not None:
                    one.layer.visible = one is result
        show_all_of(self._viewer, layer)
        self._viewer.layers.selection.active = layer if result is None else result.layer

    def _on_left(self, layer: Any, place: UncertainRegion) -> None:
        """Go to an uncertain place of another image, and show the model's labels."""
        self._show_image(layer)
        go_to(self._viewer, layer, place)
        self._glasses.tell(place)
        if self._desk.found:
            QTimer.singleShot(0, self.wanted.emit)  # once the search has ended
