"""Edit in the dock U-Net: Batch, of a TIFF: what is painted is in the file soon."""

import numpy as np
import pytest
import tifffile
from helpers.batch_hand import write
from helpers.window import squares


def levels(path):
    with tifffile.TiffFile(path) as file:
        return [level.asarray() for level in file.series[0].levels]


@pytest.fixture
def edited(hand, tmp_path):
    """Return the file of a result that can be painted on now."""
    hand.add(write(tmp_path / "cells.tif", squares((700, 720))))
    hand.run()
    hand.open(0)
    assert "every stroke goes into the file" in hand.edit(0)
    return tmp_path / "results" / "cells.ome.tif"


def test_strokes_go_into_the_file_and_are_reviews(hand, edited):
    window = hand.window
    image, labels = window.viewer.layers  # the lazy labels have made room
    assert window.state.result.layer is labels
    np.testing.assert_allclose(labels.scale, image.scale)
    assert labels.name == "cells [bright]"
    original = edited.read_bytes()
    before = levels(edited)[0]
    window.paint(9, (300, 300), (300, 400), size=20)
    changed = window.labels != before
    assert 1000 < changed.sum() < 4000
    window.until(lambda: not window.state.result.unsaved)
    finest, coarser = levels(edited)
    np.testing.assert_array_equal(finest, window.labels)
    np.testing.assert_array_equal(coarser, finest[::2, ::2])
    window.until(lambda: not window.project.unsaved)
    assert ((window.target() != 255) & changed).sum() == changed.sum()
    assert window.project.folder == edited.parents[1] / "cells.unet"
    assert window.project.reviewed(window.state.correcting.key)
    window.layer.undo()
    window.until(lambda: not window.state.result.unsaved)
    assert edited.read_bytes() == original
    assert (window.target() == 255).all()


@pytest.fixture
def slow(monkeypatch):
    """Let the file follow only when somebody needs it."""
    monkeypatch.setattr("napari_unet.io.tiff_labels._DELAY", 600)
    monkeypatch.setattr("napari_unet.io.tiff_labels._LONGEST", 600)


@pytest.mark.parametrize("verb", ["open", "edit"])
@pytest.mark.usefixtures("slow")
def test_what_was_painted_is_there_though_the_layer_is_closed_at_once(
    hand, edited, verb
):
    window = hand.window
    window.paint(9, (300, 300), (300, 400), size=20)
    window.underlay()
    window.viewer.layers.remove(window.layer)
    getattr(hand, verb)(0)
    shown = window.viewer.layers[-1]
    finest = shown.data[0] if verb == "open" else shown.data
    assert (np.asarray(finest) == 9).sum() > 1000
    assert (levels(edited)[0] == 9).sum() > 1000
    if verb == "edit":
        assert window.state.correcting.new_number() == 10


@pytest.mark.usefixtures("slow")
def test_start_counts_the_stroke_of_the_moment_before(hand, edited):
    hand.window.paint(9, (300, 300), (300, 400), size=20)
    said = hand.run()
    assert said.startswith("1 done before")
    assert "5 objects" in said
    assert (levels(edited)[0] == 9).sum() > 1000


@pytest.mark.filterwarnings("ignore")
def test_labels_that_are_too_large_for_memory_are_told(hand, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_unet.io.tiff_labels._MOST", 10**6)
    hand.add(write(tmp_path / "cells.tif", squares((700, 720))))
    hand.run()
    line = hand.edit(0)
    assert "cells.ome.tif holds 2 MB of labels" in line
    assert line.endswith("with the format OME-Zarr ('Save as' in Advanced).")
