"""Edit in the dock U-Net: Batch: what is painted is in the file, and a correction."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from helpers.batch_hand import Hand, write
from helpers.window import squares

from napari_unet.io.save import save_labels


def level(path: Path, number: int) -> np.ndarray:
    return np.asarray(zarr.open_group(path, mode="r")[str(number)][...])


@pytest.fixture(autouse=True)
def _editable(hand):
    hand.dock.form.advanced.format.setCurrentText("OME-Zarr")


@pytest.fixture
def edited(hand, tmp_path):
    """Return the file of a result that can be painted on now."""
    hand.add(write(tmp_path / "cells.tif", squares((700, 720))))
    hand.run()
    hand.open(0)
    hand.edit(0)
    return tmp_path / "results" / "cells.ome.zarr"


def test_strokes_go_into_the_file_and_are_reviews(hand, edited):
    window = hand.window
    image, labels = window.viewer.layers  # the pyramid has made room
    assert not labels.multiscale
    assert window.state.result.layer is labels
    np.testing.assert_allclose(labels.scale, image.scale)
    before = level(edited, 0)
    window.paint(9, (300, 300), (300, 400), size=20)
    after = level(edited, 0)
    changed = after != before
    assert 1000 < changed.sum() < 4000
    assert (after[changed] == 9).all()
    window.until(lambda: (level(edited, 1) == 9).any())
    window.until(lambda: window.labels is not None and not window.project.unsaved)
    labels.data.settle()
    np.testing.assert_array_equal(level(edited, 1), after[::2, ::2])
    assert ((window.target() != 255) & changed).sum() == changed.sum()
    assert window.project.folder == edited.parents[1] / "cells.unet"
    assert window.project.reviewed(window.state.correcting.key)


def test_undo_is_in_the_file_too(hand, edited):
    before = level(edited, 0)
    hand.window.paint(9, (300, 300), (300, 400), size=20)
    hand.window.layer.undo()
    np.testing.assert_array_equal(level(edited, 0), before)
    assert (hand.window.target() == 255).all()
    hand.window.layer.data.settle()
    np.testing.assert_array_equal(level(edited, 1), before[::2, ::2])


def test_rerun_leaves_alone_what_was_painted(hand, edited):
    hand.window.paint(9, (300, 300), (300, 400), size=20)
    painted = level(edited, 0)
    said = hand.run()
    assert said.startswith("1 done before")
    assert "5 objects" in said
    np.testing.assert_array_equal(level(edited, 0), painted)


@pytest.mark.filterwarnings("ignore")
def test_file_that_is_painted_on_is_not_replaced(hand, edited):
    hand.dock.form.advanced.overwrite.setChecked(True)
    hand.click("Start")
    assert "cells.ome.zarr is painted on now" in hand.line
    hand.window.viewer.layers.remove(hand.window.layer)
    assert hand.run().startswith("1 done · 4 objects")


def test_new_objects_get_numbers_that_nobody_has(hand, edited):
    assert hand.window.state.correcting.new_number() == 5


def test_edited_labels_can_be_left_and_opened_again(hand, edited):
    window = hand.window
    window.paint(9, (300, 300), (300, 400), size=20)
    window.underlay()
    window.viewer.layers.remove(window.layer)
    hand.open(0)
    pyramid = window.viewer.layers[-1]
    assert pyramid.multiscale
    assert (np.asarray(pyramid.data[1]) == 9).any()
    hand.edit(0)
    assert window.labels.max() == 9
    assert window.state.correcting.new_number() == 10
    hand.open(0)  # is on the screen already
    hand.edit(0)
    assert len(window.viewer.layers) == 3  # one lies below all


def test_improve_writes_into_the_file_and_keeps_what_was_painted(hand, edited):
    window = hand.window
    window.viewer.reset_view()
    window.paint(9, (300, 300), (300, 400), size=20)
    window.erase((350, 300), (350, 400), size=20)
    assert " in use" in window.do("Improve") or " stays" in window.line
    labels = window.labels
    assert (labels[300, 300:400] > 0).all()
    np.testing.assert_array_equal(level(edited, 0), labels)
    window.layer.data.settle()
    np.testing.assert_array_equal(level(edited, 1), labels[::2, ::2])


def test_labels_in_a_file_do_not_follow_every_stroke(hand, edited):
    box = hand.window.correct.form.live
    assert not box.isEnabled()
    assert "are a file" in box.toolTip()


def test_segment_makes_a_layer_of_its_own_beside_the_file(hand, edited):
    before = level(edited, 0)
    hand.window.segmented()
    assert len(hand.window.viewer.layers) == 3
    np.testing.assert_array_equal(level(edited, 0), before)


def test_channel_that_was_segmented_is_the_one_that_is_corrected(hand, tmp_path):
    image = np.stack([np.zeros((64, 96), np.uint16), squares()])
    path = tmp_path / "two.tif"
    tifffile.imwrite(path, image, ome=True, metadata={"axes": "CYX"})
    hand.add(path)
    hand.dock.form.advanced.channel.setText("1")
    hand.run()
    hand.edit(0)
    window = hand.window
    _, second, labels = window.viewer.layers
    assert window.state.image_layer is second
    assert window.layer is labels
    window.paint(9, (40, 20), (40, 40))
    assert (window.target() == 1).any()
    window.erase((30, 20), (30, 40))
    assert " in use" in window.do("Improve") or " stays" in window.line


def test_edit_knows_the_model_that_made_a_result(hand, images):
    hand.add(images)
    hand.run()
    hand.dock.form.model.add(str(hand.window.nets / "deep.safetensors"))
    hand.looked()  # which says something, too
    assert "Paint with napari's brush" in hand.edit(0)
    assert hand.window.layer.name == "a [bright]"


@pytest.mark.filterwarnings("ignore")
def test_image_that_is_closed_meanwhile_is_told(hand, images):
    hand.add(images)
    hand.run()
    hand.open(0)
    hand.choose(0)
    hand.click("Edit")
    hand.window.viewer.layers.clear()
    hand.window.until(lambda: hand.dock.results.job is None)
    assert "a.tif was closed" in hand.line


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_painted_on_is_told(hand, images):
    hand.add(images / "a.tif")
    assert "no labels yet" in hand.edit(0)
    hand.run()
    hand.dock.form.advanced.format.setCurrentText("OME-TIFF")
    hand.run()
    assert "'replace results that are there'" in hand.hover(0)  # of the table


@pytest.mark.filterwarnings("ignore")
def test_results_of_another_day_are_edited_with_the_model_that_made_them(hand, images):
    hand.add(images)
    hand.run()
    hand.window.close_dock(hand.dock)
    again = Hand(hand.window)
    again.add(images)
    again.dock.form.model.add(str(hand.window.nets / "deep.safetensors"))
    assert "Another model than deep made a.ome.zarr" in again.edit(0)
    again.dock.form.model.add(str(hand.window.nets / "bright.safetensors"))
    again.looked()  # what it then says would come after
    assert "Paint with napari's brush" in again.edit(0)


@pytest.mark.filterwarnings("ignore")
def test_labels_of_another_program_are_not_edited(hand, images):
    target = images / "results" / "a.ome.zarr"
    target.parent.mkdir()
    labels = np.zeros((64, 96), np.int32)
    save_labels(
        target, labels, axes="YX", scale=(1, 1), units=("pixel", "pixel"), name="a"
    )
    hand.add(images / "a.tif")
    assert "another program made it" in hand.edit(0)
