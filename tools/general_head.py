"""The head that answers after few strokes: ridge regression in closed form.

It reads pixels: fixed filters of every level, and features of a U-Net. Everything can
be differentiated, so that a net can learn to make strokes generalise.
"""

import torch
from torch import Tensor

from napari_unet.network.autocast import fast_dtype
from napari_unet.network.hypercolumn import local_filters
from napari_unet.network.unet import UNet
from napari_unet.training.features import sample_level

__all__ = ["LEVELS", "Reading", "answer", "at", "fit", "maps", "read", "standard"]

LEVELS = 5  # of the fixed filters

Reading = tuple[Tensor, Tensor]  # filters (P, F) and features (P, E) of pixels


def read(net: UNet, image: Tensor, rows: Tensor, columns: Tensor, deep: int) -> Reading:
    """Return filters and features of pixels of an image (C, Y, X).

    Parameters
    ----------
    deep
        How many levels of the net's features are read, the finest first.
    """
    return at(*maps(net, image, deep), rows, columns)


def maps(net: UNet, image: Tensor, deep: int) -> tuple[list[Tensor], list[Tensor]]:
    """Return filters of all levels, and features of some, of an image (C, Y, X)."""
    filters = local_filters(image[None].float(), LEVELS)
    half = fast_dtype(image.device) == torch.bfloat16
    seen = image[None].contiguous(memory_format=torch.channels_last)
    with torch.autocast(image.device.type, torch.bfloat16, enabled=half):
        features = net.features(seen)[:deep] if deep else []
    return filters, features


def at(
    filters: list[Tensor], features: list[Tensor], rows: Tensor, columns: Tensor
) -> Reading:
    """Return what `maps` found at pixels."""
    seen = [
        [sample_level(f[0].float(), rows, columns, level) for level, f in enumerate(fs)]
        for fs in (filters, features)
    ]
    nothing = torch.zeros(len(rows), 0)
    return torch.cat(seen[0], 1), torch.cat(seen[1] or [nothing], 1)


def standard(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the deviation of the features of pixels (P, F)."""
    spread = pixels.std(0)
    return pixels.mean(0), spread + 1e-3 * spread.max() + 1e-6


def fit(seen: Tensor, target: Tensor, classes: int, ridge: float) -> Tensor:
    """Return weights (F + 1, K) of a head on standardised pixels.

    Every class counts alike; the constant, which comes last, is not held to 0.

    Parameters
    ----------
    seen
        (P, F) float.
    target
        (P,) int64, below `classes`.
    ridge
        What is added to the diagonal of the mean square of the features.
    """
    counts = torch.bincount(target, minlength=classes).clamp_min(1)
    weight = 1 / (counts[target] * (counts > 0).sum())
    x = torch.cat((seen, torch.ones(len(seen), 1)), 1)
    y = torch.nn.functional.one_hot(target, classes).to(x)
    held = torch.full((x.shape[1],), ridge)
    held[-1] = 1e-6
    square = (x * weight[:, None]).T @ x + torch.diag(held)
    return torch.linalg.solve(square, (x * weight[:, None]).T @ y)


def answer(seen: Tensor, weights: Tensor) -> Tensor:
    """Return what a head says of pixels, (P, K)."""
    return seen @ weights[:-1] + weights[-1]
