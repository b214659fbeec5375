"""Model list of a project: versions, scores, and the one in use."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import QSignalBlocker, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_unet.ui.widgets.table import RowTable, thousands

__all__ = ["History", "ModelRow", "short_time"]

_NAME, _USE, _TIME, _STROKES, _SCORE = range(5)
_IN_VIEW = 4  # rows
_HEADERS = (
    ("Model", "Double click or Enter uses a model again."),
    ("", ""),
    ("Made", "When it was made."),
    ("Pieces", "Reviewed pieces of one class, apart from each other, it learned from."),
    ("Right", "Of what was reviewed when it was made; of other strokes each time."),
)
_HINT = "No models yet. Paint, then click Improve."


@dataclass(frozen=True, slots=True)
class ModelRow:
    """What the list shows of one model.

    Attributes
    ----------
    time
        When it was made, ISO 8601 in UTC; empty if that is not known.
    strokes
        How many reviewed pieces of one class there were to learn from.
    score, before
        What it and its parent reached on the reviewed pixels, 0 to 1; see
        `selection.Trained.measure`.
    parent
        Name of the model that was improved.
    """

    name: str
    time: str = ""
    strokes: int = 0
    score: float | None = None
    before: float | None = None
    parent: str = ""


class History(QWidget):
    """The models of a project as a list, the newest last, the one in use bold."""

    wanted = Signal(str)
    """The user wants to use this model again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[ModelRow, ...] = ()
        self._active = ""
        self.table = RowTable(5, _NAME, _IN_VIEW)
        self.hint = QLabel(_HINT)
        for column, (text, tip) in enumerate(_HEADERS):
            self.table.head(column, text, tip, right=column >= _TIME)
        self.table.setAccessibleName("Models")
        self.table.setAccessibleDescription("Enter on a model uses it again.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.hint)
        layout.addWidget(self.table)
        self.table.opened.connect(self._on_opened)
        self.set_models((), "")

    def set_models(self, rows: Sequence[ModelRow], active: str) -> None:
        """Show these models, the oldest first, of which `active` is in use."""
        self._rows, self._active = tuple(rows), active
        with QSignalBlocker(self.table):
            self.table.resize_rows(len(rows))
            for index, row in enumerate(rows):
                self._show(index, row)
        self.table.setVisible(bool(rows))
        self.hint.setVisible(not rows)
        self.table.scrollToBottom()
        self._go_to_active()

    def _show(self, index: int, row: ModelRow) -> None:
        active = row.name == self._active
        score = "-" if row.score is None else f"{100 * row.score:.1f} %"
        pieces = thousands(row.strokes) if row.strokes else ""
        self.table.put(index, _NAME, row.name)
        self.table.put(index, _USE, "in use" if active else "")
        self.table.put(index, _TIME, short_time(row.time), right=True)
        self.table.put(index, _STROKES, pieces, right=True)
        self.table.put(index, _SCORE, score, right=True)
        tip = _tip(row, active)
        for column in range(self.table.columnCount()):
            item = self.table.cell(index, column)
            font = item.font()
            font.setBold(active)
            item.setFont(font)
            item.setToolTip(tip)

    def _go_to_active(self) -> None:
        names = [row.name for row in self._rows]
        row = names.index(self._active) if self._active in names else -1
        with QSignalBlocker(self.table):
            self.table.setCurrentCell(row, _NAME if row >= 0 else -1)

    def _on_opened(self, index: int) -> None:
        name = self._rows[index].name
        if name != self._active:
            self.wanted.emit(name)


def short_time(time: str, today: dt.date | None = None) -> str:
    """Return local time as short as it is clear; `today` is the day it is read.

    Parameters
    ----------
    time
        ISO 8601 with its offset from UTC. What is none gives an empty string.
    """
    try:
        local = dt.datetime.fromisoformat(time).astimezone()
    except ValueError:
        return ""
    today = today or dt.datetime.now().astimezone().date()
    if local.date() == today:
        return f"{local:%H:%M}"
    return f"{local.day} {local:%b}" if local.year == today.year else f"{local:%Y-%m}"


def _tip(row: ModelRow, active: bool) -> str:
    parts = [row.name]
    if row.parent:
        parts.append(f"improved from '{row.parent}'")
    if short_time(row.time):
        local = dt.datetime.fromisoformat(row.time).astimezone()
        parts.append(f"made on {local:%Y-%m-%d} at {local:%H:%M}")
    score = "never judged"
    if row.score is not None:
        score = f"score {100 * row.score:.1f} % on the reviewed pixels"
    if row.before is not None:
        score += f" ({row.parent or 'the model before'}: {100 * row.before:.1f} %)"
    use = "It is in use." if active else "Double click or Enter uses it again."
    return f"{', '.join([*parts, score])}. {use}"
