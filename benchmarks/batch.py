"""What `napari-unet batch` takes: memory, time, and what comes on top of the net.

    python benchmarks/batch.py [--parts growth overhead tiny four workers] [--many 64]

Gates, on two cores: `growth`: (a) peak memory of a stack 8 times larger grows by less
than 10 %, (b) time per megapixel of one `--many` times larger by less than 15 %;
`overhead`: (c) reading, writing and labelling cost less than 20 % on top of the net's
own time, with the shipped model; `four`: (d) 4 GB of uint16 are segmented under
--memory 2GB; `tiny`: small files cost less than 50 ms each beyond the net. `workers`
compares two workers with one. Every run is a process of its own; repetitions are
interleaved and medians are compared. A small net is used for all but (c) and `tiny`.

Seconds are those of a clock. `cpu_` figures are seconds of all cores together: on a
machine that has other work they say what the clock would say without it.
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

from napari_unet.batch.loaded_model import LoadedModel
from napari_unet.batch.setup import prepare
from napari_unet.batch.store import scratch
from napari_unet.network.model import Model, UNet, UNetSpec, save
from napari_unet.options import BatchOptions, SegmentOptions

_GATES = {
    "memory_growth": 0.10,
    "time_growth": 0.15,
    "cpu_time_growth": 0.15,
    "overhead": 0.20,
    "cpu_overhead": 0.20,
}
# What is imported is not counted: a service would have it.
_RUN = """
import sys, time
import napari_unet.cli.batch
from napari_unet.cli import main
began = time.process_time()
code = main(sys.argv[1:])
print(time.process_time() - began)
sys.exit(code)
"""

_Result = dict[str, Any]


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


def run(image: Path, model: str, *more: str) -> _Result:
    """Segment an image in a process of its own and return what that says."""
    with tempfile.TemporaryDirectory(dir=image.parent) as out:
        command = [sys.executable, "-c", _RUN, "batch", str(image)]
        command += ["-o", out, "--model", model, "--json", *more]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        about, cpu = done.stdout.splitlines()
        return {**json.loads(about), "cpu_seconds": float(cpu)}


def net_seconds(image: Path, model: str, memory: int) -> tuple[float, float]:
    """Return how long the net alone takes for the windows of a batch: clock, cores."""
    options = BatchOptions(SegmentOptions(memory=memory))
    setup = prepare(image, options, LoadedModel(model))
    with tempfile.TemporaryDirectory(dir=image.parent) as folder:
        array = Path(folder, "classes")
        scratch(array, setup.layout, "uint8")
        worker = setup.worker(array)
        windows = [
            w for n in range(setup.plan.tiles) for _, w in worker.read(n).windows
        ]
        setup.run(windows[0])  # warm
        began = time.perf_counter(), time.process_time()
        for window in windows:
            setup.run(window).argmax(0).to(torch.uint8).cpu()
        return time.perf_counter() - began[0], time.process_time() - began[1]


def growth(folder: Path, args: argparse.Namespace) -> _Result:
    """Compare stacks of one size, 8 times that, and many times that."""
    model = small_model(folder)
    times = {"1": 1, "8": 8, "many": args.many}
    runs: dict[str, list[_Result]] = {name: [] for name in times}
    for _ in range(args.rounds):
        for name, factor in times.items():
            image = folder / f"{name}.tif"
            if not image.exists():
                write_stack(image, args.planes * factor, args.side)
            runs[name].append(run(image, model, "--memory", args.memory))
    peak, seconds, cpu = (
        {
            name: statistics.median(r[key] / (times[name] if per else 1) for r in found)
            for name, found in runs.items()
        }
        for key, per in (
            ("peak_rss_mb", False),
            ("seconds", True),
            ("cpu_seconds", True),
        )
    )
    return {
        "megapixels": args.planes * args.side**2 / 1e6,
        "factor": args.many,
        "peak_rss_mb": peak,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "memory_growth": peak["8"] / peak["1"] - 1,
        "time_growth": seconds["many"] / seconds["1"] - 1,
        "cpu_time_growth": cpu["many"] / cpu["1"] - 1,
    }


def overhead(folder: Path, args: argparse.Namespace) -> _Result:
    """Compare a batch with the net's own time on the same windows."""
    image = folder / "shipped.tif"
    write_stack(image, args.planes, args.side)
    whole, net = [], []
    for _ in range(args.rounds):
        found = run(image, "nuclei", "--memory", args.memory)
        whole.append((found["seconds"], found["cpu_seconds"]))
        net.append(net_seconds(image, "nuclei", int(2e9)))
    (seconds, cpu), (own, own_cpu) = (
        np.median(x, axis=0).tolist() for x in (whole, net)
    )
    return {
        "whole_seconds": seconds,
        "net_seconds": own,
        "whole_cpu_seconds": cpu,
        "net_cpu_seconds": own_cpu,
        "overhead": seconds / own - 1,
        "cpu_overhead": cpu / own_cpu - 1,
    }


