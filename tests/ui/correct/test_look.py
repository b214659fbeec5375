"""What one sees and says in U-Net: Correct: views, objects, uncertain places."""

import numpy as np
import pytest
from helpers.window import missed, squares
from napari.layers import Labels
from qtpy.QtCore import Qt

from napari_unet.ui.layers import OVERLAY


def pixels(window, row):
    """Return the reviewed pixels of a class, as the table shows them."""
    text = window.correct.form.classes.table.cell(row, 3).text()
    return int("".join(c for c in text if c.isdigit()))


def test_this_view_is_right_reviews_all_of_it_and_no_more(window):
    window.file(squares())
    window.segmented()
    assert "6,144 pixels" in window.do("This view is right")
    assert (window.target() != 255).all()
    assert pixels(window, 0) == 64 * 96 - 4 * 64
    assert pixels(window, 1) == 4 * 64


def test_this_view_of_a_part_and_of_one_plane(window):
    window.file(squares((3, 64, 96)), imagej=True, metadata={"axes": "ZYX"})
    window.segmented()
    window.viewer.dims.set_point(0, 1)
    window.viewer.scene.camera.center = (8, 10)
    window.viewer.scene.camera.zoom = 40
    image = window.viewer.layers["cells"]
    window.until(lambda: image.corner_pixels[1][-1] < 40)
    window.do("This view is right")
    seen = window.target((1,)) != 255
    assert seen[4:10, 4:12].all()
    assert not seen[:, 40:].any()
    assert not any((window.target((z,)) != 255).any() for z in (0, 2))


@pytest.mark.filterwarnings("ignore")  # napari shows errors as warnings in tests
def test_this_view_is_refused_in_3d(window):
    window.file(squares((3, 64, 96)), imagej=True, metadata={"axes": "ZYX"})
    window.segmented()
    window.viewer.dims.ndisplay = 3
    assert "not in 3D" in window.do("This view is right")
    assert not any((window.target((z,)) != 255).any() for z in range(3))


@pytest.mark.filterwarnings("ignore")
def test_enormous_view_is_no_view_that_somebody_judges(window):
    window.viewer.add_image(np.zeros((4100, 4100), np.uint8), name="slide")
    window.look()
    window.rename(1, "cell")
    window.do("Start from nothing")
    assert "Zoom in" in window.do("This view is right")
    assert not window.reviews.blocks()


def test_forget_this_view_takes_its_reviews_back_for_good(window):
    window.file(squares())
    window.segmented()
    labels = window.labels.copy()
    window.paint(9, (40, 20), (40, 40))
    window.do("This view is right")
    assert "6,144 pixels" in window.do("Forget this view")
    assert (window.target() == 255).all()
    assert pixels(window, 0) == pixels(window, 1) == 0
    window.take()
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert (window.target() == 255).all()
    window.segmented("Segment this view")
    np.testing.assert_array_equal(window.labels > 0, labels > 0)


# --- objects ------------------------------------------------------------------


def disks():
    """Return an image of two bright bars, each 10 x 40."""
    image = np.full((64, 96), 10, np.uint16)
    image[10:20, 10:50] = 200
    image[30:40, 10:50] = 200
    return image


@pytest.mark.parametrize("again", ["Segment this view", "Segment", "Improve"])
def test_objects_that_were_split_merged_and_added_stay_so(window, again):
    window.file(disks())
    window.segmented()
    first, second = window.labels[15, 15], window.labels[35, 15]
    assert first != second
    window.erase((8, 30), (22, 30), size=3)  # a line of background splits the first
    window.paint(int(first) + 50, (50, 20), (50, 40), size=7)  # a new one
    if again == "Improve":
        window.do(again)
    else:
        window.segmented(again)
    labels = window.labels
    assert labels[15, 15] != labels[15, 45]
    assert {labels[15, 15], labels[15, 45]} & {first}
    assert labels[15, 15] > 0
    assert labels[15, 45] > 0
    assert labels[50, 30] == first + 50
    assert labels[15, 30] == 0
    assert labels[35, 15] == second


