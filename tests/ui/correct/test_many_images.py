"""One project for many images: they join it, are learned together, and are listed."""

import numpy as np
import pytest
import tifffile
from helpers.window import missed, squares
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unet.project.project import Project

LEFT = Qt.MouseButton.LeftButton


def first(window):
    """Segment, paint on, and improve a first image; return its file."""
    path = window.file(missed(), "cells.tif")
    window.segmented()
    window.paint(99, (40, 20), (40, 40))
    window.erase((30, 20), (30, 40))
    assert window.do("Improve").startswith("v1 is in use")
    return path


def second(window, image=None, name="b.tif"):
    """Open another image."""
    path = window.file(missed()[::-1].copy() if image is None else image, name)
    window.until(lambda: window.state.image_layer is window.viewer.layers[path.stem])
    return path


def invited(window):
    return window.correct.form.invitation.isVisible()


def join(window):
    """Click the offer, and wait until the image can be corrected."""
    QTest.mouseClick(window.correct.form.invitation.join, LEFT)
    return window.idle()


def listed(window):
    """Return what the list of images says: name, state, pieces."""
    table = window.correct.form.images.table
    texts = [
        [table.item(r, c).text() for c in (0, 1, 3)] for r in range(4)[: rows(window)]
    ]
    return [tuple(text) for text in texts]


def rows(window):
    return window.correct.form.images.table.rowCount()


def go_to_row(window, row):
    table = window.correct.form.images.table
    place = table.visualItemRect(table.item(row, 0)).center()
    QTest.mouseClick(table.viewport(), LEFT, pos=place)
    window.idle()


def test_second_image_joins_with_one_click_and_goes_on_with_model_and_strokes(window):
    path = first(window)
    folder = path.with_suffix(".unet")
    assert not invited(window)
    second(window)
    assert invited(window)
    button = window.correct.form.invitation.join
    assert button.text() == "Add 'b.tif' to cells.unet"
    join(window)
    assert not invited(window)
    assert window.project.folder == folder
    assert window.layer.name == "b [v1]"
    assert window.state.known_as == "v1"
    table = window.correct.form.classes.table
    assert all(table.cell(row, 3).text() != "0" for row in (0, 1))
    window.paint(99, (23, 20), (23, 40))
    window.until(lambda: not window.project.unsaved)
    assert not path.with_name("b.unet").exists()
    assert [r.name for r in Project.open(folder).index.images] == ["cells", "b"]
    learned = {c.source for c in window.project.corrections()}
    assert learned == {"cells", "b"}


@pytest.mark.parametrize("closed", [False, True])
def test_improve_on_one_image_learns_from_the_strokes_on_the_other(window, closed):
    path = window.file(missed(), "cells.tif")
    window.segmented()
    window.erase((30, 20), (30, 40))
    before = window.state.correcting.reviews.counts()
    second(window)
    join(window)
    if closed:
        layers = window.viewer.layers
        for layer in [x for x in layers if x.name.startswith("cells")]:
            layers.remove(layer)
        window.events()
        assert path.exists()
    window.paint(99, (23, 20), (23, 40))
    assert 0 not in window.target()
    assert not window.correct.form.lacking.isVisible()  # the other has background
    window.do("Improve")
    (model,) = window.project.index.models
    here = sum(c.strokes for c in window.reviews.counts().values())
    assert model.strokes == here + sum(c.strokes for c in before.values())


def test_own_project_is_remembered(window):
    path = first(window)
    second(window)
    QTest.mouseClick(window.correct.form.invitation.stay, LEFT)
    assert not invited(window)
    window.viewer.layers.selection.active = window.viewer.layers["cells [v1]"]
    window.events()
    assert window.project.folder == path.with_suffix(".unet")
    window.viewer.layers.selection.active = window.viewer.layers["b"]
    window.events()
    assert not invited(window)
    assert window.project.folder == path.with_name("b.unet")


def test_what_was_painted_before_joining_goes_with_the_image(window):
    path = first(window)
    second(window)
    window.segmented()
    window.paint(99, (23, 20), (23, 40))
    window.until(lambda: not window.project.unsaved)
    said = window.target()
    assert invited(window)
    join(window)
    np.testing.assert_array_equal(window.target(), said)
    assert window.project.folder == path.with_suffix(".unet")
    own = Project.open(path.with_name("b.unet"))
    assert own.corrections() == []
    kept = Project.open(path.with_suffix(".unet")).corrections()
    assert {c.source for c in kept} == {"cells", "b"}


