"""Idle detection: no drawing and no painting for a moment."""

import time
from collections.abc import Generator
from typing import Any

__all__ = ["Stillness"]

_REST = 2.0  # seconds after the mouse was let go
_UNDONE = 6.0  # where a stroke could be undone, which a new segmentation ends


class Stillness:
    """Watches the mouse on the canvas, and what is painted, until `forget`.

    Attributes
    ----------
    painted
        Whether there are strokes since `settle` that somebody may want to undo.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._down, self.painted = False, False
        self._last = time.monotonic()
        viewer.mouse_drag_callbacks.append(self._on_drag)

    @property
    def lasts(self) -> bool:
        """Whether the hand has rested for long enough."""
        wanted = _UNDONE if self.painted else _REST
        return not self._down and time.monotonic() - self._last > wanted

    def stir(self) -> None:
        """Note that something was painted, or taken back."""
        self.painted, self._last = True, time.monotonic()

    def settle(self) -> None:
        """Note that no stroke can be undone any more."""
        self.painted = False

    def forget(self) -> None:
        """Watch no more."""
        if self._on_drag in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_drag)

    def _on_drag(self, _: Any, event: Any) -> Generator[None, None, None]:
        self._down = True
        yield
        while event.type == "mouse_move":
            yield
        self._down, self._last = False, time.monotonic()
