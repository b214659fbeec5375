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
_READING = 0.55  # of the time; the rest is for fitting


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
        return copy.deepcopy(net)
    student = UNet(replace(net.spec, hypercolumn=_HIDDEN))
    student.load_state_dict(net.state_dict(), strict=False)
    return student.to(next(net.parameters()).device).eval()


def fit_head(
    net: UNet, examples: Sequence[Example], seed: int, seconds: float | None = None
) -> Fit:
    """Fit the hypercolumn of `net` to the examples; nothing else of it is changed.

    Parameters
    ----------
    seconds
        How long that may take, about; None: as long as it takes.
    """
    head = net.hypercolumn.requires_grad_(True)
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
    rate, limit = _RATE if new else _AGAIN, seconds and seconds * (1 - _READING)
    loss = _descend(head, features, pixels, (was, belief), rate, limit or math.inf)
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
    """Fit the head to standardised features (P, F) of all levels."""
    began = time.perf_counter()
    logits, belief = teacher
    before = logits.softmax(1)
    trust = belief.trust * evenly(before, pixels.target == IGNORE)
    weight = belief.weigh(logits, pixels.target, pixels.weight)
    optimiser = torch.optim.AdamW(head.parameters(), weight_decay=_DECAY)
    loss = torch.zeros(())
    for step in range(_STEPS):
        passed = max(step / _STEPS, (time.perf_counter() - began) / seconds)
        if passed >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = rate * (0.5 + 0.5 * math.cos(math.pi * passed))
        # All pixels lose the same features: one mask is cheaper than one for each.
        seen = F.dropout(torch.ones_like(features[0]), _DROPOUT)
        logits = _logits(head, features, pixels, seen)
        told = (pixel_loss(logits, pixels.target) * weight).sum()
        kept = (distance(logits, before) * trust).sum()
        loss = told + kept
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    return loss.item()


def _logits(
    head: Hypercolumn, features: Tensor, pixels: Pixels, seen: Tensor | None = None
) -> Tensor:
    """Return the logits (P, K) of both heads; `seen` (F,) weighs the features."""
    weight = torch.cat(list(head.read), 1)
    weight = weight if seen is None else weight * seen
    return pixels.first + head.classify(features @ weight.T + head.bias)


def _score(logits: Tensor, pixels: Pixels) -> float:
    return float((right(logits, pixels.target) * pixels.weight).sum())
