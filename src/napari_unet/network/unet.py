"""The U-Net: an encoder-decoder with skip connections, and its specification.

A U-Net as in Ronneberger, Fischer and Brox (2015, arXiv:1505.04597), with same padding
and BatchNorm: the image's size is kept, and a skip needs no cropping.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from napari_unet.errors import ModelError
from napari_unet.network.header import BOUNDARY
from napari_unet.network.hypercolumn import RADIUS, Hypercolumn

__all__ = ["BOUNDARY", "UNet", "UNetSpec"]

# Least and most of every number: far beyond what is of use, and small enough that what
# such a net would look like can be told in a moment.
_RANGES = {
    "in_channels": (1, 4096),
    "width": (1, 4096),
    "depth": (1, 12),
    "convs_per_block": (1, 32),
    "hypercolumn": (0, 4096),
}


@dataclass(frozen=True, slots=True)
class UNetSpec:
    """What a U-Net looks like; everything else about it follows.

    Parameters
    ----------
    in_channels
        Channels of the image, C.
    classes
        Names of the K classes; index 0 is background. A class named ``"boundary"``
        separates touching objects.
    width
        Channels of the first level; they double at every level below.
    depth
        Number of 2x2 poolings.
    convs_per_block
        3x3 convolutions (each with BatchNorm and ReLU) in one block.
    up
        ``"transpose"``: transposed convolution 2x2, stride 2. ``"upsample"``: nearest
        neighbour upsampling and a 3x3 convolution.
    hypercolumn
        Hidden channels of a second head, added to the first, that sees the features of
        every level and local filters beside them; 0: there is none.

    Raises
    ------
    ModelError
        If no such network can exist.
    """

    in_channels: int = 1
    classes: tuple[str, ...] = ("background", "foreground")
    width: int = 64
    depth: int = 4
    convs_per_block: int = 2
    up: Literal["transpose", "upsample"] = "transpose"
    hypercolumn: int = 0

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ModelError(
                    f"{name} is {value!r:.40}; it must be a whole number from {least} "
                    f"to {most}."
                )
        count = len(self.classes)
        if count > 254:  # 254 and 255 say something else: see corrections
            raise ModelError(
                f"There are {count} classes; 254 are the most, background included."
            )
        if not all(isinstance(name, str) and name for name in self.classes):
            raise ModelError(f"The classes are {self.classes!r:.200}; names are text.")
        if count < 2 or len(set(self.classes)) < count:
            raise ModelError(
                f"The classes are {self.classes!r:.200}; give two or more different "
                "names, background first."
            )
        if self.up not in ("transpose", "upsample"):
            raise ModelError(
                f"up is {self.up!r:.40}; choose 'transpose' or 'upsample'."
            )

    @property
    def stride(self) -> int:
        """Total downsampling, 2**depth; the net takes only multiples of it."""
        return 1 << self.depth

    @property
    def boundary(self) -> int | None:
        """Index of the class that separates touching objects, if there is one."""
        return self.classes.index(BOUNDARY) if BOUNDARY in self.classes else None

    @property
    def reach(self) -> int:
        """How far, in pixels, the net sees beyond a core that is aligned to `stride`.

        Found by walking the index ranges back through the layers, from the core's first
        pixel to the left and from its last pixel to the right.
        """
        last = self.stride - 1
        spans = [self._span]
        if self.hypercolumn:
            spans.append(self._filter_span)
        return max(max(-f(0)[0], f(last)[1] - last) for f in spans)

    @property
    def halo(self) -> int:
        """`reach`, rounded up to a multiple of `stride`."""
        return -(-self.reach // self.stride) * self.stride

    def _span(self, pixel: int) -> tuple[int, int]:
        """First and last input pixel that output `pixel` depends on, along one axis."""
        block = self.convs_per_block
        low = high = pixel
        spans = []  # of each level's concatenation: what is asked of its skip
        asked = pixel, pixel  # of the level's features, by the hypercolumn
        for _ in range(self.depth):
            if self.hypercolumn:
                low, high = min(low, asked[0]), max(high, asked[1])
                asked = _enlarged(*asked)
            low, high = low - block, high + block
            spans.append((low, high))
            if self.up == "upsample":
                low, high = low - 1, high + 1
            low, high = low // 2, high // 2
        if self.hypercolumn:
            low, high = min(low, asked[0]), max(high, asked[1])
        for skip_low, skip_high in reversed(spans):
            low, high = 2 * (low - block), 2 * (high + block) + 1
            low, high = min(low, skip_low), max(high, skip_high)
        return low - block, high + block

    def _filter_span(self, pixel: int) -> tuple[int, int]:
        """First and last pixel that the local filters of output `pixel` depend on."""
        asked, found = (pixel, pixel), []
        for level in range(self.depth + 1):
            low, high = asked[0] - RADIUS, asked[1] + RADIUS
            found += [low << level, ((high + 1) << level) - 1]
            asked = _enlarged(*asked)
        return min(found), max(found)


def _enlarged(low: int, high: int) -> tuple[int, int]:
    """Return which pixels, twice as large, pixels low to high interpolate."""
    return (low - 1) // 2, (high + 1) // 2


def _block(inputs: int, outputs: int, convs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(convs):
        # BatchNorm subtracts the mean: a bias before it would have no effect.
        conv = nn.Conv2d(outputs if i else inputs, outputs, 3, padding=1, bias=False)
        layers += [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _up(kind: str, inputs: int, outputs: int) -> nn.Module:
    if kind == "transpose":
        return nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
    return nn.Sequential(
        nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, padding=1)
    )


class UNet(nn.Module):
    """The network that a `UNetSpec` describes.

    ``forward`` takes (N, C, Y, X) float, with Y and X multiples of ``spec.stride``, and
    returns logits (N, K, Y, X): softmax over K gives probabilities, argmax the class.
    The image may be more exact than the weights.
    """

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__()
        self.spec = spec
        widths = [spec.width * 2**level for level in range(spec.depth + 1)]
        inputs = [spec.in_channels, *widths]
        convs = spec.convs_per_block
        self.encoder = nn.ModuleList(
            _block(inputs[i], widths[i], convs) for i in range(spec.depth)
        )
        self.pool = nn.MaxPool2d(2, stride=2)
        self.bottleneck = _block(inputs[spec.depth], widths[spec.depth], convs)
        upward = range(spec.depth - 1, -1, -1)
        self.up = nn.ModuleList(_up(spec.up, widths[i + 1], widths[i]) for i in upward)
        self.decoder = nn.ModuleList(
            _block(2 * widths[i], widths[i], convs) for i in upward
        )
        self.head = nn.Conv2d(spec.width, len(spec.classes), 1)
        if spec.hypercolumn:
            self.hypercolumn = Hypercolumn(
                widths, spec.in_channels, spec.hypercolumn, len(spec.classes)
            )

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (N, K, Y, X) of `image` (N, C, Y, X)."""
        features = self.features(image)
        logits: Tensor = self.head(features[0])
        if self.spec.hypercolumn:
            logits = logits + self.hypercolumn(image, features)
        return logits

    def features(self, image: Tensor) -> list[Tensor]:
        """Return what every level makes of `image`, the finest first.

        These are the outputs of the decoder's blocks, and last the bottleneck's:
        (N, width * 2**level, Y / 2**level, X / 2**level).
        """
        # The filters of a hypercolumn want the image as exact as it comes.
        x = image.to(next(self.parameters()).dtype)
        skips = []
        for block in self.encoder:
            x = block(x)  # (N, width * 2**level, Y / 2**level, X / 2**level)
            skips.append(x)
            x = self.pool(x)
        found = [self.bottleneck(x)]
        for up, block in zip(self.up, self.decoder, strict=True):
            x = torch.cat([skips.pop(), up(found[-1])], dim=1)
            found.append(block(x))
        return found[::-1]
