"""The first answer: a new head for the features that a net has already.

Nothing else changes, so the features are computed once, only at some pixels, and the
fit takes seconds. Pixels that nobody looked at keep what the model said of them:
without that, a few strokes, all of them drawn on mistakes, would tip the balance of
classes.
"""

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from .autocast import mean_weights
from .contest import copied
from .corrections import IGNORE
from .examples import Example
from .hypercolumn import Hypercolumn
from .losses import Belief, believe, distance, evenly, pixel_loss, right
from .pixels import Pixels, read_pixels
from .unet import UNet

__all__ = ["Fit", "fit_head", "with_hypercolumn"]

_HIDDEN = 32
_STEPS = 100
_RATE, _AGAIN = 1e-2, 3e-3  # of a new head, and of one that was fitted before
_DECAY = 1e-3
_DROPOUT = 0.2
_READING = 0.55  # of the time at most; the rest is for fitting
_LEAST = 0.1  # share of the pixels that a step is on at least


@dataclass(frozen=True, slots=True)
class Fit:
    """What came of fitting a head.

    Attributes
    ----------
    loss
        Of the last step.
    before, after
        Which share of the reviewed pixels the net was, and is, right about.
    belief
        How far the net was right before.
    """

    loss: float
    before: float
    after: float
    belief: Belief

    @property
    def keep(self) -> float:
        """Which share of the weights stays as it was: what is good is moved little."""
        return self.belief.agreement


def with_hypercolumn(net: UNet) -> UNet:
    """Return a copy of `net` with a hypercolumn: its own, or one that changes nothing.

    The seed of new random weights is PyTorch's.
    """
    if net.spec.hypercolumn:
        return copied(net)
    student = UNet(replace(net.spec, hypercolumn=_HIDDEN))
    student.load_state_dict(net.state_dict(), strict=False)
    return copied(student).to(next(net.parameters()).device)


def fit_head(
    net: UNet, examples: Sequence[Example], seed: int, seconds: float | None = None
) -> Fit:
    """Fit the hypercolumn of `net` to the examples; nothing else of it is changed.

    Parameters
    ----------
    seconds
        How long that may take, about; None: as long as it takes.
    """
    head, began = net.hypercolumn.requires_grad_(True), time.perf_counter()
    pixels = read_pixels(net, examples, seed, seconds and seconds * _READING)
    old = copy.deepcopy(head)
    new = not bool(head.out.weight.any())
    with torch.no_grad():
        if new:
            head.standardise(
                [c.mean(0) for c in pixels.columns], [c.std(0) for c in pixels.columns]
            )
        standard = zip(pixels.columns, head.mean, head.gain, strict=True)
        features = torch.cat([(c - m) * g for c, m, g in standard], 1)
        was = _logits(head, features, pixels)
    belief = believe(was, pixels.target, pixels.weight, pixels.reviewed)
    left = math.inf if seconds is None else seconds - (time.perf_counter() - began)
    rate = _RATE if new else _AGAIN
    loss = _descend(head, features, pixels, (was, belief), rate, left)
    fit = Fit(loss, _score(was, pixels), 0.0, belief)
    with torch.no_grad():
        mean_weights(head, old, fit.keep)
        return replace(fit, after=_score(_logits(head, features, pixels), pixels))


def _descend(
    head: Hypercolumn,
    features: Tensor,
    pixels: Pixels,
    teacher: tuple[Tensor, Belief],
    rate: float,
    seconds: float,
) -> float:
    """Fit the head to standardised features (P, F) of all levels.

    Where `seconds` are too few for steps on all pixels, each is on some of them.
    """
    logits, belief = teacher
    before = logits.softmax(1)
    trust = belief.trust * evenly(before, pixels.target == IGNORE)
    weight = belief.weigh(logits, pixels.target, pixels.weight)
    told = pixels.target, pixels.first, weight, before, trust
    order = torch.randperm(len(features))  # so that any part of them is like the rest
    features, target, first, weight, before, trust = (
        tensor[order] for tensor in (features, *told)
    )
    optimiser = torch.optim.AdamW(head.parameters(), weight_decay=_DECAY)
    loss, share = torch.zeros(()), 1.0
    for step in range(_STEPS):
        began = time.perf_counter()
        for group in optimiser.param_groups:
            group["lr"] = rate * (0.5 + 0.5 * math.cos(math.pi * step / _STEPS))
        some = _part(len(features), share, step)
        # All pixels lose the same features: one mask is cheaper than one for each.
        seen = F.dropout(torch.ones_like(features[0]), _DROPOUT)
        logits = first[some] + _second(head, features[some], seen)
        said = (pixel_loss(logits, target[some]) * weight[some]).sum()
        kept = (distance(logits, before[some]) * trust[some]).sum()
        loss = (said + kept) / share
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        if step == 1:  # the first one is slower than the rest
            taken = time.perf_counter() - began
            share = min(1.0, max(_LEAST, seconds / _STEPS / taken))
    return loss.item()


def _part(count: int, share: float, step: int) -> slice:
    """Return which of so many pixels a step is on: the next ones, or all."""
    size = max(1, round(share * count))
    start = step * size % (count - size + 1)
    return slice(start, start + size)


def _logits(head: Hypercolumn, features: Tensor, pixels: Pixels) -> Tensor:
    """Return the logits (P, K) of both heads."""
    return pixels.first + _second(head, features, torch.ones_like(features[0]))


def _second(head: Hypercolumn, features: Tensor, seen: Tensor) -> Tensor:
    """Return the logits (P, K) of the second head; `seen` (F,) weighs the features."""
    weight = torch.cat(list(head.read), 1) * seen
    found: Tensor = head.classify(features @ weight.T + head.bias)
    return found


def _score(logits: Tensor, pixels: Pixels) -> float:
    return float((right(logits, pixels.target) * pixels.weight).sum())
