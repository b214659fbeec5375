"""Live in U-Net: Correct: what is painted is followed in view, without Improve."""

import numpy as np
import pytest
from helpers.window import LEFT, job_threads, missed
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unet.project.corrections import IGNORE
from napari_unet.project.project import Project
from napari_unet.training import live_head

BAR = (slice(38, 43), slice(17, 44))  # of `missed`, less its edge
CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch):
    """Let what is followed not depend on how busy the computer is."""
    monkeypatch.setattr(live_head, "_SECONDS", 60.0)


def begin(window, image):
    """Begin a new model for two classes, which finds nothing."""
    window.file(image)
    window.rename(1, "cell")
    window.do("New model for my classes")


@pytest.fixture
def classes(window):
    """Return a window with a bar that no model knows."""
    begin(window, missed())
    return window


def tick(window, on=True):
    """Click on the box."""
    box = window.correct.form.live
    window.show(window.correct)
    assert box.isChecked() is not on
    assert box.isEnabled()
    QTest.mouseClick(box, LEFT, pos=box.rect().center() - box.rect().center() / 2)
    if box.isChecked() is not on:  # the style draws its square elsewhere
        box.click()
    window.events()


def rest(window):
    """Wait until Live has nothing to do; return what the dock says."""
    window.until(lambda: window.correct.live.idle)
    return window.line


def go(window, place):
    """Look at a part of the image, with (y, x) in the middle."""
    camera, image = window.viewer.scene.camera, window.viewer.layers["cells"]
    before = image.corner_pixels.copy()
    camera.center, camera.zoom = place, 22
    window.until(lambda: (image.corner_pixels != before).any())


def strokes(window):
    """Show a piece of the bar, and some background."""
    window.paint(0, (52, 10), (52, 80))
    window.paint(1, (40, 20), (40, 24))


def test_labels_elsewhere_follow_a_stroke_without_improve(classes):
    window = classes
    tick(window)
    assert "Paint a stroke of each class" in rest(window)
    assert not window.labels[BAR].any()
    window.paint(0, (52, 10), (52, 80))
    assert "'background'" in rest(window)
    window.paint(1, (40, 20), (40, 24))
    assert "from 2 pieces" in rest(window)
    assert window.labels[BAR].mean() > 0.8
    assert window.labels[52, 10:80].sum() == 0
    assert not window.project.index.models[1:]  # nothing was learned for good


def test_painted_pixels_stay_and_are_on_the_disk(classes):
    window = classes
    tick(window)
    window.paint(1, (60, 20), (60, 70))  # nonsense
    strokes(window)
    rest(window)
    said = window.target()
    assert (said != IGNORE).sum() > 200
    np.testing.assert_array_equal(window.labels[said != IGNORE], said[said != IGNORE])
    key, place = window.state.correcting.key, (slice(0, 64), slice(0, 96))
    window.state.correcting.save()
    stored = Project.open(window.project.folder).read(key, (), place)[0]
    np.testing.assert_array_equal(stored, said)


def test_strokes_can_be_undone_and_the_labels_follow(classes):
    window = classes
    tick(window)
    strokes(window)
    rest(window)
    before = window.labels.copy()
    window.paint(1, (60, 20), (60, 70))
    rest(window)
    assert window.labels[60, 20:70].all()
    window.key(Qt.Key.Key_Z, CTRL)
    assert "from 2 pieces" in rest(window)
    assert (window.target()[60] == IGNORE).all()
    assert (window.labels != before).mean() < 0.02
    window.key(Qt.Key.Key_Z, CTRL)
    assert "'background'" in rest(window)  # that stroke changed no label
    assert (window.target()[40] == IGNORE).all()
    assert not window.labels[BAR].any()  # what the model itself says


