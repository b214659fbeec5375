"""A scroll area as high as what it shows, so that buttons can stand right below."""

from qtpy.QtCore import QEvent, QObject, QSize
from qtpy.QtWidgets import QScrollArea, QSizePolicy, QWidget

__all__ = ["Scroller"]

_BORDER = 4  # pixels that a style may take around the widget, whatever the frame


class Scroller(QScrollArea):
    """Shows all of a widget if there is room, and scrolls it if there is not."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.setWidget(widget)

    def sizeHint(self) -> QSize:
        """Return the size of the widget: Qt's own ends at some lines of text."""
        widget = self.widget()
        if widget is None:
            return super().sizeHint()
        return widget.sizeHint() + QSize(_BORDER, _BORDER)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Take another height when the widget is laid out anew."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)
