"""Hypercolumn features sampled at reviewed pixels and a few others."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_unet.network.autocast import fast_dtype
from napari_unet.network.fuse import ready
from napari_unet.network.unet import UNet
from napari_unet.project.corrections import IGNORE
from napari_unet.tiling import Box
from napari_unet.training.augment import augmented
from napari_unet.training.examples import Example, Patch, Region

__all__ = ["Pixels", "plain_windows", "read_at", "read_pixels", "sample_level"]

_REVIEWED, _OTHER = 4000, 4000  # pixels that are read, and as many of altered images
_MOST = 1_500_000  # pixels that are computed for them at most
_ALTERED = 1_000_000  # and of altered images
_EVERY = 4_500_000  # where no stroke may be left out
_WINDOW = 384  # side of the windows that are chosen where there are more
_NARROW = 256  # and of those around every stroke
_TRIAL = 256  # side of what is computed to learn how fast that is


@dataclass(frozen=True, slots=True)
class Pixels:
    """Some pixels of some examples.

    Attributes
    ----------
    columns
        Features (P, F) of every level, the finest first.
    target
        (P,) uint8, as in `Correction.target`.
    weight
        (P,): how much each counts, all together 1.
    first
        (P, K): the logits of the first head.
    """

    columns: list[Tensor]
    target: Tensor
    weight: Tensor
    first: Tensor


@torch.no_grad()
def read_pixels(
    net: UNet,
    examples: Sequence[Example],
    seed: int,
    seconds: float | None = None,
    *,
    every: bool = False,
) -> Pixels:
    """Compute the features of a net with a hypercolumn at pixels of the examples.

    Half of them are those of altered images: turned, and brighter or darker. What is
    learned from one image must leave alone what looks different.

    Parameters
    ----------
    every
        Leave out no stroke if there is time, read four times as many reviewed pixels,
        and twice as many others.
    seconds
        How long that may take, about: where the device is slow, fewer pixels are
        computed. None: as long as it takes.
    """
    random = np.random.default_rng(seed)
    device = next(net.parameters()).device
    backbone = ready(net, device, fast_dtype(device))
    strokes = [(e, region) for e in examples for region in e.regions]
    share = 1.0
    most, side = (_EVERY, _NARROW) if every else (_MOST, _WINDOW)
    if seconds is not None:
        speed = _speed(backbone, net, examples[0].image.to(device))
        share = min(1.0, speed * seconds / (most + _ALTERED))
    plain = list(plain_windows(examples, random, int(share * most), side))
    near = _spread(strokes, random, int(share * _ALTERED))
    altered = [augmented(window, random) for window in near]
    reviewed, others = _REVIEWED, _OTHER
    if every:
        reviewed, others = 4 * reviewed, 2 * others
    parts = []
    for windows in (plain, altered):
        seen = sum(int((t != IGNORE).sum()) for _, t, _ in windows)
        for image, target, weight in windows:
            at = _choose(
                target, reviewed / max(seen, 1), others // len(windows), random
            )
            columns, first = read_at(backbone, net, image.to(device), at)
            parts.append((columns, target[at].to(device), weight[at].to(device), first))
    weight = torch.cat([p[2] for p in parts])
    return Pixels(
        [torch.cat(level) for level in zip(*(p[0] for p in parts), strict=True)],
        torch.cat([p[1] for p in parts]),
        weight / weight.sum().clamp_min(1e-12),
        torch.cat([p[3] for p in parts]),
    )


def _speed(backbone: UNet, net: UNet, image: Tensor) -> float:
    """Measure how many pixels are computed in a second."""
    part, at = image[:, :_TRIAL, :_TRIAL], torch.zeros(1, dtype=torch.long)
    read_at(backbone, net, part, (at, at))  # warm
    began = time.perf_counter()
    columns, _ = read_at(backbone, net, part, (at, at))
    columns[-1].cpu()  # a graphics card is waited for
    return part[0].numel() / (time.perf_counter() - began)


def plain_windows(
    examples: Sequence[Example],
    random: np.random.Generator,
    most: int = _MOST,
    side: int = _WINDOW,
) -> Iterator[Patch]:
    """Yield image, target and weight of what is computed: all, or around strokes.

    Parameters
    ----------
    most
        Pixels in all windows, about.
    side
        Of a window, in pixels.
    """
    strokes = [(e, region) for e in examples for region in e.regions]
    if sum(e.target.numel() for e in examples) <= most:
        yield from ((e.image, e.target, e.weight) for e in examples)
        return
    taken: list[tuple[Example, Box]] = []
    for number in random.permutation(len(strokes)):
        example, region = strokes[number]
        y, x = region.somewhere(random)
        if any(example is other and _inside(y, x, box) for other, box in taken):
            continue
        taken.append((example, _box(example, y, x, side)))
        yield example.cut(taken[-1][1])
        if len(taken) * side**2 >= most:
            return


def _spread(
    strokes: Sequence[tuple[Example, Region]], random: np.random.Generator, most: int
) -> Iterator[Patch]:
    """Yield a window around a stroke of every example, of as many as there is time."""
    left, seen = most, set()
    for number in random.permutation(len(strokes)):
        example, region = strokes[number]
        if left > 0 and id(example) not in seen:
            seen.add(id(example))
            window = example.cut(_box(example, *region.somewhere(random)))
            left -= window[1].numel()
            yield window


def _box(example: Example, y: int, x: int, side: int = _WINDOW) -> Box:
    height, width = example.target.shape
    return _around(y, height, side), _around(x, width, side)


def _around(at: int, length: int, side: int) -> slice:
    start = min(max(at - side // 2, 0), max(length - side, 0))
    return slice(start, min(start + side, length))


def _inside(y: int, x: int, box: Box) -> bool:
    rows, columns = box
    return y in range(rows.start, rows.stop) and x in range(columns.start, columns.stop)


def _choose(
    target: Tensor, keep: float, others: int, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return rows and columns of reviewed pixels, a part of them, and of others."""
    seen = target.numpy()
    rows, columns = np.nonzero(seen != IGNORE)
    kept = random.random(len(rows)) < keep
    y, x = (random.integers(n, size=others) for n in seen.shape)
    other = seen[y, x] == IGNORE
    rows = np.concatenate([rows[kept], y[other]])
    columns = np.concatenate([columns[kept], x[other]])
    return torch.from_numpy(rows), torch.from_numpy(columns)


