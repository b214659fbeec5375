"""Fine-tuning on corrections: the two training loops; never to a worse model.

`_learn_strokes` is the sparse recipe, `_learn_masks` the dense one, for images of which
most is labelled. Both take batches of patches, step by step, as a `Trainer` does it,
and select the model that comes out (`selection`).

The model in use is never touched. A copy learns, and replaces it only if it is no worse
on what people said. What keeps it from getting worse elsewhere is a teacher on all
pixels that nobody looked at: with strokes, the first answer, which keeps to the model
in use as far as that is trusted; with whole masks, the model in use itself.
"""

import math
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from napari_unet.errors import MemoryBudgetError
from napari_unet.network.autocast import mean_weights
from napari_unet.network.model import Model
from napari_unet.options import TrainOptions
from napari_unet.project.corrections import Correction
from napari_unet.project.lazy_corrections import More
from napari_unet.tiling import round_up
from napari_unet.training.augment import PatchSampler
from napari_unet.training.checkpoint import Checkpoint, task
from napari_unet.training.continuation import Continuation
from napari_unet.training.examples import Example
from napari_unet.training.fine_tune_state import FineTuneState
from napari_unet.training.head import fit_head, obey
from napari_unet.training.holdout import ImagePart
from napari_unet.training.schedule import CosineSchedule, PlateauSchedule
from napari_unet.training.selection import Measure, Trained, TrainStep, copied
from napari_unet.training.standing import Standing, agrees
from napari_unet.training.trainer import Trainer

__all__ = ["TrainStep", "Trained", "fine_tune", "judge", "warm_up"]

_PATCH = 160  # pixels along the side of a patch
_STROKE_BATCH = 2, 2  # patches with a stroke in them, and from all over
_MASK_BATCH = 2, 6  # where nearly all was reviewed
_STEPS, _EACH = 40, 500  # steps at most, and one more for so many reviewed pixels
_MANY = 32  # strokes for which the learning rate is not too high
_MASK_RATE, _FAR = 1e-3, 0.25  # learning rate; how far from right it is meant for
_LEAST = 0.1  # of that rate, for a model that is nearly right
_NEAR = 0.125  # how far from right a model is whose statistics are kept
_CHECK = 50  # steps between two looks at what was held out
_LOOK = (
    2**20
)  # pixels that a look computes; with n times as many, it comes n times later
_ALONE = 500  # steps where nothing is held out that could say when to end


