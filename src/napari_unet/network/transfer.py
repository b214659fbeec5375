"""Transfer learning: a model for other classes or channels, from a trained one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from napari_unet.errors import OptionsError
from napari_unet.network.model import Model
from napari_unet.network.normalization import LUMA
from napari_unet.network.unet import BOUNDARY, UNet, UNetSpec

__all__ = ["new_model"]

_HEADS = "head", "hypercolumn"
_JITTER = 0.02  # tells new classes apart that begin as the same one


def new_model(
    parent: Model,
    classes: Sequence[str],
    *,
    channels: int | None = None,
    name: str = "new",
    seed: int = 0,
) -> Model:
    """Return a model for `classes` that begins with what `parent` knows.

    The encoder and the decoder are the parent's. Every new class begins as the
    mean of the parent's that are not background, so that there is something to correct;
    for other channels the first convolution sees their mean (of red, green and blue:
    their luminance).

    Parameters
    ----------
    classes
        Names, background first.
    channels
        Channels of the images; None keeps the parent's.
    name
        What the new model is called.
    seed
        Of the small differences between classes that begin as the same one.

    Raises
    ------
    ModelError
        If no net can have these classes.
    OptionsError
        If a class is called "boundary", which means something to the program.
    """
    names = tuple(c.strip() for c in classes)
    if BOUNDARY in names:
        raise OptionsError(
            f"A class called {BOUNDARY!r} separates touching objects and is made from "
            "objects; it cannot be painted. Choose another name for the class."
        )
    old = parent.net.spec
    spec = replace(
        old,
        in_channels=old.in_channels if channels is None else channels,
        classes=names,
        hypercolumn=0,
    )
    net = UNet(spec)
    state = {k: v.clone() for k, v in parent.net.state_dict().items()}
    state = {k: v for k, v in state.items() if k.split(".")[0] not in _HEADS}
    if spec.in_channels != old.in_channels:
        first = "encoder.0.0.weight"
        state[first] = _spread(state[first], spec.in_channels)
    generator = torch.Generator().manual_seed(seed)
    state |= _head(parent, spec, generator)
    net.load_state_dict(state)
    kept = "diameter", "pixel_size", "data"
    card: dict[str, Any] = {k: parent.card[k] for k in kept if k in parent.card}
    card["strokes"] = 0  # that it has learned from; see `training.standing`
    card["history"] = [*parent.card.get("history", []), f"new classes, {parent.name}"]
    return Model(net.eval(), parent.scaling, card, name)


def _spread(weight: Tensor, channels: int) -> Tensor:
    """Return a first convolution (out, channels, 3, 3) that sees the channels' mean."""
    shares = torch.full((channels,), 1 / channels)
    if channels == len(LUMA):
        shares = torch.tensor(LUMA)
    return weight.sum(1, keepdim=True) * shares.view(1, -1, 1, 1)


def _head(
    parent: Model, spec: UNetSpec, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the first head: the parent's background, and the mean of its classes."""
    state = parent.net.state_dict()
    weight, bias = state["head.weight"], state["head.bias"]
    found = weight[1:].mean(0, keepdim=True).repeat(len(spec.classes) - 1, 1, 1, 1)
    if len(spec.classes) > 2:
        found += _JITTER * torch.randn(found.shape, generator=generator)
    shift = bias[1:].mean().repeat(len(spec.classes) - 1)
    return {
        "head.weight": torch.cat([weight[:1], found]),
        "head.bias": torch.cat([bias[:1], shift]),
    }