@pytest.mark.parametrize("unlike", ["classes", "channels", "known"])
def test_image_that_does_not_fit_is_not_invited(window, unlike):
    first(window)
    if unlike == "channels":
        window.viewer.add_image(
            np.stack([squares()] * 3, -1).astype(np.uint8), rgb=True
        )
    elif unlike == "known":
        own = Project.open(window.folder / "b.unet")
        own.add_model("mine", window.nets / "bright.safetensors")
        second(window)
    else:
        second(window)
        window.use("plain")
        window.segment.form.output.setCurrentText("classes")
        window.segmented()
    window.events()
    assert not invited(window)


def test_image_of_a_project_is_found_there_on_another_day(window):
    path = first(window)
    other = second(window)
    join(window)
    window.paint(99, (23, 20), (23, 40))
    window.until(lambda: not window.project.unsaved)
    again = window.again()
    again.open(other)
    assert again.project.folder == path.with_suffix(".unet")
    assert "the model v1 in cells.unet" in again.correct.form.offer.text()
    assert again.do("Go on")
    assert again.layer.name == "b [v1]"
    assert (again.labels[23, 20:40] > 0).all()


def test_list_says_which_image_has_how_many_strokes_and_goes_there(window):
    first(window)
    images = window.correct.form.images
    assert rows(window) == 1
    assert not images.table.isVisible()
    strokes = int(listed(window)[0][2])
    assert strokes > 0
    assert f"1 image, {strokes} pieces" in images.title.text()
    second(window)
    join(window)
    assert images.table.isVisible()
    assert listed(window) == [("b.tif", "here", "0"), ("cells.tif", "", str(strokes))]
    go_to_row(window, 1)
    assert window.state.image_layer is window.viewer.layers["cells"]
    assert window.layer.name == "cells [v1]"
    assert [x.name for x in window.viewer.layers if x.visible] == [
        "cells",
        "cells [v1]",
    ]
    assert listed(window)[1] == ("cells.tif", "here", str(strokes))


def test_row_of_a_closed_image_opens_its_file(window):
    path = first(window)
    second(window)
    join(window)
    layers = window.viewer.layers
    for layer in [x for x in layers if x.name.startswith("cells")]:
        layers.remove(layer)
    window.events()
    assert listed(window)[1][1] == "not open"
    go_to_row(window, 1)
    assert window.state.image_layer is layers["cells"]
    assert window.project.folder == path.with_suffix(".unet")
    assert window.do("Go on")
    assert (window.labels[40, 20:40] > 0).all()


@pytest.mark.filterwarnings("ignore")  # napari shows errors as warnings in tests
def test_row_of_an_image_that_is_gone_says_so(window):
    path = first(window)
    second(window)
    join(window)
    layers = window.viewer.layers
    for layer in [x for x in layers if x.name.startswith("cells")]:
        layers.remove(layer)
    path.unlink()
    go_to_row(window, 1)
    assert f"not at {path} any more" in window.line


def test_labels_of_an_older_model_go_on_with_the_one_in_use(window):
    first(window)
    second(window)
    join(window)
    window.paint(99, (23, 20), (23, 40))
    window.erase((33, 20), (33, 40))
    assert window.do("Improve").startswith("v2 is in use")
    go_to_row(window, 1)
    assert window.layer.name == "cells [v1]"
    assert window.state.known_as == "v2"
    offer = window.correct.form.offer.text()
    assert offer == "These labels are of v1; v2 is in use in cells.unet."
    window.do("Go on")
    assert window.layer.name == "cells [v2]"
    assert not window.correct.form.offer.isVisible()


def test_next_uncertain_goes_on_to_the_other_image(window):
    image = np.full((64, 96), 10, np.uint16)
    window.file(image, "cells.tif")  # nothing to be unsure of, but for one place
    window.segmented()
    window.erase((30, 20), (30, 40))
    window.click("This view is right")
    second(window, np.where(missed() == 60, 109, missed()).astype(np.uint16))
    join(window)
    go_to_row(window, 1)
    assert window.state.image_layer is window.viewer.layers["cells"]
    window.click("Next uncertain")
    b = window.viewer.layers["b"]
    window.until(lambda: window.state.image_layer is b)
    window.idle()
    assert "key N" in window.line
    y, x = window.layer.world_to_data(window.viewer.scene.camera.center[1:])
    assert 30 <= y <= 50  # around the faint bar, where the model is undecided
    assert 10 <= x <= 51
    assert window.layer.visible
    assert b.visible
    assert not window.viewer.layers["cells"].visible


def test_places_of_one_image_are_not_shown_on_another(window):
    window.file(missed(), "cells.tif")
    window.segmented()
    window.do("Next uncertain")
    path = window.folder / "b.tif"
    tifffile.imwrite(path, np.full((64, 96), 10, np.uint16))
    window.open(path)
    window.segmented()
    window.viewer.layers.selection.active = window.viewer.layers["b [bright]"]
    window.events()
    window.click("This view is right")
    assert "sure of all" in window.do("Next uncertain")
