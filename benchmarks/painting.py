"""What correcting costs at the viewer: time per stroke on a large layer.

    python benchmarks/painting.py [--side 10000] [--strokes 40] [--json FILE]

On one layer, the same strokes with napari alone and with the dock's bookkeeping (which
pixels changed, what that says, what is to be saved), in turn, in one process.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # no canvas is needed

import numpy as np
from napari.layers import Labels
from qtpy.QtWidgets import QApplication

from napari_unet.annotation.painting import LabelSchema, PaintRecorder
from napari_unet.annotation.reviews import ImageReviews
from napari_unet.io.image import Image
from napari_unet.project.project import Project
from napari_unet.ui.recording.strokes import Strokes

KINDS = {
    "objects": (np.int32, LabelSchema("objects", ("background", "in", "boundary"), 2)),
    "classes": (np.uint8, LabelSchema("classes", ("background", "cell"))),
}
BRUSH, STEPS = 8, 12  # pixels; positions of the mouse in a stroke


def stroke(layer: Labels, y: int, x: int, value: int) -> None:
    """Drag the brush over 60 pixels, as a mouse does."""
    with layer.block_history():
        for step in range(STEPS):
            layer.paint((y, x + 5 * step), value)


class Told:
    """Reviews on a canvas what is told of strokes."""

    def __init__(self, canvas: PaintRecorder) -> None:
        self.canvas = canvas

    def painted(self, changes: Any) -> None:
        self.canvas.paint(changes)

    def passed(self, way: Any, painted: bool) -> None:
        self.canvas.confirm(*way, painted=painted)

    def returned(self, undone: bool) -> None:
        self.canvas.look_again(undone=undone)


def measure(app: Any, side: int, strokes: int, kind: str) -> dict[str, Any]:
    dtype, rules = KINDS[kind]
    rng = np.random.default_rng(0)
    pixels = np.zeros((side, side), np.uint8)
    layer = Labels(np.zeros((side, side), dtype))
    layer.brush_size = BRUSH
    times: dict[str, list[float]] = {"napari": [], "correcting": []}
    with tempfile.TemporaryDirectory() as folder:
        project = Project.open(Path(folder) / "large.unet")
        key = project.add_image(Image("large", pixels, "YX"))
        canvas = PaintRecorder(layer.data, ImageReviews(project, key), rules)
        for number in range(2 * strokes):
            name = ("napari", "correcting")[number % 2]
            y, x = (int(at) for at in rng.integers(100, side - 200, 2))
            listening = None
            if name == "correcting":
                listening = Strokes(layer, lambda: None)
                listening.listen(Told(canvas))
            began = time.perf_counter()
            stroke(layer, y, x, 1)
            app.processEvents()
            times[name].append(1000 * (time.perf_counter() - began))
            if listening is not None:
                listening.forget()
    row: dict[str, Any] = {f"{n}_ms": statistics.median(t) for n, t in times.items()}
    row["above_ms"] = row["correcting_ms"] - row["napari_ms"]
    worst = sorted(times["correcting"])[-max(strokes // 20, 1)]
    return {"kind": kind, "side": side, **row, "p95_ms": worst}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=10_000)
    parser.add_argument("--strokes", type=int, default=40)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    app = QApplication.instance() or QApplication([])
    rows = [measure(app, args.side, args.strokes, kind) for kind in KINDS]
    print("| labels | napari alone | with correcting | above | p95 |")
    print("|---|---|---|---|---|")
    for row in rows:
        cells = (row[k] for k in ("napari_ms", "correcting_ms", "above_ms", "p95_ms"))
        print(f"| {row['kind']} | {' | '.join(f'{cell:.2f} ms' for cell in cells)} |")
    if args.json:
        args.json.write_text(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
