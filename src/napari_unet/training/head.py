"""Head fitting: a new hypercolumn head for frozen features, within seconds.

Nothing else changes, so the features are computed once, only at some pixels, and the
fit takes seconds. Two readers are fitted, one of all features and one of plain filters
(see `readers`). Pixels that nobody looked at keep what the model said of them, the
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

from napari_unet.network.autocast import mean_weights
from napari_unet.network.hypercolumn import Hypercolumn
from napari_unet.network.unet import UNet
from napari_unet.project.corrections import IGNORE
from napari_unet.training.examples import Example
from napari_unet.training.features import Pixels, read_pixels
from napari_unet.training.head_fit import (
    AGAIN,
    NEW,
    Aim,
    agreement,
    descend,
    read,
    score,
    standardised,
)
from napari_unet.training.losses import class_balanced_weights
from napari_unet.training.obey import obedient
from napari_unet.training.readers import (
    apart,
    filter_reader,
    filters_of,
    joined,
    widened,
    with_hypercolumn,
)
from napari_unet.training.stacking import filters_share
from napari_unet.training.standing import Standing, agrees

__all__ = ["FITTED", "OBEYED", "Fit", "fit_head", "obey"]

OBEYED = 0.95  # share of the reviewed pixels that a model has to be right about
FITTED = 0.9  # of them, that an answer is right on by which a model can be judged

_READING = 0.45  # of the time at most; the rest is for fitting
_READING_ALL = 0.7  # where no stroke may be left out
_FILTERS, _FINDING_OUT = 0.1, 0.35  # of the time, for what follows the first fit
_HASTE = 0.1  # of the time that each fit has at least
_FREE = Standing().head_trust


@dataclass(frozen=True, slots=True)
class Fit:
    """What came of fitting a head.

    Attributes
    ----------
    net
        The net with its reader of all features.
    reader, share
        The reader of filters, which says what it says times `share`.
    answer
        The net with a reader that makes it follow what people said: see `obey`.
    standing
        How far the model before was trusted.
    agreement
        How far it agrees with `net` where nobody looked, as in `standing.agrees`; it
        means something where it was not trusted.
    loss
        Of the last step.
    before, after
        On which share of the reviewed pixels the model before is right, and `answer`.
    """

    net: UNet
    reader: Hypercolumn
    share: float
    answer: UNet
    standing: Standing
    agreement: float
    loss: float
    before: float
    after: float


def fit_head(
    before: UNet,
    examples: Sequence[Example],
    seed: int,
    known: Standing | None,
    seconds: float | None = None,
    *,
    free: bool = False,
    new: bool = False,
) -> Fit:
    """Fit a second head to the examples; nothing else of the net is changed.

    Parameters
    ----------
    before
        The net so far, of which a copy is fitted.
    known
        How far it is to be trusted; None: that is found out, by an answer that is
        fitted without it first.
    seconds
        How long that may take, about; None: as long as it takes.
    free
        Trust it in nothing, and fit no reader of filters: images are labelled.
    new
        Whether its classes are new to it; see `standing.agrees`.
    """
    fitting = _Fitting(before, examples, seed, known, seconds)
    standing = Standing() if free or known is None else known
    loss = fitting.fit(standing)
    agreement = fitting.agreement()
    if known is None and not free:
        standing = fitting.standing(agreement, new=new)
        if standing.proven:
            loss = fitting.fit(standing)
    mean_weights(fitting.head, fitting.old, standing.kept)
    share = 0.0 if free else standing.mixed(sum(len(e.regions) for e in examples))
    reader = fitting.fit_filters(share) if share else filter_reader(fitting.head)
    net, was, now = fitting.net, fitting.right(before), fitting.right(fitting.net)
    fit = Fit(net, reader, share, net, standing, agreement, loss, was, now)
    if free:  # whole images are learned from, not obeyed
        return fit
    patch = _obedient(fit, net, fitting.features, fitting.pixels, fitting.left())
    answer = joined(net, patch, share)
    return replace(fit, answer=answer, after=fitting.right(answer))


class _Fitting:
    """A head, and the features that it is fitted to.

    Attributes
    ----------
    net, head
        What is fitted.
    old
        The head as it was.
    """

    def __init__(
        self,
        before: UNet,
        examples: Sequence[Example],
        seed: int,
        known: Standing | None,
        seconds: float | None,
    ) -> None:
        self.began, self.seconds = time.perf_counter(), seconds
        self.spare = _FINDING_OUT if known is None else _FILTERS
        own = apart(before, known.mixed(known.strokes)) if known else before
        self.net = with_hypercolumn(own)
        self.head = self.net.hypercolumn.requires_grad_(True)
        reading = seconds and seconds * _READING
        self.pixels = read_pixels(self.net, examples, seed, reading)
        self.rate = AGAIN if bool(self.head.out.weight.any()) else NEW
        with torch.no_grad():
            if self.rate == NEW:
                columns = self.pixels.columns
                spread = [c.mean(0) for c in columns], [c.std(0) for c in columns]
                self.head.standardise(*spread)
            self.features = standardised(self.head, self.pixels)
            nearly_right = known is not None and known.proven
            self.was = self.said(self.net if nearly_right else before)
        self.old = copy.deepcopy(self.head)

    def left(self, spare: float = 0.0) -> float:
        """Return the seconds that are left for a fit if some of all are spared."""
        if self.seconds is None:
            return math.inf
        spent = time.perf_counter() - self.began
        return max(self.seconds * (1 - spare) - spent, self.seconds * _HASTE)

    def fit(self, standing: Standing) -> float:
        """Fit the head from where it was; return the last step's loss."""
        self.head.load_state_dict(self.old.state_dict())
        aim, seconds = self.aim(standing.head_trust), self.left(self.spare)
        return descend(self.head, self.features, aim, self.rate, seconds)

    def fit_filters(self, share: float) -> Hypercolumn:
        """Return a new reader of filters, which trusts nothing but strokes."""
        reader = filter_reader(self.head)
        filters, aim = filters_of(self.head, self.features), self.aim(_FREE)
        descend(reader, filters, aim, NEW, self.left())
        with torch.no_grad():
            reader.out.weight.mul_(share)
        return reader

    def standing(self, agreement: float, *, new: bool) -> Standing:
        """Return how far the model before is to be trusted, and filters beside it."""
        if agrees(agreement, new=new) and self.right(self.net) >= FITTED:
            return Standing(proven=True)
        seconds = self.left(2 * _FILTERS)
        share = filters_share(self.old, self.features, self.aim(_FREE), seconds)
        return Standing(filters=share)

    def aim(self, trust: float) -> Aim:
        """Return what a fit shall reach that trusts the model before so far."""
        pixels, before = self.pixels, self.was.softmax(1)
        kept = trust * class_balanced_weights(before, pixels.target == IGNORE)
        return Aim(pixels.target, pixels.weight, pixels.first, before, kept)

    @torch.no_grad()
    def said(self, net: UNet) -> Tensor:
        """Return the logits (P, K) of a net with the same features."""
        found = self.pixels.first
        if net.spec.hypercolumn:
            found = found + read(net.hypercolumn, self.features)
        return found

    def right(self, net: UNet) -> float:
        """Return on which share of the reviewed pixels a net is right."""
        return score(self.said(net), self.pixels)

    def agreement(self) -> float:
        """Return how far what was said before agrees with what is said now."""
        return agreement(self.was, self.said(self.net), self.pixels.target)


