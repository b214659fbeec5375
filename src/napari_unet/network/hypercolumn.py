"""Hypercolumn head: 1x1 convolutions on every level's features and local filters.

The last features of a U-Net say much about shapes and little about single pixels, and
learning more takes many examples. Filters need none. A head on both (a hypercolumn:
Hariharan et al. 2015, arXiv:1411.5752) learns from a few strokes within seconds.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["RADIUS", "Hypercolumn", "level_filters", "local_filters"]

RADIUS = 3  # of the filters, in pixels of their level
_GAIN = 4.0  # brings derivatives of images in 0..1 to about the size of the images
_TINY = 1e-8  # under a root, whose slope at 0 is infinite


def local_filters(image: Tensor, levels: int) -> list[Tensor]:
    """Return filters of `image` at every level of a pyramid, the finest first.

    Per channel: smoothed by a Gaussian of one pixel, length of the gradient, and both
    eigenvalues of the Hessian; at the finest level also the image itself. With halved
    images below, that is what ilastik and its kin compute at scales of 1 to
    2**(levels - 1) pixels.

    Parameters
    ----------
    image
        (N, C, Y, X) float32; Y and X are multiples of 2**(levels - 1).

    Returns
    -------
    list of Tensor
        (N, 5 C, Y, X), then (N, 4 C, Y / 2, X / 2), ...
    """
    found = [level_filters(image, finest=True)]
    x = image
    for _ in range(1, levels):
        x = F.avg_pool2d(x, 2)
        found.append(level_filters(x, finest=False))
    return found


def level_filters(image: Tensor, *, finest: bool) -> Tensor:
    """Return the `local_filters` of one level, (N, 4 C, Y, X) or (N, 5 C, Y, X)."""
    channels = image.shape[1]
    kernels = _kernels().to(image).repeat(channels, 1, 1)[:, None]  # (6 C, 1, 7, 7)
    padded = F.pad(image, (RADIUS,) * 4, mode="replicate")
    y = F.conv2d(padded, kernels, groups=channels)
    smooth, dy, dx, dyy, dxx, dxy = y.reshape(len(y), channels, 6, *y.shape[2:]).unbind(
        2
    )
    slope = (dy**2 + dx**2 + _TINY).sqrt()
    middle = (dyy + dxx) / 2
    apart = (((dyy - dxx) / 2) ** 2 + dxy**2 + _TINY).sqrt()
    derived = torch.cat((slope, middle + apart, middle - apart), 1) * _GAIN
    return torch.cat((smooth, derived, *((image,) if finest else ())), 1)


def _kernels() -> Tensor:
    """Return a Gaussian of one pixel and its derivatives: _, y, x, yy, xx, xy."""
    at = torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float32)
    g = torch.exp(-(at**2) / 2)
    g /= g.sum()
    first = -at * g
    second = (at**2 - 1) * g
    second -= second.mean()
    pairs = ((g, g), (first, g), (g, first), (second, g), (g, second), (first, first))
    return torch.stack([torch.outer(y, x) for y, x in pairs])


class Hypercolumn(nn.Module):
    """1x1 convolutions from all levels to classes.

    Every level is read at its own resolution; the results are added up from the
    coarsest to the finest, bilinearly enlarged by 2 each time; two more layers follow.
    Features are standardised first, by numbers that are found when the head is made.

    Parameters
    ----------
    features
        Channels of the U-Net's features, the finest level first.
    channels
        Channels of the image.
    hidden
        Channels between the convolutions.
    classes
        Number of classes, K.

    Attributes
    ----------
    filters
        How many of the features of every level are local filters: the first ones.
    """

    def __init__(
        self, features: list[int], channels: int, hidden: int, classes: int
    ) -> None:
        super().__init__()
        self.filters = [channels * (4 if i else 5) for i in range(len(features))]
        sizes = [n + k for n, k in zip(features, self.filters, strict=True)]
        for level, n in enumerate(sizes):
            self.register_buffer(f"mean{level}", torch.zeros(n))
            self.register_buffer(f"gain{level}", torch.ones(n))
        spread = math.sqrt(2 / sum(sizes))  # together they are one layer
        self.read = nn.ParameterList(torch.randn(hidden, n) * spread for n in sizes)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.mix = nn.Conv2d(hidden, hidden, 1)
        self.out = nn.Conv2d(hidden, classes, 1)
        for parameter in self.out.parameters():  # a new one changes nothing
            nn.init.zeros_(parameter)

    @property
    def mean(self) -> list[Tensor]:
        """What is taken from the features of every level."""
        return [self.get_buffer(f"mean{i}") for i in range(len(self.read))]

    @property
    def gain(self) -> list[Tensor]:
        """What they are multiplied by then."""
        return [self.get_buffer(f"gain{i}") for i in range(len(self.read))]

    def columns(self, image: Tensor, features: list[Tensor]) -> list[Tensor]:
        """Return what every level shows, finest first: filters, then features."""
        filters = local_filters(image.float(), len(features))
        return [
            torch.cat((a.to(b.dtype), b), 1)
            for a, b in zip(filters, features, strict=True)
        ]

    def standardise(self, mean: list[Tensor], spread: list[Tensor]) -> None:
        """Take the mean and the standard deviation of every feature of every level."""
        for level, (m, s) in enumerate(zip(mean, spread, strict=True)):
            self.mean[level].copy_(m)
            self.gain[level].copy_(1 / (s + 1e-3 * s.max() + 1e-6))

    def weights(self) -> tuple[list[Tensor], Tensor]:
        """Return (hidden, features) of every level and (hidden,), for raw features."""
        found = [w * g for w, g in zip(self.read, self.gain, strict=True)]
        moved = sum(w @ m for w, m in zip(found, self.mean, strict=True))
        return found, self.bias - moved

    def fold(self) -> None:
        """Put the standardisation into the weights: the same function, fewer steps."""
        with torch.no_grad():
            found, bias = self.weights()
            for level, weight in enumerate(found):
                self.read[level].copy_(weight)
                self.gain[level].fill_(1)
                self.mean[level].fill_(0)
            self.bias.copy_(bias)

    def forward(self, image: Tensor, features: list[Tensor]) -> Tensor:
        """Return the logits (N, K, Y, X)."""
        columns = self.columns(image, features)
        weights, bias = self.weights()
        hidden = F.conv2d(columns[-1], weights[-1][..., None, None])
        for level in reversed(range(len(columns) - 1)):
            hidden = F.interpolate(hidden, scale_factor=2, mode="bilinear")
            hidden = hidden + F.conv2d(columns[level], weights[level][..., None, None])
        logits: Tensor = self.classify(hidden + bias[:, None, None])
        return logits

    def classify(self, hidden: Tensor) -> Tensor:
        """Return the logits of the sum of all levels.

        Takes (N, hidden, Y, X) and returns (N, K, Y, X); or pixels, (P, hidden), and
        returns (P, K).
        """
        if hidden.dim() == 2:
            mixed = F.linear(F.relu(hidden), self.mix.weight.flatten(1), self.mix.bias)
            return F.linear(F.relu(mixed), self.out.weight.flatten(1), self.out.bias)
        logits: Tensor = self.out(F.relu(self.mix(F.relu(hidden))))
        return logits
