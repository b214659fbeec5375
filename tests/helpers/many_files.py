"""Images for a batch, and the command that runs it."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tifffile


def write_image(path: Path, size: int = 90, planes: int = 1) -> Path:
    y, x = np.mgrid[:size, :size]
    discs = ((y % 30 - 15) ** 2 + (x % 30 - 15) ** 2 < 60) * 900 + 100
    plane = (discs + np.random.default_rng(0).normal(0, 10, discs.shape)).astype("u2")
    stack = np.squeeze(np.repeat(plane[None], planes, 0))
    tifffile.imwrite(path, stack, photometric="minisblack")
    return path


def command(*words: Any) -> list[str]:
    return [sys.executable, "-m", "napari_unet.cli", "batch", *map(str, words)]


def lines(ledger: Path) -> int:
    """How many lines there are; in a file that does not exist yet, none."""
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0
