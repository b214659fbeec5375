"""The first answer: a new head for the features that a net has already.

Nothing else changes, so the features are computed once, only at some pixels, and the
fit takes seconds. Pixels that nobody looked at keep what the model said of them, the
more so the more it has learned from strokes. After the whole net has learned, the head
alone is fitted once more, until what people said is followed.
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
from .losses import distance, evenly, pixel_loss, right
from .pixels import Pixels, read_pixels
from .standing import Standing
from .unet import UNet

__all__ = ["OBEYED", "Fit", "fit_head", "obey", "with_hypercolumn"]

OBEYED = 0.95  # share of the reviewed pixels that a model has to be right about

_HIDDEN = 32
_STEPS = 100
_RATE, _AGAIN = 1e-2, 3e-3  # of a new head, and of one that was fitted before
_OBEYING, _SOME = 200, 4000  # steps at most until strokes are followed; pixels in each
_LOOK = 10  # steps between two looks at how many are
_GOAL = 0.98  # of the pixels that are read, so that it is `OBEYED` of all
_DECAY = 1e-3
_DROPOUT = 0.2
_READING = 0.55  # of the time at most; the rest is for fitting
_READING_ALL = 0.7  # where no stroke may be left out
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
    """

    loss: float
    before: float
    after: float


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
    net: UNet,
    examples: Sequence[Example],
    seed: int,
    standing: Standing,
    seconds: float | None = None,
) -> Fit:
    """Fit the hypercolumn of `net` to the examples; nothing else of it is changed.

    Parameters
    ----------
    standing
        How far the net stays what it was.
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
        features = _standard(head, pixels)
        was = _logits(head, features, pixels)
    trust = standing.head_trust
    left = math.inf if seconds is None else seconds - (time.perf_counter() - began)
    rate = _RATE if new else _AGAIN
    loss = _descend(head, features, pixels, (was, trust), rate, left)
    with torch.no_grad():
        mean_weights(head, old, standing.kept)
        after = _score(_logits(head, features, pixels), pixels)
    return Fit(loss, _score(was, pixels), after)


def _descend(
    head: Hypercolumn,
    features: Tensor,
    pixels: Pixels,
    teacher: tuple[Tensor, float],
    rate: float,
    seconds: float,
) -> float:
    """Fit the head to standardised features (P, F) of all levels.

    Where `seconds` are too few for steps on all pixels, each is on some of them.
    """
    before = teacher[0].softmax(1)
    trust = teacher[1] * evenly(before, pixels.target == IGNORE)
    told = pixels.target, pixels.first, pixels.weight, before, trust
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
        held = (distance(logits, before[some]) * trust[some]).sum()
        loss = (said + held) / share
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        if step == 1:  # the first one is slower than the rest
            taken = time.perf_counter() - began
            share = min(1.0, max(_LEAST, seconds / _STEPS / taken))
    return loss.item()


def obey(
    net: UNet,
    examples: Sequence[Example],
    seed: int,
    seconds: float,
    goal: float = _GOAL,
) -> None:
    """Fit the hypercolumn until what people said is followed; nothing else changes.

    All other pixels keep what the net says of them: it is its own teacher there. Ends
    as soon as nearly all reviewed pixels are right.

    Parameters
    ----------
    seconds
        How long that may take, about.
    goal
        Which share has to be right, if that is more than usual.
    """
    began = time.perf_counter()
    pixels = read_pixels(net, examples, seed, seconds * _READING_ALL, every=True)
    head = net.hypercolumn.requires_grad_(True)
    with torch.no_grad():
        features = _standard(head, pixels)
        before = _logits(head, features, pixels).softmax(1)
    trust = evenly(before, pixels.target == IGNORE)
    every = torch.ones_like(features[0])
    optimiser = torch.optim.AdamW(head.parameters(), weight_decay=_DECAY)
    for step in range(_OBEYING):
        if step % _LOOK == 0:
            with torch.no_grad():
                good = _score(_logits(head, features, pixels), pixels)
            if good >= max(goal, _GOAL) or time.perf_counter() - began > seconds:
                break
        for group in optimiser.param_groups:
            group["lr"] = _AGAIN * (0.5 + 0.5 * math.cos(math.pi * step / _OBEYING))
        some = torch.randint(len(features), (_SOME,), device=features.device)
        logits = pixels.first[some] + _second(head, features[some], every)
        loss = (pixel_loss(logits, pixels.target[some]) * pixels.weight[some]).sum()
        loss = loss + (distance(logits, before[some]) * trust[some]).sum()
        optimiser.zero_grad()
        torch.autograd.backward(loss * (len(features) / _SOME))
        optimiser.step()


def _standard(head: Hypercolumn, pixels: Pixels) -> Tensor:
    """Return the standardised features (P, F) of all levels."""
    levels = zip(pixels.columns, head.mean, head.gain, strict=True)
    return torch.cat([(column - mean) * gain for column, mean, gain in levels], 1)


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
