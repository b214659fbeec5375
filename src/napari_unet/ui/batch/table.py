"""Table of U-Net: Batch: a row for each file, in words."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QWidget

from napari_unet.ui.batch.rows import BatchRow
from napari_unet.ui.widgets.table import RowTable, thousands
from napari_unet.ui.widgets.tones import Tone, tone

__all__ = ["BatchTable"]

_COLUMNS = ("file", "state", "objects", "time")
_FILE, _STATE, _OBJECTS, _TIME = range(len(_COLUMNS))
_MOST = 9  # rows in view at once
_TONES: dict[str, Tone] = {"failed": "wrong", "refused": "wrong", "done": "good"}
_WIDEST = {_STATE: "stopped, 88 %", _OBJECTS: "1 000 000", _TIME: "59 min"}
_MARGIN = 14  # pixels of a cell beside its text: what the style leaves, and a bit
_KIND = Qt.ItemDataRole.UserRole  # of the state, in its cell
_WORDS = {
    "ready": "ready",
    "refused": "not possible",
    "done": "done",
    "skipped": "done before",
    "failed": "failed",
}
_TIPS = {
    "ready": "Waits for Start.",
    "running": "Is being segmented now.",
    "stopped": "Begun; Start goes on from what is finished.",
    "done": "Double click to open the image and its labels.",
    "skipped": "Was complete already, and is as it was. Double click to open it.",
}


class BatchTable(RowTable):
    """Files with their states; why something is wrong is told by hovering."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(len(_COLUMNS), _FILE, _MOST, parent)
        self._names: dict[Path, str] = {}
        self.setHorizontalHeaderLabels(_COLUMNS)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setAccessibleName("Files")
        self.setAccessibleDescription("Enter on a file opens image and labels.")
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self._fix_sizes()

    def changeEvent(self, event: QEvent | None) -> None:
        """Take another width when napari's font or theme changes."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.StyleChange:
            self._fix_sizes()
            for number in range(self.rowCount()):
                self._recolour(number)

    def _fix_sizes(self) -> None:
        """Let no size depend on the cells: thousands of them would be measured."""
        across, down = self.horizontalHeader(), self.verticalHeader()
        if across is None or down is None:
            return
        fixed = QHeaderView.ResizeMode.Fixed
        down.setSectionResizeMode(fixed)
        down.setDefaultSectionSize(self.fontMetrics().height() + _MARGIN)
        for column, text in _WIDEST.items():
            across.setSectionResizeMode(column, fixed)
            width = self.fontMetrics().horizontalAdvance(text)
            across.resizeSection(column, width + _MARGIN)

    def show_rows(self, rows: Sequence[BatchRow]) -> None:
        """Show all files; those of one name with what tells them apart."""
        self._names = _names([row.source for row in rows])
        self.resize_rows(len(rows))
        for number, row in enumerate(rows):
            self.show_row(number, row)

    def show_row(self, number: int, row: BatchRow) -> None:
        """Show one file."""
        self.put(number, _FILE, self._names.get(row.source, row.source.name))
        self.put(number, _STATE, _state(row))
        found = "" if row.objects is None else thousands(row.objects)
        self.put(number, _OBJECTS, found, right=True)
        self.put(number, _TIME, _time(row.seconds), right=True)
        tip = row.reason or _TIPS.get(row.state, "")
        for column in (_STATE, _OBJECTS, _TIME):
            self.cell(number, column).setToolTip(tip)
        self.cell(number, _FILE).setToolTip(f"{row.source}\n{tip}")
        if self.cell(number, _STATE).data(_KIND) != row.state:
            self.cell(number, _STATE).setData(_KIND, row.state)
            self._recolour(number)

    def _recolour(self, number: int) -> None:
        cell = self.cell(number, _STATE)
        name = _TONES.get(cell.data(_KIND))
        cell.setForeground(QBrush(QColor(tone(self, name))) if name else QBrush())

    def follow(self, number: int) -> None:
        """Bring a row into view, unless the user is at another one."""
        if not self.chosen():
            self.scrollToItem(self.cell(number, _FILE))

    def chosen(self) -> list[int]:
        """Return the numbers of the rows that are chosen, from top to bottom."""
        model = self.selectionModel()
        return [] if model is None else sorted(i.row() for i in model.selectedRows())


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """Return names of files, with as many folders in front as tell them apart."""
    names = {path: path.name for path in paths}
    for depth in range(2, max((len(path.parts) for path in paths), default=0) + 1):
        count = Counter(names.values())
        for path, name in names.items():
            if count[name] > 1:
                names[path] = str(Path(*path.parts[-depth:]))
    return names


def _state(row: BatchRow) -> str:
    percent = f"{100 * row.fraction:.0f} %"
    if row.state == "running":
        return row.doing or percent
    if row.state == "stopped":
        return f"stopped, {percent}"
    return _WORDS[row.state]


def _time(seconds: float | None) -> str:
    """Return a time in few letters: its largest unit alone."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
