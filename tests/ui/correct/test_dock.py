"""The dock U-Net: Correct by mouse clicks and strokes, on a real canvas."""

import numpy as np
import pytest
from helpers.window import squares
from napari.layers._source import Source, layer_source
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unet.labels.metrics import dice
from napari_unet.project.project import Project
from napari_unet.training import fine_tune, fine_tune_state

CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


def two_kinds():
    """Return an image of bright and dark squares, and its truth; a net knows one."""
    image = np.full((128, 192), 60, np.uint16)
    image += np.random.default_rng(0).integers(0, 6, image.shape, np.uint16)
    truth = np.zeros(image.shape, np.uint16)
    for i, (y, x) in enumerate(np.ndindex(5, 8)):
        place = slice(8 + 24 * y, 20 + 24 * y), slice(8 + 24 * x, 20 + 24 * x)
        image[place] = image[place] + 180 if (x + y) % 2 else image[place] - 55
        truth[place] = i + 1
    return image, truth


def alike(labels, others):
    """Whether objects are in the same places, but for what is due to rounding."""
    return ((labels > 0) == (others > 0)).mean() >= 0.999


@pytest.mark.usefixtures("usual_steps")
def test_paint_improve_undo_redo_close_reopen_go_on(window):
    image, truth = two_kinds()
    path = window.file(image)
    window.segmented()
    assert window.layer.name == "cells [bright]"
    untouched = slice(100, 128), slice(0, 192)  # the lowest row of squares
    before = window.labels.copy()
    for number, y in ((500, 14), (501, 38), (502, 62)):
        x = 14 if number != 501 else 38
        window.paint(number, (y, x - 3), (y, x + 3), size=5)
    reviewed = window.target() != 255
    assert not reviewed[untouched].any()

    window.correct.form.seconds.setValue(8)
    assert window.do("Improve anyway").startswith("v1 is in use")  # no background
    after = window.labels.copy()
    was, now = (dice(truth[untouched], a[untouched]) for a in (before, after))
    assert now > was + 0.1  # a model that is right on two thirds moves in small steps
    assert window.layer.name == "cells [v1]"
    assert window.segment.form.model.name() == "v1"

    window.do("Undo improvement")
    assert window.layer.name == "cells [bright]"
    assert "not of this project" in window.button("Save model as...").toolTip()
    assert alike(window.labels[untouched], before[untouched])
    assert (window.labels[reviewed] > 0)[window.target()[reviewed] == 1].all()
    window.open_model(0)
    window.idle()
    assert window.layer.name == "cells [v1]"
    assert alike(window.labels, after)

    kept = window.target()
    again = window.again()
    again.open(path)
    assert (
        "corrections and the model v1 in cells.unet" in again.correct.form.offer.text()
    )
    table = again.correct.form.classes.table
    assert int(table.cell(1, 3).text()) == reviewed.sum()
    again.do("Go on")
    assert again.layer.name == "cells [v1]"
    np.testing.assert_array_equal(again.target(), kept)
    assert alike(again.labels, after)
    again.paint(9, (86, 14), (86, 38))
    assert (again.target() != 255).sum() > (kept != 255).sum()


def test_first_answer_that_is_taken_back_leaves_the_view_as_it_was(window, monkeypatch):
    window.use("fresh")
    window.file(two_kinds()[0])
    window.segmented()
    before = window.labels.copy()
    for number, y, x in ((500, 14, 14), (501, 38, 38), (502, 62, 14)):
        window.paint(number, (y, x - 3), (y, x + 3), size=5)
    window.erase((2, 4), (2, 40))
    found = iter([0.9, 0.8, 0.8])  # the model before, the whole net, the first answer
    monkeypatch.setattr(fine_tune_state, "score", lambda *_: next(found))
    window.correct.form.seconds.setValue(8)
    window.click("Improve")
    untouched = window.target() == 255
    window.until(lambda: not alike(window.labels[untouched], before[untouched]))
    line = window.idle()
    assert "fresh stays in use" in line
    assert "now 80.0%, before 90.0%" in line
    assert window.layer.name == "cells [fresh]"
    assert alike(window.labels[untouched], before[untouched])
    assert not window.button("Undo improvement").isEnabled()


def test_what_is_painted_is_on_the_disk_within_two_seconds(window):
    path = window.file(squares())
    window.segmented()
    window.paint(9, (40, 20), (40, 40))
    said = window.target()
    folder = path.with_suffix(".unet")
    window.qtbot.waitUntil(lambda: (folder / "project.json").is_file(), timeout=2000)
    window.qtbot.waitUntil(lambda: not window.project.unsaved, timeout=2000)
    kept = Project.open(folder)
    (record,) = kept.index.images
    found, _ = kept.read(record.key, (), (slice(0, 64), slice(0, 96)))
    np.testing.assert_array_equal(found, said)


