"""The line about the compute process at the foot of a dock, with Free memory."""

import psutil
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from napari_unet.compute.process import ComputeProcess, State

__all__ = ["ComputeLine", "state_line"]

_TICK = 500  # ms between two looks; nothing is drawn while nothing changes
_TIP = (
    "What segments and learns is a process of its own: napari neither waits for it nor "
    "ends with it."
)
_WAYS = {  # of pixels, where there is no shared memory
    "file": " Pixels cross in a file, which may take longer.",
    "pipe": " Pixels cross in a pipe, which may take longer.",
}
_FREE = (
    "End that process: its memory, on a graphics card too, is free then. What runs is "
    "stopped, and what is finished of it stays. The next click starts it again."
)


class ComputeLine(QWidget):
    """Says how it is with the compute process, and can end it.

    Parameters
    ----------
    process
        The one of the viewer.
    """

    def __init__(self, process: ComputeProcess, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._process = process
        self.label = QLabel()
        self.label.setToolTip(_TIP)
        self.label.setWordWrap(True)  # it must not widen the dock
        self.label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.free = QPushButton("Free memory")
        self.free.setToolTip(_FREE)
        fixed = QSizePolicy.Policy.Fixed
        self.free.setSizePolicy(fixed, fixed)
        self.free.clicked.connect(self._on_free)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.label, 1)
        layout.addWidget(self.free)
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK)
        self._timer.timeout.connect(self.look)
        self._timer.start()
        self.look()

    def look(self) -> None:
        """Show how it is now."""
        state = self._process.state
        text = state_line(state, _resident(state.pid))
        if text != self.label.text():
            self.label.setText(text)
            self.label.setToolTip(_TIP + _WAYS.get(state.pixels, ""))
        if self.free.isEnabled() == (state.kind == "stopped"):
            self.free.setEnabled(state.kind != "stopped")

    def _on_free(self) -> None:
        self._process.stop()
        self.look()


def state_line(state: State, resident: int = 0) -> str:
    """Return how it is with a compute process, in words.

    Parameters
    ----------
    resident
        Bytes of memory that it takes; 0: that is not known.
    """
    again = ", restarted" if state.starts > 1 else ""
    took = f" · {resident / 1e9:.1f} GB" if resident else ""
    match state.kind:
        case "stopped":
            return "Compute process: off; the next click starts it"
        case "starting":
            return f"Compute process: starting{again}..."
        case "silent":
            return "Compute process: not responding; Cancel ends it"
        case "busy":
            doing = ", ".join(dict.fromkeys(filter(None, state.doing)))
            return f"Compute process: {doing or 'busy'}{took}"
    return f"Compute process: ready{again}{took}"


def _resident(pid: int | None) -> int:
    """Return how much memory a process takes, in bytes; 0 if it is gone."""
    try:
        return 0 if pid is None else int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
