"""Nets whose weights are set by hand, so that it is known what they find."""

import torch
from torch import nn

from napari_unet.network.model import Model
from napari_unet.network.unet import UNet, UNetSpec

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


NUCLEI = ("background", "interior", "boundary")


def random_model(seed=0, **fields):
    """Return a net with random weights and random BatchNorm statistics."""
    torch.manual_seed(seed)
    spec = UNetSpec(**{"classes": NUCLEI, "width": 4, "depth": 2, **fields})
    net = UNet(spec)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    with torch.inference_mode():  # make every class as likely as the others
        logits = net.eval()(torch.rand(1, spec.in_channels, 64, 64))[0]
        net.head.weight /= logits.std()
        net.head.bias.sub_(logits.mean((1, 2))).div_(logits.std())
        if spec.hypercolumn:
            net.hypercolumn.out.weight.normal_(0, 0.3)
    return Model(net.eval(), name="random", card={"diameter": 20})
