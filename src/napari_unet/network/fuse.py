"""Layer fusion for inference: BatchNorm and ReLU folded into the convolutions."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_unet.network.processor import conv_relu, fuses_relu
from napari_unet.network.unet import UNet

__all__ = ["fold", "ready"]


def fold(net: UNet) -> UNet:
    """Return a copy of `net` in eval mode, BatchNorm and ReLU inside convolutions."""
    folded = copy.deepcopy(net).eval()
    for blocks in (folded.encoder, folded.decoder):
        for i, block in enumerate(blocks):
            blocks[i] = _folded(block)
    folded.bottleneck = _folded(folded.bottleneck)
    if folded.spec.hypercolumn:
        folded.hypercolumn.fold()
    return folded


def ready(net: UNet, device: torch.device, dtype: torch.dtype) -> UNet:
    """Return a copy of `net` that answers fast, and cannot learn: folded, and there."""
    there: UNet = fold(net).to(device, dtype)
    return there.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _folded(block: nn.Module) -> nn.Sequential:
    layers: list[Any] = list(block.children())
    pairs = zip(layers[::3], layers[1::3], strict=True)
    return nn.Sequential(*(_ConvReLU(fuse_conv_bn_eval(*pair)) for pair in pairs))


class _ConvReLU(nn.Module):
    """A convolution and ReLU; on a processor its features pass the memory once."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        conv = self.conv
        if x.device.type != "cpu" or not fuses_relu(x.dtype):
            return F.relu_(conv(x))
        how = conv.padding, conv.stride, conv.dilation, conv.groups
        return conv_relu(x, conv.weight, conv.bias, *how)
