"""Plots of loss and score with pyqtgraph, imported late."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyqtgraph as pg
from qtpy.QtCore import QRectF, QSizeF
from qtpy.QtGui import QColor, QPalette
from qtpy.QtWidgets import QWidget

from napari_unet.ui.widgets.tones import tone

if TYPE_CHECKING:
    from napari_unet.ui.correct.curve import Point

__all__ = ["HEIGHT", "ModelsPlot", "TrainingPlot", "spread"]

HEIGHT = 120  # pixels
_DENSE = 2000  # points that are drawn of a long training
_AXIS = 36  # pixels
_DOT = 8  # pixels across
_HALF = 22  # pixels: half of the last number of an axis
_UNKNOWN = "#808080", "#808080"  # colours before a theme is known


class TrainingPlot:
    """Loss (left) and score (right) against seconds.

    Attributes
    ----------
    widget
        What is seen.
    """

    def __init__(self) -> None:
        self.widget = _plot("s")
        self._item = self.widget.getPlotItem()
        self._item.showAxis("right")
        self._right = pg.ViewBox(enableMenu=False, enableMouse=False)
        self._item.scene().addItem(self._right)
        self._item.getAxis("right").linkToView(self._right)
        self._item.getAxis("right").setWidth(_AXIS)  # also without a score
        self._right.setXLink(self._item.vb)
        self._item.vb.sigResized.connect(self._follow)
        self._loss = pg.PlotDataItem(antialias=True)
        self._score = pg.PlotDataItem(antialias=True, symbol="o", symbolSize=6)
        self._item.addItem(self._loss)
        self._right.addItem(self._score)
        self._colours = _UNKNOWN

    def show(
        self,
        losses: Sequence[tuple[float, float]],
        scores: Sequence[tuple[float, float]],
    ) -> None:
        """Draw (seconds, loss) and (seconds, score)."""
        step = 1 + len(losses) // _DENSE
        self._loss.setData(*_columns(losses[::-step][::-1]))  # the last one, surely
        scores = [(x, 100 * y) for x, y in scores]
        self._score.setData(*_columns(scores))
        last = max((x for x, _ in (*losses[-1:], *scores[-1:])), default=0.0)
        self._item.setXRange(0, max(1.0, last), padding=0.02)
        self._item.setYRange(*spread([y for _, y in losses], 0.01), padding=0)
        self._right.setYRange(*spread([y for _, y in scores], 5.0), padding=0)
        self._item.getAxis("left").setTicks(None if losses else [])
        self._item.getAxis("right").setTicks(None if scores else [])

    def legend(self) -> str:
        """Return which line is what, and where it is now, as rich text."""
        losses, scores = self._loss.yData, self._score.yData
        loss, score = (f"<font color='{colour}'>" for colour in self._colours)
        now = f" {losses[-1]:.3g}" if losses is not None and len(losses) else ""
        text = f"{loss}━ loss{now}</font>"
        if scores is not None and len(scores):
            right = f"{scores[-1]:.1f} %"
            text += f" &nbsp; {score}● score on reviewed pixels {right}</font>"
        return text

    def recolour(self, widget: QWidget) -> None:
        """Draw in colours that can be read on `widget`."""
        self._colours = _tones(widget)
        loss, score = self._colours
        _recolour(self.widget, widget)
        self._item.getAxis("left").setTextPen(loss)
        self._item.getAxis("right").setTextPen(score)
        self._loss.setPen(pg.mkPen(loss, width=1.5))
        self._score.setPen(pg.mkPen(score, width=1.5))
        self._score.setSymbolBrush(score)
        self._score.setSymbolPen(None)

    def _follow(self) -> None:
        self._right.setGeometry(self._item.vb.sceneBoundingRect())
        self._right.linkedViewChanged(self._item.vb, self._right.XAxis)


class ModelsPlot:
    """What each improvement gained, against minutes of annotation.

    A line goes from the score of the model before to that of the new one. Scores of
    different rounds are of different strokes: no line joins them.

    Attributes
    ----------
    widget
        What is seen.
    """

    def __init__(self) -> None:
        self.widget = _plot("min")
        self._item = self.widget.getPlotItem()
        self._item.layout.setContentsMargins(0, 8, _HALF, 0)
        self._points: tuple[Point, ...] = ()
        self._names: list[Any] = []
        self._line = pg.PlotDataItem(antialias=True, connect="pairs")
        self._dots = pg.ScatterPlotItem(size=_DOT, hoverable=True, tip=_tip)
        self._item.addItem(self._line)
        self._item.addItem(self._dots)
        self._text, self._colours = QColor("gray"), _UNKNOWN
        self._item.vb.sigResized.connect(self._name)

    def show(self, points: "Sequence[Point]") -> None:
        """Draw improvements."""
        self._points = tuple(points)
        xs, ys = _columns([(p.minutes, 100 * p.score) for p in points])
        ends = [(p.minutes, 100 * y) for p in points for y in (p.before, p.score)]
        self._line.setData(*_columns(ends))
        self._dots.setData(xs, ys, data=points)
        self._item.setXRange(0, max(1.0, *xs, 0.0), padding=0.06)
        self._item.setYRange(*spread(_columns(ends)[1], 10.0, above=0.45), padding=0)
        self._name()

    def legend(self) -> str:
        """Return what is drawn, as rich text."""
        score = f"<font color='{self._colours[1]}'>● score on reviewed pixels, %</font>"
        return f"{score}, and how much each gained, against minutes of annotation"

    def recolour(self, widget: QWidget) -> None:
        """Draw in colours that can be read on `widget`."""
        self._text, self._colours = _text(widget), _tones(widget)
        _recolour(self.widget, widget)
        self._line.setPen(pg.mkPen(self._colours[1], width=1.5))
        self._dots.setBrush(self._colours[1])
        self._dots.setPen(None)
        self._name()

    def _name(self) -> None:
        """Write names beside the points, the newest first, as far as there is room."""
        for text in self._names:
            self._item.removeItem(text)
        self._names = []
        view, (x, y) = self._item.vb.viewRect(), self._item.vb.viewPixelSize()
        taken = [_mark(point, x, y) for point in self._points]
        for point in reversed(self._points):
            at = point.minutes, 100 * point.score
            text = pg.TextItem(point.name, color=self._text, anchor=(0, 1))
            size = text.boundingRect()
            size = QSizeF(size.width() * x, size.height() * y)
            for room in _rooms(at, size, QSizeF(x, y), view):
                if view.contains(room) and not any(map(room.intersects, taken)):
                    text.setPos(room.topLeft())  # the plot's y goes up
                    self._item.addItem(text)
                    self._names.append(text)
                    taken.append(room)
                    break


def _mark(point: "Point", x: float, y: float) -> QRectF:
    """Return what the dot and the line of a point cover, in the plot's units.

    `x` and `y` are the sizes of a pixel.
    """
    low, high = sorted((100 * point.before, 100 * point.score))
    dot = _DOT / 2
    return QRectF(
        point.minutes - dot * x, low - y, 2 * dot * x, high - low + (1 + dot) * y
    )


def _rooms(
    at: tuple[float, float], size: QSizeF, pixel: QSizeF, view: QRectF
) -> list[QRectF]:
    """Return where a name can stand: above its point, right of it, left, in this order.

    `size` is that of the name; it and all else is in the plot's units.
    """
    x, y = at
    wide, high = size.width(), size.height()
    right, above = ((_DOT / 2 + 1) * n for n in (pixel.width(), pixel.height()))
    middle = max(min(x - wide / 2, view.right() - wide), view.left())
    corners = (
        (middle, y + above),
        (x + right, y - high / 2),
        (x - right - wide, y - high / 2),
    )
    return [QRectF(*corner, wide, high) for corner in corners]


def spread(
    values: Sequence[float], least: float, above: float = 0.08
) -> tuple[float, float]:
    """Return from where to where an axis goes that shows `values`.

    At least over `least`, so that noise looks like noise; with some room below them and
    `above` them, a part of the whole.

    >>> spread([0.50, 0.51], 0.1, above=0.0)
    (0.447, 0.555)
    """
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    missing = max(0.0, least - (high - low)) / 2
    low, high = low - missing, high + missing
    span = high - low
    return round(low - 0.08 * span, 6), round(high + above * span, 6)


class _Axis(pg.AxisItem):  # type: ignore[misc]
    """An axis with the unit at its numbers, so that it needs no title."""

    unit = ""

    def tickStrings(
        self, values: Sequence[float], scale: float, spacing: float
    ) -> list[str]:
        """Return what stands at the ticks."""
        strings = super().tickStrings(values, scale, spacing)
        return [f"{text} {self.unit}" for text in strings]


def _plot(unit: str) -> Any:
    bottom = _Axis("bottom")
    bottom.unit = unit
    widget = pg.PlotWidget(axisItems={"bottom": bottom})
    item = widget.getPlotItem()
    item.setMenuEnabled(False)
    item.layout.setContentsMargins(0, 8, 0, 0)  # half of the uppermost number
    item.setMouseEnabled(False, False)
    item.hideButtons()
    for side in ("left", "right", "bottom"):
        item.getAxis(side).setStyle(
            tickLength=-3, maxTickLevel=0, hideOverlappingLabels=False
        )
    return widget


def _text(widget: QWidget) -> QColor:
    return QColor(widget.palette().color(QPalette.ColorRole.WindowText))


def _tones(widget: QWidget) -> tuple[str, str]:
    return tone(widget, "blue"), tone(widget, "orange")


def _recolour(plot: Any, widget: QWidget) -> None:
    text, faint = _text(widget), _text(widget)
    faint.setAlpha(90)
    plot.setBackground(widget.palette().color(QPalette.ColorRole.Window))
    for side in ("left", "right", "bottom"):
        axis = plot.getPlotItem().getAxis(side)
        axis.setPen(faint)
        axis.setTextPen(text)


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in pairs], [y for _, y in pairs]


def _tip(x: float, y: float, data: "Point") -> str:
    was = f"{data.parent} {100 * data.before:.1f} %"
    return f"{data.name}: score {y:.1f} %, {was}, after {x:.1f} min of annotation"
