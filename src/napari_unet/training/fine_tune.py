"""Fine-tuning on corrections: head first, then the whole net, never to a worse model.

The model in use is never touched. A copy learns, and replaces it only if it is no worse
on what people said. What keeps it from getting worse elsewhere is that the model in use
is its teacher on all pixels that nobody looked at, and the more so the better it is.
"""

import math
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from napari_unet._files import set_aside
from napari_unet.errors import CorrectionError, MemoryBudgetError, UNetError
from napari_unet.network.autocast import mean_weights
from napari_unet.network.model import Model, best_device
from napari_unet.network.unet import UNet
from napari_unet.options import TrainOptions
from napari_unet.project.corrections import Correction, Spot
from napari_unet.project.lazy_corrections import More
from napari_unet.training.checkpoint import read_checkpoint, task, write_checkpoint
from napari_unet.training.continuation import Continuation
from napari_unet.training.examples import (
    Example,
    as_images,
    class_weights,
    read_examples,
)
from napari_unet.training.head import Fit, fit_head, obey
from napari_unet.training.holdout import ImagePart, mean_dice, places, set_apart
from napari_unet.training.selection import (
    Measure,
    ModelSelection,
    Trained,
    TrainStep,
    copied,
)
from napari_unet.training.standing import Standing, agrees, noted, standing
from napari_unet.training.trainer import Pace, Trainer, score

__all__ = ["TrainStep", "Trained", "fine_tune", "judge", "warm_up"]

_STEPS, _EACH = 40, 500  # steps at most, and one more for so many reviewed pixels
_MANY = 32  # strokes for which the learning rate is not too high
_WARM = 5  # steps until the rate is reached
_HASTE = 1.25  # how many times too few steps there is time for, so that they shrink
_DENSE = 0.5  # share of reviewed pixels from which they are taken for the images'
_DENSE_RATE, _FAR = 1e-3, 0.25  # learning rate; how far from right it is meant for
_LEAST = 0.1  # of that rate, for a model that is nearly right
_NEAR = 0.125  # how far from right a model is whose statistics are kept
_FIRST = 3.2  # seconds for the first answer, if someone waits
_LEARNING = 0.65  # of the time at least; then strokes are obeyed, and it is judged
_OBEYING, _OBEYING_LEAST = 60.0, 4.0  # seconds until they are; and if there is no time
_EVERY = 4  # steps until one more correction is read, of more than can be held
_APART = 1024  # rows or columns between what is held out and what is read then
_CHECK = 50  # steps between two looks at what was held out
_LOOK = 2**20  # pixels that a look computes; of n times as many, it comes n times later
_ALONE = 500  # steps where nothing is held out that could say when to end

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


def fine_tune(
    model: Model,
    corrections: Sequence[Correction],
    options: TrainOptions | None = None,
    resume: Path | None = None,
    before: Continuation | None = None,
    more: More | None = None,
) -> Generator[TrainStep, None, Trained]:
    """Learn from corrections; yield what is reached, return the better model.

    Closing the generator cancels; `model` is never changed.

    Parameters
    ----------
    model
        The model so far.
    corrections
        All there are, old ones too: what is not repeated is forgotten.
    resume
        A file in which long training keeps where it stands, to go on after it was
        broken off. Whoever saves the model removes it then, not before. What another
        model, other corrections or other options left there is not used. None: nothing
        is kept.
    before
        Where the lesson before stands by now; taken up if `model` came of it.
    more
        What else there is, where not all can be held: the first answer and the scores
        are of `corrections`, while steps move on to these. None: there is no more.

    Raises
    ------
    CorrectionError
        If there is nothing to learn from.
    ImageError
        If an image does not fit the model, or cannot be read.
    OutputError
        If `resume` cannot be written.
    MemoryBudgetError
        If the memory of the graphics card is full.
    """
    threading.Thread(target=warm_up, name="napari-unet warm-up").start()
    with _told_when_full():
        lesson = _Lesson(model, corrections, options or TrainOptions(), resume, more)
        lesson.take_up(before)
        return (yield from lesson.dense() if lesson.is_dense else lesson.sparse())


