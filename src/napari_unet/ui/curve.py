"""How a training goes, and whether more annotation is worth the while."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import (
    QLabel,
    QSizePolicy,
    QStackedWidget,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from .plots import ModelsPlot, TrainingPlot

__all__ = ["Curve", "Point", "verdict"]

Point = tuple[float, float, str]
"""A model: minutes of annotation until it, its score (0 to 1), its name."""

_REDRAW = 200  # ms: at most five times a second
_ENOUGH = 3  # models before anything can be said
_LITTLE = 0.005  # gain of score: half a point of a hundred
_FALL = 0.01
_TABS = (
    (
        "This training",
        "Loss, and the share of reviewed pixels that are right, against seconds.",
    ),
    (
        "When to stop",
        "The same share of each model against minutes of annotation.",
    ),
)
_HINT = "No training yet. Its curve will be here."


class Curve(QWidget):
    """A plot of the training, one of the models, and a sentence about these.

    Until there is something to draw it is one line high, and pyqtgraph is not loaded.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._losses: list[tuple[float, float]] = []
        self._scores: list[tuple[float, float]] = []
        self._plots: tuple[TrainingPlot, ModelsPlot] | None = None
        self.tabs, self.pages = QTabBar(), QStackedWidget()
        self.legend, self.line = QLabel(), QLabel(_HINT)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REDRAW)
        self._timer.timeout.connect(self._draw)
        self._arrange()
        self.tabs.currentChanged.connect(self._explain)

    def begin(self) -> None:
        """Begin the curve of another training."""
        self._losses, self._scores = [], []
        self.tabs.setCurrentIndex(0)
        self._draw()

    def add(self, seconds: float, loss: float, score: float | None = None) -> None:
        """Add a step of the training. It may be called hundreds of times a second."""
        if math.isfinite(loss):
            self._losses.append((seconds, loss))
        if score is not None and math.isfinite(score):
            self._scores.append((seconds, score))
        if not self._timer.isActive():
            self._timer.start()

    def finish(self) -> None:
        """Draw what was added last."""
        self._timer.stop()
        self._draw()

    def set_models(self, points: Sequence[Point]) -> None:
        """Show the models that have a score, the oldest first."""
        sound = [p for p in points if math.isfinite(p[0]) and math.isfinite(p[1])]
        if sound or self._plots is not None:
            if self._plots is None:  # models from before, and no training yet
                self.tabs.setCurrentIndex(1)
            self._load()[1].show(sound)
            self.line.setText(verdict(sound))

    def changeEvent(self, event: QEvent | None) -> None:
        """Draw in other colours when the theme changes."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.StyleChange:
            self._recolour()

    def _arrange(self) -> None:
        for text, tip in _TABS:
            self.tabs.setTabToolTip(self.tabs.addTab(text), tip)
        self.tabs.setDrawBase(False)
        self.tabs.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.tabs.setAccessibleName("Curve")
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.line.setTextFormat(Qt.TextFormat.PlainText)
        self.line.setWordWrap(True)
        self.line.setToolTip("What the scores of the models say about more strokes.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for widget in (self.tabs, self.legend, self.pages, self.line):
            layout.addWidget(widget)
        for widget in (self.tabs, self.legend, self.pages):
            widget.hide()

    def _load(self) -> "tuple[TrainingPlot, ModelsPlot]":
        """Return the plots, which are made when they are first needed."""
        if self._plots is None:
            from .plots import HEIGHT, ModelsPlot, TrainingPlot

            self._plots = TrainingPlot(), ModelsPlot()
            drawn = (self._plots[0].widget, self._plots[1].widget)
            for widget, (name, tip) in zip(drawn, _TABS, strict=True):
                widget.setAccessibleName(name)
                widget.setAccessibleDescription(tip)
                self.pages.addWidget(widget)
            self.pages.setFixedHeight(HEIGHT)
            self.line.setText(verdict(()))
            for widget in (self.tabs, self.legend, self.pages):
                widget.show()
            self._recolour()
        return self._plots

    def _draw(self) -> None:
        self._load()[0].show(self._losses, self._scores)
        self._explain()

    def _recolour(self) -> None:
        if self._plots is not None:
            for plot in self._plots:
                plot.recolour(self)
            self._explain()

    def _explain(self) -> None:
        """Show the plot of the chosen tab, and say what is drawn in it."""
        if self._plots is not None:
            index = self.tabs.currentIndex()
            self.pages.setCurrentIndex(index)
            self.legend.setText(self._plots[index].legend())


def verdict(points: Sequence[Point]) -> str:
    """Return what the scores of the models say about more annotation.

    A model counts by what it gained over the best before it. Points of a hundred are
    written as %.

    >>> verdict([(2, 0.62, "v1"), (5, 0.70, "v2"), (9, 0.81, "v3")])
    'v3 gained 11.0 % in 4 min of annotation: go on.'
    """
    if len(points) < _ENOUGH:
        return (
            f"Too early to say when to stop: {len(points)} of the {_ENOUGH} scored "
            "models that it takes."
        )
    *_, (before, _, _), (now, score, name) = points
    best = max(points[:-1], key=lambda point: point[1])
    last = score - best[1]
    previous = points[-2][1] - max(point[1] for point in points[:-2])
    if last <= -_FALL:
        return (
            f"{name} scores {-100 * last:.1f} % less than {best[2]}: look at the last "
            f"strokes again, or go back to {best[2]}."
        )
    if last >= _LITTLE:
        return f"{name} gained {100 * last:.1f} %{_during(now - before)}: go on."
    if previous >= _LITTLE:
        gained = _percent(last)
        return f"{name} gained {gained}: another round will tell whether that is all."
    return (
        f"The last two improvements gained {_both(previous, last)}: more strokes of "
        "this kind change little."
    )


def _both(one: float, two: float) -> str:
    first, second = _percent(one), _percent(two)
    if first != second:
        return f"{first} and {second}"
    return first if first == "nothing" else f"{first} each"


def _percent(gain: float) -> str:
    text = f"{100 * gain:.1f} %"
    return "nothing" if gain <= 0 or text == "0.0 %" else text


def _during(minutes: float) -> str:
    if minutes <= 0:
        return ""
    short = f"{60 * minutes:.0f} s" if minutes < 1 else f"{minutes:.0f} min"
    return f" in {short} of annotation"
