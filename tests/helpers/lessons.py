"""Toy images, strokes on them, and a small model."""

import numpy as np
import torch

from napari_unet.io.image import Image
from napari_unet.network.model import Model, UNet, UNetSpec
from napari_unet.project.corrections import IGNORE


def squares(seed: int, shape=(128, 160)) -> tuple[Image, np.ndarray]:
    """Return an image of dark squares on a noisy slope, and where they are."""
    rng = np.random.default_rng(seed)
    truth = np.zeros(shape, np.uint8)
    for _ in range(8):
        y, x = (int(rng.integers(4, n - 24)) for n in shape)
        truth[y : y + 20, x : x + 20] = 1
    slope = np.linspace(0, 300, shape[1])
    pixels = 1000 - 250.0 * truth + slope + rng.normal(0, 30, shape)
    return Image("squares", pixels.astype(np.uint16), "YX"), truth


def painted(truth: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return a target with three short strokes on each class."""
    rng = np.random.default_rng(seed)
    target = np.full(truth.shape, IGNORE, np.uint8)
    for value in (0, 1):
        rows, columns = np.nonzero(truth == value)
        for at in rng.integers(len(rows), size=3):
            y, x = rows[at], columns[at]
            box = slice(max(y - 2, 0), y + 3), slice(max(x - 2, 0), x + 3)
            part = target[box]
            part[truth[box] == value] = value
    return target


def small_model(seed: int = 0, **fields) -> Model:
    torch.manual_seed(seed)
    spec = UNetSpec(**{"width": 4, "depth": 2, **fields})
    return Model(UNet(spec).eval(), name="small")