def judge(
    before: Model,
    after: Model,
    corrections: Sequence[Correction],
    options: TrainOptions | None = None,
) -> tuple[float, float, Measure]:
    """Return the scores of two models, and what they are, as `Trained` has them.

    Takes about two seconds on a slow processor.

    Raises
    ------
    CorrectionError, ImageError, MemoryBudgetError
        As `fine_tune`.
    """
    with _told_when_full():
        lesson = _Lesson(before, corrections, options or TrainOptions(), None)
        device = next(lesson.teacher.parameters()).device
        nets = lesson.teacher, copied(after.net).to(device)
        was, now = (round(lesson.score(net), 4) for net in nets)
    return was, now, lesson.measure


def warm_up() -> None:
    """Load what PyTorch puts off until something learns: seconds, once in a process.

    To be called in a thread while people paint; the first answer comes sooner then.
    """
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])


@contextmanager
def _told_when_full() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryBudgetError(
            "Learning does not fit the memory of the graphics card. Close what else "
            "uses it, or choose the CPU."
        ) from error


class _Lesson:
    """One run of `fine_tune`: what is learned from, and who is best so far."""

    def __init__(
        self,
        model: Model,
        corrections: Sequence[Correction],
        options: TrainOptions,
        resume: Path | None,
        more: More | None = None,
    ) -> None:
        self.contest = ModelSelection(model)
        self.more = more
        self.model, self.corrections, self.options = model, corrections, options
        self.resume, self.notes = resume, tuple[str, ...]()
        self.spare = (1 - _LEARNING) * (options.seconds or 0)  # seconds to judge in
        self.examples = read_examples(model, corrections, options.channel)
        pieces = [piece for e in self.examples for piece in e.pieces]
        if not pieces:
            raise CorrectionError(
                "There are no corrections to learn from. Paint over what is wrong "
                "first: a stroke on what was missed, and one on what was taken for "
                "something else."
            )
        self.strokes = len(pieces)
        self.known = standing(model.card)
        self.reviewed = sum(len(piece.rows) for piece in pieces)
        pixels = sum(e.target.numel() for e in self.examples)
        self.is_dense = self.reviewed >= _DENSE * pixels
        self.total = sum(piece.weight for piece in pieces)
        self.learn = self.examples
        self.held, self.judged = list[ImagePart](), list[ImagePart]()
        self.held_spots: list[Spot] = []
        self.unseen, self.rate = 1.0, _DENSE_RATE
        if self.is_dense:
            self._hold_out()
        self.seed = options.seed + self.reviewed  # each round looks elsewhere
        torch.manual_seed(self.seed)
        device, _ = best_device(options.device)
        self.teacher = self.start = copied(model.net).to(device)
        self.before: Continuation | None = None

    def take_up(self, before: Continuation | None) -> None:
        """Go on where the lesson before has led, if the model came of it."""
        if before is not None and not self.is_dense and before.fits(self.model):
            self.before = before
            self.start = copied(before.start).to(next(self.teacher.parameters()).device)

    # --- strokes ------------------------------------------------------------------

    def sparse(self) -> Generator[TrainStep, None, Trained]:
        """Learn from strokes: few of all pixels, and most of them drawn on mistakes."""
        contest = self.contest
        fit = self._fit(self.examples)
        trusted, first = fit.standing, fit.answer
        self._note(trusted)
        if fit.after >= fit.before:
            contest.promote(first)
        yield contest.event(0.0, fit.loss, new=contest.won)
        course = self._course(copied(fit.net), first, self.examples, trusted.net_trust)
        if self.before is not None:
            self.before.lend(course)
        rate = trusted.rate * min(1.0, self.strokes / _MANY)
        limit = _STEPS + self.reviewed // _EACH
        for fraction, loss in self._timed(course, rate, limit):
            yield contest.event(fraction, loss)
        was = self.score(self.teacher)
        contest.begin(was)
        nets = [first]
        if course.step:
            last = copied(course.mean)  # the course may go on
            mean_weights(last, fit.net, trusted.steadied)
            nets.insert(0, obey(fit, last, self.examples, self.seed, self._left()))
        now = 0.0
        for net in nets:
            if (now := max(now, self.score(net))) >= was:
                contest.promote(net, now)
                break
        else:
            contest.withdraw()
        trained = contest.end(_ALL.format(now=now, was=was))
        about = self.examples, self.seed
        sequel = Continuation(contest, course, fit, *about, rate, limit)
        return replace(trained, sequel=sequel)

    def _note(self, trusted: Standing) -> None:
        """Let the card of a new model say what it has learned from."""
        card = noted(trusted, self.strokes)
        self.contest.card = {**self.model.card, **card}

    def _left(self) -> float:
        """Return the seconds that are left until strokes have to be followed."""
        if self.options.seconds is None:
            return _OBEYING
        return max(_OBEYING_LEAST, self.options.seconds - self.contest.seconds - 1)

    # --- whole images -------------------------------------------------------------

    def _hold_out(self) -> None:
        self.each = class_weights(self.examples)
        # The same in another weighing: the first one is not needed any more.
        images = self.examples = as_images(self.examples, self.each)
        spec = replace(self.model.spec, hypercolumn=1)
        self.learn, self.held = set_apart(images, spec, self.options.seed)
        self.judged = self.held or places(images, spec)
        kept = {id(example) for example in self.learn}
        self.held_spots = [e.spot for e in images if id(e) not in kept]
        sizes = [
            (np.count_nonzero(c.reviewed), c.target.size) for c in self.corrections
        ]
        seen, pixels = map(sum, zip(*sizes, strict=True))
        self.unseen = 1 - seen / pixels

    def dense(self) -> Generator[TrainStep, None, Trained]:
        """Learn from images in which most is labelled; judged by what is held out."""
        contest = self.contest
        fit = self._fit(self.learn)
        trusted = self.known or Standing(proven=agrees(fit.agreement))
        self._note(replace(trusted, proven=True))  # it learns from whole images
        student = fit.net
        began = contest.seconds
        contest.begin(self.score(self.teacher))
        self.rate *= min(1.0, max(_LEAST, (1 - contest.before) / _FAR))
        self._judge(student)
        took = contest.seconds - began  # for two looks; the last may come after another
        self.spare = min(self.spare, 2 * took)
        course = self._course(
            student, self.teacher, self.learn, trusted.share * self.unseen
        )
        course.frozen = 1 - contest.before < _NEAR
        endless = bool(self.held) and self.options.seconds is None
        pace = self._recall(course) if endless else None
        yield contest.event(0.0, fit.loss, new=contest.won)
        if endless:
            yield from self._settle(course, pace or Pace(self.rate))
        else:
            limit = _ALONE if self.options.seconds is None else math.inf
            for fraction, loss in self._timed(course, self.rate, limit):
                look = self.held and course.step % self.check == 0
                new = bool(look or fraction == 1) and self._judge(course.mean)
                yield contest.event(fraction, loss, new=new)
        rule = _HELD if self.held else _KNOWN
        said = rule.format(now=contest.best, was=contest.before)
        return replace(contest.end(said, self.measure), notes=self.notes)

    @property
    def check(self) -> int:
        """How many steps lie between two looks: the longer a look takes, the more."""
        pixels = sum(place.target.numel() for place in self.held)
        return _CHECK * max(1, round(pixels / _LOOK))

    def _settle(self, course: Trainer, pace: Pace) -> Iterator[TrainStep]:
        """Go on until what is held out gets no better, however small the steps."""
        while not pace.over:
            loss = self._advance(course, pace.rate)
            new = False
            if course.step % self.check == 0:
                new = self._judge(course.mean)
                pace.look(better=new)
                self._remember(course, pace)
            yield self.contest.event(pace.fraction, loss, new=new)

    def _judge(self, net: UNet) -> bool:
        """Promote a net that is better on what was held out; return whether it is."""
        now = self.score(net)
        if better := now > self.contest.best:
            self.contest.promote(net, now)
        return better

    def _remember(self, course: Trainer, pace: Pace) -> None:
        if self.resume is None:
            return
        state = course.state()
        numbers = {"step": course.step, "stale": pace.stale, "cuts": pace.cuts}
        if self.contest.won:
            best = self.contest.champion.net.state_dict()
            state |= {f"best/{name}": tensor for name, tensor in best.items()}
        write_checkpoint(self.resume, self._task(), numbers, state)

    def _recall(self, course: Trainer) -> Pace | None:
        """Go on where it was broken off; what is damaged is set aside, and told."""
        if self.resume is None:
            return None
        try:
            found = read_checkpoint(self.resume, self._task())
            return None if found is None else self._restore(course, *found)
        except (ValueError, KeyError, RuntimeError) as error:  # tensors that do not fit
            self.notes = (f"{set_aside(self.resume, error)} It was begun anew.",)
            return None

    def _restore(
        self, course: Trainer, numbers: dict[str, int], state: dict[str, Tensor]
    ) -> Pace:
        pace = Pace(self.rate, numbers["stale"], numbers["cuts"])
        best = {k.removeprefix("best/"): t for k, t in state.items() if "/" in k}
        net = copied(course.mean)
        if best:
            net.load_state_dict(best)
        course.restore(
            {k: t for k, t in state.items() if "/" not in k}, numbers["step"]
        )
        if best:
            self._judge(net)
        return pace

    def _task(self) -> str:
        return task(self.model, self.corrections, self.options)

    # --- both ---------------------------------------------------------------------

    @property
    def measure(self) -> Measure:
        """What a score is."""
        return "Dice" if self.is_dense else "right"

    def score(self, net: UNet) -> float:
        """Return a net's Dice where images were labelled, else what it is right on.

        It is the one ruler: what is told of two models at the end comes from here.
        """
        if self.is_dense:
            return mean_dice(net, self.judged)
        return score(net, self.examples, self.options.seed)

    def _course(
        self, net: UNet, teacher: UNet, examples: Sequence[Example], trust: float
    ) -> Trainer:
        seed, dense = self.options.seed, self.is_dense
        return Trainer(net, teacher, examples, trust, dense=dense, seed=seed)

    def _fit(self, examples: Sequence[Example]) -> Fit:
        """Fit a head; of whole images, what is held out tells how good the model is."""
        wait = None if self.options.seconds is None else _FIRST
        about = self.seed, self.known, wait
        return fit_head(self.start, examples, *about, free=self.is_dense)

    def _advance(self, course: Trainer, rate: float) -> float:
        loss = course.advance(rate * min(1.0, (course.step + 1) / _WARM))
        self.contest.steps = course.step
        if self.more is not None and course.step % _EVERY == 0:
            self._move_on(course, self.more)
        return loss

    def _move_on(self, course: Trainer, more: More) -> None:
        """Let a course learn from one more correction, unless it is held out."""
        try:
            found = next(more.draws, None)
            held = self.held_spots
            if found is None or any(_near(found.spot, spot) for spot in held):
                return
            about = self.model, [found], self.options.channel
            examples = read_examples(*about, total=self.total)
        except UNetError:  # one image of many: the others are learned from
            return
        if self.is_dense:
            examples = as_images(examples, self.each)
        for example in examples:
            course.views.admit(example, more.room)

    def _timed(
        self, course: Trainer, rate: float, limit: float
    ) -> Iterator[tuple[float, float]]:
        """Yield fraction and loss until time or steps are used up.

        A device that is too slow for `limit` steps takes smaller ones.
        """
        fraction = self._fraction(course.step / limit)
        began: tuple[int, float] | None = None
        while fraction < 1:
            falling = 0.5 + 0.5 * math.cos(math.pi * fraction)
            loss = self._advance(course, rate * falling)
            fraction = self._fraction(course.step / limit)
            now = course.step, fraction
            lack = 1.0 if began is None else _lack(began, now, limit)
            began = began or now  # the first step is slower than the rest
            course.hasty |= lack > _HASTE
            yield fraction, loss

    def _fraction(self, steps: float) -> float:
        """Return how much of the steps or of the time is used up, 0 to 1."""
        limit, passed = self.options.seconds, 0.0
        if limit is not None:
            passed = self.contest.seconds / max(limit - self.spare, 1e-9)
        return min(1.0, max(steps, passed))


def _near(one: Spot, other: Spot) -> bool:
    """Whether two corrections lie near each other in a plane of one image."""
    apart = max(abs(one[2] - other[2]), abs(one[3] - other[3]))
    return one[:2] == other[:2] and apart < _APART


def _lack(began: tuple[int, float], now: tuple[int, float], wanted: float) -> float:
    """Return how many times as many steps are wanted as there is time for.

    `began` and `now` are steps done and the fraction that has passed. Where no number
    is wanted (infinity), there are enough.
    """
    if wanted == math.inf or now[1] >= 1:
        return 1.0
    pace = (now[0] - began[0]) / max(now[1] - began[1], 1e-9)
    return wanted / (began[0] + pace * (1 - began[1]))