@pytest.mark.parametrize("place", ["no file", "read-only folder"])
def test_project_is_in_the_data_folder_where_it_cannot_lie_beside(window, place):
    source = Source(path="/proc/version") if place == "read-only folder" else Source()
    with layer_source(**source.model_dump(include={"path"})):
        window.viewer.add_image(squares(), name="cells")
    window.look()
    window.segmented()
    window.paint(9, (40, 20), (40, 40))
    projects = window.folder / "data" / "napari-unet" / "projects"
    window.until(lambda: list(projects.glob("*.unet/project.json")))
    window.until(lambda: not window.project.unsaved)
    assert window.correct.form.place.text() == window.project.folder.name
    assert str(projects) in window.correct.form.place.toolTip()


@pytest.mark.parametrize("again", ["Segment", "Segment this view", "Improve"])
def test_reviewed_pixels_stay(window, again):
    window.file(squares())
    window.segmented()
    window.paint(9, (40, 20), (40, 40))  # an object where the net sees none
    window.erase((8, 8), (8, 12))  # a hole where it sees one
    said, labels = window.target(), window.labels.copy()
    seen = said != 255
    if again == "Improve":
        window.do(again)
    else:
        window.segmented(again)
    np.testing.assert_array_equal(window.labels[seen], labels[seen])
    np.testing.assert_array_equal(window.target(), said)
    assert len([x for x in window.viewer.layers if x.name.startswith("cells [")]) == 1


def test_brush_over_what_is_right_counts_as_reviewed(window):
    window.file(squares())
    window.segmented()
    labels = window.labels.copy()
    window.erase((40, 20), (40, 40))
    np.testing.assert_array_equal(window.labels, labels)
    seen = window.target() != 255
    assert seen[40, 20:41].all()
    assert (window.target()[seen] == 0).all()
    assert window.correct.form.classes.table.cell(0, 3).text() == str(seen.sum())


def test_fill_polygon_and_eraser_are_reviewed(window):
    window.file(squares())
    window.segmented()
    window.take("fill", 7)
    window.drag((8, 10))
    assert (window.labels[4:12, 6:14] == 7).all()
    assert (window.target()[4:12, 6:14] != 255).all()
    window.take("polygon", 8)
    window.layer.paint_polygon([[30, 30], [30, 50], [50, 50], [50, 30]], 8)
    window.events()
    assert (window.target()[32:48, 32:48] == 1).all()
    window.erase((8, 26), (8, 26), size=1)
    assert window.target()[8, 26] == 0


def test_brush_in_three_dimensions_is_reviewed_in_every_plane(window):
    window.file(squares((5, 64, 96)), metadata={"axes": "ZYX"}, imagej=True)
    window.segmented()
    window.viewer.dims.set_point(0, 2)
    window.layer.n_edit_dimensions = 3
    window.paint(99, (40, 40), (40, 44), size=5)
    planes = [(window.target((z,)) != 255).sum() for z in range(5)]
    assert planes[2] >= planes[1] > planes[0] > 0
    assert planes[2] >= planes[3] > planes[4] > 0
    window.key(Qt.Key.Key_Z, CONTROL)
    assert not any((window.target((z,)) != 255).any() for z in range(5))


def test_undo_and_redo_keys_take_reviews_back_and_forth(window):
    window.file(squares())
    window.segmented()
    window.paint(9, (40, 20), (40, 40))
    first = window.target()
    window.erase((8, 8), (8, 12))
    second = window.target()
    assert (first != second).any()
    window.key(Qt.Key.Key_Z, CONTROL)
    np.testing.assert_array_equal(window.target(), first)
    window.key(Qt.Key.Key_Z, CONTROL)
    assert (window.target() == 255).all()
    assert window.correct.form.classes.table.cell(1, 3).text() == "0"
    for _ in range(2):
        window.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    np.testing.assert_array_equal(window.target(), second)


def test_undo_after_a_segmentation_brings_no_old_labels_back(window):
    window.file(squares())
    window.segmented()
    window.paint(9, (40, 20), (40, 40))
    window.segmented("Segment this view")
    labels, said = window.labels.copy(), window.target()
    window.key(Qt.Key.Key_Z, CONTROL)
    np.testing.assert_array_equal(window.labels, labels)
    np.testing.assert_array_equal(window.target(), said)


