"""Docks with a compute process: the same results, whatever happens to it."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import tifffile
from helpers.batch_hand import Hand, write
from helpers.compute_jobs import alive, until
from helpers.window import squares
from qtpy.QtWidgets import QFileDialog

from napari_unet.compute.process import ComputeProcess
from napari_unet.ui.compute_line import ComputeLine
from napari_unet.ui.session import WARM, session_of


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


@pytest.mark.parametrize(
    ("kind", "output"),
    [
        ("numpy", "objects"),
        ("stack", "classes"),
        ("dask", "objects"),
        ("memory map", "classes"),
    ],
)
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


PROGRAM = """
import sys
import napari
import numpy as np
from napari_unet.ui.segment.dock import SegmentDock
from napari_unet.ui.session import session_of
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer(show=False)
viewer.add_image(np.arange(6144).reshape(64, 96) % 97)
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


def environment():
    path = os.pathsep.join(sys.path)
    return {**os.environ, "NAPARI_UNET_COMPUTE": "process", "PYTHONPATH": path}


def test_viewer_goes_without_torch(nets):
    """In a program of its own, since the tests import it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(nets / "bright.safetensors")],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "objects" in done.stdout.splitlines()[0], done.stdout + done.stderr
    assert done.stdout.splitlines()[0].endswith("False")
    pid = int(done.stdout.splitlines()[1])
    assert until(lambda: not alive(pid)) < 3


LONG = """
import sys
import napari
import numpy as np
from napari_unet.ui.segment.dock import SegmentDock
from napari_unet.ui.session import session_of
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer(show=False)
viewer.add_image(np.zeros((9000, 32, 32), np.uint8))
dock = SegmentDock(viewer)
dock.form.model.add(sys.argv[1])
dock.button.click()
while len(viewer.layers) < 2:
    QApplication.processEvents()
