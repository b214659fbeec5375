"""Blockwise U-Net forward pass: level by level, in blocks that fit the cache.

The convolutions of a level see only a pixel each further, so its blocks overlap by next
to nothing, where windows of the whole net overlap by its halo. Zeros are padded at the
image's borders alone: the result is that of one forward pass.
"""

import copy
import math
from collections.abc import Callable, Generator, Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_unet.network.hypercolumn import RADIUS, Hypercolumn, level_filters
from napari_unet.network.unet import UNet
from napari_unet.tiling import Box, blocks, cut, round_up, shifted, whole

__all__ = ["BLOCK", "Columns", "Reader", "Workspace", "forward_steps"]

_Layer = Callable[[Tensor], Tensor]

BLOCK = 8 * 2**20  # bytes of one layer's features in a block
_ROUND = 32  # pixels: sides of blocks are multiples, as convolutions like it
# What the finest level takes on the way down and up, as measured with `nuclei`: the way
# up has more layers. Each coarser level takes half of that, a quarter at least.
_DOWN, _UP = 2.5, 3.5


class Reader(Protocol):
    """Sees the features of every level, block by block, the coarsest level first."""

    def take(
        self, features: Tensor, box: Box, level: int, logits: Tensor | None
    ) -> None:
        """Take a level's features (1, F, Y, X) in `box`.

        `logits` (1, K, Y, X) are those of the first head at the finest level; what is
        added to them is added to the net's. None at the other levels.
        """


@torch.inference_mode()
def forward_steps(
    net: UNet,
    image: Tensor,
    space: "Workspace | None" = None,
    block: int = BLOCK,
    reader: Reader | None = None,
) -> Generator[float, None, Tensor]:
    """Do what ``net(image)`` does, and yield after every block how much is done.

    Parameters
    ----------
    net
        In eval mode.
    image
        (1, C, Y, X) float32, as for the net.
    space
        Where the features of earlier images of this size were, to be used again.
    block
        Bytes that a block of one layer takes, about.
    reader
        Sees the features in place of the second head.

    Returns
    -------
    Tensor
        Logits (1, K, Y, X), of the dtype of the weights.
    """
    work = _Forward(net, image, space or Workspace(), block)
    work.reader = reader or work.reader
    x = image.to(work.dtype)
    skips = []
    for level in range(net.spec.depth):
        skip, x = yield from work.encode(x, level)
        skips.append(skip)
    below, x = x, net.bottleneck(x)
    work.space.give(below)
    if work.reader is not None:
        work.reader.take(x, whole(x.shape), net.spec.depth, None)
    yield work.did(_DOWN * _cost(net.spec.depth))
    while skips:
        x = yield from work.decode(x, skips.pop(), level=len(skips))
    return x


class Workspace:
    """Memory for features, which the next image of the same size takes again.

    Fresh memory is dear: the system fills it with zeros first.
    """

    def __init__(self) -> None:
        self._size: torch.Size | None = None
        self._free: list[Tensor] = []

    def begin(self, size: torch.Size) -> None:
        """Forget what was of another size."""
        if size != self._size:
            self._size, self._free = size, []

    def take(
        self, channels: int, height: int, width: int, dtype: torch.dtype
    ) -> Tensor:
        """Return (1, channels, height, width) of anything, channels last."""
        for i, features in enumerate(self._free):
            if features.numel() == channels * height * width:
                flat = self._free.pop(i).permute(0, 2, 3, 1)
                return flat.view(1, height, width, channels).permute(0, 3, 1, 2)
        return _empty(channels, height, width, dtype)

    def give(self, features: Tensor) -> None:
        """Take back what is needed no more."""
        self._free.append(features)