def test_nothing_is_shown_under_a_brush_that_is_down(classes):
    window, done = classes, []
    tick(window)
    window.paint(0, (52, 10), (52, 80))
    rest(window)
    window.paint(1, (40, 20), (40, 24))
    window.press(60, 20)
    window.move(60, 40)
    window.until(lambda: window.correct.live._job is not None)
    window.correct.live._job.yielded.connect(done.append)
    window.until(lambda: "showing" in done)
    assert not window.labels[40, 30:40].any()
    window.move(60, 60)
    window.release(60, 60)
    window.events()
    assert "from 3 pieces" in rest(window)
    assert window.labels[60, 20:60].all()
    assert window.target()[60, 20:60].all()
    assert window.labels[40, 30:40].any()


def test_strokes_from_before_are_followed_when_it_is_ticked(classes):
    window = classes
    strokes(window)
    assert not window.labels[BAR].all()
    tick(window)
    assert "from 2 pieces" in rest(window)
    assert window.labels[BAR].mean() > 0.8


def test_without_the_box_nothing_follows(classes):
    window = classes
    tick(window)
    strokes(window)
    rest(window)
    tick(window, on=False)
    assert window.correct.live.box is None
    assert window.line == ""
    shown = window.labels.copy()
    window.paint(1, (60, 20), (60, 70))
    window.qtbot.wait(400)
    changed = window.labels != shown
    assert not changed[:57].any()


def test_improve_and_undo_of_it_while_it_is_live(classes):
    window = classes
    tick(window)
    strokes(window)
    rest(window)
    assert " in use" in window.do("Improve") or " stays" in window.line
    said = window.line
    window.until(lambda: window.correct.live.box is not None)
    assert rest(window) == said
    window.paint(0, (30, 10), (30, 80))
    assert "from 3 pieces" in rest(window)
    if window.button("Undo improvement").isEnabled():
        window.do("Undo improvement")
        window.paint(0, (60, 10), (60, 80))
        assert "from 4 pieces" in rest(window)
    assert window.labels[BAR].mean() > 0.7


def test_improve_that_is_clicked_at_once_comes_first(classes):
    window = classes
    tick(window)
    rest(window)
    strokes(window)
    assert " in use" in window.do("Improve") or " stays" in window.line
    said = window.target()
    np.testing.assert_array_equal(window.labels[said != IGNORE], said[said != IGNORE])
    assert window.correct.form.live.isChecked()
    rest(window)
    assert window.state.known_as == window.project.index.active


def test_dock_that_is_closed_meanwhile_ends_it_and_keeps_the_strokes(classes):
    window = classes
    tick(window)
    rest(window)
    strokes(window)
    window.events()
    folder = window.project.folder
    key = window.state.correcting.key
    window.close_dock()
    window.until(lambda: not job_threads())
    stored = Project.open(folder).read(key, (), (slice(0, 64), slice(0, 96)))[0]
    assert (stored[52, 12:78] == 0).all()
    assert (stored[40, 20:24] == 1).all()
    window.open_dock()
    assert not window.correct.form.live.isChecked()


def test_another_view_is_read_and_strokes_out_of_it_count(window):
    live, image = window.correct.live, missed()
    image[4:12, 70:78] = 60  # as the bar
    begin(window, image)
    go(window, (48, 30))
    tick(window)
    strokes(window)
    rest(window)
    assert window.labels[BAR].mean() > 0.8
    before = window.labels.copy()
    assert not before[8, 74]
    go(window, (8, 80))
    window.until(lambda: live.box is not None and live.box[1].start > 50)
    window.until(lambda: window.labels[8, 74] == 1)  # what comes into view follows
    window.paint(0, (14, 70), (14, 80))
    assert "from 3 pieces" in rest(window)
    assert window.labels[8, 74] == 1  # no stroke of a cell is in view
    np.testing.assert_array_equal(window.labels[:, :40], before[:, :40])


