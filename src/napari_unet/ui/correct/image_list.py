"""Image list of a project: a row for each image with its strokes."""

from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import QSignalBlocker, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QWidget

from napari_unet.ui.widgets.fold import Fold
from napari_unet.ui.widgets.table import RowTable, thousands

__all__ = ["ImageList", "ImageRow"]

_NAME, _STATE, _PIXELS, _STROKES = range(4)
_HEADERS = (
    ("Image", "A click goes to the image; one that is not open is opened."),
    ("", ""),
    ("Reviewed px", "Pixels that you painted, or said are right, in this image."),
    ("Pieces", "Reviewed areas that hang together; one stroke can leave many."),
)
_IN_VIEW = 4  # rows
_TIP = "The images whose strokes are kept in this project: Improve learns from all."


@dataclass(frozen=True, slots=True)
class ImageRow:
    """What the list shows of one image.

    Attributes
    ----------
    key
        How the project calls it.
    path
        Its file; empty if it has none.
    strokes, pixels
        What was reviewed of it.
    here, shown
        Whether it is the one that is corrected, and whether it is open.
    """

    key: str
    name: str
    path: str = ""
    strokes: int = 0
    pixels: int = 0
    here: bool = False
    shown: bool = False


class ImageList(Fold):
    """The images of a project, under a title; unfolded once there are two."""

    wanted = Signal(str)
    """The user wants to see the image with this key."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(_TIP, parent)
        self._rows: tuple[ImageRow, ...] = ()
        self.table = RowTable(len(_HEADERS), _NAME, _IN_VIEW)
        for column, (text, tip) in enumerate(_HEADERS):
            self.table.head(column, text, tip, right=column >= _PIXELS)
        self.table.setAccessibleName("Images of the project")
        self.table.setAccessibleDescription("Enter or a click goes to an image.")
        self.fields.addRow(self.table)
        self.table.cellClicked.connect(self._on_row)  # not by keys: files are opened
        self.table.opened.connect(self._on_row)
        self.set_rows(())

    def set_rows(self, rows: Sequence[ImageRow]) -> None:
        """Show these images."""
        before, self._rows = len(self._rows), tuple(rows)
        with QSignalBlocker(self.table):
            self.table.resize_rows(len(rows))
            for index, row in enumerate(rows):
                self._show(index, row)
            here = [row.here for row in rows]
            current = here.index(True) if any(here) else -1
            self.table.setCurrentCell(current, _NAME if current >= 0 else -1)
        self.name_it(_title(rows))
        self.title.setEnabled(bool(rows))
        if (before > 1) != (len(rows) > 1):  # else it is as the user wants it
            self.title.setChecked(len(rows) > 1)

    def _show(self, index: int, row: ImageRow) -> None:
        state = "here" if row.here else "" if row.shown else "not open"
        self.table.put(index, _NAME, row.name)
        self.table.put(index, _STATE, state)
        self.table.put(index, _PIXELS, thousands(row.pixels), right=True)
        self.table.put(index, _STROKES, thousands(row.strokes), right=True)
        go = "" if row.here else "A click goes there." if row.shown else _opens(row)
        for column in range(len(_HEADERS)):
            item = self.table.cell(index, column)
            font = item.font()
            font.setBold(row.here)
            item.setFont(font)
            item.setToolTip(f"{row.path or row.name}. {go}".strip())

    def _on_row(self, index: int, column: int = 0) -> None:
        if index < len(self._rows):
            self.wanted.emit(self._rows[index].key)


def _opens(row: ImageRow) -> str:
    if row.path:
        return "A click opens it."
    return "It has no file that is known: open it yourself."


def _title(rows: Sequence[ImageRow]) -> str:
    if not rows:
        return "No images in this project yet"
    count = sum(row.strokes for row in rows)
    pieces = "1 piece" if count == 1 else f"{thousands(count)} pieces"
    images = "1 image" if len(rows) == 1 else f"{len(rows)} images"
    return f"{images}, {pieces} reviewed"
