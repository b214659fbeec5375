"""State of one fine-tuning: data, device, seeds, time and scores, for both loops."""

import math
from collections.abc import Sequence

import torch

from napari_unet.network.model import Model, best_device
from napari_unet.network.unet import UNet
from napari_unet.options import TrainOptions
from napari_unet.project.corrections import Correction
from napari_unet.project.lazy_corrections import More
from napari_unet.training.holdout import mean_dice
from napari_unet.training.schedule import CosineSchedule
from napari_unet.training.selection import Measure, ModelSelection, copied, score
from napari_unet.training.standing import Standing, is_new, noted, standing
from napari_unet.training.training_set import CorrectionStream, read_training_set

__all__ = ["FineTuneState"]

_FIRST = 3.2  # seconds for the first answer, if someone waits
_LEARNING = 0.65  # of the time at least; then strokes are obeyed, and it is judged
_OBEYING, _OBEYING_LEAST = 60.0, 4.0  # seconds until they are; and if there is no time


class FineTuneState:
    """What is learned from, by which options, and the best model so far.

    Attributes
    ----------
    data
        What is learned from.
    selection
        The best model so far, and the time since training began.
    teacher
        The model so far, on its device.
    seed
        Random seed of heads: each round looks elsewhere.
    waiting
        Seconds for the first answer; None: as long as it takes.
    """

    def __init__(
        self,
        model: Model,
        corrections: Sequence[Correction],
        options: TrainOptions,
        more: More | None = None,
    ) -> None:
        self.selection = ModelSelection(model)
        self.model, self.corrections, self.options = model, corrections, options
        self.data = read_training_set(model, corrections, options)
        self.stream = CorrectionStream(model, self.data, more, options)
        self.known = standing(model.card)
        self.seed = options.seed + self.data.reviewed
        torch.manual_seed(self.seed)
        self.device, _ = best_device(options.device)
        self.teacher = copied(model.net).to(self.device)
        self.waiting = None if options.seconds is None else _FIRST

    @property
    def is_new(self) -> bool:
        """Whether the model was made for new classes, and learned nothing since."""
        return is_new(self.model.card)

    @property
    def measure(self) -> Measure:
        """What a score is."""
        return "Dice" if self.data.dense else "right"

    def score(self, net: UNet) -> float:
        """Return a net's Dice where images were labelled, else what it is right on.

        It is the one ruler: what is told of two models at the end comes from here.
        """
        if self.data.dense:
            return mean_dice(net, self.data.judged)
        return score(net, self.data.examples, self.options.seed)

    def note(self, trusted: Standing) -> None:
        """Let the card of a new model say what it has learned from."""
        card = noted(trusted, self.data.strokes)
        self.selection.card = {**self.model.card, **card}

    def cosine(
        self, rate: float, steps: float, spare: float = math.inf
    ) -> CosineSchedule:
        """Return a schedule for the time that there is, less some to judge in."""
        limit, seconds = self.options.seconds, math.inf
        if limit is not None:
            seconds = max(limit - min(spare, (1 - _LEARNING) * limit), 1e-9)
        return CosineSchedule(rate, steps, seconds, lambda: self.selection.seconds)

    def obeying(self) -> float:
        """Return the seconds that are left until strokes have to be followed."""
        if self.options.seconds is None:
            return _OBEYING
        return max(_OBEYING_LEAST, self.options.seconds - self.selection.seconds - 1)
