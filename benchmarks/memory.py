"""How much memory a large image takes, or learning from many, in a process of its own.

    python benchmarks/memory.py [--side 20000] [--memory 2GB] [--json FILE]
    python benchmarks/memory.py --train 2000 [--seconds 20] [--memory 2GB] [--json FILE]

Writes a tiled 8-bit TIFF of blobs, segments it with `napari-unet segment`, and prints
what that says of itself: peak resident memory as the operating system counts it,
seconds, objects. 20000 x 20000 takes about ten minutes on two cores.

With --train, writes so many images of 1024 x 1024, of which every pixel is labelled
(4 GB for 2000), learns from them as `napari-unet train` does, and prints the peak and
the seconds from the start of the process to its first step.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from scipy import ndimage

_TILE = 1024
_LEARN = """
import json, sys, time
from pathlib import Path
began = time.perf_counter() - time.process_time()
from napari_unet._memory import peak_memory
from napari_unet.annotation.train import TrainRequest, train
from napari_unet.options import TrainOptions, parse_memory
folder, seconds, memory = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
steps = []
def report(doing, fraction):
    if fraction:
        steps.append(time.perf_counter() - began)
options = TrainOptions(seconds=seconds, memory=parse_memory(memory) if memory else None)
request = TrainRequest(
    folder / "model.safetensors",
    images=folder / "images", labels=folder / "labels", options=options,
)
lesson = train(request, report)
print(json.dumps({
    "peak_rss_mb": round(peak_memory() / 1e6, 1),
    "first_step_seconds": round(steps[0], 1) if steps else None,
    "seconds": round(time.perf_counter() - began, 1),
    "processor_seconds": round(time.process_time(), 1),
    "steps": lesson.trained.steps,
    "score_before": lesson.trained.score_before,
    "score_after": lesson.trained.score_after,
}))
"""


def write_blobs(path: Path, side: int) -> None:
    """Write a tiled, compressed 8-bit TIFF (side, side), tile by tile."""
    rng = np.random.default_rng(0)
    tile = blobs(rng) + 10
    tile = (tile + rng.normal(0, 3, tile.shape)).clip(0, 255).astype(np.uint8)
    count = (-(-side // _TILE)) ** 2
    tifffile.imwrite(
        path,
        (tile for _ in range(count)),
        shape=(side, side),
        dtype=np.uint8,
        tile=(_TILE, _TILE),
        compression="zlib",
    )


def blobs(rng: np.random.Generator) -> np.ndarray:
    """Return a tile of blobs (1024, 1024) float32, which fits to itself."""
    seeds = (rng.random((_TILE, _TILE)) < 1 / 1500).astype(np.float32)
    return ndimage.gaussian_filter(seeds, 8, mode="wrap") * 45_000


def write_folder(folder: Path, count: int) -> None:
    """Write images of blobs, each moved and with noise of its own, and their labels."""
    rng = np.random.default_rng(0)
    tile = blobs(rng)
    truth = ndimage.label(tile > 40)[0].astype(np.uint16)
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for number in range(count):
        by = tuple(int(n) for n in rng.integers(_TILE, size=2))
        noise = rng.standard_normal((_TILE, _TILE), np.float32) * 3
        pixels = np.roll(tile, by, (0, 1)) + 20 + noise
        file = f"{number:05}.tif"
        tifffile.imwrite(
            folder / "images" / file, pixels.clip(0, 65_535).astype(np.uint16)
        )
        tifffile.imwrite(
            folder / "labels" / file, np.roll(truth, by, (0, 1)), compression="zlib"
        )


def learn(folder: Path, seconds: float, memory: str | None) -> dict[str, Any]:
    """Learn from a folder in a process of its own, and return what that took."""
    command = [sys.executable, "-c", _LEARN, str(folder), str(seconds), memory or ""]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--train", type=int, metavar="N", help="images to learn from")
    parser.add_argument("--seconds", type=float, default=20.0, help="with --train")
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--memory", help="as in 2GB; else the program decides")
    parser.add_argument("--folder", type=Path, help="for the files; else temporary")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        if args.train:
            write_folder(Path(name), args.train)
            found = {"images": args.train}
            found |= learn(Path(name), args.seconds, args.memory)
            _show(found, tuple(found), args.json)
            return
        image, labels = Path(name, "blobs.tif"), Path(name, "labels.tif")
        write_blobs(image, args.side)
        command = [sys.executable, "-m", "napari_unet.cli", "segment", str(image)]
        command += ["-o", str(labels), "--model", args.model, "--json"]
        command += ["--memory", args.memory] if args.memory else []
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        result = json.loads(done.stdout)
        with tifffile.TiffFile(labels) as file:
            result["written"] = file.series[0].shape
    keys = "shape", "peak_rss_mb", "seconds", "megapixels_per_second", "objects", "tile"
    _show(result, keys, args.json)


def _show(result: dict[str, Any], keys: tuple[str, ...], file: Path | None) -> None:
    print("\n".join(f"{key:22}{result[key]}" for key in keys))
    if file is not None:
        file.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
