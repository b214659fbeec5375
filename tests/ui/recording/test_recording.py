"""What is painted on a result counts from when it exists, whichever docks are open."""

import numpy as np
import pytest
from helpers.window import LEFT, NO_BUTTON, Window, missed, squares
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_unet.project.project import Project

# napari shows errors as warnings in tests
pytestmark = pytest.mark.filterwarnings("ignore")
PLANE = slice(0, 64), slice(0, 96)


def alone(window, image=None):
    """Segment an image with no dock open but U-Net: Segment, and paint on it."""
    window.close_dock()
    path = window.file(missed() if image is None else image)
    window.segmented()
    window.paint(99, (40, 20), (40, 40))
    window.erase((30, 20), (30, 40))
    return path.with_suffix(".unet")


def stored(folder):
    """Return what is said about the only image, as it is on the disk."""
    if not (folder / "project.json").exists():
        return np.full((64, 96), 255)
    project = Project.open(folder)
    (record,) = project.index.images
    return project.read(record.key, (), PLANE)[0]


def test_strokes_from_before_the_dock_are_learned(window):
    alone(window)
    window.open_dock()
    window.events()
    said = window.target()
    assert (said[40, 20:40] == 1).all()
    assert (said[30, 20:40] == 0).all()
    assert "from before" not in window.correct.form.offer.text()
    window.until(window.button("Improve").isEnabled)
    line = window.do("Improve")
    assert "v1 is in use" in line
    assert window.labels[40, 20:40].all()


def test_strokes_count_though_the_dock_was_never_open(
    make_napari_viewer, qtbot, nets, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    window = Window(
        lambda: make_napari_viewer(show=True), qtbot, nets, tmp_path, correct=False
    )
    window.file(squares())
    window.segmented()
    window.paint(99, (40, 20), (40, 40))
    window.open_dock()
    assert (window.target() == 1).sum() > 20


def test_strokes_without_the_dock_are_on_the_disk_soon(window):
    folder = alone(window)
    window.until(lambda: (stored(folder)[30, 20:40] == 0).all())
    assert (stored(folder)[40, 20:40] == 1).all()


def test_strokes_without_the_dock_outlive_closing_at_once(window):
    folder = alone(window)
    window.viewer.close()
    window.events()
    assert (stored(folder)[40, 20:40] == 1).all()
    assert (stored(folder)[30, 20:40] == 0).all()


def test_strokes_without_the_dock_outlive_their_layer(window):
    folder = alone(window)
    window.underlay()
    window.viewer.layers.remove(window.layer)
    assert (stored(folder)[40, 20:40] == 1).all()


def test_strokes_before_the_dock_can_be_undone_before_and_after(window):
    alone(window)
    window.paint(98, (50, 20), (50, 40))
    undo = Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier
    window.key(*undo)
    window.open_dock()
    said = window.target()
    assert (said[50, 20:40] == 255).all()
    assert (said[40, 20:40] == 1).all()
    window.key(*undo)
    assert (window.target()[40, 20:40] == 255).all()


def test_two_results_without_the_dock_both_count(window):
    folder = alone(window)
    window.use("deep")
    window.segmented()
    window.paint(98, (50, 20), (50, 40))
    window.until(lambda: (stored(folder)[50, 20:40] == 1).all())
    assert (stored(folder)[40, 20:40] == 1).all()


def test_strokes_from_before_a_segmentation_stay_on_the_labels(window):
    alone(window)
    window.segmented()
    assert len(window.viewer.layers) == 2
    assert window.labels[40, 20:40].all()


def test_strokes_on_what_a_cancelled_run_left_count(window):
    window.close_dock()
    image = squares((6000, 32, 32), 1)
    window.file(image, imagej=True, metadata={"axes": "TYX"})
    window.click("Segment", window.segment)
    window.until(lambda: len(window.viewer.layers) == 2)
    window.do("Cancel", window.segment)
    window.paint(30001, (20, 4), (20, 20))
    folder = window.folder / "cells.unet"

    def kept():
        if not (folder / "project.json").exists():
            return False
        project = Project.open(folder)
        return any(project.reviewed(i.key) for i in project.index.images)

    window.until(kept)


def test_strokes_that_no_project_takes_wait_for_one(window):
    path = window.folder / "cells.unet"
    path.mkdir()
    (path / "project.json").write_text('{"version": 99}')
    alone(window)
    window.open_dock()
    assert "newer" in window.line
    assert not window.button("Improve").isEnabled()
    window.state.move(window.folder / "other.unet")
    said = window.target()
    assert (said[40, 20:40] == 1).all()
    assert (said[30, 20:40] == 0).all()


def test_improve_counts_the_stroke_of_the_moment_before(window):
    window.file(missed())
    window.segmented()
    window.paint(99, (40, 20), (40, 40))
    window.take("erase")
    window.press(30, 20)
    window.move(30, 40)
    button, canvas = (
        window.button("Improve"),
        window.viewer.window._qt_viewer.canvas.native,
    )
    point = window.place(30, 40)
    QApplication.sendEvent(
        canvas,
        QMouseEvent(
            QEvent.Type.MouseButtonRelease,
            point,
            canvas.mapToGlobal(point),
            LEFT,
            NO_BUTTON,
            Qt.KeyboardModifier.NoModifier,
        ),
    )
    QTest.mouseClick(button, LEFT)  # napari has told of nothing yet
    assert window.correct.task.doing == "Improving"
    assert "v1 is in use" in window.idle()


def test_strokes_while_the_dock_shows_another_image_count(window):
    window.file(missed())
    window.segmented()
    layer = window.layer
    window.file(squares(), name="other.tif")
    window.viewer.layers.selection.active = window.viewer.layers["other"]
    window.events()
    assert window.state.result is None
    layer.paint((40, 30), 99)  # as a plugin or a script does
    window.until(lambda: (stored(window.folder / "cells.unet") != 255).any())
