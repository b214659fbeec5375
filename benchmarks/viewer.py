"""What computing costs the viewer: a real window, with threads and with the process.

    xvfb-run -a python benchmarks/viewer.py [--side 4096] [--seconds 20]
                                            [--sides 2048 8192] [--json FILE]

For each way to compute, and for none (the same work without a viewer), a program of
its own. Gaps are those between two turns of the event loop, in which a timer asks for
one every 10 ms: while nothing runs, while the first click of a session segments, and
while Improve learns. A stroke is painted 20 times at rest and while Improve learns. The
first tile is that of a second click; the network's own time is that of the same request
without a viewer. Memory is the most that the viewer's process had in both runs, above
what it had before a dock was opened. `--sides` are planes of which the click to all
objects is compared with the bare net over exactly their pixels (`inference.py`, the
best way of its floor), the better of two each. Each is a ratio of one run.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

TURN = 10  # ms
STROKES = 20
REST = 3.0  # seconds of idling


def picture(side: int) -> np.ndarray:
    """Return the sample image, mirrored to (side, side); without PyTorch."""
    from napari_unet.io.open import open_image
    from napari_unet.sample_data import sample_path

    data = np.asarray(open_image(sample_path("nuclei")).data)
    return np.pad(data, [(0, side - n) for n in data.shape], mode="symmetric")


# --- without a viewer -----------------------------------------------------------------


def net_alone(side: int) -> float:
    """Return the seconds that the bare net takes for a plane."""
    from inference import Task, floors

    from napari_unet.io.image import Image
    from napari_unet.network.model import load
    from napari_unet.network.predictor import engine
    from napari_unet.options import SegmentOptions
    from napari_unet.segmentation.inputs import model_input

    model, image = load("nuclei"), Image("cells", picture(side), "YX")
    source = model_input(model, image, SegmentOptions())
    box = tuple(slice(0, length) for length in source.shape)
    pixels = source.read((), box, source.intensities())[0][None]
    taken = []
    for way in floors(Task(image, pixels, model, engine(model, "cpu"))).values():
        for _ in range(2):
            began = time.perf_counter()
            way()
            taken.append(time.perf_counter() - began)
    return min(taken)


def bare(side: int, seconds: float, sides: list[int]) -> dict[str, float]:
    """Segment, and learn from strokes, in this process."""
    from training import corrections

    import napari_unet as nu
    from napari_unet.network.threads import spare_cores
    from napari_unet.options import TrainOptions
    from napari_unet.training.fine_tune import fine_tune

    spare_cores()
    model, image = nu.load_model("nuclei"), picture(side)
    found: dict[str, float] = {}
    for _ in range(2):  # the second time, all is warm
        began, first = time.perf_counter(), 0.0
        for _event in nu.segment_iter(model, image, output="objects"):
            first = first or time.perf_counter() - began
        found = {"first_tile_s": first, "segment_s": time.perf_counter() - began}
    steps = 0
    for event in fine_tune(model, corrections(), TrainOptions(seconds)):
        steps = event.step
    nets = {f"net_{side}_s": net_alone(side) for side in sides}
    return {**found, "steps": steps, **nets}


# --- with one -------------------------------------------------------------------------


class Gaps:
    """Time between turns of the event loop, from when it is made until `take`."""

    def __init__(self) -> None:
        from qtpy.QtCore import QTimer

        self._last, self._found = time.perf_counter(), list[float]()
        self._process, self._most = psutil.Process(), 0
        self._timer = QTimer()
        self._timer.setInterval(TURN)
        self._timer.timeout.connect(self._turn)
        self._timer.start()

    def _turn(self) -> None:
        now = time.perf_counter()
        self._found.append(1000 * (now - self._last))
        self._last = now
        if len(self._found) % 10 == 0:
            self._most = max(self._most, self._process.memory_info().rss)

    def take(self) -> dict[str, float]:
        """Return the 99th percentile and the longest gap, in ms; the most memory."""
        self._timer.stop()
        p99 = float(np.percentile(self._found, 99))
        return {"p99_ms": p99, "worst_ms": max(self._found), "most": self._most}


def wait(until: Callable[[], Any], limit: float = 600.0) -> None:
    """Run the event loop, at rest between its turns, until something is so."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop, end = QEventLoop(), time.monotonic() + limit
    timer = QTimer()
    timer.timeout.connect(
        lambda: loop.quit() if until() or time.monotonic() > end else None
    )
    timer.start(TURN)
    loop.exec()
    timer.stop()
    if not until():
        raise TimeoutError("it takes too long")


def paint(layer: Any, number: int) -> list[float]:
    """Paint strokes, each in a turn of its own; return how long each took, in ms."""
    taken = []
    for i in range(number):
        began = time.perf_counter()
        with layer.block_history():
            for x in range(0, 60, 5):
                layer.paint((200 + 20 * i, 200 + x), 1 if i % 2 else 0)
        end = time.monotonic() + 0.1
        taken.append(1000 * (time.perf_counter() - began))
        wait(lambda: time.monotonic() > end)  # noqa: B023
    return taken


def clicked(viewer: Any, dock: Any, side: int) -> float:
    """Return the seconds from a click to all objects of a plane of its own."""
    from napari_unet.ui.session import session_of

    for layer in viewer.layers:  # with Mesa, napari dies if they are removed
        layer.visible = False
    image = viewer.add_image(picture(side), name=f"cells {side}")
    viewer.layers.selection.active = image
    taken = []
    for _ in range(2):
        began = time.perf_counter()
        dock.button.click()
        wait(lambda: not session_of(viewer).jobs)
        taken.append(time.perf_counter() - began)
    return min(taken)


def seen(side: int, seconds: float, sides: list[int]) -> dict[str, Any]:
    """Do as a person does: open docks, click Segment, paint, click Improve."""
    import napari

    from napari_unet.ui.correct.dock import CorrectDock
    from napari_unet.ui.segment.dock import SegmentDock
    from napari_unet.ui.session import session_of

    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(1400, 900)
    pixels = picture(side)
    viewer.add_image(pixels, name="cells")
    session = session_of(viewer)
    end = time.monotonic() + 1
    wait(lambda: time.monotonic() > end)
    before = psutil.Process().memory_info().rss
    dock = SegmentDock(viewer)
    viewer.window.add_dock_widget(dock, name="U-Net: Segment", area="right")
    dock.form.model.add("nuclei")
    found: dict[str, Any] = {}

    def measured(name: str, click: Callable[[], None]) -> None:
        gaps, began = Gaps(), time.perf_counter()
        click()
        wait(lambda: not session.jobs)
        found[name] = {**gaps.take(), "s": time.perf_counter() - began}

    measured("segment_first", dock.button.click)  # PyTorch starts meanwhile
    end = time.monotonic() + REST
    gaps = Gaps()
    wait(lambda: time.monotonic() > end)
    found["idle"] = gaps.take()

    gaps, began, first = Gaps(), time.perf_counter(), 0.0
    dock.button.click()
    job = session.jobs[-1]

    def note(event: Any) -> None:
        nonlocal first
        if not first and getattr(event, "key", None) is not None:
            first = time.perf_counter() - began

    job.yielded.connect(note)
    wait(lambda: not session.jobs)
    found["first_tile_s"] = first
    found["segment_s"] = time.perf_counter() - began
    found["segment"] = gaps.take()
    labels = viewer.layers[-1]
    most = max(found[name]["most"] for name in ("segment_first", "segment"))
    found["above_mb"] = (most - before) / 1e6

    shown = list(viewer.layers)
    for length in sides:  # before Improve, whose model has another head
        found[f"objects_{length}_s"] = clicked(viewer, dock, length)
    for layer in viewer.layers:
        layer.visible = layer in shown

    correct = CorrectDock(viewer)
    viewer.window.add_dock_widget(correct, name="U-Net: Correct", area="right")
    viewer.layers.selection.active = labels
    correct.form.quiet.box.setChecked(False)
    correct.form.seconds.setValue(int(seconds))
    labels.mode = "paint"
    found["stroke_ms"] = statistics.median(paint(labels, STROKES))
    wait(lambda: correct.form.improve.isEnabled())
    gaps = Gaps()
    correct.form.improve.click()
    steps = []
    session.jobs[-1].yielded.connect(lambda e: steps.append(getattr(e, "step", 0)))
    wait(lambda: steps or not session.jobs)  # the first answer may take all the time
    found["stroke_improving_ms"] = statistics.median(paint(labels, STROKES))
    wait(lambda: not session.jobs)
    found["improve"] = {**gaps.take(), "steps": max(steps, default=0)}
    viewer.close()
    return found


