"""Weight of the filter head beside the net's, by cross-validated strokes.

Each of two readers is fitted without a quarter of the strokes, four times. The share is
that with which both together predict those strokes best (stacking: Wolpert 1992,
doi:10.1016/S0893-6080(05)80023-1).
"""

import copy
import math

import torch
from torch import Tensor

from napari_unet.network.hypercolumn import Hypercolumn
from napari_unet.project.corrections import IGNORE
from napari_unet.training.head_fit import NEW, Aim, descend, read
from napari_unet.training.losses import masked_cross_entropy
from napari_unet.training.readers import filter_reader, filters_of

__all__ = ["filters_share"]

_PARTS, _STEPS = 4, 50  # parts that are left out in turn; steps of each fit
_MOST = 1500  # pixels that are looked at
_SHARES = 0.0, 0.25, 0.5, 0.75, 0.9
_WORST = 4.0  # the loss of a pixel at most: one stroke must not decide alone


def filters_share(
    head: Hypercolumn, features: Tensor, aim: Aim, seconds: float = math.inf
) -> float:
    """Return the best share of a reader of filters, 0 to 0.9.

    Parameters
    ----------
    head
        What reads all features, not fitted yet; it is not changed.
    features, aim
        As for `head_fit.descend`.
    seconds
        How long that may take, about.
    """
    painted = torch.nonzero(aim.target != IGNORE)[:, 0]
    some = painted[torch.randperm(len(painted))[:_MOST]]
    features, aim = features[some], aim.part(some)
    filters, parts = filters_of(head, features), _parts(aim)
    each = seconds / (2 * _PARTS)
    ours, theirs = torch.zeros_like(aim.first), torch.zeros_like(aim.first)
    for part in range(_PARTS):
        out = parts == part
        if bool(out.any()) and not bool(out.all()):
            ours[out] = _predicted(copy.deepcopy(head), features, aim, out, each)
            theirs[out] = _predicted(filter_reader(head), filters, aim, out, each)
    losses = [_loss(aim, (1 - s) * ours + s * theirs) for s in _SHARES]
    return _SHARES[losses.index(min(losses))]


def _parts(aim: Aim) -> Tensor:
    """Return for each pixel (P,) in which part its stroke is left out.

    All pixels of a stroke weigh the same. Two strokes of one class and size are left
    out together, which does no harm; else the strokes of each class are spread evenly.
    """
    told = torch.stack([aim.target.double(), aim.weight.double()], 1)
    stroke: Tensor = torch.unique(told, dim=0, return_inverse=True)[1]
    return stroke % _PARTS


def _predicted(
    head: Hypercolumn, features: Tensor, aim: Aim, out: Tensor, seconds: float
) -> Tensor:
    """Fit `head` to all pixels but those left out; return its logits of these."""
    descend(head, features[~out], aim.part(~out), NEW, seconds, _STEPS)
    with torch.no_grad():
        return read(head, features[out])


def _loss(aim: Aim, found: Tensor) -> float:
    losses = masked_cross_entropy(aim.first + found, aim.target).clamp(max=_WORST)
    return float((losses * aim.weight).sum())
