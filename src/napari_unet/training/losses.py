"""Losses of each pixel: masked cross-entropy, and distillation from a teacher."""

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_unet.project.corrections import FOREGROUND, IGNORE

__all__ = [
    "class_balanced_weights",
    "distillation_loss",
    "is_correct",
    "masked_cross_entropy",
]

_SMOOTHING = 0.05  # of targets: hands slip at edges


def masked_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of every pixel, exactly 0 where nobody looked.

    Targets are smoothed (Szegedy et al. 2016, arXiv:1512.00567). Where only
    `FOREGROUND` is known, it is that of two classes: background, and the sum of all
    others.

    Parameters
    ----------
    logits
        (N, K, ...) float32.
    target
        (N, ...) uint8: the index of a class, `FOREGROUND` or `IGNORE`. A class that the
        logits lack counts as the first.
    """
    some = target == FOREGROUND
    lacking = (target >= logits.shape[1]) & (target != IGNORE)
    loss = F.cross_entropy(
        logits,
        target.long().masked_fill(lacking, 0),
        ignore_index=IGNORE,
        reduction="none",
        label_smoothing=_SMOOTHING,
    )
    if not bool(some.any()):
        return loss
    log_p, half = logits.log_softmax(1), _SMOOTHING / 2
    others = log_p[:, 1:].logsumexp(1)
    return torch.where(some, -(1 - half) * others - half * log_p[:, 0], loss)


def distillation_loss(logits: Tensor, teacher: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of every pixel from the teacher's.

    Parameters
    ----------
    logits
        (N, K, ...) float32.
    teacher
        (N, K, ...) probabilities, float32.
    """
    return F.kl_div(logits.log_softmax(1), teacher, reduction="none").sum(1)


def class_balanced_weights(teacher: Tensor, where: Tensor) -> Tensor:
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


def is_correct(logits: Tensor, target: Tensor) -> Tensor:
    """Return which pixels (N, ...) the logits (N, K, ...) are right about."""
    found = logits.argmax(1)
    return torch.where(target == FOREGROUND, found > 0, found == target)
