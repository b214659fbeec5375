"""The line that asks for strokes of classes that have none."""

from collections.abc import Sequence

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet.ui.correct.class_table import ClassRow
from napari_unet.ui.correct.messages import unpainted_line

__all__ = ["Lacking"]

_SHOW = (
    "Go to a good place for a stroke of it: for background far from any object, else "
    "where the labels have this class now. The brush is in your hand there."
)
_ANYWAY = "Learn without it, if there is none of it in your images."


class Lacking(QWidget):
    """Asks for a stroke of each class that has none; hidden if there is no such class.

    Attributes
    ----------
    show_place, anyway
        Its buttons.
    """

    wanted = Signal(int)
    """The user wants to see where this class is."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._first = 0
        self.line = QLabel()
        self.line.setWordWrap(True)
        self.line.setMinimumWidth(1)  # a long name must not widen the dock
        self.show_place = QPushButton("Show me where")
        self.show_place.setToolTip(_SHOW)
        self.anyway = QPushButton("Improve anyway")
        self.anyway.setToolTip(_ANYWAY)
        self.show_place.clicked.connect(lambda: self.wanted.emit(self._first))
        buttons = QHBoxLayout()
        buttons.addWidget(self.show_place, 1)
        buttons.addWidget(self.anyway, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line)
        layout.addLayout(buttons)
        self.follow((), possible=False, idle=True)

    def follow(self, rows: Sequence[ClassRow], *, possible: bool, idle: bool) -> None:
        """Ask for these classes.

        Parameters
        ----------
        possible
            Whether a model could learn without them.
        idle
            Whether nothing runs.
        """
        self.setVisible(bool(rows))
        self.anyway.setVisible(possible)
        self.anyway.setEnabled(idle)
        if rows:
            self._first = rows[0].value
            self.line.setText(unpainted_line(rows))
