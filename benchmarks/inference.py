"""How fast `segment` is, side by side with the bare forward pass of the same net.

    python benchmarks/inference.py [--cases 1024 2048] [--model nuclei] [--json FILE]

Both see the same pixels with the same weights in one process, in turn, warm; the table
gives medians. `floor` is the best of one forward pass over the whole image and of
pieces of 512 and 1024: BatchNorm folded, channels last, the same dtype, no halo, no
labels, no I/O. `ours` is everything that a user waits for: intensities, tiles with
halos, objects.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from napari_unet.images import Image
from napari_unet.inference import Engine, engine
from napari_unet.model import Model, load
from napari_unet.options import SegmentOptions
from napari_unet.predict import segment


def picture(side: int) -> np.ndarray:
    """Return a grey image (side, side) uint16 of blobs about as large as nuclei."""
    rng = np.random.default_rng(0)
    seeds = (rng.random((side, side)) < 1 / 1500).astype(np.float32)
    blobs = ndimage.gaussian_filter(seeds, 8) * 40_000 + rng.normal(
        200, 20, seeds.shape
    )
    return blobs.clip(0, 65535).astype(np.uint16)


def ours(model: Model, image: Image, device: str) -> str:
    """Segment `image` to the end; return the window as text."""
    job = segment(model, image, SegmentOptions(device=device))
    while True:
        try:
            next(job)
        except StopIteration as stop:
            return "x".join(map(str, stop.value.tile))


def bare(run: Engine, pixels: np.ndarray, piece: int) -> None:
    """Run the net over exactly the image's pixels, in pieces without halo."""
    for y in range(0, pixels.shape[1], piece):
        for x in range(0, pixels.shape[2], piece):
            run(np.ascontiguousarray(pixels[:, y : y + piece, x : x + piece])).cpu()


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def measure(
    side: int, model: Model, device: str, repeats: int
) -> list[dict[str, object]]:
    """Return one row per method, from interleaved repetitions."""
    data = picture(side)
    image = Image("benchmark", data, "YX")
    run = engine(model, device)
    pixels = (data[None] / data.max()).astype(np.float32)
    pieces = [piece for piece in (512, 1024) if piece < side] + [side]
    tile = ours(model, image, device)  # warm
    taken: dict[str, list[float]] = {"ours": []} | {f"bare {p}": [] for p in pieces}
    for _ in range(repeats):
        taken["ours"].append(seconds(lambda: ours(model, image, device)))
        for piece in pieces:
            call = seconds(lambda piece=piece: bare(run, pixels, piece))
            taken[f"bare {piece}"].append(call)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    best = min((n for n in medians if n != "ours"), key=medians.__getitem__)
    whole = f"bare {side}"
    rows = [("ours", "ours", tile), ("floor", best, best), ("whole", whole, whole)]
    return [
        {
            "case": str(side),
            "width": model.spec.width,
            "method": method,
            "engine": f"torch {str(run.dtype).removeprefix('torch.')} on {run.device}",
            "detail": detail,
            "seconds": round(medians[key], 4),
            "mpx_s": round(side * side / 1e6 / medians[key], 3),
            "ratio_to_floor": round(medians[key] / medians[best], 3),
        }
        for method, key, detail in rows
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, nargs="+", default=[1024, 2048])
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    model = load(args.model)
    rows = [
        row
        for side in args.cases
        for row in measure(side, model, args.device, args.repeats)
    ]
    print(f"{'case':>6} {'method':8} {'detail':12} {'s':>8} {'Mpx/s':>7} {'/floor':>7}")
    for r in rows:
        print(
            f"{r['case']:>6} {r['method']:8} {r['detail']:12} {r['seconds']:8.3f} "
            f"{r['mpx_s']:7.2f} {r['ratio_to_floor']:7.2f}"
        )
    if args.json:
        bf16 = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        args.json.write_text(json.dumps({"cpu_bf16": bf16, "rows": rows}))


if __name__ == "__main__":
    main()
