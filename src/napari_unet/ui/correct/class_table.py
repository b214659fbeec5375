"""Class table of U-Net: Correct: colour, name, reviewed pixels; choice of label."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qtpy.QtCore import (  # type: ignore[attr-defined]
    QAbstractItemModel,
    QModelIndex,
    QSignalBlocker,
    Qt,
    Signal,
)
from qtpy.QtGui import QColor, QIcon, QPainter, QPen, QPixmap
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from napari_unet.ui.widgets.palette import Colour, class_colours
from napari_unet.ui.widgets.table import RowTable, thousands

__all__ = ["ClassRow", "ClassTable", "class_colours"]

_NUMBER, _COLOUR, _NAME, _PIXELS, _STROKES = range(5)
_HEADERS = (
    ("#", "Number of the class: the label that napari paints."),
    (
        "",
        "Colour of the class on the layer, made for colour-blind eyes too.",
    ),
    ("Class", "Name of the class. Double click, F2 or Enter to change it."),
    (
        "Reviewed px",
        "Pixels that you painted, or said are right, in all images of the project.",
    ),
    (
        "Pieces",
        "Reviewed areas that hang together: a stroke by itself is one.",
    ),
)
_IN_VIEW = 6  # rows
_MOST = 254  # classes that a model can have
_LONGEST = 60  # letters of a name
_WRONG = "border: 2px solid rgb(200, 60, 60);"  # a tint would let the old name through
_ADD = "Add a class, name it, and paint it: the next Improve learns it."


@dataclass(frozen=True, slots=True)
class ClassRow:
    """What the table shows of one class.

    Attributes
    ----------
    value
        Its label on the layer.
    strokes, pixels
        What was reviewed as this class.
    """

    value: int
    name: str
    colour: Colour
    strokes: int = 0
    pixels: int = 0


class ClassTable(QWidget):
    """Number, colour, name, reviewed pixels and pieces of each class.

    Attributes
    ----------
    bar
        The row of buttons under the table, for more of them.
    """

    chosen = Signal(int)
    """The user wants to paint with this label."""
    renamed = Signal(int, str)
    """The class with this label is now called so."""
    added = Signal(str)
    """There is a class of this name now, the last; `renamed` may follow."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[ClassRow, ...] = ()
        self._editable, self._reason = True, ""
        self.table = RowTable(len(_HEADERS), _NAME, _IN_VIEW)
        self.add_button = QPushButton("+ class")
        self.bar = QHBoxLayout()
        self._names = _Names(self._problem, self)
        self._arrange()
        self.table.picked.connect(lambda row: self.chosen.emit(self._rows[row].value))
        self.table.opened.connect(self._edit)
        self.add_button.clicked.connect(self._on_add)
        self._names.given.connect(self._on_given)
        # Queued: the focus that comes back from the editor would hide the tooltip.
        later = Qt.ConnectionType.QueuedConnection
        self._names.refused.connect(self._on_refused, later)

    def names(self) -> tuple[str, ...]:
        """Return the names, in the order of the rows."""
        return tuple(row.name for row in self._rows)

    def set_rows(self, rows: Sequence[ClassRow]) -> None:
        """Show these classes. A name that is being typed stays as it is."""
        self._rows = tuple(rows)
        with QSignalBlocker(self.table):
            self.table.resize_rows(len(rows))
            for index, row in enumerate(rows):
                self._show(index, row)
        self._show_button()

    def set_editable(self, editable: bool, reason: str = "") -> None:
        """Let the user add and rename classes, or not; `reason` says why not."""
        self._editable, self._reason = editable, reason
        self.set_rows(self._rows)

    def select(self, value: int) -> None:
        """Mark the class that is painted with; none, if no class has this label."""
        values = [row.value for row in self._rows]
        row = values.index(value) if value in values else -1
        with QSignalBlocker(self.table):
            self.table.setCurrentCell(row, _NAME if row >= 0 else -1)

    def _arrange(self) -> None:
        for column, (text, tip) in enumerate(_HEADERS):
            self.table.head(column, text, tip, right=column in (_PIXELS, _STROKES))
        self.table.setItemDelegateForColumn(_NAME, self._names)
        self.table.setAccessibleName("Classes")
        self.table.setAccessibleDescription("Go to a class to paint with it.")
        self.add_button.setAccessibleName("Add a class")
        self.bar.addWidget(self.add_button)
        self.bar.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        layout.addLayout(self.bar)
        self._show_button()

    def _show(self, index: int, row: ClassRow) -> None:
        tip = self._tip(row)
        self.table.put(index, _NUMBER, str(row.value))
        self.table.put(index, _COLOUR, "")
        self.table.put(index, _NAME, row.name)
        self.table.put(index, _PIXELS, thousands(row.pixels), right=True)
        self.table.put(index, _STROKES, thousands(row.strokes), right=True)
        colour = self.table.cell(index, _COLOUR)
        if colour.data(Qt.ItemDataRole.UserRole) != row.colour:
            colour.setData(Qt.ItemDataRole.UserRole, row.colour)
            colour.setIcon(_swatch(row.colour))
        for column in range(len(_HEADERS)):
            self.table.cell(index, column).setToolTip(tip)

    def _tip(self, row: ClassRow) -> str:
        use = "Background: paint what is none of the other classes."
        paint = use if row.value == 0 else f"Paint with '{row.name}'."
        rename = "Double click or F2 renames it." if self._editable else self._reason
        return f"{paint} {rename}".strip()

    def _show_button(self) -> None:
        full = len(self._rows) >= _MOST
        self.add_button.setEnabled(self._editable and not full)
        no = f"A model has at most {_MOST} classes." if full else self._reason
        self.add_button.setToolTip(_ADD if self.add_button.isEnabled() else no)

    def _edit(self, row: int) -> None:
        if self._editable:
            self.table.setCurrentCell(row, _NAME)
            self.table.editItem(self.table.cell(row, _NAME))

    def _on_add(self) -> None:
        value = max((row.value for row in self._rows), default=-1) + 1
        name = self._free_name(value)
        colour = class_colours(len(self._rows) + 1)[-1]
        self.set_rows((*self._rows, ClassRow(value, name, colour)))
        self.added.emit(name)
        self.table.setCurrentCell(len(self._rows) - 1, _NAME)  # paint with it
        self._edit(len(self._rows) - 1)

    def _free_name(self, number: int) -> str:
        """Return "class N" with the first N from `number` on that is not taken."""
        while self._problem(-1, f"class {number}"):
            number += 1
        return f"class {number}"

    def _problem(self, row: int, name: str) -> str | None:
        """Return why the class in this row cannot be called `name`."""
        if not name:
            return "A class needs a name."
        for index, other in enumerate(self._rows):
            if index != row and other.name.casefold() == name.casefold():
                return f"Class {other.value} is called '{other.name}' already."
        return None

    def _on_given(self, index: int, name: str) -> None:
        if index >= len(self._rows):  # another table came while it was typed
            return
        row = self._rows[index]
        if name != row.name:
            new = ClassRow(row.value, name, row.colour, row.strokes, row.pixels)
            self.set_rows((*self._rows[:index], new, *self._rows[index + 1 :]))
            self.renamed.emit(row.value, name)

    def _on_refused(self, index: int, reason: str) -> None:
        item = self.table.cell(index, _NAME)
        text = f"{reason} It is '{item.text()}' still."
        item.setToolTip(text)
        corner = self.table.visualItemRect(item).bottomLeft()
        view = self.table.viewport() or self.table
        QToolTip.showText(view.mapToGlobal(corner), text, view)


