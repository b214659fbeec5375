"""Tabbing of our docks: stacked, each would be too low to be used."""

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

__all__ = ["bring", "dock_of", "join_tabs", "reveal"]

_OURS = "U-Net: "
_PLUGIN = "napari-unet-annotator"


def join_tabs(widget: QWidget) -> None:
    """Put the dock of `widget` on top of another dock of ours, if one is beside it."""
    dock = dock_of(widget)
    window = None if dock is None else dock.parentWidget()
    if dock is None or not isinstance(window, QMainWindow) or dock.isFloating():
        return
    area = window.dockWidgetArea(dock)
    if area not in (
        Qt.DockWidgetArea.RightDockWidgetArea,
        Qt.DockWidgetArea.LeftDockWidgetArea,
    ):
        return
    if window.tabifiedDockWidgets(dock):  # another of ours has joined it before
        dock.raise_()
        return
    for other in window.findChildren(QDockWidget):
        title = str(other.objectName() or other.windowTitle())
        beside = other is not dock and not other.isHidden() and not other.isFloating()
        if beside and title.startswith(_OURS) and window.dockWidgetArea(other) == area:
            window.tabifyDockWidget(other, dock)
            dock.raise_()
            return


def bring(viewer: Any, name: str) -> None:
    """Show the dock of ours with this name, and open it if it is not there."""
    for title, widget in viewer.window.dock_widgets.items():
        dock = dock_of(widget) if title.startswith(name) else None
        if dock is not None:
            reveal(dock)
            return
    viewer.window.add_plugin_dock_widget(_PLUGIN, name)


def reveal(dock: QDockWidget) -> None:
    """Show a dock, in front of the other tabs of its place."""
    dock.show()
    dock.raise_()


def dock_of(widget: QWidget) -> QDockWidget | None:
    """Return the dock that a widget is in, if it is in one."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent
