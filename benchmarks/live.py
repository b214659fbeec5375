"""How soon the view follows a stroke while Live is ticked, and how well.

    python benchmarks/live.py DATASET_DIR... [--side 512] [--strokes 8] [--seed 0]
        [--threads 2] [--json FILE]

A shipped model is begun anew for the classes of each data set (see annotation.py). A
simulated annotator shows every class in a view of side x side pixels (small images are
put side by side), and then paints on mistakes, one stroke at a time. Timed are the
features of the view, once, and for every stroke all from the target to the labels in an
array; on a machine that others use, the seconds of the processor tell more. Dice, and
the share of painted pixels that are followed, are those of the view: of the labels
after every stroke, and of the first answer of Improve to the same strokes. The viewer
takes a core less than there are, so one of two.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from annotator import Classes, Pair, dice, draw, read, show

from napari_unet._steps import Steps
from napari_unet.io.image import Image
from napari_unet.network.model import load
from napari_unet.network.transfer import new_model
from napari_unet.options import SegmentOptions, TrainOptions
from napari_unet.project.corrections import IGNORE, Correction
from napari_unet.segmentation.predict import segment
from napari_unet.tiling import whole
from napari_unet.training.fine_tune import fine_tune, warm_up
from napari_unet.training.live_head import LiveHead
from napari_unet.training.live_view import LiveView


def view(pairs: list[Pair], side: int) -> Pair:
    """Return one image of side x side: a part, or small ones side by side."""
    pairs = [p for p in pairs if p.truth.shape == pairs[0].truth.shape]
    rows, columns = (-(-side // n) for n in pairs[0].truth.shape)
    chosen = [pairs[i % len(pairs)] for i in range(rows * columns)]

    def put(arrays: list[Any]) -> Any:
        lines = [arrays[i * columns : (i + 1) * columns] for i in range(rows)]
        whole = np.concatenate([np.concatenate(line, 1) for line in lines])
        return np.ascontiguousarray(whole[:side, :side])

    first = pairs[0].image
    pixels = put([np.asarray(p.image.data) for p in chosen])
    image = Image("view", pixels, first.axes, first.rgb)
    return Pair(image, put([p.truth for p in chosen]))


def obeyed(labels: Classes, target: Classes) -> float:
    return float((labels == target)[target != IGNORE].mean())


def measure(folder: Path, side: int, strokes: int, seed: int) -> dict[str, Any]:
    train, test, classes = read(folder, seed)
    pair = view(train + test, side)
    names = "background", *(f"class {i}" for i in range(1, classes))
    channels = 3 if pair.image.rgb else 1
    model = new_model(load("nuclei"), names, channels=channels)
    options = SegmentOptions(output="classes", device="cpu")
    box = whole(pair.truth.shape)
    warm_up()
    began = time.perf_counter()
    live = LiveView(LiveHead(model), pair.image, options, (), box)
    Steps(live.read()).finish()
    reading = time.perf_counter() - began
    target = np.full(pair.truth.shape, IGNORE, np.uint8)
    done, _ = show(pair.truth, target)
    labels = np.zeros(pair.truth.shape, np.uint8)
    seconds, busy, scores, follow = [], [], [], []
    while True:
        began, worked = time.perf_counter(), time.process_time()
        live.refit(target)
        known = live.within(box)
        job = segment(
            model, pair.image, options, out=labels, view=box, only=True, known=known
        )
        Steps(job).finish()
        seconds.append(time.perf_counter() - began)
        busy.append(time.process_time() - worked)
        scores.append(dice(labels, pair.truth, classes))
        follow.append(obeyed(labels, target))
        if done >= strokes:
            break
        rng = np.random.default_rng(done)
        done += draw(labels, pair.truth, target, 1, rng)[0]
    first = next(fine_tune(model, [Correction(pair.image, target)], TrainOptions(20)))
    answer = first.model or model
    shown = Steps(segment(answer, pair.image, options, view=box, only=True)).finish()
    whole_again = np.asarray(shown.labels)
    return {
        "dataset": folder.name,
        "channels": channels,
        "classes": classes,
        "reading_s": round(reading, 2),
        "median_s": round(statistics.median(seconds), 2),
        "worst_s": round(max(seconds), 2),
        "median_processor_s": round(statistics.median(busy), 2),
        "seconds": [round(s, 2) for s in seconds],
        "dice": [round(s, 3) for s in scores],
        "obeyed": [round(s, 3) for s in follow],
        "improve_first_s": round(first.seconds, 2),
        "improve_first_dice": round(dice(whole_again, pair.truth, classes), 3),
        "improve_first_obeyed": round(obeyed(whole_again, target), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--strokes", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found = []
    for folder in args.folders:
        found.append(measure(folder, args.side, args.strokes, args.seed))
        print(json.dumps(found[-1]), flush=True)
    if args.json:
        args.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
