"""Combo boxes for image layers and models that keep themselves up to date."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from napari.layers import Image as ImageLayer
from qtpy.QtCore import QSignalBlocker, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QPaintEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QWidget,
)

from napari_unet.options import START_MODEL
from napari_unet.ui.layers import OVERLAY

__all__ = ["Chooser", "LayerChooser", "ModelChooser", "shipped_models"]

_MARGIN = 2  # pixels that Qt leaves free around the text


class Chooser(QComboBox):
    """Shows a name that is too long without its middle: names differ at the end."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw as Qt does, but for the text, which it would cut off."""
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        control = QStyle.ComplexControl.CC_ComboBox
        part = QStyle.SubControl.SC_ComboBoxEditField
        if (style := self.style()) is not None:
            room = style.subControlRect(control, option, part, self).width() - _MARGIN
            option.currentText = self.fontMetrics().elidedText(
                option.currentText, Qt.TextElideMode.ElideMiddle, room
            )
        painter.drawComplexControl(control, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)


class LayerChooser(Chooser):
    """The image layers of a viewer; follows the one that the user makes active."""

    changed = Signal()

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.currentIndexChanged.connect(self.changed)
        events = viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered):
            emitter.connect(self._fill)
        viewer.layers.selection.events.active.connect(self._follow)
        self._fill()
        self._follow()

    def layer(self) -> ImageLayer | None:
        """Return the chosen layer."""
        layer: ImageLayer | None = self.currentData()
        return layer

    def forget(self) -> None:
        """Listen to the viewer no more."""
        events = self._viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered):
            emitter.disconnect(self._fill)
        self._viewer.layers.selection.events.active.disconnect(self._follow)
        for layer in self._viewer.layers:
            layer.events.name.disconnect(self._fill)

    def _fill(self, event: Any = None) -> None:
        before = self.layer()
        with QSignalBlocker(self):
            self.clear()
            for layer in reversed(self._viewer.layers):  # as in the layer list
                if isinstance(layer, ImageLayer) and not layer.metadata.get(OVERLAY):
                    self.addItem(layer.name, layer)
                    layer.events.name.connect(self._fill)
            self._choose(before)
        self.changed.emit()

    def _follow(self, event: Any = None) -> None:
        self._choose(self._viewer.layers.selection.active)

    def _choose(self, layer: Any) -> None:
        for index in range(self.count()):
            if self.itemData(index) is layer:
                self.setCurrentIndex(index)


class ModelChooser(Chooser):
    """Shipped models, files used lately, and Browse..."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._chosen = ""
        self.currentIndexChanged.connect(self._on_index)
        self.activated.connect(self._on_activated)

    def fill(self, recent: tuple[str, ...], chosen: str) -> None:
        """List the models and choose one of them."""
        with QSignalBlocker(self):
            self.clear()
            for name in shipped_models():
                self._add(name, "Comes with napari-unet.")
            for path in recent:
                if Path(path).is_file():
                    self._add(path, path)
            if self.count():
                self.insertSeparator(self.count())
            self.addItem("Browse...")
            self.setCurrentIndex(max(0, self.findData(chosen)))
        self._on_index()

    def add(self, path: str) -> None:
        """Choose a model file."""
        self.offer(path)
        self.setCurrentIndex(self.findData(path))
        self._on_index()

    def offer(self, path: str) -> None:
        """List a model file; the chosen one stays."""
        if self.findData(path) < 0:
            with QSignalBlocker(self):
                self.insertItem(0, Path(path).stem, path)
                self.setItemData(0, path, 3)  # Qt.ToolTipRole

    def source(self) -> str:
        """Return the name or path of the chosen model; empty if there is none."""
        return self.currentData() or ""

    def name(self) -> str:
        """Return what the chosen model is called."""
        return Path(self.source()).stem

    def _add(self, source: str, tip: str) -> None:
        self.addItem(Path(source).stem, source)
        self.setItemData(self.count() - 1, tip, 3)  # Qt.ToolTipRole

    def _on_index(self) -> None:
        if self.source():
            self._chosen = self.source()
        self.changed.emit()

    def _on_activated(self, index: int) -> None:
        if self.itemData(index) is not None:
            return
        path, _ = QFileDialog.getOpenFileName(
            self, "Choose a model", "", "U-Net models (*.safetensors)"
        )
        if path:
            self.add(path)
        else:
            self.setCurrentIndex(max(0, self.findData(self._chosen)))


def shipped_models() -> list[str]:
    """Return the names of the shipped models that segment, without torch."""
    folder = files("napari_unet").joinpath("weights")
    suffix = ".safetensors"
    names = (file.name for file in folder.iterdir()) if folder.is_dir() else ()
    found = (name.removesuffix(suffix) for name in names if name.endswith(suffix))
    return sorted(name for name in found if name != START_MODEL)
