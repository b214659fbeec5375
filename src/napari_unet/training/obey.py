"""Correction of a fitted head until it follows nearly all strokes.

It is fitted until nearly all reviewed pixels are right, and keeps what was said before
of all others.
"""

import copy
import math
import time

import torch
from torch import Tensor

from napari_unet.network.autocast import mean_weights
from napari_unet.network.hypercolumn import Hypercolumn
from napari_unet.project.corrections import IGNORE
from napari_unet.training.features import Pixels
from napari_unet.training.head_fit import AGAIN, Aim, read, score
from napari_unet.training.losses import class_balanced_weights

__all__ = ["obedient"]

_STEPS, _SOME = 200, 4000  # steps at most; pixels in each
_LOOK = 10  # steps between two looks at how much is followed
_GOAL = 0.98  # of the pixels that are read
_ENOUGH, _TENTHS = 0.96, 10  # of them, so that it is 95 % of all; how finely


def obedient(
    reader: Hypercolumn,
    features: Tensor,
    pixels: Pixels,
    first: Tensor,
    trust: float,
    seconds: float,
) -> Hypercolumn:
    """Fit a reader until nearly all reviewed pixels are right, and return it.

    Then it moves back to what it was as far as they stay so.

    Parameters
    ----------
    reader
        What is changed.
    features
        (P, F), standardised.
    first
        (P, K): logits to which those of the reader are added.
    trust
        How much what was said before counts where nobody looked, next to 1 for what
        people said.
    seconds
        How long that may take, about.
    """
    began = time.perf_counter()
    with torch.no_grad():
        before = (first + read(reader, features)).softmax(1)
    kept = trust * class_balanced_weights(before, pixels.target == IGNORE)
    aim = Aim(pixels.target, pixels.weight, first, before, kept)
    old = copy.deepcopy(reader)
    optimiser = torch.optim.Adam(p for p in reader.parameters() if p.requires_grad)
    for step in range(_STEPS):
        if step % _LOOK == 0:
            late = time.perf_counter() - began > seconds
            if late or _right(reader, features, aim) >= _GOAL:
                break
        for group in optimiser.param_groups:
            group["lr"] = AGAIN * (0.5 + 0.5 * math.cos(math.pi * step / _STEPS))
        some = torch.randint(len(features), (_SOME,), device=features.device)
        loss = aim.part(some).loss(read(reader, features[some]))
        optimiser.zero_grad()
        torch.autograd.backward(loss * (len(features) / _SOME))
        optimiser.step()
    _move_back(reader, old, features, aim)
    return reader


def _move_back(
    reader: Hypercolumn, old: Hypercolumn, features: Tensor, aim: Aim
) -> None:
    """Move a reader back to what it was as far as strokes are still followed."""
    new = copy.deepcopy(reader)
    for tenths in range(_TENTHS + 1):
        reader.load_state_dict(new.state_dict())
        mean_weights(reader, old, 1 - tenths / _TENTHS)
        if _right(reader, features, aim) >= _ENOUGH:
            return


@torch.no_grad()
def _right(reader: Hypercolumn, features: Tensor, aim: Aim) -> float:
    return score(aim.first + read(reader, features), aim)
