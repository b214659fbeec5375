"""The dock U-Net: Segment by mouse clicks, in a real window with a real canvas."""

import re
import sys
import threading
import time
from dataclasses import replace

import napari
import numpy as np
import pytest
import tifffile
import zarr
from helpers.window import job_threads
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QPushButton

from napari_unet.annotation import resegment
from napari_unet.network.model import load, save
from napari_unet.options import START_MODEL
from napari_unet.ui import reader_writer as files_of_ours
from napari_unet.ui.choosers import shipped_models
from napari_unet.ui.job import Job
from napari_unet.ui.segment.dock import SegmentDock
from napari_unet.ui.session import session_of
from napari_unet.ui.settings import SegmentSettings, read_settings, write_settings

PLUGIN = "napari-unet-annotator"
WAIT = 60_000  # ms: far more than needed, for a busy computer


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Return a folder with nets of which every weight is known.

    They say "interior" where the image is bright. With `depth` 4 they look far.
    """
    import torch
    from helpers.nets import passing

    from napari_unet.network.model import Model, UNetSpec, save

    folder = tmp_path_factory.mktemp("models")
    for name, channels, depth in (("bright", 1, 1), ("pair", 2, 1), ("slow", 1, 4)):
        classes = ("background", "interior", "boundary")
        net = passing(UNetSpec(channels, classes, width=4, depth=depth))
        with torch.no_grad():
            net.head.weight[1, 0] = 20
            net.head.bias[:] = torch.tensor([0.0, -10.0, -50.0])
        save(Model(net, card={"diameter": 10.0}), folder / f"{name}.safetensors")
    return folder


BOTH = pytest.mark.parametrize("mode", ["thread", "process"], indirect=True)
THREAD = pytest.mark.parametrize("mode", ["thread"], indirect=True)


@pytest.fixture
def viewer(mode, make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1400, 900)
    return viewer


@pytest.fixture
def dock(viewer, models):
    dock = SegmentDock(viewer)
    viewer.window.add_dock_widget(dock, name="U-Net: Segment", area="right")
    dock.form.model.add(str(models / "bright.safetensors"))
    return dock


def squares(shape=(64, 96), count=4):
    """Return a dark image, or stack, with `count` bright squares of 8 x 8 a plane."""
    image = np.full(shape, 10, np.uint16)
    for i in range(count):
        image[..., 4:12, 6 + 16 * i : 14 + 16 * i] = 200
    return image


def button(dock, text):
    """Return the one visible button with this text."""
    (found,) = [b for b in dock.findChildren(QPushButton) if b.text() == text]
    assert found.isVisible()
    return found


def click(dock, text):
    target = button(dock, text)
    assert target.isEnabled(), target.toolTip()
    QTest.mouseClick(target, Qt.MouseButton.LeftButton)


def finish(qtbot, dock):
    jobs = session_of(napari.current_viewer()).jobs
    qtbot.waitUntil(lambda: not jobs, timeout=WAIT)
    assert button(dock, "Segment").isEnabled()
    return dock.progress.line.text()


def segmented(qtbot, dock, text="Segment"):
    click(dock, text)
    return finish(qtbot, dock)


@BOTH
def test_segment_fills_a_labels_layer_like_the_image(viewer, dock, qtbot):
    units = ("micrometer", "micrometer")
    viewer.add_image(
        squares(), name="cells", scale=(0.5, 0.5), translate=(3, 4), units=units
    )
    line = segmented(qtbot, dock)
    labels = viewer.layers["cells [bright]"]
    assert line.startswith("4 objects · ")
    assert "CPU" in line or "GPU" in line or "NVIDIA" in line
    assert (np.asarray(labels.data) > 0).sum() == 4 * 64
    assert tuple(np.unique(labels.data)) == (0, 1, 2, 3, 4)
    assert tuple(labels.scale) == (0.5, 0.5)
    assert tuple(labels.translate) == (3, 4)
    assert [str(unit) for unit in labels.units] == list(units)
    about = labels.metadata["napari_unet"]
    assert about["complete"]
    assert (about["objects"], about["model"], about["output"]) == (
        4,
        "bright",
        "objects",
    )
    assert list(labels.features["area"]) == [64] * 4
    assert list(labels.features["intensity_mean"]) == [200] * 4
    assert labels.features["area_physical"][0] == pytest.approx(16)
    assert labels.features["area_physical_unit"][0] == "square micrometer"
    button(dock, "Save table...")


def test_plane_too_large_to_draw_is_a_pyramid(viewer, dock, qtbot, monkeypatch):
    monkeypatch.setattr(resegment, "DRAWN", 80)  # of a graphics card: 16384
    image = np.tile(squares((100, 96)), (15, 15))
    viewer.add_image(image, name="cells")
    for _ in range(2):  # a rerun fills the same layer
        line = segmented(qtbot, dock)
    labels = viewer.layers["cells [bright]"]
    assert line.startswith("900 objects · ")
    assert labels.multiscale
    assert len(viewer.layers) == 2
    assert [a.shape for a in labels.data] == [(1500, 1440), (750, 720)]
    assert ((np.asarray(labels.data[0]) > 0) == (image == 200)).all()
    np.testing.assert_array_equal(labels.data[1], labels.data[0][::2, ::2])
    assert not labels.editable
    colours = viewer.screenshot(flash=False)[..., :3].astype(int)
    assert (np.ptp(colours, axis=-1) > 40).sum() > 500


class SlowDisk:
    """Finds no module itself, and takes its time over the one that loads PyTorch."""

    def find_spec(self, name, path=None, target=None):
        if name == "napari_unet.network.threads":
            time.sleep(0.6)


@THREAD
def test_the_line_says_how_much_of_the_time_pytorch_took(
    viewer, dock, qtbot, monkeypatch
):
    viewer.add_image(squares(), name="cells")
    name = "napari_unet.network.threads"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "meta_path", [SlowDisk(), *sys.meta_path])
    first, second = (segmented(qtbot, dock) for _ in range(2))
    said = re.match(r"4 objects · (.*) s, (.*) s of it starting PyTorch · ", first)
    assert said is not None, first
    assert float(said[1]) >= float(said[2]) >= 0.6
    assert "starting" not in second


def test_labels_are_on_the_canvas(viewer, dock, qtbot):
    viewer.add_image(squares((64, 96)), name="cells")
    before = viewer.screenshot(flash=False)
    segmented(qtbot, dock)
    colours = viewer.screenshot(flash=False)[..., :3].astype(int)
    grey = (np.ptp(before[..., :3].astype(int), axis=-1) < 8).all()
    assert grey
    assert (np.ptp(colours, axis=-1) > 40).sum() > 1000


def test_rerun_updates_its_layer_until_the_user_paints_on_it(viewer, dock, qtbot):
    viewer.add_image(squares(), name="cells")
    segmented(qtbot, dock)
    segmented(qtbot, dock)
    assert [layer.name for layer in viewer.layers] == ["cells", "cells [bright]"]
    painted = viewer.layers[-1]
    painted.paint((40, 40), 9)
    mine = np.array(painted.data)
    segmented(qtbot, dock)
    assert viewer.layers[-1].name == "cells [bright] 2"
    assert (painted.data == mine).all()


def test_result_belongs_to_the_layer_of_the_click(viewer, dock, qtbot):
    viewer.add_image(squares((40, 64, 96), 2), name="first")
    click(dock, "Segment")
    viewer.add_image(squares(count=5), name="second")
    finish(qtbot, dock)
    assert "first [bright]" in viewer.layers
    assert dock.form.image.layer().name == "second"


@pytest.mark.parametrize(
    ("data", "keywords", "shape", "objects"),
    [
        (squares((3, 64, 96)), {}, (3, 64, 96), 4),
        (squares((2, 3, 64, 96)), {}, (2, 3, 64, 96), 8),
        (
            np.stack([squares() // 2] * 3, -1).astype(np.uint8),
            {"rgb": True},
            (64, 96),
            4,
        ),
        (
            np.stack([squares(count=1), squares(count=3)]),
            {"axis_labels": ("c", "y", "x")},
            (64, 96),
            1,
        ),
    ],
    ids=["stack", "movie of stacks", "rgb", "channels"],
)
def test_stacks_colours_and_channels(
    viewer, dock, qtbot, data, keywords, shape, objects
):
    viewer.add_image(data, name="cells", **keywords)
    line = segmented(qtbot, dock)
    assert viewer.layers[-1].data.shape == shape
    assert line.startswith(f"{objects} object")
    assert ("grey" in line) == ("rgb" in keywords)
    assert len(viewer.layers[-1].features) == objects


def test_channel_is_asked_for_only_where_there_are_several(viewer, dock, qtbot, models):
    viewer.add_image(squares(), name="one")
    assert not dock.form.channel.isVisible()
    two = np.stack([squares(count=1), squares(count=3)])
    viewer.add_image(two, name="two", axis_labels=("c", "y", "x"))
    assert dock.form.channel.isVisible()
    dock.form.channel.setCurrentIndex(1)
    assert segmented(qtbot, dock).startswith("3 objects")
    dock.form.model.add(str(models / "pair.safetensors"))
    dock.form.channel.setCurrentIndex(dock.form.channel.findText("all"))
    assert segmented(qtbot, dock).startswith("1 object ")


def test_classes_say_what_their_numbers_mean(viewer, dock, qtbot):
    viewer.add_image(squares(), name="cells")
    segmented(qtbot, dock)
    dock.form.output.setCurrentText("classes")
    line = segmented(qtbot, dock)
    assert line.startswith("Classes: 1 interior, 2 boundary · ")
    assert len(viewer.layers) == 2
    assert viewer.layers[-1].data.dtype == np.uint8
    assert viewer.layers[-1].data.max() == 1
    assert not button(dock, "Save table...").isEnabled()


def test_this_view_changes_nothing_outside_it(viewer, dock, qtbot):
    image = viewer.add_image(squares((64, 96), 4), name="cells")
    segmented(qtbot, dock)
    before = np.array(viewer.layers[-1].data)
    viewer.scene.camera.center = (8, 10)
    viewer.scene.camera.zoom = 40
    image.data[40:48, 40:48] = 200  # out of view: must not be found
    image.data[0:3, 0:3] = 200  # in view: one more
    qtbot.waitUntil(lambda: image.corner_pixels[1][1] < 40, timeout=WAIT)
    line = segmented(qtbot, dock, "Segment this view")
    after = np.asarray(viewer.layers[-1].data)
    assert len(viewer.layers) == 2
    assert (after[:, 40:] == before[:, 40:]).all()
    assert after[1, 1] > 0
    assert len({*np.unique(after)} - {0}) == 5
    assert sorted(viewer.layers[-1].features["index"]) == sorted(np.unique(after)[1:])
    assert not line.startswith("5")


def test_cancel_keeps_the_tiles_done_and_the_button_returns(viewer, dock, qtbot):
    viewer.add_image(squares((6000, 32, 32), 1), name="long")
    click(dock, "Segment")
    assert not dock.view_button.isEnabled()
    qtbot.waitUntil(lambda: "long [bright]" in viewer.layers, timeout=WAIT)
    qtbot.waitUntil(lambda: not viewer.layers[-1].editable, timeout=WAIT)
    asked = time.monotonic()
    click(dock, "Cancel")
    assert not button(dock, "Cancelling...").isEnabled()
    line = finish(qtbot, dock)
    assert time.monotonic() - asked < 2
    assert line.startswith("Cancelled: ")
    labels = viewer.layers["long [bright]"]
    done = (np.asarray(labels.data) > 0).any(axis=(1, 2)).sum()
    assert 0 < done < 6000
    assert not labels.metadata["napari_unet"]["complete"]
    assert session_of(viewer).jobs == []
    assert labels.editable  # nothing arrives any more that strokes could drown in


@pytest.mark.parametrize("what", ["labels", "image"])
def test_run_that_nobody_can_see_any_more_is_stopped(viewer, dock, qtbot, what):
    viewer.add_image(np.zeros((8, 8)), name="below")  # see `Window.underlay`
    image = viewer.add_image(squares((6000, 32, 32), 1), name="long")
    click(dock, "Segment")
    if what == "labels":
        qtbot.waitUntil(lambda: "long [bright]" in viewer.layers, timeout=WAIT)
    viewer.layers.remove("long [bright]" if what == "labels" else image)
    assert not button(dock, "Cancelling...").isEnabled()
    assert finish(qtbot, dock) == "Stopped: the labels were removed."
    assert not button(dock, "Save table...").isEnabled()
    assert [x.name for x in viewer.layers if "bright" in x.name] == []


@BOTH
def test_table_of_what_a_cancelled_run_has_kept(
    viewer, dock, qtbot, tmp_path, monkeypatch
):
    viewer.add_image(squares((6000, 32, 32), 1), name="long")
    click(dock, "Segment")
    qtbot.waitUntil(lambda: "long [bright]" in viewer.layers, timeout=WAIT)
    click(dock, "Cancel")
    finish(qtbot, dock)
    file = tmp_path / "long.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(file), ""))
    click(dock, "Save table...")
    assert "saved" in finish(qtbot, dock)
    ids = np.unique(viewer.layers["long [bright]"].data)
    assert len(file.read_text().splitlines()) == len(ids)  # a head, and no background


def test_this_view_twice_on_a_movie_keeps_the_rows_of_other_frames(viewer, dock, qtbot):
    viewer.add_image(squares((3, 64, 96)), name="movie", axis_labels=("t", "y", "x"))
    segmented(qtbot, dock)
    for frame in (0, 2):
        viewer.dims.set_point(0, frame)
        segmented(qtbot, dock, "Segment this view")
    labels = viewer.layers["movie [bright]"]
    assert sorted(labels.features["t"]) == [0] * 4 + [1] * 4 + [2] * 4
    assert sorted(labels.features["index"]) == sorted(np.unique(labels.data)[1:])


def test_ids_stay_unique_after_a_cancelled_run(viewer, dock, qtbot):
    viewer.add_image(squares((6000, 32, 32), 1), name="long")
    click(dock, "Segment")
    qtbot.waitUntil(lambda: "long [bright]" in viewer.layers, timeout=WAIT)
    click(dock, "Cancel")
    finish(qtbot, dock)
    labels = viewer.layers["long [bright]"]
    viewer.dims.set_point(0, 5999)
    before = set(np.unique(labels.data))
    segmented(qtbot, dock, "Segment this view")
    assert not before & (set(np.unique(labels.data[5999])) - {0})


def test_nobody_can_paint_between_the_click_and_the_first_tile(viewer, dock, qtbot):
    viewer.add_image(squares(), name="cells")
    segmented(qtbot, dock)
    click(dock, "Segment")
    assert not viewer.layers["cells [bright]"].editable
    finish(qtbot, dock)
    assert viewer.layers["cells [bright]"].editable


def test_this_view_with_another_output_leaves_the_result_alone(viewer, dock, qtbot):
    viewer.add_image(squares(), name="cells")
    segmented(qtbot, dock)
    before = np.array(viewer.layers["cells [bright]"].data)
    dock.form.output.setCurrentText("classes")
    segmented(qtbot, dock, "Segment this view")
    np.testing.assert_array_equal(viewer.layers["cells [bright]"].data, before)
    assert "cells [bright] 2" in viewer.layers


def test_a_rerun_follows_the_image_that_was_rescaled(viewer, dock, qtbot):
    image = viewer.add_image(squares(), name="cells")
    segmented(qtbot, dock)
    image.scale = (0.5, 0.5)
    segmented(qtbot, dock)
    assert tuple(viewer.layers["cells [bright]"].scale) == (0.5, 0.5)


def test_a_finished_run_lets_go_of_its_arrays(viewer, dock, qtbot):
    viewer.add_image(squares(), name="cells")
    for _ in range(3):
        segmented(qtbot, dock)
    qtbot.waitUntil(lambda: not dock.findChildren(Job), timeout=WAIT)


def test_plane_in_view_comes_first(viewer, dock, qtbot):
    viewer.add_image(squares((6000, 32, 32), 1), name="long")
    viewer.dims.set_point(0, 4321)
    click(dock, "Segment")
    qtbot.waitUntil(lambda: "long [bright]" in viewer.layers, timeout=WAIT)
    assert viewer.layers[-1].data[4321].any()
    click(dock, "Cancel")
    finish(qtbot, dock)


@pytest.mark.filterwarnings("ignore")  # napari shows errors as warnings in tests
def test_failure_is_told_and_leaves_button_and_layers_alone(
    viewer, dock, qtbot, tmp_path
):
    viewer.add_image(squares(), name="cells")
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b'\x08\0\0\0\0\0\0\0{"a":1}')
    dock.form.model.add(str(bad))
    line = segmented(qtbot, dock)
    assert "bad.safetensors" in line
    assert "color" in dock.progress.line.styleSheet()
    assert len(viewer.layers) == 1
    assert not dock.progress.bar.isVisible()


class Rewritten:
    """Pixels of a layer, and a file that is written to once a job has read them."""

    def __init__(self, data, file):
        self.data, self.file = data, file
        self.shape, self.dtype, self.ndim = data.shape, data.dtype, data.ndim

    def __getitem__(self, key):
        found = np.asarray(self.data[key])
        if threading.current_thread().name == "napari-unet job":
            self.file.write_bytes(self.file.read_bytes() + b" ")
        return found


def stack_file(folder, kind):
    """Write a stack of three planes; return it, and which file of it may change."""
    path, data = folder / f"stack.{kind}", squares((3, 64, 96))
    if kind == "tif":
        tifffile.imwrite(path, data, imagej=True, metadata={"axes": "ZYX"})
        return path, path
    zarr.create_array(path, data=data, chunks=(1, 64, 96))
    return path, path / "zarr.json"


@BOTH
@pytest.mark.filterwarnings("ignore")  # napari shows errors as warnings in tests
@pytest.mark.parametrize(
    ("kind", "plugin", "text"),
    [
        ("tif", PLUGIN, "Segment"),
        ("tif", PLUGIN, "Segment this view"),
        ("zarr", PLUGIN, "Segment"),
        ("zarr", "napari", "Segment"),
    ],
)
def test_file_that_changes_meanwhile_ends_the_run(
    viewer, dock, qtbot, tmp_path, monkeypatch, kind, plugin, text
):
    monkeypatch.setattr(files_of_ours, "_IN_MEMORY", 0)  # of a file: 256 MB
    path, changing = stack_file(tmp_path, kind)
    (layer,) = viewer.open(str(path), plugin=plugin)
    viewer.reset_view()
    data = layer.data[0] if layer.multiscale else layer.data
    layer.data = Rewritten(data, changing)
    line = segmented(qtbot, dock, text)
    assert f"stack.{kind} was changed after it was opened" in line
    assert "color" in dock.progress.line.styleSheet()
    assert not dock.progress.bar.isVisible()
    for layer in viewer.layers[1:]:  # tiles that were done stay, as after Cancel
        assert not layer.metadata["napari_unet"]["complete"]
        assert not len(layer.features)
        assert not np.asarray(layer.data)[1:].any()
    viewer.layers.clear()
    viewer.open(str(path), plugin=plugin)
    viewer.reset_view()
    assert "object" in segmented(qtbot, dock, text)
    assert viewer.layers[-1].metadata["napari_unet"]["complete"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["tif", "zarr"])
def test_file_that_changed_before_the_click_is_refused_until_it_is_opened_again(
    viewer, dock, qtbot, tmp_path, monkeypatch, kind
):
    monkeypatch.setattr(files_of_ours, "_IN_MEMORY", 0)
    path, changing = stack_file(tmp_path, kind)
    before = changing.read_bytes()
    viewer.open(str(path), plugin=PLUGIN)
    if kind == "tif":
        tifffile.imwrite(path, squares((5, 80, 120), 2))
    else:
        changing.write_bytes(before + b" ")
    for _ in range(2):
        line = segmented(qtbot, dock)
        assert f"stack.{kind} was changed after it was opened" in line
        assert len(viewer.layers) == 1
    viewer.layers.clear()
    viewer.open(str(path), plugin=PLUGIN)
    assert "object" in segmented(qtbot, dock)
    viewer.layers.clear()


@pytest.mark.filterwarnings("ignore")
def test_file_that_is_gone_before_the_click_is_named(
    viewer, dock, qtbot, tmp_path, monkeypatch
):
    monkeypatch.setattr(files_of_ours, "_IN_MEMORY", 0)
    path, _ = stack_file(tmp_path, "tif")
    viewer.open(str(path), plugin=PLUGIN)
    path.unlink()
    line = segmented(qtbot, dock)
    assert "stack.tif is not there any more" in line
    assert "command" not in line


def test_file_of_pixels_in_memory_may_change(
    viewer, dock, qtbot, tmp_path, monkeypatch
):
    monkeypatch.setattr(files_of_ours, "_IN_MEMORY", 10**9)
    path, changing = stack_file(tmp_path, "tif")
    viewer.open(str(path), plugin=PLUGIN)
    changing.write_bytes(changing.read_bytes() + b" ")
    assert segmented(qtbot, dock).startswith("4 objects in 3 planes")


def test_removed_result_is_survived_and_stays_away(viewer, dock, qtbot):
    viewer.add_image(squares((300, 32, 32), 1), name="long")
    click(dock, "Segment")
    qtbot.waitUntil(lambda: "long [bright]" in viewer.layers, timeout=WAIT)
    viewer.layers.remove("long [bright]")
    assert finish(qtbot, dock) == "Stopped: the labels were removed."
    assert [layer.name for layer in viewer.layers] == ["long"]
    assert not button(dock, "Save table...").isEnabled()
    viewer.layers.remove("long")
    assert not button(dock, "Segment this view").isEnabled()


def test_wrong_input_disables_and_says_why(viewer, dock):
    assert not button_enabled(dock)
    assert "no image" in dock.form.image.toolTip()
    assert "no image" in dock.progress.line.text()
    image = viewer.add_image(squares(), name="cells")
    assert button_enabled(dock)
    assert dock.progress.line.text() == ""
    dock.form.advanced.memory.setText("plenty")
    assert not button_enabled(dock)
    assert "'plenty' is not an amount of memory" in dock.form.advanced.memory.toolTip()
    assert dock.form.advanced.memory.styleSheet()
    dock.form.advanced.memory.setText("2 GB")
    assert button_enabled(dock)
    assert not dock.form.advanced.memory.styleSheet()
    viewer.layers.remove(image)
    assert not button_enabled(dock)


def button_enabled(dock):
    enabled = dock.button.isEnabled()
    assert dock.view_button.isEnabled() == enabled
    return enabled


def test_settings_are_remembered_and_defaults_restored(viewer, dock, qtbot, models):
    viewer.add_image(squares(), name="cells")
    dock.form.advanced.expand()
    dock.form.advanced.min_size.setValue(65)
    dock.form.advanced.min_score.setValue(0.25)
    dock.form.advanced.memory.setText("3 GB")
    dock.form.advanced.diameter.setValue(10)
    assert segmented(qtbot, dock).startswith("0 objects")
    with qtbot.waitSignal(dock.destroyed):
        viewer.window.remove_dock_widget(dock)
        dock.deleteLater()
    other = SegmentDock(viewer)
    viewer.window.add_dock_widget(other, name="U-Net: Segment", area="right")
    assert other.form.advanced.min_size.value() == 65
    assert other.form.advanced.min_score.value() == 0.25
    assert other.form.advanced.memory.text() == "3 GB"
    assert other.form.advanced.diameter.value() == 10
    assert other.form.model.source() == str(models / "bright.safetensors")
    other.form.advanced.expand()
    qtbot.waitUntil(other.form.advanced.defaults.isVisible, timeout=WAIT)
    click(other, "Restore defaults")
    assert other.form.advanced.min_size.value() == 0
    assert other.form.advanced.min_score.value() == 0
    assert other.form.advanced.memory.text() == ""
    assert other.form.model.name() == "bright"


def test_minimum_score_drops_what_the_model_is_less_sure_of(
    viewer, dock, qtbot, models, tmp_path
):
    image = squares()
    image[4:12, 6:14] = 120  # the first one
    viewer.add_image(image, name="cells")
    assert segmented(qtbot, dock).startswith("4 objects")
    features = viewer.layers["cells [bright]"].features
    assert "score" not in features
    advanced = dock.form.advanced
    QTest.mouseClick(advanced.title, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(advanced.min_score.isVisible, timeout=WAIT)
    advanced.min_score.selectAll()
    QTest.keyClicks(advanced.min_score, "0.9")
    assert segmented(qtbot, dock).startswith("3 objects")
    labels = viewer.layers["cells [bright]"]
    assert not np.asarray(labels.data)[4:12, 6:14].any()
    assert (labels.features["score"] > 0.9).all()
    advanced.min_score.setValue(0.01)
    assert segmented(qtbot, dock, "Segment this view").startswith("4 objects")
    scores = viewer.layers["cells [bright]"].features["score"]
    assert 0.5 < scores.min() < 0.9 < np.median(scores)
    picky = tmp_path / "picky.safetensors"
    model = load(models / "bright.safetensors")
    save(replace(model, card={**model.card, "min_score": 0.9}), picky)
    dock.form.model.add(str(picky))
    advanced.min_score.setValue(0)
    assert advanced.min_score.text() == "the model's own: 0.90"
    assert segmented(qtbot, dock).startswith("3 objects")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"segment": [1]}', '{"segment": 3}'])
def test_damaged_settings_are_replaced_by_defaults(text):
    write_settings(SegmentSettings(min_size=7))
    assert read_settings().min_size == 7
    from napari_unet.ui import settings

    settings._file().write_text(text)
    assert read_settings() == SegmentSettings()


def test_recent_models_are_listed_once_latest_first():
    settings = SegmentSettings()
    for path in ("a.safetensors", "b.safetensors", "a.safetensors"):
        settings = settings.used(path)
    assert settings.recent == ("a.safetensors", "b.safetensors")
    assert settings.model == "a.safetensors"


def test_diameter_is_measured_by_a_line_and_from_the_result(viewer, dock, qtbot):
    viewer.add_image(squares(), name="cells", scale=(0.5, 0.5))
    advanced = dock.form.advanced
    advanced.expand()
    draw, take = advanced.measure.menu().actions()
    take.trigger()
    assert "no objects" in dock.progress.line.text()
    segmented(qtbot, dock)
    take.trigger()
    assert advanced.diameter.value() == pytest.approx(9.0, abs=0.1)
    draw.trigger()
    lines = viewer.layers.selection.active
    assert lines.mode == "add_line"
    lines.add_lines([[0, 0], [0, 12]])
    assert advanced.diameter.value() == 12
    assert dock.form.image.layer().name == "cells"


def test_fields_that_are_empty_say_what_the_model_does(dock, tmp_path):
    advanced = dock.form.advanced
    assert advanced.diameter.text() == "as it is (10 px)"
    assert advanced.min_size.text() == "the model's own: none"
    assert advanced.min_score.text() == "the model's own: none"
    dock.form.model.setCurrentIndex(dock.form.model.findData("nuclei"))
    assert advanced.diameter.text().startswith("as it is (")
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"\xff" * 30)
    dock.form.model.add(str(bad))
    assert advanced.diameter.text() == "as it is"


def test_line_about_an_image_that_was_closed_is_gone(viewer, dock, qtbot):
    viewer.add_image(np.zeros((8, 8)), name="below")  # see `Window.underlay`
    viewer.add_image(squares(), name="cells")
    assert segmented(qtbot, dock).startswith("4 objects")
    viewer.layers.remove("cells [bright]")
    viewer.layers.remove("cells")
    assert "objects" not in dock.progress.line.text()


def test_table_is_written_as_csv(viewer, dock, qtbot, tmp_path):
    viewer.add_image(squares(), name="cells")
    segmented(qtbot, dock)
    (result,) = session_of(viewer).results
    result.save_table(str(tmp_path / "table.csv"))
    rows = (tmp_path / "table.csv").read_text().splitlines()
    assert rows[0].startswith("label,area,")
    assert len(rows) == 5


def test_save_table_says_where_and_replaces_nothing(
    viewer, dock, qtbot, tmp_path, monkeypatch
):
    viewer.add_image(squares(), name="cells")
    segmented(qtbot, dock)
    place = str(tmp_path / "table")  # without its suffix, as Qt returns it on Linux
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (place, ""))
    click(dock, "Save table...")
    assert dock.progress.line.text() == f"The table is saved to {place}.csv."
    before = (tmp_path / "table.csv").read_text()
    assert before.startswith("label,area,")
    (tmp_path / "table.csv").write_text("mine")
    click(dock, "Save table...")
    assert "table.csv exists already" in dock.progress.line.text()
    assert (tmp_path / "table.csv").read_text() == "mine"


def test_layer_combo_follows_names_and_removal(viewer, dock):
    first = viewer.add_image(squares(), name="a")
    viewer.add_labels(np.zeros((64, 96), int))
    second = viewer.add_image(squares(), name="b")
    combo = dock.form.image
    assert [combo.itemText(i) for i in range(combo.count())] == ["b", "a"]
    second.name = "c"
    assert combo.currentText() == "c"
    viewer.layers.selection.active = first
    assert combo.layer() is first
    viewer.layers.remove(first)
    assert combo.layer() is second


def test_chosen_image_stays_chosen_when_its_labels_appear(viewer, dock, qtbot):
    first = viewer.add_image(squares(count=1), name="a")
    viewer.add_image(squares(count=3), name="b")
    combo = dock.form.image
    combo.setCurrentIndex(combo.findText("a"))
    for _ in range(2):
        assert segmented(qtbot, dock).startswith("1 object")
        assert combo.layer() is first
    assert [layer.name for layer in viewer.layers] == ["a", "b", "a [bright]"]


def test_hidden_result_is_shown_when_it_is_filled_again(viewer, dock, qtbot):
    viewer.add_image(squares(), name="cells")
    segmented(qtbot, dock)
    viewer.layers["cells [bright]"].visible = False
    segmented(qtbot, dock)
    assert viewer.layers["cells [bright]"].visible


@pytest.mark.parametrize("how", ["dock", "viewer"])
def test_closing_while_running_cancels(viewer, dock, qtbot, how):
    viewer.add_image(squares((6000, 32, 32), 1), name="long")
    click(dock, "Segment")
    qtbot.waitUntil(lambda: "long [bright]" in viewer.layers, timeout=WAIT)
    if how == "dock":
        viewer.window.remove_dock_widget(dock)
        dock.deleteLater()
    else:
        viewer.close()
    qtbot.waitUntil(lambda: not job_threads(), timeout=WAIT)
    if how == "dock":
        viewer.add_image(squares(), name="after")  # nobody listens any more


def test_shipped_models_are_listed_without_torch():
    from napari_unet.network.model import shipped

    assert {*shipped_models(), START_MODEL} == {*shipped()}
    assert START_MODEL not in shipped_models()
