"""A real window with our docks, and the hand that clicks and paints in it."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from qtpy.QtCore import QEvent, QPointF, QSignalBlocker, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLineEdit, QPushButton, QScrollArea, QWidget

from napari_unet.ui.batch.dock import BatchDock
from napari_unet.ui.correct.dock import CorrectDock
from napari_unet.ui.segment.dock import SegmentDock
from napari_unet.ui.session import session_of
from napari_unet.ui.settings import write_settings

PLUGIN = "napari-unet-annotator"
WAIT = 60_000  # ms: far more than needed, for a busy computer
INTERIOR = ("background", "interior", "boundary")
LEFT = Qt.MouseButton.LeftButton
NO_BUTTON = Qt.MouseButton.NoButton


def job_threads() -> list[threading.Thread]:
    """Return the threads in which jobs of docks run."""
    return [t for t in threading.enumerate() if t.name == "napari-unet job"]


def make_nets(folder: Path) -> Path:
    """Save nets of which every weight is known: "interior" where it is bright.

    ``bright`` tells objects apart, ``fresh`` too, but is trusted less, ``plain`` has
    two classes only, ``pair`` looks at the first of two channels, and ``deep`` has a
    large context and takes its time.
    """
    import torch
    from helpers.nets import passing

    from napari_unet.network.model import Model, UNetSpec, save
    from napari_unet.training.standing import Standing, noted

    for name, channels, depth, classes in (
        ("bright", 1, 1, INTERIOR),
        ("fresh", 1, 1, INTERIOR),
        ("plain", 1, 1, ("background", "cell")),
        ("pair", 2, 1, INTERIOR),
        ("deep", 1, 4, INTERIOR),
    ):
        net = passing(UNetSpec(channels, classes, width=4, depth=depth))
        with torch.no_grad():
            net.head.weight[1, 0] = 20
            net.head.bias[:] = torch.tensor([0.0, -10.0, -50.0])[: len(classes)]
        known = noted(Standing(), 1 if name == "fresh" else 64)  # of few weights
        card = {"diameter": 10.0, **known}
        save(Model(net, card=card), folder / f"{name}.safetensors")
    return folder


def squares(shape: tuple[int, ...] = (64, 96), count: int = 4) -> Any:
    """Return a dark image, or stack, with `count` bright squares of 8 x 8 a plane."""
    image = np.full(shape, 10, np.uint16)
    for i in range(count):
        image[..., 4:12, 6 + 16 * i : 14 + 16 * i] = 200
    return image


def missed(count: int = 4) -> Any:
    """Return `squares`, and below them a faint bar that ``bright`` does not see."""
    image = squares(count=count)
    image[37:44, 16:45] = 60
    return image


class Window:
    """A viewer, and whoever sits before it.

    Attributes
    ----------
    segment, correct
        The docks; ``None`` until they are opened.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        qtbot: Any,
        nets: Path,
        folder: Path,
        *,
        correct: bool = True,
    ) -> None:
        self._make, self.qtbot = make, qtbot
        self.viewer = viewer = make()
        self.nets, self.folder = nets, folder
        viewer.window._qt_window.resize(1400, 900)
        self.segment = SegmentDock(viewer)
        viewer.window.add_dock_widget(self.segment, name="U-Net: Segment", area="right")
        self.correct: Any = self.open_dock() if correct else None
        self.use("bright")

    def again(self) -> "Window":
        """Close napari, and start it again."""
        self.events()
        self.viewer.close()
        self.events()
        return Window(self._make, self.qtbot, self.nets, self.folder)

    def open_batch(self) -> BatchDock:
        """Open a dock U-Net: Batch."""
        dock = BatchDock(self.viewer)
        self.viewer.window.add_dock_widget(dock, name="U-Net: Batch", area="right")
        return dock

    def close_dock(self, dock: QWidget | None = None) -> None:
        """Close a dock, U-Net: Correct unless said otherwise."""
        dock = dock or self.correct
        if dock is self.correct:
            self.correct = None
        with self.qtbot.waitSignal(dock.destroyed, timeout=WAIT):
            self.viewer.window.remove_dock_widget(dock)
            dock.deleteLater()

    def open_dock(self) -> CorrectDock:
        """Open another dock U-Net: Correct."""
        dock = CorrectDock(self.viewer)
        self.viewer.window.add_dock_widget(dock, name="U-Net: Correct", area="right")
        dock.form.seconds.setMinimum(1)
        dock.form.seconds.setValue(1)
        with QSignalBlocker(dock.form.quiet.box):  # who wants it ticks it
            dock.form.quiet.box.setChecked(False)
        self.correct = dock
        return dock

    def use(self, net: str) -> None:
        """Choose a model in U-Net: Segment, as one that worked before."""
        self.segment.form.model.add(str(self.nets / f"{net}.safetensors"))
        write_settings(self.segment.form.settings())

    # --- images -----------------------------------------------------------------------

    def file(self, image: Any, name: str = "cells.tif", **keywords: Any) -> Path:
        """Write an image and open it with the plugin's reader."""
        path = self.folder / name
        tifffile.imwrite(path, image, **keywords)
        return self.open(path)

    def open(self, path: Path) -> Path:
        """Open a file with the plugin's reader."""
        self.viewer.open(str(path), plugin=PLUGIN)
        self.look()
        return path

    def underlay(self) -> None:
        """Put an image below all others.

        With Mesa's software OpenGL napari 0.9 dies when the undermost image, or its
        labels, are removed and a labels layer is drawn anew.
        """
        layers = self.viewer.layers
        active = layers.selection.active
        below = self.viewer.add_image(np.zeros((8, 8), np.uint8), name="below")
        layers.move(layers.index(below), 0)
        layers.selection.active = active

    def look(self) -> None:
        """Bring everything into view, and wait until it is drawn."""
        self.viewer.reset_view()
        layer = self.viewer.layers[0]
        self.until(lambda: layer.corner_pixels[1][-1] > 0)

    # --- what is going on -------------------------------------------------------------

    @property
    def state(self) -> Any:
        return self.correct.state

    @property
    def layer(self) -> Any:
        """The layer of the result that is corrected; without a dock, of the last."""
        if self.correct is None:
            return session_of(self.viewer).shown()[-1].layer
        return self.state.result.layer

    @property
    def labels(self) -> Any:
        """What it shows."""
        return np.asarray(self.layer.data)

    @property
    def reviews(self) -> Any:
        return self.state.correcting.reviews

    def target(self, plane: tuple[int, ...] = ()) -> Any:
        """Return what was said about a plane, 255 where nothing was."""
        height, width = self.labels.shape[-2:]
        return self.reviews.read(plane, (slice(0, height), slice(0, width)))[0]

    @property
    def line(self) -> str:
        """What the dock says."""
        return str(self.correct.form.progress.line.text())

    @property
    def project(self) -> Any:
        return self.state.project

    def until(self, condition: Any) -> None:
        self.qtbot.waitUntil(lambda: bool(condition()), timeout=WAIT)

    def events(self) -> None:
        """Let Qt do what is waiting."""
        QApplication.processEvents()
        QApplication.processEvents()

    def idle(self) -> str:
        """Wait until nothing runs any more; return what the dock says."""
        self.until(lambda: not session_of(self.viewer).jobs)
        if self.correct is None:
            return ""
        assert not self.correct.task.doing
        return self.line

    # --- the hand ---------------------------------------------------------------------

    def button(self, text: str, dock: QWidget | None = None) -> Any:
        """Return the one button with this text that can be seen."""
        dock = dock or self.correct
        self.show(dock)
        found = [b for b in dock.findChildren(QPushButton) if b.text() == text]
        (found,) = [b for b in found if b.isVisible()]
        return found

    def show(self, dock: QWidget) -> None:
        """Bring the tab of a dock to the front."""
        parent = dock.parentWidget()
        while parent is not None and not hasattr(parent, "raise_"):
            parent = parent.parentWidget()
        if not dock.isVisible() or dock.visibleRegion().isEmpty():
            parent.raise_()
            self.until(lambda: not dock.visibleRegion().isEmpty())

    def click(self, text: str, dock: QWidget | None = None) -> None:
        target = self.button(text, dock)
        assert target.isEnabled(), f"{text}: {target.toolTip()}"
        QTest.mouseClick(target, LEFT)

    def do(self, text: str, dock: QWidget | None = None) -> str:
        """Click, wait until that has ended, and return what the dock says."""
        self.click(text, dock)
        return self.idle()

    def segmented(self, text: str = "Segment") -> str:
        """Segment in the dock U-Net: Segment."""
        self.do(text, self.segment)
        return str(self.segment.progress.line.text())

    def rename(self, row: int, name: str) -> None:
        """Double click a name in the table of classes, and type another one."""
        table = self.correct.form.classes.table
        self.show(self.correct)
        self.correct.findChild(QScrollArea).ensureWidgetVisible(table)
        self.events()
        place = table.visualItemRect(table.item(row, 2)).center()
        QTest.mouseClick(table.viewport(), LEFT, pos=place)
        QTest.mouseDClick(table.viewport(), LEFT, pos=place)
        self.until(lambda: len(table.findChildren(QLineEdit)) == 1)
        (editor,) = table.findChildren(QLineEdit)
        editor.selectAll()
        QTest.keyClicks(editor, name)
        QTest.keyClick(editor, Qt.Key.Key_Return)
        self.until(lambda: not table.findChildren(QLineEdit))

    def open_model(self, row: int) -> None:
        """Double click a model in the history."""
        table = self.correct.form.history.table
        self.correct.findChild(QScrollArea).ensureWidgetVisible(table)
        self.events()
        place = table.visualItemRect(table.item(row, 0)).center()
        QTest.mouseClick(table.viewport(), LEFT, pos=place)
        QTest.mouseDClick(table.viewport(), LEFT, pos=place)

    def take(
        self, mode: str = "paint", label: int | None = None, size: int = 3
    ) -> None:
        """Take one of napari's tools in hand."""
        layer = self.layer
        self.viewer.layers.selection.active = layer
        layer.mode = mode
        layer.brush_size = size
        if label is not None:
            layer.selected_label = label
        self.events()

    def place(self, y: float, x: float) -> QPointF:
        """Return where a pixel of the result is on the canvas."""
        world = self.layer.data_to_world((*[0] * (self.layer.ndim - 2), y, x))
        scene = self.viewer.window._qt_viewer.canvas.view.scene
        across, down, _, w = scene.transform.map([world[-1], world[-2], 0, 1])
        return QPointF(across / w, down / w)

    def press(self, y: float, x: float) -> None:
        point = self.place(y, x)
        self._send(QEvent.Type.MouseMove, point, NO_BUTTON, NO_BUTTON)
        self._send(QEvent.Type.MouseButtonPress, point, LEFT, LEFT)

    def move(self, y: float, x: float) -> None:
        self._send(QEvent.Type.MouseMove, self.place(y, x), NO_BUTTON, LEFT)

    def release(self, y: float, x: float) -> None:
        point = self.place(y, x)
        self._send(QEvent.Type.MouseButtonRelease, point, LEFT, NO_BUTTON)

    def drag(self, *points: tuple[float, float]) -> None:
        """Draw with the mouse through pixels (y, x) of the result."""
        self.press(*points[0])
        for point in points[1:]:
            self.move(*point)
        self.release(*points[-1])
        self.events()

    def paint(self, label: int, *points: tuple[float, float], size: int = 3) -> None:
        """Draw with the brush."""
        self.take("paint", label, size)
        self.drag(*points)

    def erase(self, *points: tuple[float, float], size: int = 3) -> None:
        """Draw with the eraser."""
        self.take("erase", size=size)
        self.drag(*points)

    def key(self, key: Any, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
        """Press a key while the canvas has the focus."""
        canvas = self.viewer.window._qt_viewer.canvas.native
        canvas.setFocus()
        QTest.keyClick(canvas, key, modifier)
        self.events()

    def _send(self, kind: Any, point: QPointF, button: Any, buttons: Any) -> None:
        canvas = self.viewer.window._qt_viewer.canvas.native
        none = Qt.KeyboardModifier.NoModifier
        there = canvas.mapToGlobal(point)
        event = QMouseEvent(kind, point, there, button, buttons, none)
        QApplication.sendEvent(canvas, event)
        QApplication.processEvents()
