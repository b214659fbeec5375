"""Progress bar with result line and Save table..."""

import math

from qtpy.QtCore import (  # type: ignore[attr-defined]
    QElapsedTimer,
    QEvent,
    Qt,
    QTimer,
    Signal,
)
from qtpy.QtWidgets import QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_unet.ui.widgets.tones import tone

__all__ = ["Progress", "duration"]

_MORE = 1.1  # times what was left before: a time that counts up more is not shown
_TICK = 1000  # ms; napari's canvas is drawn again with whatever changes in its window


class Progress(QWidget):
    """Progress bar, result line, and Save table...

    The bar never moves by itself: an animation would take the processor from the work.
    No time left is shown that is longer than one before.
    """

    save_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._hinted = self._wrong = False
        self._least = math.inf
        self.line = QLabel()
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(True)
        self.bar.setToolTip("How much is done, and how long the rest will take.")
        self.line.setWordWrap(True)
        self.line.setMinimumWidth(1)  # a long path must not widen the dock
        self.line.setTextFormat(Qt.TextFormat.PlainText)
        self.line.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.line.setToolTip("What came out, and where it ran. Can be copied.")
        self.save = QPushButton("Save table...")
        self.save.setToolTip("Write the measurements of all objects as a CSV file.")
        self.save.setEnabled(False)
        self.save.clicked.connect(self.save_wanted)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.bar, self.line, self.save):
            layout.addWidget(widget)
        self._clock, self._ticks = QElapsedTimer(), QTimer(self)
        self._ticks.setInterval(_TICK)
        self._ticks.timeout.connect(self._tick)
        self.idle()

    def begin(self, text: str) -> None:
        """Show that work has begun, and for how long; how far it is, is not known."""
        self.bar.setValue(0)
        self._least = math.inf  # seconds left that were shown in this run
        self._clock.start()
        self._tick()
        self._ticks.start()
        self.bar.show()
        self.say(text)

    def show_fraction(self, text: str, fraction: float, left: float | None) -> None:
        """Show that a `fraction` (0 to 1) is done, and the seconds that are `left`."""
        self._ticks.stop()
        self.say(text)
        rest = ""
        if left is not None and left <= _MORE * self._least:
            self._least = min(self._least, left)
            rest = f" · {duration(left)} left"
        self.bar.setFormat(f"{100 * fraction:.0f} %{rest}")
        self.bar.setValue(round(1000 * fraction))  # Qt draws both at once

    def idle(self) -> None:
        """Show that nothing runs."""
        self._ticks.stop()
        self.bar.setValue(0)
        self.bar.hide()

    def say(self, text: str, *, wrong: bool = False) -> None:
        """Show a line; in red if something went wrong."""
        self._hinted, self._wrong = False, wrong
        self._recolour()
        self.line.setText(text)

    def hint(self, text: str | None) -> None:
        """Show what to do first, in place of a line that is empty or a hint itself."""
        if self._hinted or not self.line.text():
            self.say(text or "")
            self._hinted = True

    def changeEvent(self, event: QEvent | None) -> None:
        """Take another red when the theme changes."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.StyleChange:
            self._recolour()

    def _recolour(self) -> None:
        style = f"color: {tone(self, 'wrong')};" if self._wrong else ""
        if style != self.line.styleSheet():  # Qt would polish it anew
            self.line.setStyleSheet(style)

    def _tick(self) -> None:
        self.bar.setFormat(duration(self._clock.elapsed() / 1000))


def duration(seconds: float) -> str:
    """Return a duration as people say it.

    >>> duration(3.14), duration(75), duration(7500)
    ('3 s', '1 min 15 s', '2 h 5 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
