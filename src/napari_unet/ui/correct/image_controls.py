"""Controls for a project's images: joining it, going to one, opening one."""

from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_unet.project.project import Project
from napari_unet.ui.correct.messages import closed_line
from napari_unet.ui.correct.state import CorrectionState
from napari_unet.ui.correct.task import Task
from napari_unet.ui.correct.uncertain import show_all_of
from napari_unet.ui.layers import add_layers
from napari_unet.ui.open_image import opening

__all__ = ["ImageControls"]


class ImageControls(QObject):
    """What happens at clicks on the invitation and in the list of images.

    Attributes
    ----------
    moved
        Something else is being corrected, or in another project.
    wanted
        The view shall be segmented with the model in use.
    """

    moved = Signal()
    wanted = Signal()

    def __init__(self, state: CorrectionState, task: Task, parent: QObject) -> None:
        super().__init__(parent)
        self._state, self._task = state, task

    def join(self) -> None:
        """Put the image into the project in use, and go on with its model."""
        state = self._state
        self._task.attempt(state.join)
        self.moved.emit()
        if state.resumable:
            self.wanted.emit()

    def stay(self) -> None:
        """Let the image have a project of its own."""
        self._state.stay()
        self.moved.emit()

    def go_to(self, key: str) -> None:
        """Go to another image of the project; open it first if need be."""
        images = self._state.collection
        layer = None if images is None else images.layer_of(key)
        if layer is not None:
            self.show(layer)
        elif images is not None:
            self._open(key, images.project)

    def show(self, layer: Any) -> None:
        """Show an image of the project, with its labels, and hide the other images."""
        state, images = self._state, self._state.collection
        result = None if images is None else images.result_on(layer, state.model)
        layers = [] if images is None else images.layers()
        for other in {*layers, state.image_layer, layer} - {None}:
            other.visible = other is layer
            for one in state.session.shown():
                if one.source() is other and one.layer is not None:
                    one.layer.visible = one is result
        show_all_of(state.viewer, layer)
        state.viewer.layers.selection.active = layer if result is None else result.layer

    def _open(self, key: str, project: Project) -> None:
        record = next(r for r in project.index.images if r.key == key)
        path = Path(record.path)
        if not record.path or not path.exists():
            self._task.fail(closed_line(record.name, record.path))
            return
        # Where the image is looked for first.
        self._state.session.recent = project.folder
        self._task.start(
            f"Opening {path.name}",
            lambda: opening(path, None, "", bare=True),
            lambda found: self._on_opened(found[0], path),
        )

    def _on_opened(self, found: list[Any], path: Path) -> None:
        layers = add_layers(self._state.viewer, found, path)
        self._task.say("")
        if layers:
            self.show(layers[0])
