"""The offer to add an image to the project in use, or to give it its own."""

from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet.ui.correct.form_state import Invite
from napari_unet.ui.widgets.flow_layout import flowing

__all__ = ["Invitation"]

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

    def show_invite(self, invite: Invite | None) -> None:
        """Invite the image that is corrected; None: it is not asked for."""
        self.setVisible(invite is not None)
        if invite is None:
            return
        self.line.setText(invite.line)
        self.join.setText(invite.button)
        self.join.setToolTip(invite.tip)
        self.join.setEnabled(invite.enabled)
        self.stay.setEnabled(invite.enabled)
