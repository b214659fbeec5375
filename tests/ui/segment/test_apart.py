"""U-Net: Segment with a compute process: the same labels, whatever happens to it."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import tifffile
from helpers.compute_jobs import alive, until
from helpers.window import Window, squares

from napari_unet.ui.session import session_of


@pytest.fixture
def apart(make_napari_viewer, qtbot, nets, tmp_path, monkeypatch):
    """Return a window whose Segment runs in a process."""
    for name in ("config", "data"):
        monkeypatch.setenv(f"XDG_{name.upper()}_HOME", str(tmp_path / name))
    monkeypatch.setenv("NAPARI_UNET_COMPUTE", "process")
    window = Window(
        lambda: make_napari_viewer(show=True), qtbot, nets, tmp_path, correct=False
    )
    process = process_of(window)
    yield window
    process.stop()


def labels_of(window):
    """Return the one layer that the net has filled."""
    (layer,) = (x for x in window.viewer.layers if "bright" in x.name)
    return layer


def process_of(window):
    return session_of(window.viewer).process


def noise(shape):
    """Return an image of many small objects that touch and cross every border."""
    return np.random.default_rng(3).integers(0, 100, shape).astype(np.uint16)


IMAGES = {
    "numpy": lambda folder: noise((300, 280)),
    "stack": lambda folder: noise((3, 90, 70)),
    "dask": lambda folder: da.from_array(noise((2, 130, 70)), chunks=(1, 64, 64)),
    "memory map": lambda folder: tifffile.memmap(saved(folder)),
}


def saved(folder):
    path = folder / "noise.tif"
    tifffile.imwrite(path, noise((200, 210)))
    return path


@pytest.mark.parametrize("output", ["objects", "classes"])
@pytest.mark.parametrize("kind", IMAGES)
def test_labels_and_table_are_those_of_the_thread(apart, kind, output):
    apart.viewer.add_image(IMAGES[kind](apart.folder), name="cells")
    apart.look()
    apart.segment.form.output.setCurrentText(output)
    found = []
    for process in (process_of(apart), None):
        session_of(apart.viewer).process = process
        line = apart.segmented()
        layer = labels_of(apart)
        found.append((line.split(" · ")[0], np.array(layer.data), layer.features))
    (line, labels, table), (own_line, own_labels, own_table) = found
    assert line == own_line
    assert labels.dtype == own_labels.dtype
    np.testing.assert_array_equal(labels, own_labels)
    assert labels.any()
    assert table.equals(own_table)


def test_this_view_goes_into_the_labels_that_are_there(apart):
    apart.viewer.add_image(noise((200, 300)), name="cells")
    apart.look()
    apart.segmented()
    before = labels_of(apart).data
    number = before.max()
    apart.viewer.scene.camera.zoom *= 4
    apart.events()
    apart.segmented("Segment this view")
    after = labels_of(apart).data
    assert after is before  # written in place, by the process
    assert number < after.max()
    assert 0 < np.count_nonzero(after > number) < np.count_nonzero(after) / 2


def test_objects_through_z_are_joined(apart):
    apart.viewer.add_image(squares((5, 64, 96)), name="cells")
    apart.look()
    apart.segment.form.link_z.setChecked(True)
    assert apart.segmented().startswith("4 objects in 5 planes")


def test_viewer_goes_without_torch(apart):
    """Where the process has it: in a program of its own, since the tests import it."""
    code = """
import os, sys
import napari
from helpers.window import squares
from napari_unet.ui.segment.dock import SegmentDock
from napari_unet.ui.session import session_of
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer(show=False)
viewer.add_image(squares(), name="cells")
dock = SegmentDock(viewer)
dock.form.model.add(sys.argv[1])
dock.button.click()
while session_of(viewer).jobs:
    QApplication.processEvents()
print(dock.progress.line.text().split(" · ")[0], "torch" in sys.modules, flush=True)
pid = session_of(viewer).process.state.pid
viewer.close()
print(pid, flush=True)
"""
    code = code.replace("from helpers.window import squares\n", "").replace(
        "squares()", "np.arange(6144).reshape(64, 96) % 97"
    )
    code = code.replace("import napari\n", "import napari\nimport numpy as np\n")
    done = subprocess.run(
        [sys.executable, "-c", code, str(apart.nets / "bright.safetensors")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "objects" in done.stdout.splitlines()[0], done.stdout + done.stderr
    assert done.stdout.splitlines()[0].endswith("False")
    pid = int(done.stdout.splitlines()[1])
    assert until(lambda: not alive(pid)) < 3


def long_run(window):
    """Click Segment on many planes, and wait until some of them are there."""
    window.viewer.add_image(squares((6000, 32, 32), 1), name="long")
    window.look()
    window.click("Segment", window.segment)
    window.until(lambda: any("bright" in x.name for x in window.viewer.layers))
    window.until(lambda: np.asarray(labels_of(window).data).any())


def test_killed_in_a_run_it_leaves_what_is_done_and_the_button_works(apart):
    long_run(apart)
    os.kill(process_of(apart).state.pid, signal.SIGKILL)
    apart.idle()
    line = apart.segment.progress.line.text()
    assert line.startswith("The process that computes has ended: it was ended by")
    layer = labels_of(apart)
    done = (np.asarray(layer.data) > 0).any(axis=(1, 2)).sum()
    assert 0 < done < 6000
    assert not layer.metadata["napari_unet"]["complete"]
    assert layer.editable
    layers = apart.viewer.layers
    layers.selection.active = apart.viewer.add_image(squares(), name="cells")
    assert apart.segmented().startswith("4 objects")
    assert process_of(apart).state.starts == 2


def test_cancelled_run_keeps_what_is_done_and_its_labels_can_be_corrected(apart):
    long_run(apart)
    apart.click("Cancel", apart.segment)
    apart.idle()
    assert apart.segment.progress.line.text().startswith("Cancelled: ")
    (result,) = session_of(apart.viewer).results
    assert result.rules.classes == ("background", "interior", "boundary")
    assert result.rules.boundary == 2
    assert np.asarray(result.array).max() == result.last_id > 0
    assert process_of(apart).state.starts == 1


def test_removed_labels_stop_the_process(apart):
    apart.underlay()
    long_run(apart)
    apart.viewer.layers.remove(labels_of(apart))
    apart.idle()
    line = apart.segment.progress.line.text()
    assert line == "Stopped: the labels were removed."
    until(lambda: process_of(apart).state.kind == "ready")


@pytest.mark.parametrize("how", ["viewer", "idle"])
def test_process_ends_with_the_viewer(apart, how):
    if how == "viewer":
        long_run(apart)
    else:
        apart.file(squares())
        apart.segmented()
    process = process_of(apart)
    pid = process.state.pid
    apart.viewer.close()
    apart.qtbot.waitUntil(lambda: not alive(pid), timeout=3000)
    assert process.state == replace(process.state, kind="stopped", starts=1)
