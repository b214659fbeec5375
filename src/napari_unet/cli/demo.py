"""The demo: opens the sample in napari and clicks Segment, as a newcomer would.

Knows how to drive the viewer from outside, by the names that people use: it opens the
sample image through napari's plugin mechanism and presses the button that says Segment.
It imports nothing of the user interface.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from napari_unet.errors import UNetError

__all__ = ["run"]

_PLUGIN = "napari-unet-annotator"
_DOCK = "U-Net: Segment"
_SAMPLE = "nuclei"
_LIMIT = 300.0  # seconds until the demo gives up
_SCREEN = ("-screen", "0", "1400x900x24")
_SIZE = (1400, 900)
_LOST = 5.0  # seconds without a job and without a result


def run(folder: Path | None) -> dict[str, Any] | None:
    """Open the sample in napari, segment it, and return the figures.

    Parameters
    ----------
    folder
        Where the screenshot, the labels and the figures go; the viewer is closed then.
        None leaves the viewer to the user, or takes ``demo-output`` when there is no
        display: then the program is replaced by itself on a virtual one.

    Returns
    -------
    figures
        Objects, Dice against the truth, seconds, device; None where the user stayed.

    Raises
    ------
    UNetError
        If napari or the virtual display is missing, or the demo does not finish.
    """
    if find_spec("napari") is None:
        raise UNetError(
            "The demo needs napari, which is not installed. Install it with: "
            'pip install "napari-unet-annotator[all]"'
        )
    if _no_display():
        _restart_on_virtual_display(folder or Path("demo-output"))
    if folder is not None:
        _make(folder)
        # What the user's own dock remembers must neither steer the demo nor change.
        os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="napari-unet-demo-")
    import napari

    viewer = napari.Viewer()
    button = _start(viewer)
    if folder is None:
        napari.run()
        return None
    try:
        layer = _result(viewer, button)
        return _write(viewer, layer, folder)
    finally:
        viewer.close()


def _no_display() -> bool:
    displays = ("DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform.startswith("linux") and not any(map(os.environ.get, displays))


def _restart_on_virtual_display(folder: Path) -> None:
    """Replace this program by itself under Xvfb; returns only by raising."""
    xvfb = shutil.which("xvfb-run")
    if xvfb is None or shutil.which("xauth") is None:
        raise UNetError(
            "There is no display, and no virtual one: xvfb-run is missing. Install it "
            "(on Debian and Ubuntu: apt install xvfb xauth), or use a computer with a "
            "screen."
        )
    environment = dict(os.environ)
    environment.pop("QT_QPA_PLATFORM", None)  # "offscreen" cannot draw a canvas
    command = [xvfb, "-a", "-s", " ".join(_SCREEN), sys.executable]
    command += ["-m", "napari_unet.cli", "demo", "--headless", str(folder)]
    sys.stdout.flush()
    os.execve(xvfb, command, environment)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UNetError(
            f"The folder '{folder}' cannot be made ({error.strerror}). Choose another."
        ) from error


def _start(viewer: Any) -> Any:
    """Open the sample and the dock, press Segment, and return that button."""
    from qtpy.QtWidgets import QPushButton

    from napari_unet.sample_data import sample_path

    width, height = _SIZE
    viewer.window.resize(width, height)
    viewer.open(str(sample_path(_SAMPLE)), plugin=_PLUGIN)
    _, widget = viewer.window.add_plugin_dock_widget(_PLUGIN, _DOCK)
    native = getattr(widget, "native", widget)
    for button in native.findChildren(QPushButton):
        if button.text() == "Segment":
            break
    else:
        raise UNetError(
            f"The dock '{_DOCK}' has no button 'Segment'. Please report it."
        )
    laid_out = time.monotonic() + 0.3
    _wait(lambda: time.monotonic() > laid_out, 1)
    viewer.reset_view()  # the dock took some of the canvas
    if not _wait(button.isEnabled, 30):
        raise UNetError(
            f"The button 'Segment' stays disabled: {button.toolTip() or 'no reason'}"
        )
    button.click()
    return button


def _result(viewer: Any, button: Any) -> Any:
    """Wait until the result is there, and return its layer."""
    idle_since: float | None = None

    def settled() -> bool:
        nonlocal idle_since
        if button.text() != "Segment":
            idle_since = None
            return False
        if _finished(viewer) is not None:
            return True
        idle_since = idle_since or time.monotonic()
        return time.monotonic() - idle_since > _LOST

    if not _wait(settled, _LIMIT):
        raise UNetError(
            f"The demo is not finished after {_LIMIT:.0f} s; it was stopped."
        )
    layer = _finished(viewer)
    if layer is None:
        from qtpy.QtWidgets import QLabel

        said = [x.text() for x in button.window().findChildren(QLabel) if x.text()]
        raise UNetError(f"The segmentation failed. The window says: {' | '.join(said)}")
    return layer


def _finished(viewer: Any) -> Any:
    """Return the layer that carries a finished result, or None."""
    for layer in viewer.layers:
        if "seconds" in layer.metadata.get("napari_unet", {}):
            return layer
    return None


def _wait(until: Callable[[], bool], seconds: float) -> bool:
    """Let the window live until something is true; return False if it never was."""
    from qtpy.QtCore import QEventLoop, QTimer

    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            return False
        loop = QEventLoop()
        QTimer.singleShot(50, loop.quit)
        loop.exec()
    return True


def _write(viewer: Any, layer: Any, folder: Path) -> dict[str, Any]:
    """Write the screenshot, the labels and the figures; return the figures."""
    import numpy as np
    import tifffile

    from napari_unet.io.save import save_labels
    from napari_unet.labels.metrics import dice
    from napari_unet.sample_data import truth_path

    labels = np.asarray(layer.data)
    truth = tifffile.imread(truth_path(_SAMPLE))
    done = layer.metadata["napari_unet"]
    figures = {
        "objects": done["objects"],
        "dice": round(float(dice(truth, labels)), 4),
        "seconds": round(float(done["seconds"]), 3),
        "device": done["device"],
    }
    ready = time.monotonic() + 1
    _wait(lambda: time.monotonic() > ready, 2)  # what was drawn last reaches the screen
    viewer.screenshot(str(folder / "screenshot.png"), canvas_only=False, flash=False)
    save_labels(
        folder / "labels.tif",
        labels,
        axes="YX",
        scale=tuple(map(float, layer.scale)),
        units=tuple(map(str, layer.units)),
        name=_SAMPLE,
        overwrite=True,
    )
    (folder / "result.json").write_text(json.dumps(figures) + "\n")
    return figures