def read_at(
    backbone: UNet, net: UNet, image: Tensor, at: tuple[Tensor, Tensor]
) -> tuple[list[Tensor], Tensor]:
    """Return the features of pixels at every level, and the first head's logits."""
    stride = net.spec.stride
    height, width = image.shape[1:]
    lack = (0, -width % stride, 0, -height % stride)
    whole = F.pad(image[None], lack, mode="replicate")
    whole = whole.contiguous(memory_format=torch.channels_last)
    features = [f.float() for f in backbone.features(whole)]
    y, x = at
    columns = [
        sample_level(column[0], y, x, level)
        for level, column in enumerate(net.hypercolumn.columns(whole, features))
    ]
    return columns, net.head(features[0])[0, :, y, x].T


def sample_level(column: Tensor, rows: Tensor, columns: Tensor, level: int) -> Tensor:
    """Return features (P, F) of one level at pixels of the finest."""
    if level == 0:
        return column[:, rows, columns].T
    _, height, width = column.shape
    y = (rows + 0.5) / 2**level * 2 / height - 1
    x = (columns + 0.5) / 2**level * 2 / width - 1
    grid = torch.stack([x, y], -1)[None, None].to(column)
    found = F.grid_sample(
        column[None], grid, padding_mode="border", align_corners=False
    )
    return found[0, :, 0].T
