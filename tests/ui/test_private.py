"""A napari that lacks a private name costs a feature, and no run."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtWidgets import QWidget

from napari_unet.errors import UNetError
from napari_unet.ui.layers import add_layers, file_of
from napari_unet.ui.private import main_window, quick_colours
from napari_unet.ui.recording import strokes
from napari_unet.ui.recording.recording import recording_of
from napari_unet.ui.recording.strokes import Strokes
from napari_unet.ui.result_layer import Result
from napari_unet.ui.widgets.dock_tabs import bring

KEY = (slice(8, 16), slice(20, 30))


@pytest.fixture
def result():
    """Return the result of a model on an image of 40 x 50 pixels, in a viewer."""
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((40, 50), np.uint8))
    found = Result(image, "nuclei")
    found.show(viewer, np.zeros((40, 50), np.int32))
    found.viewer = viewer  # which nobody else holds
    return found


def test_without_a_source_layers_are_of_no_file(monkeypatch, tmp_path):
    data = [(np.zeros((4, 5), np.uint8), {"name": "cells"}, "image")]
    path = tmp_path / "cells.tif"
    viewer = ViewerModel()
    (known,) = add_layers(viewer, data, path)
    assert file_of(viewer, known) == path
    monkeypatch.delattr("napari.layers._source.layer_source")
    viewer = ViewerModel()
    (unknown,) = add_layers(viewer, data, path)
    assert list(viewer.layers) == [unknown]
    assert file_of(viewer, unknown) is None


@pytest.mark.parametrize(
    "name", [None, "_get_update_slices", "_partial_labels_refresh"]
)
def test_without_means_to_draw_a_part_all_is_drawn(monkeypatch, result, name):
    layer, parts, whole = result.layer, [], []
    if name is not None:
        monkeypatch.delattr(Labels, name)
    layer.events.labels_update.connect(parts.append)
    layer.events.set_data.connect(whole.append)
    result.array[KEY] = 7
    result.add(KEY)
    result.refresh()
    assert (len(parts), len(whole)) == ((1, 0) if name is None else (0, 1))
    assert (layer._slice.image.view[KEY] > 0).all()


@pytest.mark.parametrize("name", [None, "_commit_staged_history", "_reset_history"])
def test_without_a_way_to_forget_strokes_a_rerun_still_shows(monkeypatch, result, name):
    layer, told = result.layer, []
    result.on_forget.append(lambda: told.append(True))
    layer.paint((5, 5), 3)
    if name is not None:
        monkeypatch.delattr(Labels, name)
    new = np.ones((40, 50), np.int32)
    result.show(result.viewer, new)
    assert layer.data is new
    assert told == [True]
    monkeypatch.undo()
    layer.undo()
    assert new.all() == (name != "_reset_history")


class Ear:
    """Counts what is told."""

    def __init__(self) -> None:
        self.painted_on, self.returns = [], []

    def painted(self, changes) -> None:
        self.painted_on.append(changes)

    def passed(self, way, painted) -> None:
        raise AssertionError("no mouse was used")

    def returned(self, undone) -> None:
        self.returns.append(undone)


@pytest.mark.parametrize("name", [None, "_undo_history", "_redo_history"])
def test_without_the_histories_nobody_hears_of_an_undo(monkeypatch, qtbot, name):
    layer, ear = Labels(np.zeros((40, 50), np.int32)), Ear()
    heard = Strokes(layer, lambda: None)
    heard.listen(ear)
    layer.paint((5, 5), 3)
    heard.settle()
    if name is not None:
        monkeypatch.delattr(layer, name)
        layer.refresh()
        monkeypatch.undo()
    layer.undo()
    assert not layer.data.any()
    assert len(ear.painted_on) == 1
    assert ear.returns == ([True] if name is None else [])


def test_strokes_in_an_unknown_form_are_refused_and_the_result_stays(monkeypatch):
    def strange(layer, item) -> None:
        layer.events.paint(value=["nobody knows"])

    monkeypatch.setattr(Labels, "_append_to_undo_history", strange)
    strokes._understood.cache_clear()
    try:
        with pytest.raises(UNetError, match="Update napari-unet"):
            Strokes(Labels(np.zeros((40, 50), np.int32)), lambda: None)
    finally:
        strokes._understood.cache_clear()


def test_without_a_window_of_its_own_strokes_are_recorded(
    make_napari_viewer, monkeypatch
):
    viewer = make_napari_viewer()
    assert main_window(viewer) is not None
    with monkeypatch.context() as patch:
        patch.delattr(viewer.window, "_qt_window")
        found = recording_of(viewer)
    assert found.parent() is None
    assert recording_of(viewer) is found


def test_a_dock_is_brought_to_the_front_by_public_means(
    make_napari_viewer, monkeypatch
):
    viewer = make_napari_viewer()
    dock = viewer.window.add_dock_widget(QWidget(), name="U-Net: Segment (U-Net)")
    dock.hide()
    with monkeypatch.context() as patch:
        patch.delattr(viewer.window, "_qt_window")
        bring(viewer, "U-Net: Segment")
    assert not dock.isHidden()


@pytest.mark.parametrize("ground", [0, 7])
@pytest.mark.parametrize("kind", [np.int32, np.int64])
@pytest.mark.parametrize("count", [49, 254, 1000])
def test_quick_colours_are_those_of_napari(monkeypatch, ground, kind, count):
    from napari.utils.colormaps import _accelerated_cmap as colours

    slow = colours.zero_preserving_modulo_numpy
    monkeypatch.setattr(colours, "zero_preserving_modulo", slow)
    quick_colours()
    quick = colours.zero_preserving_modulo
    assert quick is not slow
    quick_colours()
    assert colours.zero_preserving_modulo is quick
    most = np.iinfo(np.int32).max
    numbers = np.random.default_rng(0).integers(-most, most, (700, 333)).astype(kind)
    numbers[:300] %= 9  # as most are
    for values in (numbers, numbers.T, numbers[::2, ::3], numbers.ravel()):
        dtype = np.dtype(np.uint8 if count < 255 else np.uint16)
        found = quick(values, count, dtype, ground)
        np.testing.assert_array_equal(found, slow(values, count, dtype, ground))
        assert found.dtype == dtype


def test_who_draws_labels_faster_goes_on(monkeypatch):
    from napari.utils.colormaps import _accelerated_cmap as colours

    def compiled():
        raise NotImplementedError

    monkeypatch.setattr(colours, "zero_preserving_modulo", compiled)
    quick_colours()
    assert colours.zero_preserving_modulo is compiled
    monkeypatch.delattr(colours, "zero_preserving_modulo")
    quick_colours()
