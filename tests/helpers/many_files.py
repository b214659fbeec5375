"""Images for a batch, and the command that runs it."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tifffile


def write_image(path: Path, size: int = 90, planes: int = 1) -> Path:
    y, x = np.mgrid[:size, :size]
    discs = ((y % 30 - 15) ** 2 + (x % 30 - 15) ** 2 < 60) * 900 + 100
    noise = np.random.default_rng(0).normal(0, 10, (planes, *discs.shape))
    tifffile.imwrite(path, np.squeeze((discs + noise).astype(np.uint16)))
    return path


def command(*words: Any) -> list[str]:
    return [sys.executable, "-m", "napari_unet.cli", "batch", *map(str, words)]
