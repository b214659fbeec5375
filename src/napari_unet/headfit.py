"""The first answer: a new head for the features that a net has already.

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

from .autocast import mean_weights
from .corrections import FOREGROUND, IGNORE
from .examples import Example
from .fitting import AGAIN, NEW, Aim, descend, read
from .hypercolumn import Hypercolumn
from .losses import evenly, right
from .pixels import Pixels, read_pixels
from .readers import (
    apart,
    filter_reader,
    filters_of,
    joined,
    widened,
    with_hypercolumn,
)
from .stacking import filters_share
from .standing import Standing, agrees
from .unet import UNet

__all__ = ["FITTED", "OBEYED", "Fit", "agreement", "fit_head", "follow", "obey"]

OBEYED = 0.95  # share of the reviewed pixels that a model has to be right about
FITTED = 0.9  # of them, that an answer is right on by which a model can be judged

_READING = 0.45  # of the time at most; the rest is for fitting
_READING_ALL = 0.7  # where no stroke may be left out
_FILTERS, _FINDING_OUT = 0.1, 0.35  # of the time, for what follows the first fit
_HASTE = 0.1  # of the time that each fit has at least
_FREE = Standing().head_trust
_OBEYING, _SOME = 200, 4000  # steps at most until strokes are followed; pixels in each
_LOOK = 10  # steps between two looks at how many are
_GOAL = 0.98  # of the pixels that are read
_ENOUGH, _TENTHS = 0.96, 10  # of them, so that it is `OBEYED` of all; how finely


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

    @property
    def teacher(self) -> UNet:
        """The net with both readers: what the whole net learns from."""
        return joined(self.net, self.reader, self.share)


def fit_head(
    before: UNet,
    examples: Sequence[Example],
    seed: int,
    known: Standing | None,
    seconds: float | None = None,
    *,
    free: bool = False,
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
    """
    work = _Work(before, examples, seed, known, seconds)
    standing = Standing() if free or known is None else known
    loss = work.fit(standing)
    agreement = work.agreement()
    if known is None and not free:
        standing = work.standing(agreement)
        if standing.proven:
            loss = work.fit(standing)
    mean_weights(work.head, work.old, standing.kept)
    share = 0.0 if free else standing.mixed(sum(len(e.pieces) for e in examples))
    reader = work.fit_filters(share) if share else filter_reader(work.head)
    was = work.right(before)
    fit = Fit(work.net, reader, share, before, standing, agreement, loss, was, 0)
    patch = _obedient(fit, work.head, work.features, work.pixels, work.left())
    answer = joined(work.net, patch, share)
    return replace(fit, answer=answer, after=work.right(answer))


class _Work:
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
            self.features = _standard(self.head, self.pixels)
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

    def standing(self, agreement: float) -> Standing:
        """Return how far the model before is to be trusted, and filters beside it."""
        if agrees(agreement) and self.right(self.net) >= FITTED:
            return Standing(proven=True)
        share = filters_share(self.old, self.features, self.aim(_FREE))
        return Standing(filters=share)

    def aim(self, trust: float) -> Aim:
        """Return what a fit shall reach that trusts the model before so far."""
        pixels, before = self.pixels, self.was.softmax(1)
        kept = trust * evenly(before, pixels.target == IGNORE)
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
        return _score(self.said(net), self.pixels)

    def agreement(self) -> float:
        """Return how far what was said before agrees with what is said now."""
        return agreement(self.was, self.said(self.net), self.pixels.target)


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


def obey(
    fit: Fit, net: UNet, examples: Sequence[Example], seed: int, seconds: float
) -> UNet:
    """Return a net with a reader beside it that makes it follow what people said.

    The reader of filters may read all features now. It is fitted until nearly all
    reviewed pixels are right, and keeps what the net says of all others; then it moves
    back to what it was as far as `OBEYED` allows. The next lesson begins without it:
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
    head, left = net.hypercolumn, seconds - (time.perf_counter() - began)
    with torch.no_grad():
        features = _standard(head, pixels)
    return joined(net, _obedient(fit, head, features, pixels, left), fit.share)


def _obedient(
    fit: Fit, head: Hypercolumn, features: Tensor, pixels: Pixels, seconds: float
) -> Hypercolumn:
    """Return a reader that makes a head follow what people said: see `obey`."""
    began, reader = time.perf_counter(), widened(fit.reader, head)
    with torch.no_grad():
        first = pixels.first + (1 - fit.share) * read(head, features)
        before = (first + read(reader, features)).softmax(1)
    kept = fit.standing.net_trust * evenly(before, pixels.target == IGNORE)
    aim = Aim(pixels.target, pixels.weight, first, before, kept)
    old = copy.deepcopy(reader)
    optimiser = torch.optim.Adam(p for p in reader.parameters() if p.requires_grad)
    for step in range(_OBEYING):
        if step % _LOOK == 0:
            late = time.perf_counter() - began > seconds
            if late or _right(reader, features, aim) >= _GOAL:
                break
        for group in optimiser.param_groups:
            group["lr"] = AGAIN * (0.5 + 0.5 * math.cos(math.pi * step / _OBEYING))
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


def follow(
    head: Hypercolumn,
    teacher: Hypercolumn,
    pixels: Pixels,
    trust: float,
    steps: int,
    seconds: float,
) -> tuple[float, float]:
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
    float, float
        Which share of the reviewed pixels the head is right about then; and how far it
        agrees with the teacher elsewhere.
    """
    head.requires_grad_(True)
    with torch.no_grad():
        was = pixels.first + read(teacher, _standard(teacher, pixels))
        before, features = was.softmax(1), _standard(head, pixels)
    kept = trust * evenly(before, pixels.target == IGNORE)
    aim = Aim(pixels.target, pixels.weight, pixels.first, before, kept)
    descend(head, features, aim, NEW, seconds, steps)
    with torch.no_grad():
        now = pixels.first + read(head, features)
    return _score(now, pixels), agreement(was, now, pixels.target)


def _standard(head: Hypercolumn, pixels: Pixels) -> Tensor:
    """Return the standardised features (P, F) of all levels."""
    levels = zip(pixels.columns, head.mean, head.gain, strict=True)
    return torch.cat([(column - mean) * gain for column, mean, gain in levels], 1)


@torch.no_grad()
def _right(reader: Hypercolumn, features: Tensor, aim: Aim) -> float:
    return _score(aim.first + read(reader, features), aim)


def _score(logits: Tensor, told: Pixels | Aim) -> float:
    return float((right(logits, told.target) * told.weight).sum())


def _dice(a: Tensor, b: Tensor) -> float:
    return 2 * float((a & b).sum()) / max(1.0, float(a.sum() + b.sum()))