@pytest.mark.parametrize("again", ["Segment this view", "Improve"])
def test_one_label_over_two_objects_merges_them(window, again):
    window.file(disks())
    window.segmented()
    first = int(window.labels[15, 15])
    window.take("fill", first)
    window.drag((35, 15))
    window.paint(first, (12, 12), (38, 12), size=5)
    assert window.labels[35, 45] == first
    if again == "Improve":
        window.erase((50, 20), (50, 40))
        window.do(again)
    else:
        window.segmented(again)
    assert window.labels[15, 45] == window.labels[35, 45] == first


def test_new_label_through_an_object_splits_it(window):
    window.file(disks())
    window.segmented()
    window.correct.form.classes.chosen.emit(1)
    fresh = window.layer.selected_label
    assert fresh not in np.unique(window.labels)
    window.paint(fresh, (10, 45), (19, 45), size=9)
    window.segmented("Segment this view")
    assert window.labels[15, 45] == fresh
    assert window.labels[15, 15] not in (0, fresh)


# --- uncertain places and overlays --------------------------------------------


def unsure():
    """Return an image in which some squares are of middling brightness."""
    image = squares((256, 256), 4)
    for y, x in ((60, 60), (120, 200), (200, 40)):
        image[y : y + 12, x : x + 12] = 105
    return image


def test_next_uncertain_goes_from_place_to_place_and_never_back(window):
    window.file(unsure())
    window.segmented()
    window.do("Next uncertain")
    camera = window.viewer.scene.camera
    first = tuple(camera.center)[-2:]
    assert camera.zoom > 3
    assert "(" in window.line
    assert "key N" in window.line
    window.take("paint")
    window.key(Qt.Key.Key_N)
    window.idle()
    second = tuple(camera.center)[-2:]
    assert np.hypot(*np.subtract(first, second)) > 6
    window.click("This view is right")
    seen = [first, second]
    for _ in range(12):
        window.key(Qt.Key.Key_N)
        window.idle()
        if "sure of all" in window.line:
            break
        now = tuple(camera.center)[-2:]
        y, x = (int(c) for c in now)
        assert window.target()[y, x] == 255
        assert all(np.hypot(*np.subtract(now, old)) > 3 for old in seen)
        seen.append(now)
        window.click("This view is right")
    assert len(seen) > 2


def test_uncertain_place_is_marked_until_somebody_paints(window):
    window.file(unsure())
    window.segmented()
    window.do("Next uncertain")
    ring = window.viewer.layers["uncertain place"]
    assert ring.metadata[OVERLAY]
    centre = tuple(window.viewer.scene.camera.center)[-2:]
    np.testing.assert_allclose(ring.data[0], centre)
    assert window.viewer.layers.selection.active is not ring
    window.do("Next uncertain")
    assert len([x for x in window.viewer.layers if x.metadata.get(OVERLAY)]) == 1
    y, x = window.viewer.layers["uncertain place"].data[0]
    window.paint(9, (y, x), (y, x + 3))
    assert "uncertain place" not in window.viewer.layers


def test_line_that_measures_goes_when_it_is_drawn(window):
    window.file(squares())
    window.segmented()
    advanced = window.segment.form.advanced
    advanced.measure.menu().actions()[0].trigger()
    assert "Object diameter" in window.viewer.layers
    window.drag((20, 20), (20, 35), (20, 50))
    window.until(lambda: "Object diameter" not in window.viewer.layers)
    assert advanced.diameter.value() == pytest.approx(30, abs=1)
    assert window.viewer.layers.selection.active is window.viewer.layers["cells"]


