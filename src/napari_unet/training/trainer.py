"""Trainer: optimiser steps on the whole net, with the old model as its teacher.

Knows what a step is shown, what it costs, and how a course that was broken off goes on.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_unet.network.autocast import fast_dtype, forward
from napari_unet.network.fuse import ready
from napari_unet.network.unet import UNet
from napari_unet.project.corrections import IGNORE
from napari_unet.tiling import round_up
from napari_unet.training.augment import Views
from napari_unet.training.examples import Example, View
from napari_unet.training.features import plain_windows
from napari_unet.training.losses import distance, evenly, pixel_loss, right

__all__ = ["Pace", "Trainer", "score"]

_VIEW = 160  # pixels along the side of what a step is shown
# Views in a step: with a stroke, and from all over; of a slow device, fewer.
_SPARSE = (2, 2), (1, 1)
_DENSE = (2, 6), (1, 3)  # where nearly all was reviewed
_DECAY = 1e-3  # of weights
_EMA = 0.99
_PATIENCE, _CUTS = (
    8,
    3,
)  # looks without a gain until the rate is cut; cuts until the end
_CUT = 1 / 3
_SLOTS = "exp_avg", "exp_avg_sq"  # what AdamW keeps of every weight


class Trainer:
    """A net that learns from examples.

    Where images were labelled (`dense`), weights are those of `examples.as_images`, and
    BatchNorm takes the statistics of the new images, unless the net is `frozen`. Else
    it keeps its own: those of a few strokes are not the images'.

    Parameters
    ----------
    teacher
        What it says of pixels that nobody looked at is learned, too.
    trust
        How much that counts, next to 1 for what people said; 0: nothing.

    Attributes
    ----------
    net
        What learns.
    mean
        The running mean of its weights: steadier than the weights themselves.
    step
        Steps done.
    hasty
        Whether steps are made of half as many views: the device is slow.
    frozen
        Whether BatchNorm keeps its statistics though images were labelled: the net is
        nearly right, and has seen more kinds of images than these.
    """

    def __init__(
        self,
        net: UNet,
        teacher: UNet,
        examples: Sequence[Example],
        trust: float,
        *,
        dense: bool,
        seed: int,
    ) -> None:
        self.net, self.trust, self.dense = net, trust, dense
        self.mean = copy.deepcopy(net)
        self.device = next(net.parameters()).device
        self.teacher = ready(teacher, self.device, fast_dtype(self.device))
        self.seed = seed
        self.views = Views(examples, self._side(examples), seed)
        self.learnt = list(net.requires_grad_(True).parameters())
        self.optimiser = torch.optim.AdamW(
            self.learnt, weight_decay=_DECAY, betas=(0.9, 0.99)
        )
        self.step = 0
        self.hasty = self.frozen = False
        self.usual = 0.0  # weight of the reviewed pixels in a step

    def advance(self, rate: float) -> float:
        """Take one step and return its loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss = self._loss()
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.learnt, 1.0)
        self.optimiser.step()
        self.step += 1
        self._average()
        return loss.item()

    def _loss(self) -> Tensor:
        around, anywhere = (_DENSE if self.dense else _SPARSE)[self.hasty]
        image, target, weight = (
            t.to(self.device) for t in self.views.batch(around, anywhere)
        )
        self.net.train(self.dense and not self.frozen)
        logits = forward(self.net, image)
        self.net.eval()
        here = float(weight.sum())
        self.usual = 0.8 * self.usual + 0.2 * here if self.usual else here
        return self._cost(logits, (image, target, weight), self.usual)

    def loss(self, net: UNet, view: View, usual: float) -> float:
        """Return what views (N, ...) would cost another net, with gradients off.

        Parameters
        ----------
        usual
            The weight of what was reviewed in such views.
        """
        image, target, weight = (t.to(self.device) for t in view)
        logits = forward(net, image)
        return float(self._cost(logits, (image, target, weight), usual))

    def _cost(self, logits: Tensor, view: View, usual: float) -> Tensor:
        image, target, weight = view
        told = (pixel_loss(logits, target) * (weight / max(usual, 1e-12))).sum()
        if not self.trust:
            return told
        with torch.no_grad():
            taught = self.teacher(image).float().softmax(1)
            trust = self.trust * evenly(taught, target == IGNORE)
        return told + (distance(logits, taught) * trust).sum()

    def _side(self, examples: Sequence[Example]) -> int:
        """Return the side of a view: no more of it is padding than there must be."""
        if not self.dense:
            return _VIEW
        longest = max(max(e.target.shape) for e in examples)
        return min(_VIEW, round_up(longest, self.net.spec.stride))

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(_EMA, self.step / (self.step + 5))
        for mean, now in zip(_numbers(self.mean), _numbers(self.net), strict=True):
            mean.lerp_(now, 1 - keep)

    # --- to go on another day -----------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """Return all that `restore` needs, and begin with new views: so does it."""
        found = {f"net.{i}": t for i, t in enumerate(_numbers(self.net))}
        found |= {f"mean.{i}": t for i, t in enumerate(_numbers(self.mean))}
        for i, slots in self.optimiser.state_dict()["state"].items():
            found |= {f"{name}.{i}": torch.as_tensor(t) for name, t in slots.items()}
        found["usual"] = torch.tensor(self.usual, dtype=torch.float64)
        self.views.restart(self.seed + self.step)
        return {name: t.detach().cpu().contiguous() for name, t in found.items()}

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor], step: int) -> None:
        """Go on where `state` was taken, after so many steps.

        Raises
        ------
        ValueError
            If it was taken of something else, or is damaged; then nothing has changed.
        """
        self._check(state)
        for name, net in (("net", self.net), ("mean", self.mean)):
            for i, tensor in enumerate(_numbers(net)):
                tensor.copy_(state[f"{name}.{i}"])
        slots: dict[int, dict[str, Tensor]] = {i: {} for i in range(len(self.learnt))}
        for key, tensor in state.items():
            name, _, index = key.rpartition(".")
            if name not in ("net", "mean", ""):
                slots[int(index)][name] = tensor
        about = self.optimiser.state_dict()
        self.optimiser.load_state_dict({**about, "state": slots})
        self.step, self.usual = step, float(state["usual"])
        self.views.restart(self.seed + step)

    def _check(self, state: dict[str, Tensor]) -> None:
        """Raise unless `state` has all numbers of this course, and real ones."""
        shapes = {"usual": torch.Size()}
        for name, net in (("net", self.net), ("mean", self.mean)):
            shapes |= {f"{name}.{i}": t.shape for i, t in enumerate(_numbers(net))}
        for i, weights in enumerate(self.learnt):
            shapes |= {f"step.{i}": torch.Size()}
            shapes |= {f"{name}.{i}": weights.shape for name in _SLOTS}
        if {name: tensor.shape for name, tensor in state.items()} != shapes:
            raise ValueError("it has not the tensors of this net")
        for name, tensor in state.items():
            if not tensor.is_floating_point() or not tensor.isfinite().all():
                raise ValueError(f"{name} has no real numbers")


