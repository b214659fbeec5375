"""A training run: what it learns from, the best model until a stop, and its card."""

import datetime as dt
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_unet._steps import Steps
from napari_unet.network.model import Model
from napari_unet.options import TrainOptions
from napari_unet.project.corrections import Correction
from napari_unet.project.lazy_corrections import More
from napari_unet.training.continuation import Continuation
from napari_unet.training.fine_tune import Trained, TrainStep, fine_tune, judge
from napari_unet.training.selection import told

__all__ = ["TrainingData", "TrainingRun", "describe"]


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What there is to learn from.

    Attributes
    ----------
    corrections
        All there are, or those that learning begins with.
    more
        Goes through all of them, where they cannot be held at once.
    notes
        Sentences about what could not be used. There may be more of them once the rest
        was read.
    """

    corrections: Sequence[Correction]
    more: More | None
    notes: list[str]


class TrainingRun:
    """A model that learns, until it has learned or is stopped.

    Parameters
    ----------
    model
        The one to begin with, which is never changed.
    """

    def __init__(self, model: Model, data: TrainingData, options: TrainOptions) -> None:
        self.model, self.data, self.options = model, data, options
        self._last: TrainStep | None = None
        self._best: TrainStep | None = None

    def steps(
        self, *, resume: Path | None = None, previous: Continuation | None = None
    ) -> Generator[TrainStep, None, Trained]:
        """Learn; yield what is reached, return the better model.

        Parameters
        ----------
        resume, previous
            See `fine_tune`.

        Raises
        ------
        UNetError
            As `fine_tune`.
        """
        data, how = self.data, self.options
        job = fine_tune(self.model, data.corrections, how, resume, previous, data.more)
        for event in (run := Steps(job)):
            self._last = event
            if event.model is not None:
                self._best = event
            yield event
        return run.result

    def stopped(self) -> Trained:
        """Return the best model until now, judged like one whose training has ended.

        A first answer is chosen by a part of what was said: here all of it judges. The
        scores are NaN if it was stopped before there was any model to judge.
        """
        old, best, last = self.model, self._best, self._last
        spent = (0, 0.0) if last is None else (last.step, last.seconds)
        if best is None or best.model is None:
            rule = "It was stopped before there was a better model."
            return Trained(old, False, math.nan, math.nan, rule, *spent)
        was, now, measure = judge(old, best.model, self.data.corrections, self.options)
        what = told(now, was, measure, "what was painted")
        rule = f"It was stopped; this is the best until then: {what}."
        if now < was:
            return Trained(old, False, was, was, rule, *spent, measure)
        return Trained(best.model, True, was, now, rule, *spent, measure)

    def named(self, trained: Trained, name: str) -> Model:
        """Return what this run came to under its name, with its card."""
        card = describe(trained, self.data.corrections)
        return replace(trained.model, card=card, name=name)


def describe(trained: Trained, corrections: Sequence[Correction]) -> dict[str, object]:
    """Return the card of a trained model: its parent's, and what it learned from."""
    card = dict(trained.model.card)
    if trained.published:
        pixels = sum(int(c.reviewed.sum()) for c in corrections)
        day = dt.datetime.now(dt.UTC).date().isoformat()
        scores = trained.score_after, trained.score_before
        step = (
            f"{day}: {pixels} reviewed pixels of {len(corrections)} planes, "
            f"{told(*scores, trained.measure, 'them')}"
        )
        card["history"] = [*card.get("history", []), step]
    return card
