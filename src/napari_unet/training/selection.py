"""Model selection: the best model so far, the rule that it is no worse, the result.

Where strokes were painted, a model replaces the one it began with if it is right on as
large a share of what was painted, or more (`choose`); where whole images are labelled,
if its Dice on what is held out is better than all before (`offer`).
"""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch.nn import functional as F

from napari_unet.network.autocast import forward
from napari_unet.network.model import Model
from napari_unet.network.unet import UNet
from napari_unet.training.examples import Example
from napari_unet.training.features import plain_windows
from napari_unet.training.losses import is_correct

if TYPE_CHECKING:
    from napari_unet.training.continuation import Continuation

__all__ = [
    "Measure",
    "ModelSelection",
    "TrainStep",
    "Trained",
    "copied",
    "score",
    "told",
]

Measure = Literal["right", "Dice"]

_ALL = (
    "The new model had to be right on as much of all that was painted, or more: now "
    "{now:.1%}, before {was:.1%} (weighed: a pixel of a large stroke counts for less)."
)
_DICE = (
    "mean Dice of the labelled classes {now:.3f}, of the model before {was:.3f} (1 is "
    "perfect; one class everywhere has at most 1 / the number of classes)."
)
_HELD = f"Judged by places held out, no pixel of which was learned: {_DICE}"
_KNOWN = (
    "Too little is labelled to hold some of it out: all was learned, and judged by the "
    f"same: {_DICE}"
)


def told(now: float, before: float, measure: Measure, of: str) -> str:
    """Return in words what two scores are: of a model, and of the one before.

    Parameters
    ----------
    of
        Which pixels it is right on, if that is what they are.
    """
    if measure == "Dice":
        return f"mean Dice of the classes {now:.3f}, before {before:.3f}"
    return f"right on {now:.1%} of {of}, before on {before:.1%}"


@dataclass(frozen=True, slots=True)
class TrainStep:
    """What has been reached so far.

    Attributes
    ----------
    fraction
        How much of the time or the steps has passed, 0 to 1; of training without an
        end, how near it is.
    step, seconds, loss
        Steps done, seconds since the beginning, loss of the last step.
    score
        Of the best model so far, see `Trained.measure`; not a number while it was not
        judged.
    model
        A better model than before, when there is a new one.
    """

    fraction: float
    step: int
    seconds: float
    loss: float
    score: float
    model: Model | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """How training ended.

    Attributes
    ----------
    model
        The champion: a new model, or the one that it began with.
    published
        Whether it is a new one.
    score_before, score_after
        Of the model it began with, and of the champion.
    rule
        A sentence: how the two were compared, and what was found.
    steps, seconds
        How long it took.
    measure
        What the scores are: ``"right"`` is the share of the reviewed pixels that a
        model is right about, strokes being balanced; ``"Dice"`` the mean Dice of the
        classes where whole images were labelled, see `holdout.mean_dice`.
    continuation
        With what learning from strokes can go on; None where whole images were
        labelled, or where it was stopped.
    notes
        Sentences about what could not be used.
    """

    model: Model
    published: bool
    score_before: float
    score_after: float
    rule: str
    steps: int
    seconds: float
    measure: Measure = "right"
    continuation: "Continuation | None" = field(default=None, repr=False, compare=False)
    notes: tuple[str, ...] = ()


class ModelSelection:
    """A model, and the challengers that training brings up against it.

    Attributes
    ----------
    model, champion
        The one it began with, which is never changed, and the best so far.
    card
        Of a champion that is not the model it began with.
    before, best
        Their scores; not a number before they are judged.
    steps
        Steps done.
    """

    def __init__(self, model: Model) -> None:
        self.began = time.perf_counter()
        self.model = self.champion = model
        self.card = model.card
        self.before = self.best = math.nan
        self.steps = 0

    @property
    def won(self) -> bool:
        """Whether there is a better model than the one it began with."""
        return self.champion is not self.model

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self.began

    def begin(self, before: float) -> None:
        """Set the score to beat."""
        self.before = self.best = before

    def promote(self, net: UNet, reached: float = math.nan) -> None:
        """Make a copy of `net` the champion."""
        own = copied(net, torch.contiguous_format).cpu().requires_grad_(False)
        self.champion, self.best = replace(self.model, net=own, card=self.card), reached

    def offer(self, net: UNet, reached: float) -> bool:
        """Make a net the champion if its score is better than all before; say so."""
        if better := reached > self.best:
            self.promote(net, reached)
        return better

    def choose(self, nets: Sequence[UNet], score: Callable[[UNet], float]) -> float:
        """Make the first net the champion that is no worse than the model before.

        Where none is, that model is the champion again. Returns the best score.
        """
        reached = 0.0
        for net in nets:
            reached = max(reached, score(net))
            if reached >= self.before:
                self.promote(net, reached)
                return reached
        self.champion, self.best = self.model, self.before
        return reached

    def event(self, fraction: float, loss: float, *, new: bool = False) -> TrainStep:
        """Return what has been reached; `new`: the champion has just changed."""
        model = self.champion if new else None
        return TrainStep(fraction, self.steps, self.seconds, loss, self.best, model)

    def end_of_strokes(self, reached: float) -> Trained:
        """Return how it ended, by the score that `choose` has returned."""
        return self._end(_ALL.format(now=reached, was=self.before), "right")

    def end_of_masks(self, *, held: bool) -> Trained:
        """Return how it ended; `held`: judged by what was held out, else by all."""
        rule = _HELD if held else _KNOWN
        return self._end(rule.format(now=self.best, was=self.before), "Dice")

    def _end(self, rule: str, measure: Measure) -> Trained:
        return Trained(
            self.champion,
            self.won,
            round(self.before, 4),
            round(self.best, 4),
            rule,
            self.steps,
            self.seconds,
            measure,
        )


def copied(net: UNet, layout: torch.memory_format = torch.channels_last) -> UNet:
    """Return a copy of a net, in eval mode, its weights in this layout."""
    found: UNet = copy.deepcopy(net).eval()
    return found.to(memory_format=layout)  # type: ignore[call-overload, no-any-return]


@torch.no_grad()
def score(net: UNet, examples: Sequence[Example], seed: int) -> float:
    """Return the weighted share of reviewed pixels that a net is right about.

    Where there is much to look at, only windows around some strokes are.
    """
    device, stride = next(net.parameters()).device, net.spec.stride
    good = total = 0.0
    for image, target, weight in plain_windows(examples, np.random.default_rng(seed)):
        height, width = target.shape
        lack = (0, -width % stride, 0, -height % stride)
        whole = F.pad(image[None].to(device), lack, mode="replicate")
        found = forward(net, whole)[0, :, :height, :width].cpu()
        good += float((weight * is_correct(found[None], target[None])[0]).sum())
        total += float(weight.sum())
    return good / max(total, 1e-12)
