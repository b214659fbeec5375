"""How long after a click on Segment the first right mask is in view.

    python benchmarks/first_mask.py [--sides 2048 20000] [--window 2048] [--json FILE]

The middle 512 x 512 pixels of mirrored samples are in view. `thread` is what the job
does until its first tile is in the result, warm. `window` is a click in a real window
until these pixels hold the objects that they have in the end and the canvas was drawn
after that.
"""

import argparse
import json
import statistics
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_unet.annotation.resegment import Request, segmenting
from napari_unet.io.image import Image
from napari_unet.io.open import open_image
from napari_unet.network.model import load
from napari_unet.options import SegmentOptions
from napari_unet.sample_data import sample_path
from napari_unet.segmentation.predict import segment
from napari_unet.ui.segment.dock import SegmentDock

View = tuple[slice, slice]

VIEW = 512
MARGIN = 32  # pixels in view beside these: the dock may become a little wider
LONGEST = 300.0  # seconds


def picture(side: int) -> np.ndarray:
    """Return the sample image, 8 bits, mirrored to (side, side)."""
    cells = np.asarray(open_image(sample_path("nuclei")).data).astype(np.float32)
    cells = (255 * cells / cells.max()).astype(np.uint8)
    return np.pad(cells, [(0, side - n) for n in cells.shape], mode="symmetric")


def truth(data: np.ndarray, view: View) -> np.ndarray:
    """Return which pixels of `view` belong to objects."""
    out = np.zeros(data.shape, np.int32)
    job = segment(load("nuclei"), Image("x", data, "YX"), out=out, view=view, only=True)
    for _ in job:
        pass
    return out[view] > 0


def in_thread(
    data: np.ndarray, view: View, wanted: np.ndarray, models: dict[Any, Any]
) -> float:
    """Return the seconds until the right mask is in the array."""
    began = time.perf_counter()
    image = Image("x", data, "YX")
    job = segmenting(Request(image, "nuclei", SegmentOptions(), models, view=view))
    with closing(job):
        step = next(step for step in job if step.key is not None)
    taken = time.perf_counter() - began
    assert ((np.asarray(step.array[view]) > 0) == wanted).mean() > 0.999
    return taken


def seen(layer: Any, view: View) -> np.ndarray:
    """Return the labels in view; a large plane has coarser levels, too."""
    return np.asarray((layer.data[0] if layer.multiscale else layer.data)[view])


def click(viewer: Any, dock: Any, wanted: np.ndarray, view: View) -> float:
    """Return the seconds from a click to the right mask; end the run."""
    app = QApplication.instance()
    image = viewer.layers[0]
    canvas = viewer.window._qt_viewer.canvas.native
    viewer.scene.camera.center = (0, *(side / 2 for side in image.data.shape))
    viewer.scene.camera.zoom = min(canvas.width(), canvas.height()) / (VIEW + MARGIN)
    app.processEvents()
    began = time.perf_counter()
    dock.button.click()
    while time.perf_counter() - began < LONGEST:
        app.processEvents()
        found = [layer for layer in viewer.layers if layer is not image]
        if found and ((seen(found[0], view) > 0) == wanted).mean() > 0.999:
            app.processEvents()
            break
        time.sleep(0.005)
    taken = time.perf_counter() - began
    dock.button.click()  # is Cancel now
    while dock.button.text() != "Segment":
        app.processEvents()
        time.sleep(0.005)
    for layer in found:
        viewer.layers.remove(layer)
    return taken


def in_window(
    data: np.ndarray, view: View, wanted: np.ndarray, repeats: int
) -> list[float]:
    """Return the seconds of every click, without the first."""
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(1400, 900)
    viewer.add_image(data)
    dock = SegmentDock(viewer)
    viewer.window.add_dock_widget(dock)
    QApplication.instance().processEvents()
    times = [click(viewer, dock, wanted, view) for _ in range(repeats + 1)]
    viewer.close()
    return times[1:]


def measure(side: int, window: bool, repeats: int) -> dict[str, Any]:
    data = picture(side)
    low = (side - VIEW) // 2
    view = (slice(low, low + VIEW),) * 2
    wanted, models = truth(data, view), {}
    thread = [in_thread(data, view, wanted, models) for _ in range(repeats + 1)][1:]
    clicks = in_window(data, view, wanted, repeats) if window else []
    return {
        "side": side,
        "thread_seconds": statistics.median(thread),
        "window_seconds": statistics.median(clicks) if clicks else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[2048, 20_000])
    parser.add_argument("--window", type=int, nargs="*", default=[2048])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = [measure(n, n in args.window, args.repeats) for n in args.sides]
    print("| image | thread | window |\n|---|---|---|")
    for row in rows:
        cells = (row["thread_seconds"], row["window_seconds"])
        shown = " | ".join("" if cell is None else f"{cell:.2f} s" for cell in cells)
        print(f"| {row['side']} x {row['side']} | {shown} |")
    if args.json:
        args.json.write_text(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