def obey(
    fit: Fit, net: UNet, examples: Sequence[Example], seed: int, seconds: float
) -> UNet:
    """Return a net with a reader beside it that makes it follow what people said.

    The reader of filters may read all features now. It is fitted until nearly all
    reviewed pixels are right, and keeps what the net says of all others; then it moves
    back to what it was as far as they stay so. The next lesson begins without it:
    strokes that could only be obeyed leave no trace in the net.

    Parameters
    ----------
    net
        What became of the fit's one.
    seconds
        How long that may take, about.
    """
    began = time.perf_counter()
    pixels = read_pixels(net, examples, seed, seconds * _READING_ALL, every=True)
    with torch.no_grad():
        features = standardised(net.hypercolumn, pixels)
    left = seconds - (time.perf_counter() - began)
    return joined(net, _obedient(fit, net, features, pixels, left), fit.share)


def _obedient(
    fit: Fit, net: UNet, features: Tensor, pixels: Pixels, seconds: float
) -> Hypercolumn:
    """Return a reader that makes a net with the fit's one beside it obey."""
    head = net.hypercolumn
    with torch.no_grad():
        first = pixels.first + (1 - fit.share) * read(head, features)
    reader, trust = widened(fit.reader, head), fit.standing.net_trust
    return obedient(reader, features, pixels, first, trust, seconds)
