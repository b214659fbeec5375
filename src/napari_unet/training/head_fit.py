"""Gradient descent of a head on precomputed features of some pixels."""

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_unet.network.hypercolumn import Hypercolumn
from napari_unet.project.corrections import FOREGROUND, IGNORE
from napari_unet.training.features import Pixels
from napari_unet.training.losses import (
    class_balanced_weights,
    distillation_loss,
    is_correct,
    masked_cross_entropy,
)

__all__ = [
    "AGAIN",
    "NEW",
    "Aim",
    "agreement",
    "descend",
    "follow",
    "read",
    "score",
    "standardised",
]

NEW, AGAIN = 1e-2, 3e-3  # learning rates: of a new head, and of one fitted before
DECAY = 1e-3  # of weights
_STEPS = 100  # of a fit, usually
_DROPOUT = 0.2
_LEAST = 0.1  # share of the pixels that a step is on at least


@dataclass(frozen=True, slots=True)
class Aim:
    """What a fit shall reach at P pixels.

    Attributes
    ----------
    target, weight
        As in `features.Pixels`.
    first
        (P, K): logits to which those of the reader are added.
    before, trust
        (P, K) and (P,): probabilities that are kept, and how much each pixel's count.
    """

    target: Tensor
    weight: Tensor
    first: Tensor
    before: Tensor
    trust: Tensor

    def part(self, some: Tensor | slice) -> "Aim":
        """Return the aim at some of the pixels."""
        every = self.target, self.weight, self.first, self.before, self.trust
        return Aim(*(tensor[some] for tensor in every))

    def loss(self, found: Tensor) -> Tensor:
        """Return how far the logits (P, K) of a reader are from it."""
        logits = self.first + found
        said = (masked_cross_entropy(logits, self.target) * self.weight).sum()
        return said + (distillation_loss(logits, self.before) * self.trust).sum()


def descend(
    head: Hypercolumn,
    features: Tensor,
    aim: Aim,
    rate: float,
    seconds: float = math.inf,
    steps: int | None = None,
) -> float:
    """Fit a head to standardised features (P, F); return the last step's loss.

    Where `seconds` are too few for `steps` on all pixels, each is on some of them.
    """
    steps = steps or _STEPS
    order = torch.randperm(len(features))  # so that any part of them is like the rest
    features, aim = features[order], aim.part(order)
    optimiser = torch.optim.AdamW(head.parameters(), weight_decay=DECAY)
    loss, share = torch.zeros(()), 1.0
    for step in range(steps):
        began = time.perf_counter()
        for group in optimiser.param_groups:
            group["lr"] = rate * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        some = _part(len(features), share, step)
        # All pixels lose the same features: one mask is cheaper than one for each.
        seen = F.dropout(torch.ones_like(features[0]), _DROPOUT)
        loss = aim.part(some).loss(read(head, features[some], seen)) / share
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        if step == 1:  # the first one is slower than the rest
            taken = time.perf_counter() - began
            share = min(1.0, max(_LEAST, seconds / steps / taken))
    return loss.item()


def read(head: Hypercolumn, features: Tensor, seen: Tensor | None = None) -> Tensor:
    """Return the logits (P, K) of a head; `seen` (F,) weighs the features (P, F)."""
    weight = torch.cat(list(head.read), 1)
    if seen is not None:
        weight = weight * seen
    found: Tensor = head.classify(features @ weight.T + head.bias)
    return found


def standardised(head: Hypercolumn, pixels: Pixels) -> Tensor:
    """Return the standardised features (P, F) of all levels."""
    levels = zip(pixels.columns, head.mean, head.gain, strict=True)
    return torch.cat([(column - mean) * gain for column, mean, gain in levels], 1)


def score(logits: Tensor, told: Pixels | Aim) -> float:
    """Return on which share of the reviewed pixels logits (P, K) are right."""
    return float((is_correct(logits, told.target) * told.weight).sum())


def agreement(was: Tensor, now: Tensor, target: Tensor) -> float:
    """Return the least Dice of a class between two answers where nobody painted.

    Of classes that were painted, of background, and of all others together.

    Parameters
    ----------
    was, now
        Logits (P, K).
    target
        (P,): what was painted.
    """
    elsewhere = target == IGNORE
    a, b = was.argmax(1)[elsewhere], now.argmax(1)[elsewhere]
    pairs = [(a == 0, b == 0), (a > 0, b > 0)]
    painted = torch.unique(target[~elsewhere]).tolist()
    pairs += [(a == v, b == v) for v in painted if v not in (0, FOREGROUND)]
    return min(_dice(one, other) for one, other in pairs)


def follow(
    head: Hypercolumn,
    teacher: Hypercolumn,
    pixels: Pixels,
    trust: float,
    steps: int,
    seconds: float,
) -> float:
    """Fit a head to pixels that are read already, in few steps.

    Parameters
    ----------
    teacher
        Says, with the first head, what holds where nobody looked.
    trust
        How much that counts, next to 1 for what people said.
    seconds
        How long that may take, about: on a slow device a step is on fewer pixels.

    Returns
    -------
    float
        Which share of the reviewed pixels the head is right about then.
    """
    head.requires_grad_(True)
    with torch.no_grad():
        was = pixels.first + read(teacher, standardised(teacher, pixels))
        before, features = was.softmax(1), standardised(head, pixels)
    kept = trust * class_balanced_weights(before, pixels.target == IGNORE)
    aim = Aim(pixels.target, pixels.weight, pixels.first, before, kept)
    descend(head, features, aim, NEW, seconds, steps)
    with torch.no_grad():
        now = pixels.first + read(head, features)
    return score(now, pixels)


def _part(count: int, share: float, step: int) -> slice:
    """Return which of so many pixels a step is on: the next ones, or all."""
    size = max(1, round(share * count))
    start = step * size % (count - size + 1)
    return slice(start, start + size)


def _dice(a: Tensor, b: Tensor) -> float:
    return 2 * float((a & b).sum()) / max(1.0, float(a.sum() + b.sum()))
