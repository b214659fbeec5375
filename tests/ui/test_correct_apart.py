"""U-Net: Correct with a compute process: Improve, learning that goes on, Live."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from helpers.window import missed

from napari_unet.project.project import Project
from napari_unet.ui.correct import keep_learning, stillness
from napari_unet.ui.session import session_of


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Let better models be shown soon."""
    monkeypatch.setattr(keep_learning, "_EVERY", 1)
    monkeypatch.setattr(stillness, "_REST", 0.1)
    monkeypatch.setattr(stillness, "_UNDONE", 0.2)


def noisy():
    noise = np.random.default_rng(0).normal(0, 60, (64, 96))
    return (missed() + noise).clip(0).astype(np.uint16)


def painted(window, *, further):
    """Open, segment and paint; Improve takes two seconds then."""
    window.use("fresh")
    window.file(noisy())
    window.segmented()
    window.open_dock()
    window.paint(99, (40, 20), (40, 40))
    window.erase((30, 20), (30, 40))
    window.correct.form.quiet.box.setChecked(further)
    window.correct.form.seconds.setValue(2)


def said(window):
    return window.correct.form.quiet.line.text()


def lessons(window):
    return session_of(window.viewer).lessons


def test_improve_runs_there_and_its_model_can_be_undone(apart):
    painted(apart, further=False)
    before, seen = apart.labels.copy(), apart.target() != 255
    assert apart.do("Improve").startswith("v1 is in use")
    assert not lessons(apart)  # what learned is elsewhere
    assert apart.layer.name == "cells [v1]"
    assert apart.segment.form.model.name() == "v1"
    assert [m.name for m in apart.project.index.models] == ["v1"]
    assert apart.project.index.active == "v1"
    assert Project.open(apart.project.folder).index == apart.project.index
    assert (apart.labels != before).any()
    np.testing.assert_array_equal(apart.labels[seen], before[seen])
    apart.do("Undo improvement")
    assert apart.layer.name == "cells [fresh]"
    apart.do("Improve")
    assert "v2" in {m.name for m in apart.project.index.models}


def test_stop_keeps_the_best_so_far(apart):
    painted(apart, further=False)
    apart.correct.form.seconds.setValue(300)
    apart.click("Improve")
    apart.until(lambda: "Improving..." in apart.line)
    apart.qtbot.wait(1000)
    apart.click("Stop")
    assert "is in use" in apart.idle()


def test_learning_goes_on_there_and_better_models_take_its_place(apart):
    painted(apart, further=True)
    assert apart.do("Improve").startswith("v1 is in use")
    first = apart.project.model_file("v1").read_bytes()
    apart.until(lambda: "more steps" in said(apart))
    apart.until(lambda: apart.project.model_file("v1").read_bytes() != first)
    apart.idle()
    (record,) = apart.project.index.models
    assert record.name == "v1"
    assert Project.open(apart.project.folder).index.models == (record,)
    assert apart.layer.name == "cells [v1]"
    assert not lessons(apart)
    apart.click("Improve")
    assert not said(apart)
    assert apart.idle().startswith(("v2 is in use", "v1 stays in use"))
    apart.correct.keep_learning.end()


@pytest.mark.parametrize("when", ["improving", "going on"])
def test_killed_in_a_lesson_it_leaves_strokes_and_models(alone, when):
    painted(alone, further=when == "going on")
    strokes, labels = alone.target(), alone.labels.copy()
    if when == "improving":
        alone.correct.form.seconds.setValue(300)
        alone.click("Improve")
        alone.until(lambda: "Improving..." in alone.line)
    else:
        alone.do("Improve")
        alone.until(lambda: "more steps" in said(alone))
        labels = None
    os.kill(session_of(alone.viewer).process.state.pid, signal.SIGKILL)
    if when == "improving":
        assert alone.idle().startswith("The process that computes has ended")
        assert not alone.project.index.models
        alone.correct.form.seconds.setValue(2)
    else:
        alone.until(lambda: said(alone).startswith("Learning has not gone on"))
    np.testing.assert_array_equal(alone.target(), strokes)
    assert alone.layer.editable
    assert (
        labels is None or (alone.labels[strokes != 255] == labels[strokes != 255]).all()
    )
    assert "in use" in alone.do("Improve")
    assert session_of(alone.viewer).process.state.starts == 2


def test_new_classes_begin_there_and_live_follows_strokes(apart):
    apart.file(missed())
    apart.open_dock()
    apart.rename(1, "cell")
    apart.do("New model for my classes")
    assert apart.project.index.classes == ("background", "cell")
    assert apart.project.index.active == "new1"
    apart.correct.form.live.setChecked(True)
    apart.paint(0, (52, 10), (52, 80))
    apart.paint(1, (40, 20), (40, 24))
    apart.until(lambda: apart.correct.live.idle)
    assert "from 2 pieces" in apart.line
    assert apart.labels[38:43, 26:44].any()  # out of the stroke; it has little time
    assert not session_of(apart.viewer).sights
    read = apart.correct.live.box
    apart.paint(1, (38, 30), (38, 34))
    apart.until(lambda: apart.correct.live.idle)
    assert "from 3 pieces" in apart.line
    assert apart.correct.live.box == read
    apart.correct.form.live.setChecked(False)


def test_live_reads_again_after_its_process_was_killed(alone):
    alone.file(missed())
    alone.open_dock()
    alone.rename(1, "cell")
    alone.do("New model for my classes")
    alone.correct.form.live.setChecked(True)
    alone.paint(0, (52, 10), (52, 80))
    alone.paint(1, (40, 20), (40, 24))
    alone.until(lambda: alone.correct.live.idle)
    os.kill(session_of(alone.viewer).process.state.pid, signal.SIGKILL)
    alone.paint(1, (38, 30), (38, 34))
    alone.until(lambda: alone.correct.live.idle)
    assert "from 3 pieces" in alone.line
    alone.correct.form.live.setChecked(False)


PROGRAM = """
import sys
import time
from pathlib import Path
import napari
from helpers.window import Window, missed
from qtpy.QtWidgets import QApplication
from napari_unet.ui.session import session_of

class Bot:
    def waitUntil(self, condition, timeout):
        until = time.monotonic() + timeout / 1000
        while not condition():
            assert time.monotonic() < until
            QApplication.processEvents()

nets, folder = map(Path, sys.argv[1:])
window = Window(lambda: napari.Viewer(show=True), Bot(), nets, folder, correct=False)
window.use("fresh")
window.file(missed())
window.segmented()
window.open_dock()
window.paint(99, (40, 20), (40, 40))
window.erase((30, 20), (30, 40))
window.correct.form.quiet.box.setChecked(True)
print(window.do("Improve"))
window.until(lambda: "more steps" in window.correct.form.quiet.line.text())
window.do("Next uncertain")
window.do("Undo improvement")
window.correct.form.live.setChecked(True)
window.paint(99, (44, 20), (44, 24))
window.until(lambda: window.correct.live.idle)
print(window.line)
print("torch" in sys.modules, flush=True)
window.viewer.close()
"""


def test_viewer_goes_through_a_session_without_torch(nets, tmp_path):
    """In a program of its own, since the tests import it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(nets), str(tmp_path)],
        env={
            **os.environ,
            "NAPARI_UNET_COMPUTE": "process",
            "PYTHONPATH": os.pathsep.join(sys.path),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            "XDG_DATA_HOME": str(tmp_path / "data"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stdout + done.stderr
    assert lines[0].startswith("v1 is in use")
    assert "Live:" in lines[1]
    assert lines[2] == "False"
