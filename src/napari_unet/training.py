"""Learning from corrections: a first answer within seconds, then the whole net.

The model in use is never touched. A copy learns, and replaces it only if it is no worse
on what people said. What keeps it from getting worse elsewhere is that the model in use
is its teacher on all pixels that nobody looked at.
"""

import copy
import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .autocast import forward, mean_weights
from .corrections import IGNORE, Correction
from .errors import CorrectionError
from .examples import Example, Views, read_examples
from .headfit import fit_head, with_hypercolumn
from .losses import distance, evenly, pixel_loss, right
from .model import Model, best_device
from .options import TrainOptions
from .unet import UNet

__all__ = ["TrainStep", "Trained", "fine_tune"]

_VIEW = 160  # pixels along the side of what a step is shown
_AROUND, _ANYWHERE = 2, 2  # views in a step: with a stroke, and from all over
_STEPS, _EACH = 40, 500  # steps at most, and one more for so many reviewed pixels
_RATE, _MANY = 3e-4, 32  # learning rate; strokes for which it is not too high
_DECAY = 1e-3  # of weights
_WARM = 5  # steps until the rate is reached
_EMA = 0.99
_TRUST = 1.0  # in the teacher, on pixels that nobody looked at
_JUDGED = 6  # batches of views that a score is made of


@dataclass(frozen=True, slots=True)
class TrainStep:
    """What has been reached so far.

    Attributes
    ----------
    fraction
        How much of the time or the steps has passed, 0 to 1.
    step, seconds, loss
        Steps done, seconds since the beginning, loss of the last step.
    score
        Share of reviewed pixels that the best model so far is right about.
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
        Share of reviewed pixels that each was right about, classes and strokes being
        balanced: of the model it began with, and of the challenger.
    rule
        A sentence: how the two were compared.
    steps, seconds
        How long it took.
    """

    model: Model
    published: bool
    score_before: float
    score_after: float
    rule: str
    steps: int
    seconds: float


def fine_tune(
    model: Model,
    corrections: Sequence[Correction],
    options: TrainOptions | None = None,
) -> Generator[TrainStep, None, Trained]:
    """Learn from corrections; yield what is reached, return the better model.

    Closing the generator cancels; `model` is never changed.

    Parameters
    ----------
    model
        The model so far.
    corrections
        All there are, old ones too: what is not repeated is forgotten.

    Raises
    ------
    CorrectionError
        If there is nothing to learn from.
    ImageError
        If an image does not fit the model, or cannot be read.
    """
    options = options or TrainOptions()
    began = time.perf_counter()
    device, _ = best_device(options.device)
    examples = read_examples(model, corrections, options.channel)
    if not any(example.pieces for example in examples):
        raise CorrectionError(
            "There are no corrections to learn from. Paint over what is wrong first: a "
            "stroke on what was missed, and one on what was taken for something else."
        )
    torch.manual_seed(options.seed)
    teacher = _copy(model.net, torch.channels_last).to(device)
    student = _copy(with_hypercolumn(teacher), torch.channels_last)
    anchor = _copy(student, torch.channels_last)
    loss, before, after = fit_head(student, examples)
    first = _publish(model, student)
    champion, best = (first, after) if after >= before else (model, before)
    spent = time.perf_counter() - began
    yield TrainStep(0.0, 0, spent, loss, best, None if champion is model else first)
    course = _Course(student, teacher, examples, options, device)
    step = 0
    for step, fraction, loss in course.run(began):
        yield TrainStep(fraction, step, time.perf_counter() - began, loss, best)
    if step:
        mean_weights(course.mean, anchor)
        final, was = (
            _score(net, Views(examples, _VIEW, options.seed), device)
            for net in (course.mean, teacher)
        )
        if final >= was:
            champion, best = _publish(model, course.mean), final
    return Trained(
        champion,
        champion is not model,
        round(before, 4),
        round(best, 4),
        "It is no worse on all pixels that somebody looked at.",
        step,
        time.perf_counter() - began,
    )


def _publish(parent: Model, net: UNet) -> Model:
    """Return a model of the net as it is now."""
    found = _copy(net, torch.contiguous_format).cpu().requires_grad_(False)
    return replace(parent, net=found)


def _copy(net: UNet, layout: torch.memory_format) -> UNet:
    found: UNet = copy.deepcopy(net).eval()
    return found.to(memory_format=layout)  # type: ignore[call-overload, no-any-return]


class _Course:
    """Training the whole net, step by step.

    Attributes
    ----------
    mean
        The running mean of the weights: steadier than the weights themselves.
    """

    def __init__(
        self,
        student: UNet,
        teacher: UNet,
        examples: Sequence[Example],
        options: TrainOptions,
        device: torch.device,
    ) -> None:
        self.net = student
        self.teacher, self.options, self.device = teacher, options, device
        self.mean = copy.deepcopy(student)
        self.views = Views(examples, _VIEW, options.seed)
        # BatchNorm keeps its statistics: those of a few strokes are not the image's.
        self.learnt = list(student.requires_grad_(True).parameters())
        self.optimiser = torch.optim.AdamW(
            self.learnt, weight_decay=_DECAY, betas=(0.9, 0.99)
        )
        reviewed = sum(int((e.target != IGNORE).sum()) for e in examples)
        self.steps = _STEPS + reviewed // _EACH
        strokes = sum(len(example.pieces) for example in examples)
        self.rate = _RATE * min(1.0, strokes / _MANY)
        self.usual = 0.0  # weight of the reviewed pixels in a step

    def run(self, began: float) -> Iterator[tuple[int, float, float]]:
        """Yield step, fraction and loss until time or steps are used up."""
        fraction, step = self._fraction(0, began), 0
        while fraction < 1:
            rate = self.rate * min(1.0, (step + 1) / _WARM)
            rate *= 0.5 + 0.5 * math.cos(math.pi * fraction)
            loss = self._step(rate, step)
            step += 1
            fraction = self._fraction(step, began)
            yield step, min(fraction, 1.0), loss

    def _fraction(self, step: int, began: float) -> float:
        passed = time.perf_counter() - began
        limit = self.options.seconds
        return max(
            step / self.steps, 0.0 if limit is None else passed / max(limit, 1e-9)
        )

    def _step(self, rate: float, step: int) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        image, target, weight = (
            t.to(self.device) for t in self.views.batch(_AROUND, _ANYWHERE)
        )
        logits = forward(self.net, image)
        loss = self._told(logits, target, weight)
        with torch.no_grad():
            before = forward(self.teacher, image).softmax(1)
            trust = _TRUST * evenly(before, target == IGNORE)
        loss = loss + (distance(logits, before) * trust).sum()
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.learnt, 1.0)
        self.optimiser.step()
        keep = min(_EMA, (step + 1) / (step + 6))
        with torch.no_grad():
            for mean, now in zip(
                self.mean.parameters(), self.net.parameters(), strict=True
            ):
                mean.lerp_(now, 1 - keep)
        return loss.item()

    def _told(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the loss on reviewed pixels, as large as if all were seen."""
        here = float(weight.sum())
        self.usual = 0.8 * self.usual + 0.2 * here if self.usual else here
        return (pixel_loss(logits, target) * weight).sum() / max(self.usual, 1e-12)


@torch.no_grad()
def _score(net: UNet, views: Views, device: torch.device) -> float:
    """Return the weighted share of reviewed pixels that a net is right about."""
    good = total = 0.0
    for _ in range(_JUDGED):
        image, target, weight = (t.to(device) for t in views.batch(4, 0))
        good += float((weight * right(forward(net, image), target)).sum())
        total += float(weight.sum())
    return good / max(total, 1e-12)
