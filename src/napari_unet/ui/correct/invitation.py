"""The offer to add an image to the project in use, or to give it its own."""

from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet.ui.correct.state import CorrectionState
from napari_unet.ui.widgets.flow_layout import flowing

__all__ = ["Invitation"]

_LONGEST = 18  # letters of a name on the button
_STAY = "Keep the strokes on this image apart: another model learns from them alone."


class Invitation(QWidget):
    """Invites an image to join the project in use; hidden if there is no such.

    Attributes
    ----------
    join, stay
        Its buttons.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.line = QLabel()
        self.line.setWordWrap(True)
        self.line.setMinimumWidth(1)  # a long name must not widen the dock
        self.join = QPushButton()
        self.stay = QPushButton("Own project")
        self.stay.setToolTip(_STAY)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line)
        layout.addWidget(flowing((self.join, 1), (self.stay, 0)))

    def follow(self, desk: CorrectionState, *, idle: bool) -> None:
        """Invite the image on the desk, if it is asked for."""
        other = desk.other
        self.setVisible(other is not None)
        if other is None:
            return
        name, folder = desk.title, other.folder.name
        self.line.setText(
            f"{_short(name)} is not in {folder}, where you painted before. Add it, and "
            "Improve learns from the strokes on all its images."
        )
        self.join.setText(f"Add '{_short(name)}' to {_short(folder)}")
        self.join.setToolTip(
            f"Keep the strokes on {name} in {other.folder}, and go on with its model. "
            "What was painted on it goes with it."
        )
        self.join.setEnabled(idle)
        self.stay.setEnabled(idle)


def _short(name: str) -> str:
    """Return a name with its middle left out, if it is long."""
    half = _LONGEST // 2
    return name if len(name) <= _LONGEST else f"{name[: half - 1]}...{name[-half:]}"
