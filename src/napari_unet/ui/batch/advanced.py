"""Advanced fields of U-Net: Batch: reading, segmenting and writing files."""

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QWidget,
)

from napari_unet.ui.settings import BatchSettings
from napari_unet.ui.widgets.fields import (
    device_box,
    diameter_box,
    explain_defaults,
    score_box,
    size_box,
)
from napari_unet.ui.widgets.fold import Fold

__all__ = ["BatchAdvanced"]

_FORMATS = {"automatic": "auto", "OME-TIFF": "ome-tiff", "OME-Zarr": "ome-zarr"}
_OUTPUTS = ("objects", "classes", "probabilities")


class BatchAdvanced(Fold):
    """What most people never need to touch."""

    changed = Signal()
    defaults_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Kind of labels and file, channel, sizes, cores.", parent)
        self.output, self.format = QComboBox(), QComboBox()
        self.link_z = QCheckBox("join objects through Z")
        self.overwrite = QCheckBox("replace results that are there")
        self.channel, self.axes = QLineEdit(), QLineEdit()
        self.diameter = diameter_box()
        self.min_size, self.min_score = size_box(), score_box()
        self.device, self.workers = device_box(), QSpinBox()
        self.defaults = QPushButton("Restore defaults")
        self._set_up()
        self._explain()
        self._arrange()
        self._connect()

    def restore(self, settings: BatchSettings) -> None:
        """Show `settings`."""
        for box, value in (
            (self.output, settings.output),
            (self.format, settings.save_as),
            (self.device, settings.device),
        ):
            box.setCurrentIndex(max(0, box.findData(value)))
        self.link_z.setChecked(settings.link_z)
        self.diameter.setValue(settings.diameter)
        self.min_size.setValue(settings.min_size)
        self.min_score.setValue(settings.min_score)
        self.workers.setValue(settings.workers)
        for field in (self.channel, self.axes):
            field.clear()
        self.overwrite.setChecked(False)
        self._follow()

    def explain(self, source: str) -> None:
        """Say what a model, by its name or file, does where nothing is chosen."""
        explain_defaults(source, self.diameter, self.min_size, self.min_score)

    def channel_chosen(self) -> str | None:
        """Return the channel: its name or number as text, or None."""
        return self.channel.text().strip() or None

    def _set_up(self) -> None:
        for name in _OUTPUTS:
            self.output.addItem(name, name)
        for name, value in _FORMATS.items():
            self.format.addItem(name, value)
        self.channel.setPlaceholderText("the only one")
        self.axes.setPlaceholderText("as the files say")
        self.workers.setRange(0, 256)
        self.workers.setSpecialValueText("none: within napari")

    def _explain(self) -> None:
        tips: dict[QWidget, str] = {
            self.output: (
                "objects: every object a number; classes: every pixel; probabilities: "
                "of every class."
            ),
            self.format: (
                "OME-TIFF is one file, for Fiji and others; OME-Zarr opens at once and "
                "can be edited here. Automatic: OME-TIFF, unless the labels are large."
            ),
            self.link_z: (
                "Objects of neighbouring Z planes that overlap get one number, and one "
                "row in the table. Else every plane has objects of its own."
            ),
            self.overwrite: (
                "Begin anew where results are there already, also those that somebody "
                "corrected by hand. Else they are left alone."
            ),
            self.channel: "The channel that the model sees: name, or number from 0.",
            self.axes: (
                "Where files do not say what their axes are: a letter for each, as in "
                "TZYX or TCYX."
            ),
            self.workers: (
                "Processes that share the work, each with the memory above. Needs "
                "dask; useful without a GPU, one for each core."
            ),
            self.defaults: "Set memory, measure and the fields above as at first.",
        }
        for widget, tip in tips.items():
            widget.setToolTip(tip)

    def _arrange(self) -> None:
        self.fields.addRow("Labels", self.output)
        self.fields.addRow("Save as", self.format)
        self.fields.addRow("Channel", self.channel)
        self.fields.addRow("Axes", self.axes)
        self.fields.addRow("Object diameter", self.diameter)
        self.fields.addRow("Minimum size", self.min_size)
        self.fields.addRow("Minimum score", self.min_score)
        self.fields.addRow("Device", self.device)
        self.fields.addRow("Workers", self.workers)
        self.fields.addRow(self.link_z)
        self.fields.addRow(self.overwrite)
        self.fields.addRow(self.defaults)

    def _connect(self) -> None:
        for box in (self.output, self.format, self.device):
            box.currentIndexChanged.connect(self._follow)
        for field in (self.channel, self.axes):
            field.textChanged.connect(self._follow)
        for check in (self.link_z, self.overwrite):
            check.toggled.connect(self._follow)
        for spin in self._spins():
            spin.valueChanged.connect(self._follow)
        self.defaults.clicked.connect(self.defaults_wanted)

    def _spins(self) -> tuple[QSpinBox | QDoubleSpinBox, ...]:
        return self.diameter, self.min_size, self.min_score, self.workers

    def _follow(self) -> None:
        """Let the title say whether anything is set; then tell."""
        self.link_z.setEnabled(self.output.currentData() == "objects")
        lists = (self.output, self.format, self.device)
        self.mark(
            any(box.currentIndex() > 0 for box in lists)
            or any(spin.value() for spin in self._spins())
            or any(field.text().strip() for field in (self.channel, self.axes))
            or not self.link_z.isChecked()
            or self.overwrite.isChecked()
        )
        self.changed.emit()
