"""Row table: a table widget of which one row is chosen."""

from qtpy.QtCore import QEvent, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QKeyEvent, QMouseEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

__all__ = ["RowTable", "thousands"]

# A frame for those who go by keyboard, in a blue that is seen in dark and light themes.
_STYLE = """
RowTable { border: 1px solid transparent; }
RowTable::item { padding: 0px 3px; }
RowTable:focus { border: 1px solid #3f78e0; }
"""

_MOVE = (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)
_OPEN = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_F2)


class RowTable(QTableWidget):
    """Rows that are chosen as a whole, as high as its rows up to a number of them.

    Keys that it has no use for go on to napari, so that 2 still takes the brush after
    a click on a row; Tab leaves the table.

    Parameters
    ----------
    columns
        How many there are.
    stretched
        The column that takes the width that the others leave.
    most
        Rows that are in view at once; beyond them it scrolls.
    """

    picked = Signal(int)
    """The user went to this row, or clicked it again."""
    opened = Signal(int)
    """The user clicked this row twice, or pressed Enter or F2 on it."""

    def __init__(
        self, columns: int, stretched: int, most: int, parent: QWidget | None = None
    ) -> None:
        super().__init__(0, columns, parent)
        self._stretched, self._most = stretched, most
        self._before = -1  # the row that was chosen when the mouse went down
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        self.setStyleSheet(_STYLE)
        self.setWordWrap(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._arrange()
        self.currentCellChanged.connect(self._on_current)
        self.cellClicked.connect(self._on_clicked)
        self.cellDoubleClicked.connect(lambda row, column: self.opened.emit(row))

    def put(self, row: int, column: int, text: str, *, right: bool = False) -> None:
        """Show a text; one that is shown already is left alone, as it may be edited."""
        item = self.cell(row, column)
        if item.text() != text:
            item.setText(text)
        side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
        item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)

    def head(self, column: int, text: str, tip: str, *, right: bool = False) -> None:
        """Name a column, and tell by hovering what it holds."""
        item = QTableWidgetItem(text)
        item.setToolTip(tip)
        side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
        item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
        self.setHorizontalHeaderItem(column, item)

    def cell(self, row: int, column: int) -> QTableWidgetItem:
        """Return the item of a cell, which is made if there is none."""
        item = self.item(row, column)
        if item is None:
            item = QTableWidgetItem()
            self.setItem(row, column, item)
        return item

    def resize_rows(self, count: int) -> None:
        """Have `count` rows, and the height for them."""
        if count != self.rowCount():
            self.setRowCount(count)
            self.updateGeometry()

    def sizeHint(self) -> QSize:
        """Return the size with as many rows in view as there are, up to the most."""
        rows = min(self.rowCount(), self._most)
        height = sum(self.rowHeight(row) for row in range(rows))
        header = self.horizontalHeader()
        if header is not None and not header.isHidden():
            height += header.sizeHint().height()
        return QSize(200, height + 2 * self.frameWidth())

    def minimumSizeHint(self) -> QSize:
        """Return `sizeHint`: Qt's own would be higher than one row."""
        return self.sizeHint()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Move or open; leave every other key to napari."""
        if event is None:
            return
        if event.key() in _MOVE:
            super().keyPressEvent(event)
            event.accept()  # at the last row too
        elif self.state() == QAbstractItemView.State.EditingState:
            event.accept()  # it went through the editor, which closes now
        elif event.key() in _OPEN and self.currentRow() >= 0:
            self.opened.emit(self.currentRow())
        else:
            event.ignore()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Remember what was chosen before the click."""
        self._before = self.currentRow()
        super().mousePressEvent(event)

    def changeEvent(self, event: QEvent | None) -> None:
        """Take another height when napari's font or theme changes."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.StyleChange:
            self.updateGeometry()

    def _arrange(self) -> None:
        across, down = self.horizontalHeader(), self.verticalHeader()
        if across is None or down is None:
            return
        across.setHighlightSections(False)
        across.setSectionsClickable(False)
        across.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        across.setSectionResizeMode(self._stretched, QHeaderView.ResizeMode.Stretch)
        across.setMinimumSectionSize(16)
        down.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        down.setMinimumSectionSize(24)  # a name can be edited in it
        down.hide()

    def _on_current(self, row: int, column: int, *before: int) -> None:
        if row >= 0 and row != before[0]:
            self.picked.emit(row)

    def _on_clicked(self, row: int, column: int) -> None:
        if row == self._before:
            self.picked.emit(row)


def thousands(number: int) -> str:
    """Return a number as people read it: in groups of three, thin spaces between."""
    return f"{number:,}".replace(",", "\u2009")
