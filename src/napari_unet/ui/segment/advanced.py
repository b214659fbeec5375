"""The folded part of the form: what most people never need to touch."""

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QAction  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QSpinBox,
    QWidget,
)

from napari_unet.errors import OptionsError
from napari_unet.network.header import own_sizes
from napari_unet.options import parse_memory
from napari_unet.ui.settings import SegmentSettings
from napari_unet.ui.widgets.fold import Fold

__all__ = ["Advanced", "device_box", "diameter_box", "explain_sizes", "size_box"]

_DEVICES = {
    "auto": "auto (GPU or CPU)",
    "cpu": "cpu",
    "cuda": "cuda: NVIDIA, AMD",
    "mps": "mps: Apple",
}


_DIAMETER = (
    "Typical diameter of the objects in this image, in pixels. The image is resampled "
    "so that the model sees objects of the size it was trained on. 0: as it is."
)


class Advanced(Fold):
    """Device, memory, object diameter, minimum size, under a title that folds them."""

    changed = Signal()
    line_wanted = Signal()
    result_wanted = Signal()
    defaults_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Device, memory, object diameter, minimum size.", parent)
        self.device = device_box()
        self.memory = QLineEdit()
        self.memory.setPlaceholderText("automatic")
        self.memory.setToolTip(
            "Most memory that napari as a whole may take, such as 2GB or 700MB. "
            "Empty: as much as is free. Less memory means smaller tiles, and slower."
        )
        self.diameter = diameter_box()
        self.measure = QPushButton()
        self.min_size = size_box()
        self.defaults = QPushButton("Restore defaults")
        self.defaults.setToolTip("Set output, device and the fields above as at first.")
        self._arrange()
        self.device.currentIndexChanged.connect(self.changed)
        self.memory.textChanged.connect(self.changed)
        self.diameter.valueChanged.connect(self.changed)
        self.min_size.valueChanged.connect(self.changed)
        self.defaults.clicked.connect(self.defaults_wanted)
        self.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        fields = (self.memory.text(), self.diameter.value(), self.min_size.value())
        self.mark(any(fields) or self.device.currentIndex() > 0)

    def explain(self, source: str) -> None:
        """Say what a model, by its name or file, does where nothing is chosen."""
        explain_sizes(source, self.diameter, self.min_size)

    def restore(self, settings: SegmentSettings) -> None:
        """Show `settings`."""
        self.device.setCurrentIndex(max(0, self.device.findData(settings.device)))
        self.memory.setText(settings.memory)
        self.diameter.setValue(settings.diameter)
        self.min_size.setValue(settings.min_size)

    def bytes_allowed(self) -> int | None:
        """Return the memory that was typed; None for automatic.

        Raises
        ------
        OptionsError
            If it is no amount of memory.
        """
        text = self.memory.text().strip()
        return parse_memory(text) if text else None

    def problem(self) -> str | None:
        """Return what is wrong with the memory."""
        try:
            self.bytes_allowed()
        except OptionsError as error:
            return str(error)
        return None

    def _arrange(self) -> None:
        self.fields.addRow("Device", self.device)
        self.fields.addRow("Memory", self.memory)
        self.fields.addRow("Object diameter", self._with_menu())
        self.fields.addRow("Minimum size", self.min_size)
        self.fields.addRow(self.defaults)

    def _with_menu(self) -> QWidget:
        menu = QMenu(self.measure)
        for text, tip, signal in (
            (
                "Draw a line",
                "Draw a line across a typical object: its length counts.",
                self.line_wanted,
            ),
            (
                "From the current result",
                "Take the median diameter of the objects found last.",
                self.result_wanted,
            ),
        ):
            action = QAction(text, menu)
            action.setToolTip(tip)
            action.triggered.connect(signal)
            menu.addAction(action)
        menu.setToolTipsVisible(True)
        self.measure.setText("Measure")
        self.measure.setToolTip("Measure the diameter in the image.")
        self.measure.setMenu(menu)
        both = QWidget()
        row = QHBoxLayout(both)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.diameter, 1)
        row.addWidget(self.measure)
        return both


def device_box() -> QComboBox:
    """Return a list of the kinds of device that a net can run on."""
    box = QComboBox()
    for name, text in _DEVICES.items():
        box.addItem(text, name)
    box.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    box.setToolTip("Where the net runs. The result line names it afterwards.")
    return box


def diameter_box() -> QDoubleSpinBox:
    """Return a field for the diameter of objects; 0 for none."""
    box = QDoubleSpinBox()
    box.setRange(0, 10_000)
    box.setDecimals(1)
    box.setSuffix(" px")
    box.setSpecialValueText("as it is")
    box.setToolTip(_DIAMETER)
    return box


def size_box() -> QSpinBox:
    """Return a field for the least size of objects; 0 for the model's own."""
    box = QSpinBox()
    box.setRange(0, 10_000_000)
    box.setSuffix(" px")
    box.setSpecialValueText("the model's own")
    box.setToolTip(
        "Objects with fewer pixels than this are dropped. A model may have a least "
        "size of its own; 1 keeps everything."
    )
    return box


def explain_sizes(source: str, diameter: QDoubleSpinBox, least: QSpinBox) -> None:
    """Let the fields name the sizes of a model, by its name or file, while empty."""
    trained, own = own_sizes(source)
    made = "" if trained is None else f" ({trained:g} px)"
    diameter.setSpecialValueText(f"as it is{made}")
    diameter.setToolTip(
        f"{_DIAMETER} The number is the diameter that the model was trained on."
    )
    size = "none" if own is None else f"{own:g} px"
    least.setSpecialValueText(f"the model's own: {size}")
