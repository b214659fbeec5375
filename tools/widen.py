"""A wider U-Net that says the same: where longer training of a small one goes on.

Net2WiderNet (Chen, Goodfellow and Shlens 2016, arXiv:1511.05641): channels that are
added repeat others, and whoever reads both takes a random share of each. Since shares
differ, so do the gradients, and the two part ways as soon as the net learns.
"""

from dataclasses import replace

import torch
from torch import Tensor

from napari_unet.network.model import UNet

__all__ = ["widened"]


def widened(net: UNet, width: int, seed: int = 0) -> UNet:
    """Return a net of `width` channels that computes what `net` does, but for rounding.

    Parameters
    ----------
    net
        With transposed convolutions and without a hypercolumn; it is not changed.
    width
        From that of `net` to twice as many.
    """
    spec, random = net.spec, torch.Generator().manual_seed(seed)
    wide = UNet(replace(spec, width=width))
    old, new = net.state_dict(), wide.state_dict()
    sources = [  # of each level: which old channel each new one repeats
        torch.arange(width << level) % (spec.width << level)
        for level in range(spec.depth + 1)
    ]
    image = torch.arange(spec.in_channels)
    deepest = sources[-1]

    def block(name: str, inputs: Tensor, outputs: Tensor) -> None:
        for layer in range(0, 3 * spec.convs_per_block, 3):  # conv, norm, ReLU
            weight = f"{name}.{layer}.weight"
            new[weight] = shared(old[weight], inputs, random)[outputs]
            for kind in ("weight", "bias", "running_mean", "running_var"):
                key = f"{name}.{layer + 1}.{kind}"
                new[key] = old[key][outputs]
            inputs = outputs

    for level in range(spec.depth):
        above = image if level == 0 else sources[level - 1]
        block(f"encoder.{level}", above, sources[level])
    block("bottleneck", sources[-2], deepest)
    for step, level in enumerate(reversed(range(spec.depth))):
        here, below = sources[level], sources[level + 1]
        weight = old[f"up.{step}.weight"].transpose(0, 1)  # to (out, in, 2, 2)
        new[f"up.{step}.weight"] = shared(weight, below, random)[here].transpose(0, 1)
        new[f"up.{step}.bias"] = old[f"up.{step}.bias"][here]
        skip = here + (spec.width << level)  # the second half of what is concatenated
        block(f"decoder.{step}", torch.cat([here, skip]), here)
    new["head.weight"] = shared(old["head.weight"], sources[0], random)
    new["head.bias"] = old["head.bias"]
    wide.load_state_dict(new)
    return wide.train(net.training)


def shared(weight: Tensor, inputs: Tensor, random: torch.Generator) -> Tensor:
    """Return weights (out, in, ...) for `inputs`, channels that may be there twice.

    All that read the same old channel add up to what read it before.
    """
    found = weight[:, inputs]
    share = 0.2 + 0.6 * torch.rand(found.shape, generator=random)
    total = torch.zeros_like(weight).index_add_(1, inputs, share)
    return found * (share / total[:, inputs])  # 1 where nothing is shared
