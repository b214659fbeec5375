"""Form of U-Net: Segment: fields to `SegmentOptions`, and what is wrong in them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QVBoxLayout, QWidget

from napari_unet.errors import ImageError
from napari_unet.options import SegmentOptions
from napari_unet.ui.choosers import LayerChooser, ModelChooser
from napari_unet.ui.layers import axes_of
from napari_unet.ui.segment.advanced import Advanced
from napari_unet.ui.settings import SegmentSettings, read_settings

__all__ = ["SegmentForm"]

_WRONG = "background-color: rgba(200, 60, 60, 110);"
_OUTPUTS = {
    "objects": "Every object gets a number of its own.",
    "classes": "Every pixel gets the number of its class.",
}


class SegmentForm(QWidget):
    """Image, channel, model and output, then the folded rest."""

    changed = Signal()

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings = read_settings()
        self.image = LayerChooser(viewer)
        self.channel = QComboBox()
        self.model = ModelChooser()
        self.output = QComboBox()
        self.link_z = QCheckBox("join objects through Z")
        self.advanced = Advanced()
        self._tips = {
            self.image: "The image layer to segment.",
            self.model: "The model that segments: shipped, or a file of yours.",
            self.advanced.memory: self.advanced.memory.toolTip(),
        }
        self._arrange()
        self.restore(self._settings)
        for signal in (self.model.changed, self.advanced.changed):
            signal.connect(self._check)
        self.output.currentIndexChanged.connect(self._on_output)
        self.link_z.toggled.connect(self._check)
        self.model.changed.connect(self._explain)
        self._explain()
        self.image.changed.connect(self._on_layer)
        self._on_layer()

    def problem(self) -> str | None:
        """Return why the form cannot be used as it is, or None."""
        return next(iter(self._problems().values()), None)

    def options(self) -> SegmentOptions:
        """Return what is to be done, for the form as it is; see `problem`."""
        return SegmentOptions(
            output=self.output.currentData(),
            channel=self.channel.currentData(),
            device=self.advanced.device.currentData(),
            memory=self.advanced.bytes_allowed(),
            min_size=self.advanced.min_size.value() or None,
            min_score=self.advanced.min_score.value() or None,
            diameter=self.advanced.diameter.value() or None,
        )

    def links(self) -> bool:
        """Return whether objects are to be joined through planes that there are."""
        return self._deep() and self.link_z.isChecked()

    def settings(self) -> SegmentSettings:
        """Return what is worth remembering of the form."""
        settings = replace(
            self._settings,
            model=self.model.source(),
            recent=read_settings().recent,  # other docks add to it
            output=self.output.currentData(),
            device=self.advanced.device.currentData(),
            memory=self.advanced.memory.text().strip(),
            diameter=self.advanced.diameter.value(),
            min_size=self.advanced.min_size.value(),
            min_score=self.advanced.min_score.value(),
            link_z=self.link_z.isChecked(),
        )
        if Path(self.model.source()).suffix:  # a file, not the name of a shipped model
            settings = settings.used(self.model.source())
        self._settings = settings
        return settings

    def restore(self, settings: SegmentSettings) -> None:
        """Show `settings`."""
        self._settings = settings
        self.model.fill(settings.recent, settings.model)
        self.output.setCurrentIndex(max(0, self.output.findData(settings.output)))
        self.link_z.setChecked(settings.link_z)
        self.advanced.restore(settings)

    def _arrange(self) -> None:
        for index, (name, tip) in enumerate(_OUTPUTS.items()):
            self.output.addItem(name, name)
            self.output.setItemData(index, tip, 3)  # Qt.ToolTipRole
        self.output.setToolTip("objects: every object a number; classes: every pixel.")
        self.channel.setToolTip("The channel that the model sees.")
        self.link_z.setToolTip(
            "Objects of neighbouring Z planes that overlap become one, with one number "
            "and one row in the table. Else every plane has objects of its own."
        )
        fields = QWidget()
        self._rows = QFormLayout(fields)
        self._rows.setContentsMargins(0, 0, 0, 0)
        growth = QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow
        self._rows.setFieldGrowthPolicy(growth)
        self._rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self._rows.addRow("Image", self.image)
        self._rows.addRow("Channel", self.channel)
        self._rows.addRow("Model", self.model)
        self._rows.addRow("Output", self.output)
        self._rows.addRow("", self.link_z)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(fields)
        layout.addWidget(self.advanced)
        self.advanced.defaults_wanted.connect(self._restore_defaults)

    def _restore_defaults(self) -> None:
        recent = self._settings.recent
        self.restore(SegmentSettings(model=self.model.source(), recent=recent))

    def _on_layer(self) -> None:
        layer, before = self.image.layer(), self.channel.currentIndex()
        self.channel.blockSignals(True)
        self.channel.clear()
        count = 0
        if layer is not None and self._layer_problem() is None and not layer.rgb:
            axes = axes_of(layer)
            shape = layer.data[0].shape if layer.multiscale else layer.data.shape
            count = shape[axes.index("C")] if "C" in axes else 0
        for index in range(count if count > 1 else 0):
            self.channel.addItem(f"{index}", index)
        if count > 1:
            self.channel.addItem("all", None)
            self.channel.setCurrentIndex(before if 0 <= before <= count else 0)
        self.channel.blockSignals(False)
        self._rows.setRowVisible(self.channel, count > 1)
        self._on_output()

    def _on_output(self) -> None:
        self._rows.setRowVisible(self.link_z, self._deep())
        self._check()

    def _deep(self) -> bool:
        """Whether there are objects that can go on through Z planes."""
        layer = self.image.layer()
        if layer is None or self._layer_problem() is not None:
            return False
        axes, data = axes_of(layer), layer.data[0] if layer.multiscale else layer.data
        several = "Z" in axes and data.shape[axes.index("Z")] > 1
        return bool(several and self.output.currentData() == "objects")

    def _layer_problem(self) -> str | None:
        layer = self.image.layer()
        if layer is None:
            return "There is no image. Open one, or try File > Open Sample > U-Net."
        try:
            axes_of(layer)
        except ImageError as error:
            return str(error)
        return None

    def _problems(self) -> dict[QWidget, str]:
        problems: dict[QWidget, str | None] = {self.image: self._layer_problem()}
        model = self.model.source()
        if not model:
            problems[self.model] = "No model is chosen. Choose one, or Browse..."
        elif Path(model).suffix and not Path(model).is_file():
            problems[self.model] = f"{model} is gone. Choose another model."
        problems[self.advanced.memory] = self.advanced.problem()
        return {field: text for field, text in problems.items() if text}

    def _explain(self) -> None:
        self.advanced.explain(self.model.source())

    def _check(self) -> None:
        problems = self._problems()
        for field, tip in self._tips.items():
            field.setStyleSheet(_WRONG if field in problems else "")
            field.setToolTip(problems.get(field, tip))
        if self.advanced.memory in problems:
            self.advanced.expand()
        self.changed.emit()
