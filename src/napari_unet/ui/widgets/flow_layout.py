"""Flow layout: a row of widgets that wraps into the next line."""

from collections.abc import Sequence

from qtpy.QtCore import QRect, QSize, Qt
from qtpy.QtWidgets import QLayout, QLayoutItem, QSizePolicy, QWidget

__all__ = ["flowing"]


def flowing(*widgets: QWidget | tuple[QWidget, int]) -> QWidget:
    """Return widgets side by side, or below each other if they are too wide for that.

    With a widget may come its share of the width that is left; 1 if none does.
    """
    whole = QWidget()
    layout = _Flow(whole)
    for entry in widgets:
        widget, share = entry if isinstance(entry, tuple) else (entry, 1)
        layout.addWidget(widget)
        layout.shares.append(share)
    return whole


class _Flow(QLayout):
    """Lays out items in lines.

    Attributes
    ----------
    shares
        Of the width that is left in a line, one for each item.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._items: list[QLayoutItem] = []
        self.shares: list[int] = []
        self.setContentsMargins(0, 0, 0, 0)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        parent.setSizePolicy(policy)

    def addItem(self, item: QLayoutItem | None) -> None:
        """Take an item; called by Qt."""
        if item is not None:
            self._items.append(item)

    def count(self) -> int:
        """Return how many items there are."""
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        """Return an item; None beyond the last."""
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        """Give an item away; None beyond the last."""
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:
        """Take no more room than is given."""
        return Qt.Orientation(0)

    def hasHeightForWidth(self) -> bool:
        """Say that a narrow row is higher."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Return the height of all lines."""
        return self._place(QRect(0, 0, width, 0), move=False)

    def sizeHint(self) -> QSize:
        """Return the size of one line."""
        shown = self._shown()
        width = sum(item.sizeHint().width() for item, _ in shown)
        height = max((item.sizeHint().height() for item, _ in shown), default=0)
        return QSize(width + self._gap() * max(len(shown) - 1, 0), height)

    def minimumSize(self) -> QSize:
        """Return the size of the widest item."""
        size = QSize(0, 0)
        for item, _ in self._shown():
            size = size.expandedTo(item.minimumSize())
        return size

    def setGeometry(self, rect: QRect) -> None:
        """Place all items."""
        super().setGeometry(rect)
        self._place(rect, move=True)

    def _gap(self) -> int:
        return max(self.spacing(), 0)

    def _shown(self) -> list[tuple[QLayoutItem, int]]:
        pairs = zip(self._items, self.shares, strict=False)
        return [(item, share) for item, share in pairs if not item.isEmpty()]

    def _place(self, rect: QRect, *, move: bool) -> int:
        """Return the height of all lines; place the items if they are to `move`."""
        top = rect.y()
        for line in self._lines(rect.width()):
            height = max(item.sizeHint().height() for item, _ in line)
            if move:
                self._fill(line, QRect(rect.x(), top, rect.width(), height))
            top += height + self._gap()
        return max(top - rect.y() - self._gap(), 0)

    def _lines(self, width: int) -> list[list[tuple[QLayoutItem, int]]]:
        lines: list[list[tuple[QLayoutItem, int]]] = []
        left = -1
        for item, share in self._shown():
            need = item.sizeHint().width()
            if not lines or left < need:
                lines.append([])
                left = width
            lines[-1].append((item, share))
            left -= need + self._gap()
        return lines

    def _fill(self, line: Sequence[tuple[QLayoutItem, int]], rect: QRect) -> None:
        """Give a line's items their widths, and what is left by their shares."""
        widths = [item.sizeHint().width() for item, _ in line]
        left = rect.width() - sum(widths) - self._gap() * (len(line) - 1)
        total = sum(share for _, share in line) or 1
        x = rect.x()
        for (item, share), width in zip(line, widths, strict=True):
            width = min(width + left * share // total, rect.width())
            item.setGeometry(QRect(x, rect.y(), width, rect.height()))
            x += width + self._gap()
