"""Continued training on strokes after the first answer, in memory.

An answer is wanted within seconds; a net gains from more steps than there is time for
then. Where the lesson stands is kept in memory, in no file, so that steps can follow
while people paint, and the next lesson can begin where they have led.
"""

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from napari_unet.network.autocast import mean_weights
from napari_unet.network.model import Model
from napari_unet.network.unet import UNet
from napari_unet.training.augment import PatchSampler
from napari_unet.training.examples import Example
from napari_unet.training.head import OBEYED, Fit, obey
from napari_unet.training.selection import ModelSelection, copied, score
from napari_unet.training.trainer import Trainer

__all__ = ["Continuation", "Further", "go_on"]

_LOOK = 25  # steps between two looks at what was reached
_PATCHES = 12  # the same at each look: single steps are on too little to compare
_PATIENCE = 3  # looks without a gain, after which it ends
_GAIN = 0.02  # by which share the loss must have fallen to be one
_AS_LONG = 5  # times as many steps as in a lesson are the most
_RATE = 0.3  # of the lesson's learning rate
_WARM = 10  # steps of a lesson until the rate is reached
_OBEYING = 8.0  # seconds until strokes are followed, at a look

_State = Mapping[int, Mapping[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Further:
    """How far learning has gone on.

    Attributes
    ----------
    steps
        Done since the lesson has ended.
    right
        Share of what was painted that the best model is right about.
    model
        A better one than before, when there is a new one.
    over
        Whether it has ended by itself.
    """

    steps: int
    right: float
    model: Model | None = None
    over: bool = False


@dataclass(slots=True, eq=False)
class Continuation:
    """Where a lesson stands, and all that is needed to go on with it.

    Another thread may read it at any time: what `start` returns and `lend` copies is
    replaced, and never changed.

    Attributes
    ----------
    selection
        The best model so far, and what it is right about: see `look`.
    trainer, sampler
        The net that learns, its optimiser, and what steps are shown.
    fit
        The first answer: what weights are moved back to, and how far.
    examples, seed
        What is learned from, and the random seed.
    rate
        The learning rate of the lesson.
    usual
        How many steps a lesson has on a fast device; some times as many follow.
    floor
        What a better model is to be right about: as much as that of the lesson, or
        nearly all.
    steps
        Done since the lesson has ended.
    loss
        The least at a look; of the lesson, before the first one.
    stale
        Looks since it has fallen by more than a little.
    """

    selection: ModelSelection
    trainer: Trainer
    sampler: PatchSampler
    fit: Fit
    examples: Sequence[Example]
    seed: int
    rate: float
    usual: int
    floor: float = field(init=False)
    steps: int = field(init=False, default=0)
    loss: float = field(init=False, default=math.nan)
    stale: int = field(init=False, default=0)
    _known: list[str] = field(init=False, default_factory=list)
    _reached: tuple[UNet, _State] = field(init=False)

    def __post_init__(self) -> None:
        self.floor = min(self.selection.best, OBEYED)
        self._note()

    @property
    def over(self) -> bool:
        """Whether nothing more is to be gained from these strokes, or not by much."""
        settled = self.stale >= _PATIENCE and not self.lacking
        return settled or self.steps >= _AS_LONG * self.usual

    def fits(self, model: Model) -> bool:
        """Return whether this is a model that came of it, as a file holds it."""
        return _mark(model.net) in self._known

    @property
    def lacking(self) -> bool:
        """Whether too little of what was painted is followed so far."""
        return self.selection.best < OBEYED

    @property
    def strokes(self) -> int:
        """How many are learned from."""
        return sum(len(example.regions) for example in self.examples)

    @property
    def start(self) -> UNet:
        """The best net so far, of which the file may not know yet."""
        return self._reached[0]

    def lend(self, trainer: Trainer) -> None:
        """Let the trainer of the same net go on with this optimiser's means."""
        optimiser = trainer.optimiser
        about = optimiser.state_dict()
        optimiser.load_state_dict({**about, "state": _copied(self._reached[1])})

    def begin(self) -> None:
        """Look at what the lesson has led to, once."""
        if math.isnan(self.loss):
            self.loss = self._loss(self._settled())

    def advance(self) -> None:
        """Take one step."""
        warm_up = min(1.0, (self.trainer.steps + 1) / _WARM)
        self.trainer.step(self.sampler.batch(), _RATE * self.rate * warm_up)
        self.steps += 1

    def look(self) -> bool:
        """Judge what the last steps have led to; return whether it is better.

        It must be right on at least as much of what was painted as the model of the
        lesson, by the same measure, or on nearly all, and have a lower loss than all
        before. (More and more of it, each time, would be learning by heart.)
        """
        settled = self._settled()
        loss = self._loss(settled)
        about = self.examples, self.seed + self.steps, _OBEYING
        net = obey(self.fit, settled, *about)
        now = score(net, self.examples, self.seed)
        better = now >= self.floor and loss < self.loss
        self.stale = 0 if loss < (1 - _GAIN) * self.loss else self.stale + 1
        self.loss = min(loss, self.loss)
        if better:
            self.selection.promote(net, now)
            self._note()
        return better

    def _settled(self) -> UNet:
        """Return the mean of the weights, moved back by less than in the lesson."""
        net = copied(self.trainer.mean)
        mean_weights(net, self.fit.net, self.fit.standing.kept)
        return net

    @torch.no_grad()
    def _loss(self, net: UNet) -> float:
        """Return the loss of a net on patches of strokes, the same ones each time."""
        some = (_PATCHES, 0)
        sampler = PatchSampler(self.examples, self.sampler.side, self.seed, some)
        image, target, weight = sampler.batch()
        usual = float(weight.sum()) / _PATCHES
        patches = zip(image[:, None], target[:, None], weight[:, None], strict=True)
        losses = [self.trainer.loss(net, patch, usual) for patch in patches]
        return math.fsum(losses) / _PATCHES

    def _note(self) -> None:
        """Keep what the next lesson begins with."""
        best = self.selection.champion
        self._known.append(_mark(best.net))
        state = self.trainer.optimiser.state_dict()["state"]
        self._reached = best.net, _copied(state)


def go_on(continuation: Continuation) -> Generator[Further, None, Further]:
    """Learn on from the same strokes; yield after each step, and better models.

    It ends when strokes are followed and nothing more is gained, after some multiple of
    the steps of the lesson, or when the memory of the graphics card is full. It may be
    closed, and called again.
    """
    try:
        continuation.begin()
        while not continuation.over:
            for _ in range(_LOOK):
                continuation.advance()
                yield _told(continuation)
            yield _told(continuation, better=continuation.look())
    except torch.OutOfMemoryError:  # what was reached is kept, and nobody waits for it
        pass
    return _told(continuation, over=True)


def _told(
    continuation: Continuation, *, better: bool = False, over: bool = False
) -> Further:
    selection = continuation.selection
    model = selection.champion if better else None
    return Further(continuation.steps, round(selection.best, 4), model, over)


def _mark(net: UNet) -> str:
    """Return what tells a net from others, whether or not it was in a file."""
    half = copied(net, torch.contiguous_format).cpu().half()
    return Model(half).checksum()


def _copied(state: _State) -> dict[int, dict[str, Any]]:
    """Return a copy of what an optimiser knows of each weight."""
    return {
        number: {name: value.clone() for name, value in slots.items()}
        for number, slots in state.items()
    }
