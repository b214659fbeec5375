"""The folded part of the form: what most people never need to touch."""

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QAction  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_unet.errors import OptionsError
from napari_unet.options import parse_memory

from .settings import SegmentSettings

__all__ = ["Advanced"]

_DEVICES = {
    "auto": "auto (GPU or CPU)",
    "cpu": "cpu",
    "cuda": "cuda: NVIDIA, AMD",
    "mps": "mps: Apple",
}


class Advanced(QWidget):
    """Device, memory, object diameter, minimum size, under a title that folds them."""

    changed = Signal()
    line_wanted = Signal()
    result_wanted = Signal()
    defaults_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = QPushButton()
        self.title.setCheckable(True)
        self.title.setStyleSheet(
            "text-align: left; border: none; background: transparent;"
        )
        self.title.setToolTip("Device, memory, object diameter, minimum size.")
        self.device = _devices()
        self.memory = QLineEdit()
        self.memory.setPlaceholderText("automatic")
        self.memory.setToolTip(
            "Most memory that napari as a whole may take, such as 2GB or 700MB. "
            "Empty: as much as is free. Less memory means smaller tiles, and slower."
        )
        self.diameter = _diameter()
        self.measure = QPushButton()
        self.min_size = _min_size()
        self.defaults = QPushButton("Restore defaults")
        self.defaults.setToolTip("Set output, device and the fields above as at first.")
        self._arrange()
        self.device.currentIndexChanged.connect(self.changed)
        self.memory.textChanged.connect(self.changed)
        self.diameter.valueChanged.connect(self.changed)
        self.min_size.valueChanged.connect(self.changed)
        self.defaults.clicked.connect(self.defaults_wanted)
        self.changed.connect(self._show)
        self.title.toggled.connect(self._show)
        self._show()

    def expand(self) -> None:
        """Unfold the fields."""
        self.title.setChecked(True)

    def _show(self) -> None:
        """Fold or unfold; say in the title whether anything below it is set."""
        fields = (self.memory.text(), self.diameter.value(), self.min_size.value())
        set_ = any(fields) or self.device.currentIndex() > 0
        arrow = "▾" if self.title.isChecked() else "▸"
        self.title.setText(f"{arrow}  Advanced{' (changed)' if set_ else ''}")
        self._body.setVisible(self.title.isChecked())

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
        self._body = QWidget()
        layout = QFormLayout(self._body)
        layout.setContentsMargins(8, 0, 0, 4)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        layout.addRow("Device", self.device)
        layout.addRow("Memory", self.memory)
        layout.addRow("Object diameter", self._with_menu())
        layout.addRow("Minimum size", self.min_size)
        layout.addRow(self.defaults)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.title)
        whole.addWidget(self._body)

    def _with_menu(self) -> QWidget:
        menu = QMenu(self.measure)
        for text, tip, signal in (
            (
                "Draw a line",
                "Draw lines across typical objects; the last one counts.",
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


def _devices() -> QComboBox:
    box = QComboBox()
    for name, text in _DEVICES.items():
        box.addItem(text, name)
    box.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    box.setToolTip("Where the net runs. The result line names it afterwards.")
    return box


def _diameter() -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(0, 10_000)
    box.setDecimals(1)
    box.setSuffix(" px")
    box.setSpecialValueText("as it is")
    box.setToolTip(
        "Typical diameter of the objects in this image, in pixels. The image is "
        "resampled so that the model sees objects of the size it was trained on. "
        "0: as it is."
    )
    return box


def _min_size() -> QSpinBox:
    box = QSpinBox()
    box.setRange(0, 10_000_000)
    box.setSuffix(" px")
    box.setSpecialValueText("the model's own")
    box.setToolTip(
        "Objects with fewer pixels than this are dropped. A model may have a least "
        "size of its own; 1 keeps everything."
    )
    return box
