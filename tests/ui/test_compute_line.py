"""The line about the compute process: what it says, and Free memory."""

import os
import re
import signal

import numpy as np
import pytest
from helpers.compute_jobs import alive, until
from helpers.window import squares

from napari_unet.compute.process import State
from napari_unet.ui.compute_line import ComputeLine, state_line
from napari_unet.ui.session import session_of


def line_of(window):
    return window.segment.findChild(ComputeLine)


def says(window, text):
    """Wait until the line says it."""
    window.until(lambda: text in line_of(window).label.text())


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (State("stopped"), "Compute process: off; the next click starts it"),
        (State("starting", 7, 1), "Compute process: starting..."),
        (State("starting", 7, 2), "Compute process: starting, restarted..."),
        (State("ready", 7, 1), "Compute process: ready · 0.5 GB"),
        (State("ready", 7, 3), "Compute process: ready, restarted · 0.5 GB"),
        (State("busy", 7, 1, ("", "batch")), "Compute process: batch · 0.5 GB"),
        (State("busy", 7, 1, ("",)), "Compute process: busy · 0.5 GB"),
        (State("silent", 7, 1), "Compute process: not responding; Cancel ends it"),
    ],
)
def test_every_state_is_said_in_words(state, line):
    assert state_line(state, 500_000_000) == line


def test_free_memory_ends_the_process_and_the_next_click_starts_it(alone):
    alone.file(squares())
    says(alone, "ready · 0.")
    pid = session_of(alone.viewer).process.state.pid
    alone.click("Free memory", alone.segment)
    assert until(lambda: not alive(pid)) < 3
    says(alone, "off; the next click starts it")
    assert not line_of(alone).free.isEnabled()
    line = alone.segmented()
    assert re.match(r"4 objects · .* s, .* s of it starting PyTorch · ", line), line
    assert "starting" not in alone.segmented()
    says(alone, "ready · 0.")


def test_freed_in_a_run_what_is_done_stays(alone):
    alone.viewer.add_image(squares((6000, 32, 32), 1), name="long")
    alone.look()
    alone.click("Segment", alone.segment)
    says(alone, "segmenting")
    result = session_of(alone.viewer).results
    alone.until(lambda: result and result[0].layer and result[0].layer.data.any())
    alone.click("Free memory", alone.segment)
    alone.idle()
    line = alone.segment.progress.line.text()
    assert "it was stopped to free its memory" in line
    assert np.asarray(result[0].layer.data).any()


def test_one_that_hangs_says_so_and_cancel_ends_it(alone):
    alone.viewer.add_image(squares((6000, 32, 32), 1), name="long")
    alone.look()
    alone.click("Segment", alone.segment)
    says(alone, "segmenting")
    pid = session_of(alone.viewer).process.state.pid
    os.kill(pid, signal.SIGSTOP)
    says(alone, "not responding")
    alone.click("Cancel", alone.segment)
    assert until(lambda: not alive(pid)) < 6
    alone.idle()
    says(alone, "ready, restarted")


def test_there_is_no_line_where_threads_compute(window):
    assert window.segment.findChild(ComputeLine) is None