# --- side by side ---------------------------------------------------------------------


def run(way: str, side: int, seconds: float, sides: list[int]) -> dict[str, Any]:
    """Return what a program of its own finds."""
    with tempfile.TemporaryDirectory() as folder:
        env = {
            **os.environ,
            "NAPARI_UNET_COMPUTE": way,
            "NAPARI_CONFIG": f"{folder}/n.yaml",
        }
        env |= {f"XDG_{name}_HOME": folder for name in ("CONFIG", "DATA")}
        words = [sys.executable, __file__, "--side", str(side), "--way", way]
        words += ["--seconds", str(seconds), "--sides", *map(str, sides)]
        done = subprocess.run(words, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def rows(
    found: dict[str, dict[str, Any]], sides: list[int]
) -> list[tuple[str, str, list[str]]]:
    """Return measure, gate, and a value for each way with a viewer."""
    none, ways = found["none"], [found["thread"], found["process"]]

    def each(of: Callable[[dict[str, Any]], float], form: str) -> list[str]:
        return [format(of(way), form) for way in ways]

    table = [("idle: p99 gap, ms", "", each(lambda w: w["idle"]["p99_ms"], ".0f"))]
    names = {"segment_first": "first click of a session", "segment": "segmenting"}
    names["improve"] = "improving"
    for key, name in names.items():
        for of, gate in (("p99_ms", "60, 1.5x idle"), ("worst_ms", "200")):
            values = each(lambda w, k=key, o=of: w[k][o], ".0f")  # type: ignore[misc]
            table.append((f"{name}: {of[:-3]} gap, ms", gate, values))
    late = each(lambda w: w["first_tile_s"] - none["first_tile_s"], ".2f")
    stroke = each(lambda w: w["stroke_improving_ms"] / w["stroke_ms"], ".2f")
    return [
        *table,
        (
            "segment: speed / without a viewer",
            "0.9",
            each(lambda w: none["segment_s"] / w["segment_s"], ".2f"),
        ),
        (
            "improve: steps / without a viewer",
            "0.9",
            each(lambda w: w["improve"]["steps"] / max(none["steps"], 1), ".2f"),
        ),
        ("first tile, s after the net's own", "0.3", late),
        ("memory above the image, MB", "500", each(lambda w: w["above_mb"], ".0f")),
        ("stroke while improving / at rest", "1.3", stroke),
        *(_beside_the_net(found, side) for side in sides),
    ]


def _beside_the_net(
    found: dict[str, dict[str, Any]], side: int
) -> tuple[str, str, list[str]]:
    net = found["none"][f"net_{side}_s"]
    values = [found[way][f"objects_{side}_s"] / net for way in ("thread", "process")]
    gate = {2048: "1.2", 8192: "1.35"}.get(side, "")
    return f"{side}² to objects / the bare net", gate, [f"{x:.2f}" for x in values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--seconds", type=float, default=20, help="of Improve")
    parser.add_argument("--sides", type=int, nargs="*", default=[2048, 8192])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--way", choices=("none", "thread", "process"))
    args = parser.parse_args()
    if args.way:  # one of the programs
        work = bare if args.way == "none" else seen
        print(json.dumps(work(args.side, args.seconds, args.sides)))
        return
    ways = "none", "thread", "process"
    found = {way: run(way, args.side, args.seconds, args.sides) for way in ways}
    print("| | gate | threads | process |\n|---|---|---|---|")
    for name, gate, values in rows(found, args.sides):
        print(f"| {name} | {gate} | {' | '.join(values)} |")
    if args.json:
        args.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
