"""Check box and status line of training after Improve."""

from qtpy.QtWidgets import QCheckBox, QLabel, QVBoxLayout, QWidget

from napari_unet.ui.settings import (
    CorrectSettings,
    read_correct_settings,
    write_settings,
)

__all__ = ["Quiet", "kept_line", "over_line", "quiet_line", "stopped_line"]

_ROUND = 10  # steps: napari's canvas is drawn again with whatever changes
_TIP = (
    "After Improve, learn on from the same strokes, on one core and after everything "
    "else, while you paint. What you paint meanwhile is learned by the next Improve."
)


class Quiet(QWidget):
    """A box to tick, and a line that is there while it has something to say."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = QCheckBox("Go on learning after Improve")
        self.box.setToolTip(_TIP)
        self.box.setChecked(read_correct_settings().go_on)
        self.box.toggled.connect(lambda on: write_settings(CorrectSettings(on)))
        self.line = QLabel()
        self.line.setWordWrap(True)
        self.line.setMinimumWidth(1)  # a long name must not widen the dock
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.box)
        layout.addWidget(self.line)
        self.say("")

    def say(self, text: str) -> None:
        """Show a line; nothing, if it is empty."""
        if text != self.line.text():  # the canvas is drawn again with it
            self.line.setText(text)
        self.line.setVisible(bool(text))


def quiet_line(name: str, steps: int, right: float, *, resting: bool) -> str:
    """Return how far it is.

    Parameters
    ----------
    right
        Share of what was painted that the best model is right about.
    resting
        Whether it waits for something else.
    """
    if resting:
        return f"{name} goes on learning when that has ended. Stop ends it now."
    more = f"{steps // _ROUND * _ROUND} more steps, " if steps >= _ROUND else ""
    return (
        f"{name} goes on learning quietly: {more}{right:.0%} of what was painted is "
        "right. Stop ends it."
    )


def over_line(name: str, right: float, *, painted: bool) -> str:
    """Return what it came to; `painted`: there are new strokes since it began."""
    found = f"{name} has learned all it can from these strokes ({right:.0%} are right)."
    return f"{found} Improve takes those since." if painted else found


def kept_line(name: str) -> str:
    """Return why it has ended: the model is used for what is kept."""
    return f"{name} learns no more and stays as it is: U-Net: Batch works with it."


def stopped_line(name: str, right: float) -> str:
    """Return what it came to when it was stopped."""
    return f"{name} learns no more: stopped ({right:.0%} of the strokes are right)."
