"""Whether time and memory per megapixel stay flat from small images to large ones.

    python benchmarks/scaling.py [--megapixels 16 64 256 1024] [--repeats 3]

Every size is segmented in a process of its own, to classes in a file on the disk, from
an image that is mapped from the disk; the net is a small one (width 4, depth 2), so
that a gigapixel takes minutes. The process is warm: it has segmented 36 Mpx before,
another size than any that is measured, which would find its own memory waiting.
`held` is the peak of the resident memory above what it held before that, without the
pages of the two files, which the system takes back whenever it likes. Time is that of
the process's threads, so that others do not count. What the allocator holds differs
from process to process: medians are given.
"""

import argparse
import json
import math
import multiprocessing
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from napari_unet.io.image import Image
from napari_unet.io.open import open_image
from napari_unet.network.model import Model, UNet, UNetSpec
from napari_unet.options import SegmentOptions
from napari_unet.sample_data import sample_path
from napari_unet.segmentation.predict import segment

WARM = 6000  # side of what is segmented first: windows are as large as they become
FLAT_TIME, FLAT_MEMORY = 1.15, 1.10  # the largest ratio between two sizes


def small_net() -> Model:
    torch.manual_seed(0)
    spec = UNetSpec(classes=("background", "cell"), width=4, depth=2)
    return Model(UNet(spec).eval(), name="small")


def write_image(path: Path, side: int) -> None:
    """Write the sample, 8 bits, over and over, to a file of side x side bytes."""
    cells = np.asarray(open_image(sample_path("nuclei")).data)
    cells = (cells / (cells.max() / 255)).astype(np.uint8)
    out = np.memmap(path, np.uint8, "w+", shape=(side, side))
    band = np.tile(cells, (1, -(-side // cells.shape[1])))[:, :side]
    for top in range(0, side, len(band)):
        out[top : top + len(band)] = band[: side - top]
    out.flush()


class Peak:
    """The greatest private resident memory, looked at 500 times a second."""

    def __init__(self) -> None:
        self.bytes, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.002):
            self.bytes = max(self.bytes, private())


def private() -> int:
    memory = psutil.Process().memory_info()
    return int(memory.rss - memory.shared)


def run(folder: str, side: int, sending: Any) -> None:
    torch.set_num_threads(1)
    model, options = small_net(), SegmentOptions(device="cpu")
    write_image(Path(folder) / "image", side)
    before = private()
    warm = np.zeros((WARM, WARM), np.uint8)
    for _ in segment(model, Image("warm", warm, "YX"), options):
        pass
    shape = (side, side)
    data = np.memmap(Path(folder) / "image", np.uint8, "r", shape=shape)
    out = np.memmap(Path(folder) / "labels", np.uint8, "w+", shape=shape)
    began = time.process_time()
    with Peak() as peak:
        for _ in segment(model, Image("large", data, "YX"), options, out=out):
            pass
    sending.send((time.process_time() - began, peak.bytes - before))


def measured(side: int) -> tuple[float, int]:
    """Return the seconds and the bytes of one process."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        process = context.Process(target=run, args=(folder, side, sending))
        process.start()
        found: tuple[float, int] = receiving.recv()
        process.join()
    return found


def measure(megapixels: int, repeats: int) -> dict[str, float]:
    side = round(math.sqrt(megapixels * 2**20))
    seconds, held = map(
        statistics.median, zip(*(measured(side) for _ in range(repeats)), strict=True)
    )
    return {
        "megapixels": megapixels,
        "side": side,
        "seconds_per_mpx": seconds / (side * side / 1e6),
        "held_mb": held / 1e6,
    }


def spread(rows: list[dict[str, float]], name: str) -> float:
    values = [row[name] for row in rows]
    return max(values) / min(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--megapixels", type=int, nargs="+", default=[16, 64, 256, 1024]
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = [measure(n, args.repeats) for n in args.megapixels]
    print("| Mpx | side | s/Mpx | held |\n|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['megapixels']} | {row['side']} | {row['seconds_per_mpx']:.4f} "
            f"| {row['held_mb']:.0f} MB |"
        )
    time_spread = spread(rows, "seconds_per_mpx")
    memory_spread = spread(rows, "held_mb")
    print(f"time: most / least {time_spread:.2f} (at most {FLAT_TIME})")
    print(f"memory: most / least {memory_spread:.2f} (at most {FLAT_MEMORY})")
    if args.json:
        found = {"rows": rows, "time": time_spread, "memory": memory_spread}
        args.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