print(session_of(viewer).process.state.pid, flush=True)
sys.stdin.readline()
viewer.close()
"""


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_napari_takes_it_along_in_a_run_within_3_seconds(nets, how):
    """From a program without a guard; what would run again would have no argument."""
    program = subprocess.Popen(
        [sys.executable, "-c", LONG, str(nets / "bright.safetensors")],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    pid = int(program.stdout.readline())
    assert alive(pid)
    if how == "killed":
        program.kill()
    else:
        program.stdin.write("\n")
        program.stdin.flush()
    assert until(lambda: not alive(pid)) < 3
    assert until(lambda: program.poll() is not None) < 3
    program.communicate()


# --- strokes --------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Segment", "Next uncertain"])
def test_jobs_around_strokes_run_there(apart, text):
    apart.file(squares())
    apart.open_dock()
    apart.segmented()
    apart.paint(9, (40, 20), (40, 40))  # an object where the net sees none
    apart.erase((8, 8), (8, 12))
    said, labels = apart.target(), apart.labels.copy()
    session_of(apart.viewer).models.clear()
    (apart.segmented if text == "Segment" else apart.do)(text)
    assert not session_of(apart.viewer).models
    np.testing.assert_array_equal(apart.labels[said != 255], labels[said != 255])
    np.testing.assert_array_equal(apart.target(), said)
    if text == "Next uncertain":
        assert "key N" in apart.line or "sure of all" in apart.line


# --- batch ----------------------------------------------------------------------------


def test_batch_makes_the_same_files(apart):
    found = []
    for process in (process_of(apart), None):
        session_of(apart.viewer).process = process
        hand = Hand(apart)
        hand.add(write(apart.folder / "a.tif", noise((3, 64, 96))))
        hand.dock.form.folder.setText(str(apart.folder / str(len(found))))
        assert hand.run().startswith("1 done · ")
        (labels,) = (apart.folder / str(len(found))).glob("*.tif*")
        (table,) = (apart.folder / str(len(found))).glob("a.csv")
        found.append((tifffile.imread(labels), table.read_text()))
        apart.close_dock(hand.dock)
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


def test_batch_waits_for_the_view_and_goes_on(apart):
    apart.viewer.add_image(noise((400, 32, 32)), name="cells")
    apart.look()
    hand = Hand(apart)
    hand.dock.form.advanced.link_z.setChecked(False)
    hand.add(write(apart.folder / "long.tif", noise((1200, 32, 32))))
    hand.looked()
    hand.start()
    events = []
    hand.job.yielded.connect(events.append)
    batch = hand.job
    apart.until(lambda: events)
    assert process_of(apart).state.kind == "busy"
    apart.click("Segment", apart.segment)
    apart.until(lambda: any("bright" in x.name for x in apart.viewer.layers))
    before = len(events)  # what was told before the view began has arrived
    apart.until(lambda: session_of(apart.viewer).jobs == [batch])
    assert len(events) - before < 100  # of the 400 steps that both would have had
    apart.until(lambda: len(events) > before + 30)
    hand.click("Cancel")
    hand.ended()
    assert process_of(apart).state.starts == 1


def test_table_of_a_cancelled_run_is_measured_there(apart, monkeypatch):
    long_run(apart)
    apart.click("Cancel", apart.segment)
    apart.idle()
    path = apart.folder / "table.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    apart.click("Save table...", apart.segment)
    apart.until(lambda: process_of(apart).state.kind == "busy")
    apart.idle()
    objects = len(np.unique(labels_of(apart).data)) - 1
    assert len(path.read_text().splitlines()) == objects + 1


# --- the process of a window ----------------------------------------------------------


def test_first_click_finds_it_ready(alone):
    """With the dock alone, before anybody clicks."""
    alone.until(lambda: process_of(alone).state.kind == "ready")
    alone.viewer.add_image(squares(), name="cells")
    line = alone.segmented()
    assert line.startswith("4 objects")
    assert "starting" not in line


def test_another_way_for_pixels_is_said(open_window, monkeypatch):
    monkeypatch.delattr(os, "memfd_create")  # as on macOS
    process = ComputeProcess(WARM)
    window = open_window(process)
    label = window.segment.findChild(ComputeLine).label
    window.until(lambda: "Pixels cross in a file" in label.toolTip())
    process.stop()


def test_two_viewers_have_nothing_to_do_with_each_other(open_window):
    first, second = ComputeProcess(WARM), ComputeProcess(WARM)
    one, other = open_window(first), open_window(second)
    long_run(one)
    other.viewer.add_image(squares(), name="cells")
    os.kill(first.state.pid, signal.SIGKILL)
    assert other.segmented().startswith("4 objects")
    one.idle()
    free = one.segment.findChild(ComputeLine).free
    one.until(free.isEnabled)  # it has started again
    one.click("Free memory", one.segment)
    assert other.segmented().startswith("4 objects")
    assert (first.state.kind, second.state.starts) == ("stopped", 1)
    second.stop()


# --- whatever happens -----------------------------------------------------------------


def long_run(window):
    """Click Segment on many planes, and wait until some of them are there."""
    window.viewer.add_image(squares((6000, 32, 32), 1), name="long")
    window.look()
    window.click("Segment", window.segment)
    window.until(lambda: any("bright" in x.name for x in window.viewer.layers))
    window.until(lambda: np.asarray(labels_of(window).data).any())


def test_killed_in_a_run_it_leaves_what_is_done_and_the_button_works(alone):
    long_run(alone)
    os.kill(process_of(alone).state.pid, signal.SIGKILL)
    alone.idle()
    line = alone.segment.progress.line.text()
    assert line.startswith("The process that computes has ended: it was ended by")
    layer = labels_of(alone)
    done = (np.asarray(layer.data) > 0).any(axis=(1, 2)).sum()
    assert 0 < done < 6000
    assert not layer.metadata["napari_unet"]["complete"]
    assert layer.editable
    layers = alone.viewer.layers
    layers.selection.active = alone.viewer.add_image(squares(), name="cells")
    assert alone.segmented().startswith("4 objects")
    assert process_of(alone).state.starts == 2


@pytest.mark.filterwarnings("ignore")  # napari shows errors as warnings in tests
def test_broken_torch_is_said_and_mended_it_works(open_window, tmp_path, monkeypatch):
    init = tmp_path / "broken" / "torch" / "__init__.py"
    init.parent.mkdir(parents=True)
    init.write_text("raise OSError('libtorch_cpu.so: cannot open shared object file')")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "path", [str(init.parents[1]), *sys.path])
        process = ComputeProcess(WARM)
        window = open_window(process)
        window.viewer.add_image(squares(), name="cells")
        line = window.segmented()
        assert "does not start: it ended with 1: OSError: libtorch_cpu.so" in line
        assert "NAPARI_UNET_COMPUTE=thread" in line
    assert window.segmented().startswith("4 objects")
    process.stop()


def test_killed_while_idle_nobody_notices(alone):
    alone.viewer.add_image(squares(), name="cells")
    assert alone.segmented().startswith("4 objects")
    os.kill(process_of(alone).state.pid, signal.SIGKILL)
    alone.until(lambda: process_of(alone).state.kind == "stopped")
    assert alone.segmented().startswith("4 objects")
    assert process_of(alone).state.starts == 2


def test_cancelled_run_keeps_what_is_done_and_its_labels_can_be_corrected(alone):
    long_run(alone)
    alone.click("Cancel", alone.segment)
    alone.idle()
    assert alone.segment.progress.line.text().startswith("Cancelled: ")
    (result,) = session_of(alone.viewer).results
    assert result.rules.classes == ("background", "interior", "boundary")
    assert result.rules.boundary == 2
    assert np.asarray(result.array).max() == result.last_id > 0
    assert process_of(alone).state.starts == 1


def test_removed_labels_stop_the_process(alone):
    alone.underlay()
    long_run(alone)
    alone.viewer.layers.remove(labels_of(alone))
    alone.idle()
    line = alone.segment.progress.line.text()
    assert line == "Stopped: the labels were removed."
    until(lambda: process_of(alone).state.kind == "ready")


@pytest.mark.parametrize("how", ["viewer", "idle"])
def test_process_ends_with_the_viewer(alone, how):
    if how == "viewer":
        long_run(alone)
    else:
        alone.file(squares())
        alone.segmented()
    process = process_of(alone)
    pid = process.state.pid
    alone.viewer.close()
    alone.qtbot.waitUntil(lambda: not alive(pid), timeout=3000)
    assert process.state == replace(process.state, kind="stopped", starts=1)
