"""Training curves, and a verdict on whether more annotation is worth the while."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

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
    from napari_unet.ui.correct.plots import ModelsPlot, TrainingPlot

__all__ = ["Curve", "Point", "verdict"]


class Point(NamedTuple):
    """An improvement: what came of so many minutes of annotation.

    Attributes
    ----------
    before, score
        Of the model that was improved, and of the new one, 0 to 1: of the same pixels,
        so that these two can be compared, and no others.
    name, parent
        Of the new model, and of the one that was improved.
    """

    minutes: float
    before: float
    score: float
    name: str
    parent: str


_REDRAW = 200  # ms: at most five times a second
_ENOUGH = 3  # models before anything can be said
_LITTLE = 0.005  # gain of score: half a point of a hundred
_FALL = 0.01
_TABS = (
    (
        "This training",
        (
            "Loss and score against seconds. The score is the share of the reviewed "
            "pixels that is right; where most pixels are labelled, the mean Dice of "
            "the classes on labels that were held out."
        ),
    ),
    (
        "When to stop",
        "What each improvement gained on all that was painted until then.",
    ),
)
_HINT = "No training yet. Its curve will be here."
_EMPTY = (
    "The curve begins with the first step of a training.",
    "Nothing was improved in this project yet. Each improvement will be a line here.",
)


class Curve(QWidget):
    """A plot of the training, one of the models, and a sentence about these.

    Until there is something to draw it is one line high, and pyqtgraph is not loaded.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._losses: list[tuple[float, float]] = []
        self._scores: list[tuple[float, float]] = []
        self._points: tuple[Point, ...] = ()
        self._plots: tuple[TrainingPlot, ModelsPlot] | None = None
        self.tabs, self.pages = QTabBar(), QStackedWidget()
        self.legend, self.line = QLabel(), QLabel(_HINT)
        self.empty = QLabel()
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

    def clear(self) -> None:
        """Forget the training: it was of another project."""
        if self._losses or self._scores:
            self._losses, self._scores = [], []
            self.finish()

    def add(self, seconds: float, loss: float, score: float | None = None) -> None:
        """Add a step of the training. It may be called hundreds of times a second."""
        if math.isfinite(loss):
            self._losses.append((seconds, loss))
        if score is not None and math.isfinite(score):
            self._scores.append((seconds, score))
        if not self._timer.isActive():
            self._timer.start()

    def finish(self, before: float = math.nan, after: float = math.nan) -> None:
        """Draw what was added last, and the scores, if they came at the end only."""
        self._timer.stop()
        if not self._scores and math.isfinite(before) and math.isfinite(after):
            last = self._losses[-1][0] if self._losses else 1.0
            self._scores = [(0.0, before), (last, after)]
        self._draw()

    def set_models(self, points: Sequence[Point], active: str) -> None:
        """Show the improvements, the oldest first; `active` is the model in use."""
        sound = tuple(p for p in points if all(map(math.isfinite, p[:3])))
        self._points = sound
        if sound or self._plots is not None:
            if self._plots is None:  # models from before, and no training yet
                self.tabs.setCurrentIndex(1)
            self._load()[1].show(sound)
            self._explain()
            names = [point.name for point in sound]
            until = names.index(active) + 1 if active in names else 0
            self.line.setText(verdict(sound[:until]))

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
        self.line.setToolTip("What the last improvements say about more strokes.")
        for label in (self.legend, self.empty):
            label.setWordWrap(True)
            label.setMinimumWidth(1)  # what is long must not widen the dock
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
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
            from napari_unet.ui.correct.plots import HEIGHT, ModelsPlot, TrainingPlot

            self._plots = TrainingPlot(), ModelsPlot()
            drawn = (self._plots[0].widget, self._plots[1].widget)
            for widget, (name, tip) in zip(drawn, _TABS, strict=True):
                widget.setAccessibleName(name)
                widget.setAccessibleDescription(tip)
                self.pages.addWidget(widget)
            self.pages.addWidget(self.empty)
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
            there = (self._losses or self._scores, self._points)[index]
            self.empty.setText(_EMPTY[index])
            self.pages.setCurrentIndex(index if there else self.pages.count() - 1)
            self.legend.setText(self._plots[index].legend() if there else "")
            self.legend.setVisible(bool(there))


def verdict(points: Sequence[Point]) -> str:
    """Return what the improvements say about more annotation.

    A model is compared with the one that it came from, on the same pixels: scores of
    different rounds are of different strokes. Points of a hundred are written as %.

    >>> verdict([Point(2, 0.6, 0.7, "v1", "nuclei"), Point(5, 0.5, 0.6, "v2", "v1"),
    ...          Point(9, 0.4, 0.51, "v3", "v2")])
    'v3 gained 11.0 % in 4 min of annotation: go on.'
    """
    if len(points) < _ENOUGH:
        return (
            f"Too early to say when to stop: {len(points)} of the {_ENOUGH} "
            "improvements that it takes."
        )
    *_, before, now = points
    previous, last = (point.score - point.before for point in (before, now))
    if last <= -_FALL:
        return (
            f"{now.name} scores {-100 * last:.1f} % less than {now.parent}: look at "
            f"the last strokes again, or go back to {now.parent}."
        )
    if last >= _LITTLE:
        during = _during(now.minutes - before.minutes)
        return f"{now.name} gained {100 * last:.1f} %{during}: go on."
    if previous >= _LITTLE:
        gained = _percent(last)
        return f"{now.name} gained {gained}: another round will tell if that is all."
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