def fine_tune(
    model: Model,
    corrections: Sequence[Correction],
    options: TrainOptions | None = None,
    resume: Path | None = None,
    previous: Continuation | None = None,
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
    previous
        Where the previous lesson stands by now; taken up if `model` came of it.
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
        run = FineTuneState(model, corrections, options or TrainOptions(), more)
        if run.data.dense:
            return (yield from _learn_masks(run, resume))
        fits = previous is not None and previous.fits(model)
        return (yield from _learn_strokes(run, previous if fits else None))


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
        run = FineTuneState(before, corrections, options or TrainOptions())
        nets = run.teacher, copied(after.net).to(run.device)
        was, now = (round(run.score(net), 4) for net in nets)
    return was, now, run.measure


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


def _learn_strokes(
    run: FineTuneState, previous: Continuation | None
) -> Generator[TrainStep, None, Trained]:
    """Learn from strokes: few of all pixels, and most of them drawn on mistakes."""
    data, selection, options = run.data, run.selection, run.options

    # 1. The first answer: a head alone, fitted to features that do not change.
    start = run.teacher if previous is None else copied(previous.start).to(run.device)
    fit = fit_head(
        start, data.examples, run.seed, run.known, run.waiting, new=run.is_new
    )
    run.note(fit.standing)
    if fit.after >= fit.before:
        selection.promote(fit.answer)
    yield selection.event(0.0, fit.loss, new=selection.won)

    # 2. The whole net. Where nobody looked, the first answer is its teacher.
    sampler = PatchSampler(data.examples, _PATCH, options.seed, _STROKE_BATCH)
    trainer = Trainer(copied(fit.net), fit.answer, fit.standing.net_trust)
    if previous is not None:
        previous.lend(trainer)
    rate = fit.standing.rate * min(1.0, data.strokes / _MANY)
    limit = _STEPS + data.reviewed // _EACH
    schedule = run.cosine(rate, limit)
    while not schedule.over:
        batch = sampler.batch()  # image (N, C, S, S), target and weight (N, S, S)
        loss = trainer.step(batch, schedule.rate)  # forward, loss, backward, AdamW, EMA
        run.stream.feed(sampler, trainer.steps)
        schedule.advance(trainer.steps)
        sampler.hasty, selection.steps = schedule.hasty, trainer.steps
        yield selection.event(schedule.fraction, loss)

    # 3. Selection: the whole net, made to obey, or the first answer, or neither.
    selection.begin(run.score(run.teacher))
    nets = [fit.answer]
    if trainer.steps:
        last = copied(trainer.mean)  # the trainer may go on
        mean_weights(last, fit.net, fit.standing.steadied)
        nets.insert(0, obey(fit, last, data.examples, run.seed, run.obeying()))
    reached = selection.choose(nets, run.score)
    trained = selection.end_of_strokes(reached)
    about = fit, data.examples, run.seed, rate, limit
    further = Continuation(selection, trainer, sampler, *about)
    return replace(trained, continuation=further)


def _learn_masks(
    run: FineTuneState, resume: Path | None
) -> Generator[TrainStep, None, Trained]:
    """Learn from images in which most is labelled; judged by what is held out."""
    data, selection, options = run.data, run.selection, run.options

    # 1. The first answer: a head alone, which also tells how good the model is.
    fit = fit_head(
        run.teacher, data.examples, run.seed, run.known, run.waiting, free=True
    )
    trusted = run.known or Standing(proven=agrees(fit.agreement, new=run.is_new))
    run.note(replace(trusted, proven=True))  # it learns from whole images
    began = selection.seconds
    selection.begin(run.score(run.teacher))
    selection.offer(fit.net, run.score(fit.net))
    spare = 2 * (selection.seconds - began)  # the last look may come after another

    # 2. The whole net; the best is selected as it goes, by what is held out.
    side = _side(data.examples, run.model.spec.stride)
    sampler = PatchSampler(data.examples, side, options.seed, _MASK_BATCH)
    share, far = trusted.share * data.unseen, 1 - selection.before >= _NEAR
    trainer = Trainer(fit.net, run.teacher, share, statistics=far)
    schedule = _mask_schedule(run, spare)
    checkpoint = _resumed(run, resume, trainer, sampler, schedule)
    yield selection.event(0.0, fit.loss, new=selection.won)
    every = _steps_between_looks(data.held)
    while not schedule.over:
        batch = sampler.batch()  # image (N, C, S, S), target and weight (N, S, S)
        loss = trainer.step(batch, schedule.rate)  # forward, loss, backward, AdamW, EMA
        run.stream.feed(sampler, trainer.steps)
        schedule.advance(trainer.steps)
        sampler.hasty, selection.steps = schedule.hasty, trainer.steps
        new = False
        if schedule.over or (data.held and trainer.steps % every == 0):
            new = selection.offer(trainer.mean, run.score(trainer.mean))
            schedule.look(better=new)
            if checkpoint is not None:
                checkpoint.save(selection)
        yield selection.event(schedule.fraction, loss, new=new)
    notes = () if checkpoint is None else checkpoint.notes
    return replace(selection.end_of_masks(held=bool(data.held)), notes=notes)


def _mask_schedule(
    run: FineTuneState, spare: float
) -> CosineSchedule | PlateauSchedule:
    """Return smaller steps for a better model, until the time is over or no gain."""
    lack, limit = 1 - run.selection.before, run.options.seconds
    rate = _MASK_RATE * min(1.0, max(_LEAST, lack / _FAR))
    if run.data.held and limit is None:
        return PlateauSchedule(rate)
    return run.cosine(rate, _ALONE if limit is None else math.inf, spare)


def _resumed(
    run: FineTuneState,
    path: Path | None,
    trainer: Trainer,
    sampler: PatchSampler,
    schedule: CosineSchedule | PlateauSchedule,
) -> Checkpoint | None:
    """Go on where training without a set end was broken off, if there is a file."""
    if path is None or not isinstance(schedule, PlateauSchedule):
        return None
    of = task(run.model, run.corrections, run.options)
    checkpoint = Checkpoint(path, of, trainer, sampler, schedule)
    best = checkpoint.resume()
    if best is not None:
        run.selection.offer(best, run.score(best))
    run.selection.steps = trainer.steps
    if not trainer.steps:  # a cancel before the first look leaves something, too
        checkpoint.save(run.selection)
    return checkpoint


def _steps_between_looks(held: Sequence[ImagePart]) -> int:
    """Return how many steps lie between two looks: the longer one takes, the more."""
    pixels = sum(place.target.numel() for place in held)
    return _CHECK * max(1, round(pixels / _LOOK))


def _side(examples: Sequence[Example], stride: int) -> int:
    """Return the side of a patch of images: no more of it is padding than must be."""
    longest = max(max(e.target.shape) for e in examples)
    return min(_PATCH, round_up(longest, stride))
