"""Advanced fields of U-Net: Segment: device, memory, diameter, least size and score."""

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QAction  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QWidget,
)

from napari_unet.errors import OptionsError
from napari_unet.options import parse_memory
from napari_unet.ui.settings import SegmentSettings
from napari_unet.ui.widgets.fields import (
    device_box,
    diameter_box,
    explain_defaults,
    score_box,
    size_box,
)
from napari_unet.ui.widgets.fold import Fold

__all__ = ["Advanced"]


class Advanced(Fold):
    """Device, memory, diameter, least size and score, under a title that folds them."""

    changed = Signal()
    line_wanted = Signal()
    result_wanted = Signal()
    defaults_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        about = "Device, memory, object diameter, minimum size and score."
        super().__init__(about, parent)
        self.device = device_box()
        self.memory = QLineEdit()
        self.memory.setPlaceholderText("automatic")
        self.memory.setToolTip(
            "Most memory that napari as a whole may take, such as 2GB or 700MB. "
            "Empty: as much as is free. Less memory means smaller tiles, and slower."
        )
        self.diameter = diameter_box()
        self.measure = QPushButton()
        self.min_size, self.min_score = size_box(), score_box()
        self.defaults = QPushButton("Restore defaults")
        self.defaults.setToolTip("Set output, device and the fields above as at first.")
        self._arrange()
        self.device.currentIndexChanged.connect(self.changed)
        self.memory.textChanged.connect(self.changed)
        for spin in (self.diameter, self.min_size, self.min_score):
            spin.valueChanged.connect(self.changed)
        self.defaults.clicked.connect(self.defaults_wanted)
        self.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        spins = self.diameter, self.min_size, self.min_score
        filled = bool(self.memory.text()) or any(spin.value() for spin in spins)
        self.mark(filled or self.device.currentIndex() > 0)

    def explain(self, source: str) -> None:
        """Say what a model, by its name or file, does where nothing is chosen."""
        explain_defaults(source, self.diameter, self.min_size, self.min_score)

    def restore(self, settings: SegmentSettings) -> None:
        """Show `settings`."""
        self.device.setCurrentIndex(max(0, self.device.findData(settings.device)))
        self.memory.setText(settings.memory)
        self.diameter.setValue(settings.diameter)
        self.min_size.setValue(settings.min_size)
        self.min_score.setValue(settings.min_score)

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
        self.fields.addRow("Minimum score", self.min_score)
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
