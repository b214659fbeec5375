"""Two small heads, of all features and of filters, whose logits are averaged.

One reads all features. The other reads plain local filters alone, as a classifier of
pixels does: nothing that a net has learned on other images leads it astray. The mean of
their logits is better than either, as a rule.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_unet.network.hypercolumn import Hypercolumn
from napari_unet.network.unet import UNet
from napari_unet.training.selection import copied

__all__ = [
    "apart",
    "filter_reader",
    "filters_of",
    "joined",
    "widened",
    "with_hypercolumn",
]

_HIDDEN, _FILTERS = 32, 16  # hidden channels of either reader


def with_hypercolumn(net: UNet) -> UNet:
    """Return a copy of `net` with a hypercolumn: its own, or one that changes nothing.

    The seed of new random weights is PyTorch's.
    """
    if net.spec.hypercolumn:
        return copied(net)
    student = UNet(replace(net.spec, hypercolumn=_HIDDEN))
    student.load_state_dict(net.state_dict(), strict=False)
    return copied(student).to(next(net.parameters()).device)


def filter_reader(head: Hypercolumn) -> Hypercolumn:
    """Return a new reader of the filters among the features that `head` reads.

    It takes them as `head` standardises them, so its own numbers for that stay unused.
    It has no bias of its own for each class: so the two can be taken apart again.
    """
    return _reader(head, [0] * len(head.read))


def widened(reader: Hypercolumn, head: Hypercolumn) -> Hypercolumn:
    """Return a reader that says what one of filters says, but can read all features."""
    sizes = zip(head.mean, head.filters, strict=True)
    wide = _reader(head, [len(mean) - count for mean, count in sizes])
    state = reader.state_dict()
    for level, mean in enumerate(head.mean):
        name = f"read.{level}"
        state[name] = F.pad(state[name], (0, len(mean) - state[name].shape[1]))
        state |= {f"mean{level}": mean, f"gain{level}": head.gain[level]}
    wide.load_state_dict(state)
    return wide


def _reader(head: Hypercolumn, features: list[int]) -> Hypercolumn:
    channels, classes = head.filters[-1] // 4, head.out.out_channels
    reader = Hypercolumn(features, channels, _FILTERS, classes)
    reader.get_parameter("out.bias").requires_grad_(False)  # it is 0
    return reader.to(head.bias.device)


def filters_of(head: Hypercolumn, features: Tensor) -> Tensor:
    """Return the filters among the features (P, F) of all levels that `head` reads."""
    levels = torch.split(features, [len(mean) for mean in head.mean], 1)
    pairs = zip(levels, head.filters, strict=True)
    return torch.cat([level[:, :n] for level, n in pairs], 1)


def joined(net: UNet, reader: Hypercolumn, share: float) -> UNet:
    """Return a net with a reader beside its own, which counts 1 - `share` then.

    What the reader says is added as it is; `share` is 0 to below 1.
    """
    own, b = net.hypercolumn, widened(reader, net.hypercolumn).state_dict()
    a = own.state_dict()
    part = {
        name: torch.cat([a[name], b[name]])
        for name in a
        if name.startswith("read.") or name in ("bias", "mix.bias")
    }
    corner = F.pad(a["mix.weight"].flatten(1), (0, len(b["bias"])))
    other = F.pad(b["mix.weight"].flatten(1), (len(a["bias"]), 0))
    part["mix.weight"] = torch.cat([corner, other])[..., None, None]
    out = (1 - share) * a["out.weight"], b["out.weight"]
    part |= {"out.weight": torch.cat(out, 1), "out.bias": (1 - share) * a["out.bias"]}
    return _with_head(net, part)


def apart(net: UNet, share: float) -> UNet:
    """Return the net that was `joined` with a reader, which it is without then."""
    if net.spec.hypercolumn != _HIDDEN + _FILTERS:
        return copied(net)
    head, own = net.hypercolumn.state_dict(), slice(_HIDDEN)
    part = {name: tensor for name, tensor in head.items() if name.startswith("read.")}
    part = {name: tensor[own] for name, tensor in part.items()}
    part |= {name: head[name][own] for name in ("bias", "mix.bias")}
    part["mix.weight"] = head["mix.weight"][own, own]
    part["out.weight"] = head["out.weight"][:, own] / (1 - share)
    part["out.bias"] = head["out.bias"] / (1 - share)
    return _with_head(net, part)


def _with_head(net: UNet, part: dict[str, Tensor]) -> UNet:
    """Return a copy of `net` with other weights, as many as there are, in its head."""
    found = UNet(replace(net.spec, hypercolumn=len(part["bias"])))
    state = {f"hypercolumn.{name}": tensor for name, tensor in part.items()}
    found.load_state_dict(net.state_dict() | state)
    return copied(found).to(part["bias"].device)
