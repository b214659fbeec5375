"""Main button of a dock: high, bold, and as high as its letters where room is short."""

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QPushButton, QWidget

__all__ = ["MainButton"]

_HEIGHT = 34  # pixels at least


class MainButton(QPushButton):
    """A high button with bold text.

    A minimum height that is set would let Qt make it lower than large letters are.
    """

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        font = self.font()
        font.setBold(True)
        self.setFont(font)

    def sizeHint(self) -> QSize:
        """Return Qt's, or more."""
        return super().sizeHint().expandedTo(QSize(0, _HEIGHT))