@pytest.mark.parametrize("name", ["Reviewed", "Uncertainty", "Fixed, broken"])
def test_overlays_come_and_go_and_are_no_subjects(window, name):
    window.file(missed())
    window.segmented()
    window.paint(9, (40, 20), (40, 40))
    window.erase((30, 20), (30, 40))
    window.do("Improve")
    layers = list(window.viewer.layers)
    subject = window.correct.form.subject
    titles = [subject.itemText(i) for i in range(subject.count())]
    images = window.segment.form.image.count()
    form = window.correct.form
    (box,) = [
        b
        for b in (form.show_reviewed, form.show_uncertain, form.show_changed)
        if b.text() == name
    ]
    box.click()
    window.idle()
    (overlay,) = [x for x in window.viewer.layers if x not in layers]
    assert overlay.metadata[OVERLAY]
    assert window.viewer.layers.selection.active is window.layer
    assert [subject.itemText(i) for i in range(subject.count())] == titles
    assert window.segment.form.image.count() == images
    if name == "Reviewed":
        shown = np.asarray(overlay.data)
        np.testing.assert_array_equal(shown == 1, window.target() != 255)
        window.paint(9, (50, 20), (50, 40))
        shown = np.asarray(overlay.data)
        np.testing.assert_array_equal(shown == 1, window.target() != 255)
    if isinstance(overlay, Labels):
        assert not overlay.editable
        assert np.asarray(overlay.data).any()
    box.click()
    window.idle()
    assert list(window.viewer.layers) == layers


def test_box_follows_an_overlay_that_was_deleted_by_hand(window):
    window.file(squares())
    window.segmented()
    window.paint(9, (40, 20), (40, 40))
    box = window.correct.form.show_reviewed
    box.click()
    window.viewer.layers.remove("reviewed")
    assert not box.isChecked()
    box.click()
    assert "reviewed" in window.viewer.layers


def test_uncertainty_of_another_model_or_image_is_not_left_standing(window):
    window.file(missed())
    window.segmented()
    window.paint(9, (40, 20), (40, 40))
    window.erase((30, 20), (30, 40))
    box = window.correct.form.show_uncertain
    box.click()
    window.idle()
    assert "uncertainty" in window.viewer.layers
    window.do("Improve")
    assert "uncertainty" not in window.viewer.layers
    assert not box.isChecked()


def test_what_an_improvement_changed_goes_with_its_model(window):
    window.file(missed())
    window.segmented()
    window.paint(9, (40, 20), (40, 40))
    window.erase((30, 20), (30, 40))
    window.do("Improve")
    form = window.correct.form
    box, curve = form.show_changed, form.curve
    box.click()
    assert "fixed, broken" in window.viewer.layers
    window.do("Undo improvement")
    assert "fixed, broken" not in window.viewer.layers
    assert not box.isChecked()
    assert not box.isEnabled()
    window.open_model(0)  # it is used again, and what it changed is known still
    window.idle()
    assert box.isEnabled()
    assert "loss" in curve.legend.text()
    window.file(squares((64, 128)), "other.tif")
    window.correct.form.subject.choose(window.viewer.layers["other"])
    window.events()
    assert not curve.legend.text()
    assert "begins with the first step" in curve.empty.text()
    assert not box.isEnabled()


def test_uncertainty_that_comes_too_late_is_not_shown(window):
    window.file(squares())
    window.segmented()
    box = window.correct.form.show_uncertain
    box.click()
    box.click()
    window.idle()
    assert not box.isChecked()
    assert "uncertainty" not in window.viewer.layers
    window.underlay()
    box.click()
    window.viewer.layers.remove("cells")
    window.idle()
    assert "uncertainty" not in window.viewer.layers


def test_overlays_are_all_gone_with_their_subject(window):
    window.file(squares())
    window.segmented()
    window.paint(9, (40, 20), (40, 40))
    window.correct.form.show_reviewed.click()
    window.viewer.layers.remove(window.layer)
    window.events()
    assert [x.name for x in window.viewer.layers] == ["cells"]
