"""What training makes smaller: only pixels that somebody looked at have a target.

Strokes are drawn on mistakes, so they do not tell how many mistakes there are; but how
sure the model was of them does (see `believe`).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .corrections import FOREGROUND, IGNORE

__all__ = ["Belief", "believe", "distance", "evenly", "pixel_loss", "right"]

_SMOOTHING = 0.05  # of targets: hands slip at edges
_TEMPERATURES = np.geomspace(1, 20, 30)
_LEAST = 0.05  # share of wrong pixels that is always reckoned with
_TRUST = 0.5  # in the model so far, as a share of what its errors say


@dataclass(frozen=True, slots=True)
class Belief:
    """How far a model is right, as strokes on its mistakes tell.

    Attributes
    ----------
    temperature
        By what its logits are divided to be as sure as it is right.
    wrong
        (K,): of all pixels, the share that it takes for a class, and wrongly.
    agreement
        Dice with the truth that is to be expected, 0 to 1, mean over the classes that
        are not background.
    factor
        (K + 1,): weights of reviewed pixels are multiplied by this: those that it takes
        wrongly for a class; at the end, those that it is right about.
    """

    temperature: float
    wrong: Tensor
    agreement: float
    factor: Tensor

    @property
    def trust(self) -> float:
        """Weight of all that nobody looked at, next to 1 for what people said."""
        return _TRUST / max(float(self.wrong.sum()), _LEAST)

    def weigh(self, teacher: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return weights (N, ...) of pixels that the teacher (N, K, ...) judges."""
        good = right(teacher, target)
        index = teacher.argmax(1).masked_fill(good, len(self.factor) - 1)
        return weight * self.factor.to(weight)[index]


def believe(logits: Tensor, target: Tensor, weight: Tensor, reviewed: float) -> Belief:
    """Find out how far a model is right.

    A model that is as sure as it is right would err mostly where it wavers. Its logits
    are divided by the temperature (Guo et al. 2017, arXiv:1706.04599) at which the
    errors to be expected are as far from wavering as those that people painted over.

    Parameters
    ----------
    logits
        (P, K) of some pixels.
    target, weight
        (P,): what was said of them, and how much that counts.
    reviewed
        Share of all pixels that somebody looked at; the sample may hold more of them.
    """
    seen = target != IGNORE
    taken, good = logits.argmax(1), right(logits, target)
    bad = seen & ~good
    best = logits.topk(2, 1).values
    margin = best[:, 0] - best[:, 1]
    temperature = _temperature(margin[~seen], margin[bad], weight[bad])
    p = (logits / temperature).softmax(1)
    known = torch.where(target == FOREGROUND, 1, target.long()).clamp_max(
        p.shape[1] - 1
    )
    truth = torch.nn.functional.one_hot(known, p.shape[1]).to(p)
    truth = torch.where(good[:, None], _one_hot(taken, p), truth)
    p = torch.where(seen[:, None], truth, p)
    each = torch.where(seen, reviewed / max(int(seen.sum()), 1), 0.0)
    each += torch.where(seen, 0.0, (1 - reviewed) / max(int((~seen).sum()), 1))
    found = _one_hot(taken, p) * each[:, None]  # (P, K)
    both, size = (found * p).sum(0), found.sum(0) + (p * each[:, None]).sum(0)
    wrong = found.sum(0) - both
    agreement = (2 * both / size.clamp_min(1e-9))[1:][size[1:] > 0]
    return Belief(
        temperature,
        wrong,
        float(agreement.mean()) if len(agreement) else 1.0,
        _factor(wrong, taken, weight, bad),
    )


def _one_hot(index: Tensor, like: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(index, like.shape[1]).to(like)


def _temperature(margin: Tensor, painted: Tensor, weight: Tensor) -> float:
    """Return the temperature at which errors have the margins of painted ones."""
    if not len(margin) or not float(weight.sum()) > 0:
        return 1.0
    mean = float((painted * weight).sum() / weight.sum())
    for temperature in _TEMPERATURES:
        wrong = torch.sigmoid(-margin / temperature)
        if float((wrong * margin).sum() / wrong.sum()) >= mean:
            break
    return float(temperature)


def _factor(wrong: Tensor, taken: Tensor, weight: Tensor, bad: Tensor) -> Tensor:
    """Let painted errors weigh as much as the errors that they stand for."""
    classes = len(wrong)
    painted = torch.zeros_like(wrong).index_add_(0, taken[bad], weight[bad])
    if not float(painted.sum()) > 0:
        return torch.ones(classes + 1)
    factor = wrong / wrong.sum().clamp_min(1e-9) / painted.clamp_min(1e-12)
    factor = torch.where(painted > 0, factor, 0)
    mean = (factor * painted).sum() / painted.sum()
    return torch.cat([factor, mean[None]])


def pixel_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of every pixel, exactly 0 where nobody looked.

    Targets are smoothed (Szegedy et al. 2016, arXiv:1512.00567). Where only
    `FOREGROUND` is known, it is that of two classes: background, and the sum of all
    others.

    Parameters
    ----------
    logits
        (N, K, ...) float32.
    target
        (N, ...) uint8: the index of a class, `FOREGROUND` or `IGNORE`.
    """
    log_p = logits.log_softmax(1)
    unknown = target >= logits.shape[1]
    index = target.long().masked_fill(unknown, 0)
    right = log_p.gather(1, index[:, None])[:, 0]
    loss = -(1 - _SMOOTHING) * right - _SMOOTHING * log_p.mean(1)
    some = target == FOREGROUND
    if bool(some.any()):
        others, half = log_p[:, 1:].logsumexp(1), _SMOOTHING / 2
        loss = torch.where(some, -(1 - half) * others - half * log_p[:, 0], loss)
    return loss.masked_fill(target == IGNORE, 0.0)


def distance(logits: Tensor, teacher: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of every pixel from the teacher's.

    Parameters
    ----------
    logits
        (N, K, ...) float32.
    teacher
        (N, K, ...) probabilities, float32.
    """
    p = teacher.clamp_min(1e-6)
    return (p * (p.log() - logits.log_softmax(1))).sum(1)


def evenly(teacher: Tensor, where: Tensor) -> Tensor:
    """Return weights (N, ...) that sum to one over the pixels `where` (N, ...).

    All pixels that the teacher (N, K, ...) takes for a class weigh the same together
    as those of any other class: else what is rare is forgotten first.
    """
    found = teacher.argmax(1)
    weights = torch.zeros_like(teacher[:, 0])
    values = torch.unique(found[where])
    for value in values:
        own = where & (found == value)
        weights[own] = 1 / (own.sum() * len(values))
    return weights


def right(logits: Tensor, target: Tensor) -> Tensor:
    """Return which pixels (N, ...) the logits (N, K, ...) are right about."""
    found = logits.argmax(1)
    return torch.where(target == FOREGROUND, found > 0, found == target)
