"""Training set: examples to learn from, what is held out of them, and what comes later.

Strokes and whole masks are told apart here, by the share of the pixels that people
labelled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from napari_unet.errors import CorrectionError, UNetError
from napari_unet.network.model import Model
from napari_unet.options import TrainOptions
from napari_unet.project.corrections import Correction, Spot
from napari_unet.project.lazy_corrections import More
from napari_unet.training.augment import PatchSampler
from napari_unet.training.examples import (
    Example,
    as_images,
    class_weights,
    read_examples,
)
from napari_unet.training.holdout import ImagePart, image_parts, set_apart

__all__ = ["CorrectionStream", "TrainingSet", "read_training_set"]

_DENSE = 0.5  # share of labelled pixels from which whole images are labelled
_EVERY = 4  # steps until one more correction is read, of more than can be held
_APART = 1024  # rows or columns between what is held out and what is read then


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """What is learned from.

    Attributes
    ----------
    examples
        To learn from; what is held out is none of it.
    dense
        Whether whole images are labelled; else strokes were painted.
    strokes, reviewed
        How many regions and pixels people labelled, those held out among them.
    total
        The weight of all regions, as `Region.weight`.
    held
        What is held out of labelled images; empty where there is too little.
    judged
        Labelled pixels that say how good a model is: those held out, or else all. Empty
        where strokes were painted: there the examples do.
    spots
        Where corrections begin of which something is held out.
    unseen
        Share of the pixels of labelled images that nobody looked at.
    class_weights
        How much a pixel of each value (256,) weighs; None where strokes were painted.
    """

    examples: Sequence[Example]
    dense: bool
    strokes: int
    reviewed: int
    total: float
    held: Sequence[ImagePart] = ()
    judged: Sequence[ImagePart] = ()
    spots: Sequence[Spot] = ()
    unseen: float = 1.0
    class_weights: Tensor | None = None


def read_training_set(
    model: Model, corrections: Sequence[Correction], options: TrainOptions
) -> TrainingSet:
    """Read what there is to learn from.

    Raises
    ------
    CorrectionError
        If there is nothing.
    ImageError
        If an image does not fit the model, or cannot be read.
    """
    examples = read_examples(model, corrections, options.channel)
    regions = [region for e in examples for region in e.regions]
    if not regions:
        raise CorrectionError(
            "There are no corrections to learn from. Paint over what is wrong "
            "first: a stroke on what was missed, and one on what was taken for "
            "something else."
        )
    reviewed = sum(len(region.rows) for region in regions)
    total, share = sum(region.weight for region in regions), _labelled(corrections)
    about = share >= _DENSE, len(regions), reviewed, total
    if share < _DENSE:
        return TrainingSet(examples, *about)
    weights = class_weights(examples)
    examples = as_images(examples, weights)  # the first weighing is let go
    found = TrainingSet(examples, *about, unseen=1 - share, class_weights=weights)
    return _less_held_out(found, model, options.seed)


def _labelled(corrections: Sequence[Correction]) -> float:
    """Return which share of the pixels of corrections is labelled.

    Of their own pixels: what an example has around them belongs to others.
    """
    seen = sum(np.count_nonzero(c.reviewed) for c in corrections)
    return seen / sum(c.target.size for c in corrections)


def _less_held_out(found: TrainingSet, model: Model, seed: int) -> TrainingSet:
    """Hold out a part of labelled images."""
    spec = replace(model.spec, hypercolumn=1)
    examples, held = set_apart(found.examples, spec, seed)
    whole = {id(example) for example in examples}
    return replace(
        found,
        examples=examples,
        held=held,
        judged=held or image_parts(found.examples, spec),
        spots=[e.spot for e in found.examples if id(e) not in whole],
    )


class CorrectionStream:
    """Corrections beyond those that can be held, read one by one between steps."""

    def __init__(
        self, model: Model, data: TrainingSet, more: More | None, options: TrainOptions
    ) -> None:
        self.more = more
        self._model, self._data, self._channel = model, data, options.channel

    def feed(self, sampler: PatchSampler, steps: int) -> None:
        """Let patches be drawn from one more of them, every few steps.

        What lies near something that is held out is left out, and what cannot be read:
        the others are learned from.
        """
        if self.more is None or steps % _EVERY:
            return
        try:
            examples = self._next(self.more)
        except UNetError:  # one image of many
            return
        for example in examples:
            sampler.admit(example, self.more.room)

    def _next(self, more: More) -> list[Example]:
        found, data = next(more.draws, None), self._data
        if found is None or any(_near(found.spot, spot) for spot in data.spots):
            return []
        examples = read_examples(self._model, [found], self._channel, data.total)
        weights = data.class_weights
        return examples if weights is None else as_images(examples, weights)


def _near(one: Spot, other: Spot) -> bool:
    """Whether two corrections lie near each other in a plane of one image."""
    apart = max(abs(one[2] - other[2]), abs(one[3] - other[3]))
    return one[:2] == other[:2] and apart < _APART
