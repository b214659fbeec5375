"""Dock pane: a scrolling form, and a fixed part in view below it."""

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QScrollArea, QSizePolicy, QVBoxLayout, QWidget

__all__ = ["Pane", "Scroller"]

_BORDER = 4  # pixels that a style may take around the widget, whatever the frame
_WIDTH = 390  # pixels of a dock at least


class Pane(QWidget):
    """A dock: never narrower than what is in it, whatever the font."""

    def lay_out(self, body: QWidget, *foot: QWidget) -> None:
        """Show `body`, which scrolls where there is no room, and `foot` right below."""
        layout = QVBoxLayout(self)
        layout.addWidget(Scroller(body))
        for widget in foot:
            layout.addWidget(widget)
        layout.addStretch(1)

    def minimumSizeHint(self) -> QSize:
        """Return the size of the layout, or more."""
        return super().minimumSizeHint().expandedTo(QSize(_WIDTH, 0))


class Scroller(QScrollArea):
    """Shows all of a widget if there is room, and scrolls it if there is not.

    It is as high as the widget needs to be for its width: lines of text that are
    wrapped are neither cut nor pushed over each other.
    """

    def __init__(self, widget: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.setWidget(widget)

    def sizeHint(self) -> QSize:
        """Return the size of the widget: Qt's own ends at some lines of text."""
        widget, viewport = self.widget(), self.viewport()
        if widget is None or viewport is None:
            return super().sizeHint()
        # Beside a bar there may be more lines, and Qt hides it only if they fit, too.
        width = min(self.width() - _BORDER, viewport.width())
        height = self._height(width)
        return QSize(widget.sizeHint().width(), height) + QSize(_BORDER, _BORDER)

    def minimumSizeHint(self) -> QSize:
        """Return the width of the widget, with room for the bar that scrolls."""
        widget, bar = self.widget(), self.verticalScrollBar()
        if widget is None or bar is None:
            return super().minimumSizeHint()
        width = widget.minimumSizeHint().width() + bar.sizeHint().width() + _BORDER
        return QSize(width, super().minimumSizeHint().height())

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Take another height when the widget is laid out anew."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self._fit()
        return super().eventFilter(watched, event)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Let the widget be as high as its lines of text are now."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        widget, viewport = self.widget(), self.viewport()
        if widget is not None and viewport is not None:
            widget.setMinimumHeight(self._height(viewport.width()))
        self.updateGeometry()

    def _height(self, width: int) -> int:
        """Return what the widget needs in this width."""
        widget = self.widget()
        layout = None if widget is None else widget.layout()
        if widget is None or layout is None:
            return 0
        if layout.hasHeightForWidth():
            return layout.totalHeightForWidth(width)
        return layout.totalSizeHint().height()