class _Names(QStyledItemDelegate):
    """Edits names in place, and takes only those in which there is no `problem`."""

    given = Signal(int, str)
    refused = Signal(int, str)

    def __init__(
        self, problem: Callable[[int, str], str | None], parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._problem = problem

    def createEditor(
        self, parent: QWidget | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> QWidget:
        """Return a line that turns red, and says why, while its text cannot be."""
        editor, row = QLineEdit(parent), index.row()
        editor.setMaxLength(_LONGEST)
        editor.setAccessibleName("Name of the class")
        editor.textChanged.connect(lambda text: self._check(editor, row))
        return editor

    def setModelData(
        self,
        editor: QWidget | None,
        model: QAbstractItemModel | None,
        index: QModelIndex,
    ) -> None:
        """Tell what was typed; the model keeps what it has."""
        if not isinstance(editor, QLineEdit):
            return
        name = _tidy(editor.text())
        reason = self._problem(index.row(), name)
        if reason is None:
            self.given.emit(index.row(), name)
        else:
            self.refused.emit(index.row(), reason)

    def _check(self, editor: QLineEdit, row: int) -> None:
        reason = self._problem(row, _tidy(editor.text()))
        editor.setStyleSheet(_WRONG if reason else "")
        editor.setToolTip(reason or "Enter keeps the name, Escape the old one.")
        place = editor.mapToGlobal(editor.rect().bottomLeft())
        QToolTip.showText(place, reason or "", editor)


def _tidy(text: str) -> str:
    return " ".join(text.split())


def _swatch(colour: Colour) -> QIcon:
    """Return a square of this colour; a crossed one if nothing is to be seen of it."""
    picture = QPixmap(28, 28)  # twice its size on most screens
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(128, 128, 128), 2))
    painter.setBrush(QColor.fromRgbF(*colour))
    painter.drawRoundedRect(2, 2, 24, 24, 5, 5)
    if not colour[3]:
        painter.drawLine(5, 23, 23, 5)
    painter.end()
    icon = QIcon(picture)
    icon.addPixmap(picture, QIcon.Mode.Selected)  # else it is greyed
    return icon
