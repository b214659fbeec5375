"""A reader is fitted to features that were computed once, at some pixels."""

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .hypercolumn import Hypercolumn
from .losses import distance, pixel_loss

__all__ = ["AGAIN", "DECAY", "NEW", "Aim", "descend", "read"]

NEW, AGAIN = 1e-2, 3e-3  # learning rates: of a new head, and of one fitted before
DECAY = 1e-3  # of weights
_DROPOUT = 0.2
_LEAST = 0.1  # share of the pixels that a step is on at least


@dataclass(frozen=True, slots=True)
class Aim:
    """What a fit shall reach at P pixels.

    Attributes
    ----------
    target, weight
        As in `pixels.Pixels`.
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
        said = (pixel_loss(logits, self.target) * self.weight).sum()
        return said + (distance(logits, self.before) * self.trust).sum()


def descend(
    head: Hypercolumn,
    features: Tensor,
    aim: Aim,
    rate: float,
    seconds: float = math.inf,
    steps: int = 100,
) -> float:
    """Fit a head to standardised features (P, F); return the last step's loss.

    Where `seconds` are too few for steps on all pixels, each is on some of them.
    """
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


def _part(count: int, share: float, step: int) -> slice:
    """Return which of so many pixels a step is on: the next ones, or all."""
    size = max(1, round(share * count))
    start = step * size % (count - size + 1)
    return slice(start, start + size)
