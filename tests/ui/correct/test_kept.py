"""What was corrected is neither lost nor falsified, whatever becomes of the layer."""

import numpy as np
import pytest

from napari_unet.project.project import Project
from napari_unet.ui.layers import looked_at

CUT = slice(18, 23)  # rows that the eraser takes away


def blocks():
    """Return a dark image with two bright squares of 32 x 32."""
    image = np.full((64, 96), 10, np.uint16)
    image[4:36, 6:38] = image[4:36, 54:86] = 200
    return image


def cut(window):
    """Segment, and part the left square in two by one stroke of background."""
    path = window.file(blocks())
    window.segmented()
    window.erase((20, 2), (20, 42), size=5)
    window.until(lambda: not window.project.unsaved)
    return path


def stored(folder):
    """Return target and shown (Y, X) as they are on the disk."""
    project = Project.open(folder)
    (record,) = project.index.images
    return project.read(record.key, (), (slice(0, 64), slice(0, 96)))


def check_parted(window):
    """See to it that the left square is two objects on the layer, and no more."""
    labels = window.labels
    assert not labels[CUT, 6:38].any()
    (upper,) = np.unique(labels[4:17, 7:37])
    (lower,) = np.unique(labels[24:35, 7:37])
    assert 0 < upper != lower > 0
    assert len(np.unique(labels[labels > 0])) == 3


def close_layer(window):
    window.underlay()
    layers = window.viewer.layers
    layers.remove(window.layer)
    layers.selection.active = layers["cells"]
    window.events()


def close_image(window):
    path = window.viewer.layers["cells"].source.path
    close_layer(window)
    window.viewer.layers.remove("cells")
    window.events()
    window.open(path)


@pytest.mark.parametrize("close", [close_layer, close_image])
def test_go_on_is_offered_when_the_labels_were_closed(window, close):
    cut(window)
    close(window)
    assert "There are corrections" in window.correct.form.offer.text()
    assert window.correct.form.classes.table.cell(0, 3).text() != "0"
    window.do("Go on")
    assert not window.labels[CUT, 6:38].any()
    assert not window.correct.form.offer.isVisible()


def test_strokes_outlive_the_layer_and_two_segmentations(window):
    path = cut(window)
    said, _ = stored(path.with_suffix(".unet"))
    assert (said[CUT, 6:38] == 0).all()
    close_layer(window)
    for _ in range(2):
        window.segmented()
        assert not window.labels[CUT, 6:38].any()
        window.state.correcting.save()
        target, shown = stored(path.with_suffix(".unet"))
        np.testing.assert_array_equal(target, said)
        assert not shown[target == 0].any()


@pytest.mark.parametrize("numbered", [True, False])
def test_objects_that_were_parted_are_two_after_a_restart(window, numbered):
    path = cut(window)
    if numbered:  # both halves have numbers of their own in the project
        window.segmented("Segment this view")
        check_parted(window)
        window.until(lambda: not window.project.unsaved)
    again = window.again()
    again.open(path)
    again.do("Go on")
    check_parted(again)
    again.segmented()
    check_parted(again)


def test_new_layer_shows_an_object_that_was_parted_as_two(window):
    cut(window)
    close_layer(window)
    window.segmented()
    check_parted(window)


def test_strokes_leave_no_objects_of_a_few_pixels(window):
    window.segment.form.advanced.min_size.setValue(32)
    cut(window)
    for x in (12, 20, 28):  # around one pixel that the brush leaves over
        for y, beside in ((9, x), (11, x), (10, x - 1), (10, x + 1)):
            window.erase((y, beside), size=1)
    for _ in range(3):
        window.segmented("Segment this view")
        numbers, sizes = np.unique(window.labels, return_counts=True)
        assert len(numbers) == 4
        assert sizes.min() >= 32
        assert window.labels[10, 12] == window.labels[8, 12]


def test_view_that_is_segmented_cuts_no_objects_at_its_border(window):
    window.file(blocks())
    window.segmented()
    before = window.labels.copy()
    camera = window.viewer.scene.camera
    camera.center, camera.zoom = (0, 32, 58), 12
    window.events()
    view = looked_at(window.viewer, window.viewer.layers["cells"]).box
    assert 24 < view[1].start < 36  # less than half of the left square
    window.segmented("Segment this view")
    np.testing.assert_array_equal(window.labels, before)