class _Forward:
    """One pass of a net over one image."""

    def __init__(self, net: UNet, image: Tensor, space: Workspace, block: int) -> None:
        self.net, self.space, self.block = net, space, block
        space.begin(image.shape)
        self.dtype = net.head.weight.dtype
        self.margin = net.spec.convs_per_block
        self.reader: Reader | None = None
        self._done, depth = 0.0, net.spec.depth
        self._all = sum((_DOWN + _UP) * _cost(level) for level in range(depth))
        self._all += _DOWN * _cost(depth)
        if net.spec.hypercolumn:
            self.reader = _Column(net, image)

    def did(self, work: float) -> float:
        """Note some more work, as `_DOWN` is; return how much is done, 0 to 1."""
        self._done += work
        return min(self._done / self._all, 1.0)

    def encode(
        self, x: Tensor, level: int
    ) -> Generator[float, None, tuple[Tensor, Tensor]]:
        """Return the features of a level, and what of them goes on to the next."""
        channels, (height, width) = self.net.spec.width << level, x.shape[2:]
        skip = self.space.take(channels, height, width, self.dtype)
        pooled = self.space.take(channels, height // 2, width // 2, self.dtype)
        for box in self._blocks(skip):
            y = _apply(self.net.encoder[level], x, box, self.margin)
            _at(skip, box).copy_(y)
            _at(pooled, _halved(box)).copy_(_pool(y))
            yield self.did(_DOWN * _cost(level) * _share(box, skip))
        if level:
            self.space.give(x)
        return skip, pooled

    def decode(
        self, below: Tensor, skip: Tensor, level: int
    ) -> Generator[float, None, Tensor]:
        """Return the features of a level, or the logits at the finest."""
        up, layer = self.net.up[-1 - level], self.net.decoder[-1 - level]
        channels, height, width = skip.shape[1:]
        if level:
            found = self.space.take(channels, height, width, self.dtype)
        else:  # the caller's to keep
            found = _empty(self.net.head.out_channels, height, width, self.dtype)
        for box in self._blocks(skip):
            wide = _widened(box, self.margin, skip)
            x = torch.cat([_at(skip, wide), _enlarged(up, below, wide)], 1)
            y = layer(x)
            inner = _inside(box, wide)
            _at(found, box).copy_(_at(y if level else self.net.head(y), inner))
            if self.reader is not None:
                logits = None if level else _at(found, box)
                self.reader.take(_at(y, inner), box, level, logits)
            yield self.did(_UP * _cost(level) * _share(box, skip))
        self.space.give(skip)
        if level + 1 < self.net.spec.depth:
            self.space.give(below)
        return found

    def _blocks(self, features: Tensor) -> Iterator[Box]:
        """Yield the boxes that cover a level, about square."""
        channels, height, width = features.shape[1:]
        side = math.sqrt(self.block / (channels * self.dtype.itemsize))
        steps = (
            round_up(-(-n // max(1, round(n / side))), _ROUND) for n in (height, width)
        )
        yield from blocks((height, width), *steps)


class _Column:
    """The second head of a net, fed level by level, the coarsest first.

    Attributes
    ----------
    sums
        What all levels down to one add up to, by level.
    """

    def __init__(self, net: UNet, image: Tensor) -> None:
        self.head: Hypercolumn = net.hypercolumn
        self.images = _halvings(image, net.spec.depth)
        self.weights, self.bias = self.head.weights()
        self.sums: dict[int, Tensor] = {}

    def take(
        self, features: Tensor, box: Box, level: int, logits: Tensor | None
    ) -> None:
        """Note what all levels down to this one add up to; see `Reader`."""
        image = self.images[level]
        column = _column(image, features, box, finest=level == 0)
        seen = F.conv2d(column, self.weights[level][..., None, None])
        if level + 1 in self.sums:
            seen += _enlarged(_doubled, self.sums[level + 1], box)
        if logits is not None:
            logits.add_(self.head.classify(seen + self.bias[:, None, None]))
            return
        if level not in self.sums:
            height, width = image.shape[2:]
            self.sums[level] = _empty(seen.shape[1], height, width, seen.dtype)
            self.sums.pop(level + 2, None)
        _at(self.sums[level], box).copy_(seen)


class Columns:
    """What a net shows of a part of an image, kept: a second head reads it at will.

    Reading takes a small part of the time that the net takes, so that the head may
    change again and again.

    Parameters
    ----------
    net
        The net that will be run; its own second head is not used.
    image
        (1, C, Y, X) float32: all that the net is shown.
    part
        (Y, X) slices that are kept, on multiples of the stride.

    Attributes
    ----------
    levels
        (1, filters + features, Y, X) of every level, the finest first.
    first
        (1, K, Y, X): the logits of the first head.
    """

    def __init__(self, net: UNet, image: Tensor, part: Box) -> None:
        spec, weight = net.spec, net.head.weight
        self._images = _halvings(image, spec.depth)
        self._part = part
        height, width = (side.stop - side.start for side in part)

        def room(channels: int, level: int) -> Tensor:
            size = 1, channels, height >> level, width >> level
            return torch.empty(
                size,
                dtype=weight.dtype,
                device=weight.device,
                memory_format=torch.channels_last,
            )

        filters = [spec.in_channels * (4 if i else 5) for i in range(spec.depth + 1)]
        self.levels = [room(n + (spec.width << i), i) for i, n in enumerate(filters)]
        self.first = room(len(spec.classes), 0)

    def take(
        self, features: Tensor, box: Box, level: int, logits: Tensor | None
    ) -> None:
        """Keep what belongs to the part; see `Reader`."""
        part = _shrunk(self._part, level)
        here = cut(box, part)
        if any(side.stop <= side.start for side in here):
            return
        there = shifted(here, -part[0].start, -part[1].start)
        own = _inside(here, box)
        image, finest = self._images[level], level == 0
        column = _column(image, _at(features, own), here, finest=finest)
        _at(self.levels[level], there).copy_(column)
        if logits is not None:
            _at(self.first, there).copy_(_at(logits, own))

    def within(self, part: Box) -> "Columns":
        """Return a part of the same, in the pixels of this one; nothing is copied."""
        found = copy.copy(self)
        found._images = []
        found.first = _at(self.first, part)
        found.levels = [_at(x, _shrunk(part, i)) for i, x in enumerate(self.levels)]
        return found

    def forget_image(self) -> None:
        """Let go of what is needed no more once all levels were taken."""
        self._images = []

    @torch.inference_mode()
    def logits(self, head: Hypercolumn, block: int = BLOCK) -> Tensor:
        """Return the logits (1, K, Y, X) of both heads, as the net would.

        Parameters
        ----------
        head
            On the device of the net, and of its dtype.
        block
            Bytes that a block of one layer takes, about.
        """
        weights, bias = head.weights()
        seen = F.conv2d(self.levels[-1], weights[-1][..., None, None])
        for level in reversed(range(1, len(weights) - 1)):
            finer = F.conv2d(self.levels[level], weights[level][..., None, None])
            seen = finer.add_(_doubled(seen))
        found = self.first.clone()
        height, width = found.shape[2:]
        rows = block // (width * len(bias) * found.element_size())
        for box in blocks((height, width), round_up(max(rows, 1), _ROUND), width):
            part = F.conv2d(_at(self.levels[0], box), weights[0][..., None, None])
            part += _enlarged(_doubled, seen, box)
            _at(found, box).add_(head.classify(part + bias[:, None, None]))
        return found


def _halvings(image: Tensor, depth: int) -> list[Tensor]:
    """Return the image of every level in float32."""
    found = [image.float()]
    for _ in range(depth):
        found.append(F.avg_pool2d(found[-1], 2))
    return found


def _column(image: Tensor, features: Tensor, box: Box, *, finest: bool) -> Tensor:
    """Return `box` of what one level shows: filters of its image, then features."""

    def filters(part: Tensor) -> Tensor:
        return level_filters(part, finest=finest).to(features.dtype)

    return torch.cat((_apply(filters, image, box, RADIUS), features), 1)


def _shrunk(box: Box, level: int) -> Box:
    y, x = (slice(s.start >> level, s.stop >> level) for s in box)
    return y, x


def _empty(channels: int, height: int, width: int, dtype: torch.dtype) -> Tensor:
    """Return (1, channels, height, width) of anything, channels last.

    NumPy asks for large pages of memory, which come much faster than small ones.
    """
    flat = np.empty(height * width * channels * dtype.itemsize, np.uint8)
    features = torch.from_numpy(flat).view(dtype).view(1, height, width, channels)
    return features.permute(0, 3, 1, 2)


def _apply(layer: _Layer, x: Tensor, box: Box, margin: int) -> Tensor:
    """Return `box` of ``layer(x)``, where the layer reaches `margin` pixels."""
    wide = _widened(box, margin, x)
    return _at(layer(_at(x, wide)), _inside(box, wide))


def _enlarged(layer: _Layer, x: Tensor, box: Box) -> Tensor:
    """Return `box` of ``layer(x)``, which is twice as large as `x`."""
    wide = _widened(_halved(box), 1, x)  # neighbours for those that interpolate
    y, w = wide
    start = slice(2 * y.start, 2 * y.stop), slice(2 * w.start, 2 * w.stop)
    return _at(layer(_at(x, wide)), _inside(box, start))


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear")


def _pool(x: Tensor) -> Tensor:
    """Return the greatest of 2 x 2 pixels, faster than a pooling that notes which."""
    tall = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
    return torch.maximum(tall[..., ::2], tall[..., 1::2])


def _cost(level: int) -> float:
    """Return what a level takes, a part of what the finest does."""
    return max(1 / (1 << level), 0.25)


def _share(box: Box, x: Tensor) -> float:
    """Return which part of the pixels of `x` a box has."""
    area = math.prod(side.stop - side.start for side in box)
    return float(area / math.prod(x.shape[2:]))


def _at(x: Tensor, box: Box) -> Tensor:
    return x[(..., *box)]


def _inside(box: Box, wide: Box) -> Box:
    return shifted(box, -wide[0].start, -wide[1].start)


def _halved(box: Box) -> Box:
    y, x = (slice(s.start // 2, -(-s.stop // 2)) for s in box)
    return y, x


def _widened(box: Box, margin: int, x: Tensor) -> Box:
    """Return `box` with a margin, as far as `x` goes."""
    y, w = (
        slice(max(0, s.start - margin), min(n, s.stop + margin))
        for s, n in zip(box, x.shape[2:], strict=True)
    )
    return y, w
