"""What `napari-unet batch` takes: memory, time, and what comes on top of the net.

    python benchmarks/batch.py [--side 2048] [--planes 4] [--rounds 3] [--long]

Gates, on two cores: (a) peak memory of a stack 8 times larger grows by less than 10 %;
(b) time per megapixel of one 64 times larger than `--planes` grows by less than 15 %
(16 times without --long); (c) reading, writing and labelling cost less than 20 % on top
of the net's own time, with the shipped model; (d) 4 GB of uint16 are segmented under
--memory 2GB (only with --long). Every run is a process of its own; repetitions are
interleaved and medians are compared. A small net is used for all but (c).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from scipy import ndimage

from napari_unet.batchmodel import BatchModel
from napari_unet.model import Model, UNet, UNetSpec, save
from napari_unet.options import BatchOptions, SegmentOptions
from napari_unet.stacksetup import prepare

_GATES = {"memory_growth": 0.10, "time_growth": 0.15, "overhead": 0.20}


def write_stack(path: Path, planes: int, side: int) -> None:
    """Write blobs (planes, side, side) as uint16, plane by plane, in tiles."""
    rng = np.random.default_rng(0)
    seeds = (rng.random((1024, 1024)) < 1 / 1500).astype(np.float32)
    blobs = ndimage.gaussian_filter(seeds, 8, mode="wrap") * 10e6 + 1000
    tile = (blobs + rng.normal(0, 300, blobs.shape)).clip(0, 65535).astype(np.uint16)
    repeats = -(-side // 1024)
    plane = np.tile(tile, (repeats, repeats))[:side, :side]
    tifffile.imwrite(
        path,
        (np.roll(plane, 37 * i, axis=1) for i in range(planes)),
        shape=(planes, side, side),
        dtype=np.uint16,
        bigtiff=True,
        metadata={"axes": "ZYX"},
    )


def write_model(path: Path) -> None:
    """Save a net of 4 channels and depth 2 that finds what is bright."""
    classes = ("background", "interior", "boundary")
    net = UNet(UNetSpec(1, classes, width=4, depth=2)).eval()
    with torch.no_grad():
        for name, weights in net.named_parameters():
            if weights.dim() == 4:
                weights.zero_()
                if name.startswith(("encoder.0", "decoder.1")):
                    weights[0, 0, 1, 1] = 1
        net.head.weight[1, 0], net.head.weight[2, 0] = 40, 20
        net.head.bias.copy_(torch.tensor([0.0, -21.0, -9.0]))
    save(Model(net, card={"min_size": 20}), path)


def run(image: Path, model: str, *more: str) -> dict[str, Any]:
    """Segment an image in a process of its own and return what that says."""
    with tempfile.TemporaryDirectory(dir=image.parent) as out:
        command = [sys.executable, "-m", "napari_unet.cli", "batch", str(image)]
        command += ["-o", out, "--model", model, "--json", *more]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def net_seconds(image: Path, model: str, memory: int) -> float:
    """Return how long the net alone takes for the windows of a batch."""
    options = BatchOptions(SegmentOptions(memory=memory))
    setup = prepare(image, options, BatchModel(model))
    with tempfile.TemporaryDirectory(dir=image.parent) as folder:
        from napari_unet.shards import scratch

        array = Path(folder, "classes")
        scratch(array, setup.layout, "uint8")
        worker = setup.worker(array)
        windows = [
            w for n in range(setup.plan.tiles) for _, w in worker.read(n).windows
        ]
        setup.run(windows[0])  # warm
        began = time.perf_counter()
        for window in windows:
            setup.run(window).argmax(0).to(torch.uint8).cpu()
        return time.perf_counter() - began


def growths(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Compare stacks of one size, 8 times that, and many times that."""
    model = str(folder / "small.safetensors")
    write_model(Path(model))
    times = {"1": 1, "8": 8, "many": 64 if args.long else 16}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in times}
    for _ in range(args.rounds):
        for name, factor in times.items():
            image = folder / f"{name}.tif"
            if not image.exists():
                write_stack(image, args.planes * factor, args.side)
            runs[name].append(run(image, model, "--memory", args.memory))
    speed, peak = (
        {n: statistics.median(r[key] for r in found) for n, found in runs.items()}
        for key in ("megapixels_per_second", "peak_rss_mb")
    )
    return {
        "megapixels": args.planes * args.side**2 / 1e6,
        "factor": times["many"],
        "peak_rss_mb": peak,
        "megapixels_per_second": speed,
        "memory_growth": peak["8"] / peak["1"] - 1,
        "time_growth": speed["1"] / speed["many"] - 1,
    }


def overhead(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Compare a batch with the net's own time on the same windows."""
    image = folder / "shipped.tif"
    write_stack(image, args.planes, args.side)
    whole, net = [], []
    for _ in range(args.rounds):
        whole.append(run(image, "nuclei", "--memory", args.memory)["seconds"])
        net.append(net_seconds(image, "nuclei", int(2e9)))
    seconds = statistics.median(whole)
    own = statistics.median(net)
    return {"seconds": seconds, "net_seconds": own, "overhead": seconds / own - 1}


def four_gigabytes(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Segment 4 GB of uint16 under 2 GB."""
    image = folder / "four.tif"
    write_stack(image, 120, 4096)
    found = run(image, str(folder / "small.safetensors"), "--memory", "2GB")
    found["gigabytes"] = image.stat().st_size / 1e9
    return {
        f"four_{key}": found[key] for key in ("gigabytes", "peak_rss_mb", "seconds")
    }


def tiny_files(folder: Path, count: int) -> dict[str, Any]:
    """Segment many files of 64 x 64 pixels with the shipped model."""
    images = folder / "tiny"
    images.mkdir()
    write_stack(images / "0.tif", 1, 64)
    for number in range(1, count):
        os.link(images / "0.tif", images / f"{number}.tif")
    found = run(images, "nuclei")
    net = net_seconds(images / "0.tif", "nuclei", int(2e9))
    return {
        "tiny_files": count,
        "tiny_ms_beyond_net": 1e3 * (found["seconds"] / count - net),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--planes", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--tiny", type=int, default=200, help="number of tiny files")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--folder", type=Path, help="for the files; else temporary")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        result = growths(folder, args) | overhead(folder, args)
        result |= tiny_files(folder, args.tiny)
        if args.long:
            result |= four_gigabytes(folder, args)
    for key, value in result.items():
        gate = f"   gate {_GATES[key]:.0%}" if key in _GATES else ""
        shown = f"{value:.1%}" if key in _GATES else value
        print(f"{key:24}{shown}{gate}")
    if args.json:
        args.json.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
