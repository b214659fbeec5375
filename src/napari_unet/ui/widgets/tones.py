"""Text and line colours for dark and light themes."""

from typing import Literal

from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QWidget

__all__ = ["Tone", "tone"]

Tone = Literal["blue", "orange", "wrong", "good"]

# On dark and on light, of a contrast of 4.5 or more (WCAG 2). Blue and orange are those
# of Okabe and Ito (see `palette`) on dark.
_TONES: dict[Tone, tuple[str, str]] = {
    "blue": ("#56b4e9", "#005f96"),
    "orange": ("#e69f00", "#a84300"),
    "wrong": ("#ff8a80", "#b3261e"),
    "good": ("#66bb6a", "#17601c"),
}


def tone(widget: QWidget, name: Tone) -> str:
    """Return a colour, #rrggbb, that can be read on `widget` in its theme now."""
    text = widget.palette().color(QPalette.ColorRole.WindowText)
    return _TONES[name][text.lightness() <= 127]