@dataclass
class Pace:
    """How fast training goes on that has no set end: slower when it gains no more.

    Attributes
    ----------
    first
        The learning rate to begin with.
    stale
        Looks at the held-out part since the last gain, or the last cut.
    cuts
        How often the rate was cut.
    """

    first: float
    stale: int = 0
    cuts: int = 0

    @property
    def rate(self) -> float:
        """The learning rate now."""
        return self.first * _CUT**self.cuts

    @property
    def over(self) -> bool:
        """Whether smaller steps brought nothing either."""
        return self.cuts >= _CUTS

    @property
    def fraction(self) -> float:
        """How near the end is, 0 to 1; a gain takes it further away again."""
        return min(1.0, (self.cuts + self.stale / _PATIENCE) / _CUTS)

    def look(self, *, better: bool) -> None:
        """Take note of what a look at the held-out part has shown."""
        self.stale = 0 if better else self.stale + 1
        if self.stale >= _PATIENCE:
            self.stale, self.cuts = 0, self.cuts + 1


def _numbers(net: nn.Module) -> list[Tensor]:
    """Return the weights and the statistics of a net."""
    found = chain(net.parameters(), net.buffers())
    return [t for t in found if t.is_floating_point()]


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
        good += float((weight * right(found[None], target[None])[0]).sum())
        total += float(weight.sum())
    return good / max(total, 1e-12)
