"""Windows whose jobs run in a compute process."""

import pytest
from helpers.window import Window

from napari_unet.compute.process import ComputeProcess
from napari_unet.ui.session import WARM, session_of


@pytest.fixture(scope="module")
def warm():
    """Return a process that many windows use, one after the other."""
    process = ComputeProcess(WARM)
    yield process
    process.stop()


@pytest.fixture
def open_window(make_napari_viewer, qtbot, nets, tmp_path, monkeypatch):
    """Return what opens a window whose jobs run in a process."""
    for name in ("config", "data"):
        monkeypatch.setenv(f"XDG_{name.upper()}_HOME", str(tmp_path / name))

    def make(process):
        viewer = make_napari_viewer(show=True)
        session_of(viewer).process = process
        return viewer

    def open_it(process):
        return Window(lambda: make(process), qtbot, nets, tmp_path, correct=False)

    return open_it


@pytest.fixture
def apart(open_window, warm):
    """Return a window with the process that others had before it."""
    window = open_window(warm)
    yield window
    session_of(window.viewer).process = None  # it lives on


@pytest.fixture
def alone(open_window):
    """Return a window with a process that may be killed."""
    process = ComputeProcess(WARM)
    yield open_window(process)
    process.stop()
