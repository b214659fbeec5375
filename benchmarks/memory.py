"""How much memory a large image takes: a TIFF in, a TIFF out, in a process of its own.

    python benchmarks/memory.py [--side 20000] [--memory 2GB] [--json FILE]

Writes a tiled 8-bit TIFF of blobs, segments it with `napari-unet segment`, and prints
what that says of itself: peak resident memory as the operating system counts it,
seconds, objects. 20000 x 20000 takes about ten minutes on two cores.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

_TILE = 1024


def write_blobs(path: Path, side: int) -> None:
    """Write a tiled, compressed 8-bit TIFF (side, side), tile by tile."""
    rng = np.random.default_rng(0)
    seeds = (rng.random((_TILE, _TILE)) < 1 / 1500).astype(np.float32)
    blobs = ndimage.gaussian_filter(seeds, 8, mode="wrap") * 45_000 + 10
    tile = (blobs + rng.normal(0, 3, blobs.shape)).clip(0, 255).astype(np.uint8)
    count = (-(-side // _TILE)) ** 2
    tifffile.imwrite(
        path,
        (tile for _ in range(count)),
        shape=(side, side),
        dtype=np.uint8,
        tile=(_TILE, _TILE),
        compression="zlib",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--memory", help="as in 2GB; else the program decides")
    parser.add_argument("--folder", type=Path, help="for the files; else temporary")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
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
    print("\n".join(f"{key:22}{result[key]}" for key in keys))
    if args.json:
        args.json.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