@pytest.mark.parametrize("doing", ["Next uncertain", "Segment", "saving"])
def test_strokes_can_be_undone_after_what_left_the_labels_alone(window, doing):
    window.file(squares())
    window.segmented()
    window.paint(9, (40, 20), (40, 40))
    if doing == "Segment":  # another image
        window.viewer.add_image(squares(), name="other")
        window.segmented()
        window.viewer.layers.selection.active = window.viewer.layers["cells [bright]"]
        window.until(lambda: window.layer.name == "cells [bright]")
    elif doing == "saving":
        window.until(lambda: not window.project.unsaved)
    else:
        window.do(doing)
    window.take("paint")
    window.key(Qt.Key.Key_Z, CONTROL)
    if doing != "Segment":  # leaving a result takes its strokes as they are
        assert not (window.labels == 9).any()
        assert (window.target() == 255).all()
    else:
        painted, said = window.labels == 9, window.target()
        assert (painted == ((said == 1) | (said == 2)))[36:44].all()
        assert painted.any()


def test_label_that_is_no_class_is_told_once(window):
    window.use("plain")
    window.segment.form.output.setCurrentText("classes")
    window.file(squares())
    window.segmented()
    window.paint(5, (40, 20), (40, 40))
    assert "Label 5 is no class of this model" in window.line
    assert (window.target() == 255).all()
    window.correct.form.progress.say("")
    window.paint(1, (50, 20), (50, 40))
    assert window.line == ""
    assert (window.target() == 1).any()


def test_painting_while_training_is_kept(window, monkeypatch):
    monkeypatch.setattr(fine_tune, "_STEPS", 10**6)  # it takes all of its time
    window.file(two_kinds()[0])
    window.segmented()
    window.paint(500, (14, 11), (14, 17))
    window.erase((2, 4), (2, 40))
    window.correct.form.seconds.setValue(8)
    window.click("Improve")
    form = window.correct.form
    window.until(lambda: "%" in form.progress.bar.format())  # it learns
    window.until(lambda: window.layer.editable)
    window.paint(900, (62, 11), (62, 17), size=5)
    painted = window.labels == 900
    assert painted.sum() > 20
    window.idle()
    assert (window.labels[painted] == 900).all()
    assert (window.target()[painted] != 255).all()


def test_buttons_are_where_and_what_the_design_says(window):
    window.file(squares())
    window.segmented()
    for text in (
        "Improve", "Stop", "Undo improvement", "This view is right", "Next uncertain",
        "Save model as...", "New model for my classes", "+ class",
    ):  # fmt: skip
        assert window.button(text).isVisible()


def test_dock_says_what_to_do_next(window):
    assert "no image" in window.line
    window.file(squares())
    assert "U-Net: Segment" in window.line
    window.segmented()
    assert "take the brush" in window.line
    window.correct.form.classes.chosen.emit(1)
    assert window.layer.mode == "paint"
    assert window.viewer.layers.selection.active is window.layer
    window.layer.brush_size = 5
    window.drag((40, 20), (40, 40))
    assert window.line == ""
    assert (window.target() != 255).any()


def test_stroke_that_is_being_drawn_while_tiles_arrive_is_not_lost(window):
    window.file(squares())
    window.segmented()
    window.take("paint", 9)
    window.press(40, 20)
    window.move(40, 30)
    window.segmented("Segment this view")
    assert (window.labels == 9).sum() > 20
    assert window.layer.mode == "paint"
    window.move(40, 50)
    window.release(40, 50)
    window.events()
    assert (window.labels[40, 20:50] == 9).all()
    assert (window.target()[40, 20:50] != 255).all()
    window.segmented("Segment this view")
    assert (window.labels[40, 20:50] == 9).all()


def test_brush_in_a_view_from_the_side_reviews_no_pixels_that_it_did_not_pass(window):
    window.file(squares((16, 32, 64)), imagej=True, metadata={"axes": "ZYX"})
    window.segmented()
    window.viewer.dims.order = (1, 0, 2)
    window.look()
    window.viewer.dims.set_point(1, 24)
    window.take("erase", size=9)
    canvas = window.viewer.window._qt_viewer.canvas.native
    middle = canvas.rect().center()
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=middle)
    window.events()
    seen = np.stack([window.target((z,)) != 255 for z in range(16)])
    assert not seen[:, :24].any()
    assert not seen[:, 25:].any()
    window.take("paint", 99, size=9)
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=middle)
    window.events()
    painted = window.labels == 99
    assert painted[:, 24].any()
    seen = np.stack([window.target((z,)) != 255 for z in range(16)])
    assert seen[painted].all()