def four(folder: Path, args: argparse.Namespace) -> _Result:
    """Segment 4 GB of uint16 under 2 GB."""
    image = folder / "four.tif"
    write_stack(image, 120, 4096)
    found = run(image, small_model(folder), "--memory", "2GB")
    found["gigabytes"] = image.stat().st_size / 1e9
    keys = "gigabytes", "peak_rss_mb", "seconds", "cpu_seconds", "objects"
    return {f"four_{key}": found[key] for key in keys}


def tiny(folder: Path, args: argparse.Namespace) -> _Result:
    """Segment many files of 64 x 64 pixels with the shipped model."""
    images = folder / "tiny"
    images.mkdir()
    write_stack(images / "0.tif", 1, 64)
    for number in range(1, args.tiny):
        os.link(images / "0.tif", images / f"{number}.tif")
    found = run(images, "nuclei")
    net, net_cpu = net_seconds(images / "0.tif", "nuclei", int(2e9))
    return {
        "tiny_files": args.tiny,
        "tiny_ms_beyond_net": 1e3 * (found["seconds"] / args.tiny - net),
        "tiny_cpu_ms_beyond_net": 1e3 * (found["cpu_seconds"] / args.tiny - net_cpu),
        "tiny_peak_rss_mb": found["peak_rss_mb"],
    }


def workers(folder: Path, args: argparse.Namespace) -> _Result:
    """Compare two workers with one, with the shipped model; each has one thread."""
    image = folder / "workers.tif"
    write_stack(image, args.planes, args.side)
    seconds: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(args.rounds):
        for count, found in seconds.items():
            found.append(run(image, "nuclei", "--workers", count)["seconds"])
    one, two = (statistics.median(found) for found in seconds.values())
    return {"one_worker_seconds": one, "two_workers_seconds": two, "gain": one / two}


def small_model(folder: Path) -> str:
    """Return the file of the small net, which is made if need be."""
    path = folder / "small.safetensors"
    if not path.exists():
        write_model(path)
    return str(path)


_PARTS = {part.__name__: part for part in (growth, overhead, tiny, four, workers)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--parts", nargs="+", choices=_PARTS, default=["growth", "overhead", "tiny"]
    )
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--planes", type=int, default=4)
    parser.add_argument("--many", type=int, default=16, help="factor; the gate is 64")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--tiny", type=int, default=200, help="number of tiny files")
    parser.add_argument("--folder", type=Path, help="for the files; else temporary")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    result: _Result = {}
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        for part in args.parts:
            result |= _PARTS[part](Path(name), args)
    for key, value in result.items():
        gate = f"   gate {_GATES[key]:.0%}" if key in _GATES else ""
        shown = f"{value:.1%}" if key in _GATES else value
        print(f"{key:24}{shown}{gate}")
    if args.json:
        args.json.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