def test_stroke_that_is_undone_out_of_view_is_forgotten(window):
    live, image = window.correct.live, missed()
    image[4:12, 70:78] = 60  # as the bar
    begin(window, image)
    go(window, (48, 30))
    tick(window)
    strokes(window)
    rest(window)
    go(window, (8, 80))
    window.until(lambda: window.labels[8, 74] == 1 and live.idle)
    window.key(Qt.Key.Key_Z, CTRL)
    assert "'background'" in rest(window)
    assert window.labels[8, 74] == 0


def test_a_plane_of_a_stack_follows_alone(window):
    window.file(np.stack([missed()] * 3), imagej=True, metadata={"axes": "ZYX"})
    window.rename(1, "cell")
    window.do("New model for my classes")
    window.viewer.dims.set_point(0, 1)
    tick(window)
    layer = window.layer
    window.take("paint", 0)
    window.drag((52, 10), (52, 80))
    window.take("paint", 1)
    window.drag((40, 20), (40, 24))
    assert "from 2 pieces" in rest(window)
    assert layer.data[1][BAR].mean() > 0.8
    assert not layer.data[0][BAR].any()


def test_objects_keep_their_numbers_and_new_ones_are_found(window):
    window.use("fresh")
    window.file(missed())
    window.segmented()
    numbers = [int(window.labels[8, 10 + 16 * i]) for i in range(4)]
    assert len(set(numbers)) == 4
    tick(window)
    rest(window)
    for i in range(2):  # they are right
        window.paint(numbers[i], (6, 8 + 16 * i), (10, 12 + 16 * i), size=5)
    window.paint(50, (40, 18), (40, 26))
    window.erase((52, 10), (52, 80))
    assert "Live: shown again" in rest(window)
    assert [int(window.labels[8, 10 + 16 * i]) for i in range(4)] == numbers
    assert window.labels[40, 22] == 50
    assert (window.labels[40, 20:40] > 0).mean() > 0.8
    assert (window.target() != IGNORE).any()
    window.key(Qt.Key.Key_Z, CTRL)  # the eraser changed nothing: the brush did
    rest(window)
    assert window.labels[40, 22] != 50
    assert (window.target()[40, 18:26] == IGNORE).all()


def test_object_that_was_split_stays_so_and_settles_strokes(window):
    image = np.full((64, 96), 10, np.uint16)
    image[10:20, 10:50] = 200
    window.file(image)
    window.segmented()
    number = int(window.labels[15, 15])
    tick(window)
    rest(window)
    window.erase((8, 30), (22, 30))
    assert "Live: shown again" in rest(window)
    labels = window.labels.copy()
    assert labels[15, 15] != labels[15, 45]
    assert {labels[15, 15], labels[15, 45]} & {number}
    window.take("erase")
    window.key(Qt.Key.Key_Z, CTRL)  # the number of one half is new
    np.testing.assert_array_equal(window.labels, labels)
    assert (window.target()[15, 29:32] == 0).all()


def test_image_that_is_closed_meanwhile_ends_it(classes):
    window = classes
    window.underlay()
    tick(window)
    strokes(window)
    window.events()
    layers = window.viewer.layers
    layers.remove(layers["cells"])
    live = window.correct.live
    window.until(lambda: live.box is None and not job_threads())
    assert not window.correct.task.doing


@pytest.mark.filterwarnings("ignore")  # napari shows errors as warnings in tests
def test_view_that_is_too_large_says_so_and_waits(window):
    image = np.zeros((2100, 2100), np.uint8)
    window.viewer.add_image(image, name="slide")
    window.look()
    window.rename(1, "cell")
    window.do("Start from nothing")
    tick(window)
    assert "Zoom in" in rest(window)
    assert window.correct.form.live.isChecked()


@pytest.mark.filterwarnings("ignore")
def test_model_that_is_lost_is_told_and_the_box_unticked(classes):
    window = classes
    window.correct.state.session.models.clear()
    for path in window.project.folder.rglob("*.safetensors"):
        path.unlink()
    tick(window)
    window.until(lambda: not window.correct.form.live.isChecked())
    assert "no model" in window.line
    strokes(window)
    assert (window.target() != IGNORE).any()
