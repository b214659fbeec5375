"""Nets whose weights are set by hand, so that it is known what they find."""

import torch
from torch import nn

from napari_unet.unet import UNet, UNetSpec

__all__ = ["passing"]


def passing(spec: UNetSpec) -> UNet:
    """Return a net whose head sees the first channel as it is, as its first feature.

    The head is zero yet.
    """
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        net = UNet(spec).eval()
        for block in (net.encoder[0], net.decoder[-1]):
            for layer in block:
                if isinstance(layer, nn.Conv2d):
                    layer.weight.zero_()
                    layer.weight[0, 0, 1, 1] = 1
        for values in net.head.parameters():
            values.zero_()
    return net
