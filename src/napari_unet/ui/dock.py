"""Dock base class: one of each kind per viewer, tabbed together."""

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_unet.ui.compute_line import ComputeLine
from napari_unet.ui.private import quick_colours
from napari_unet.ui.session import session_of
from napari_unet.ui.widgets.dock_tabs import dock_of, join_tabs, reveal
from napari_unet.ui.widgets.scroll_area import Pane

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["Dock"]


class _OnePerViewer(type(QWidget)):  # type: ignore[misc]
    """Gives whoever wants a second dock of a kind the first.

    napari knows a dock by the name that it was opened with, and the menu, a script and
    U-Net: Batch give it different ones.
    """

    def __call__(cls, napari_viewer: Any) -> Any:
        # Plugins get a proxy; layers taken from it would not be those of the viewer.
        viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        session = session_of(viewer)
        found = session.docks.get(cls)
        if found is None:
            found = super().__call__(viewer)
            session.open_dock(cls, found)
            found.destroyed.connect(lambda: session.close_dock(cls))
        else:
            found.leave_place(viewer)
        return found


class Dock(Pane, metaclass=_OnePerViewer):
    """A dock of ours; a second one of a viewer is the first, taken from its place."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        quick_colours()
        self._viewer: Any = napari_viewer
        self._placed = False

    def lay_out(self, body: QWidget, *foot: QWidget) -> None:
        """Show `body`, `foot` right below it, and at the bottom who computes."""
        super().lay_out(body, *foot)
        process, layout = session_of(self._viewer).process, self.layout()
        if process is not None and layout is not None:
            layout.addWidget(ComputeLine(process, self))

    def showEvent(self, event: Any) -> None:
        """Share the place of the other docks once this one is laid out."""
        super().showEvent(event)
        if not self._placed:
            self._placed = True
            QTimer.singleShot(0, lambda: join_tabs(self))

    def hideEvent(self, event: Any) -> None:
        """Come to the front if it was hidden behind another tab.

        napari's menu hides what is open, though nobody sees it there.
        """
        super().hideEvent(event)
        place = dock_of(self)
        behind = place is not None and place.geometry().right() < 0  # where Qt puts it
        if behind and place is not None and place.isHidden():
            QTimer.singleShot(0, lambda: reveal(place))

    def leave_place(self, viewer: Any) -> None:
        """Leave where it is docked: whoever asks for it docks it anew, on top."""
        place = dock_of(self)
        if place is not None:
            viewer.window.remove_dock_widget(place)
        self._placed = False
