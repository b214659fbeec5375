"""Trainer: optimiser steps on the whole net, with another net as its teacher.

Knows what a step costs: cross-entropy where people said what a pixel is, distillation
(Hinton et al. 2015, arXiv:1503.02531) from the teacher where nobody looked.
"""

import copy
from itertools import chain

import torch
from torch import Tensor, nn

from napari_unet.network.autocast import fast_dtype, forward
from napari_unet.network.fuse import ready
from napari_unet.network.unet import UNet
from napari_unet.project.corrections import IGNORE
from napari_unet.training.augment import Batch
from napari_unet.training.losses import (
    class_balanced_weights,
    distillation_loss,
    masked_cross_entropy,
)

__all__ = ["Trainer"]

_DECAY = 1e-3  # of weights
_EMA = 0.99
_CLIP = 1.0  # norm of the gradient at most
_SLOTS = "exp_avg", "exp_avg_sq"  # what AdamW keeps of every weight


class Trainer:
    """A net that learns, step by step.

    Parameters
    ----------
    teacher
        What it says of pixels that nobody looked at is learned, too.
    trust
        How much that counts, next to 1 for what people said; 0: nothing.
    statistics
        Whether BatchNorm takes the statistics of each batch. Else it keeps its own:
        those of a few strokes are not the images', and a net that is nearly right has
        seen more kinds of images than these.

    Attributes
    ----------
    net
        What learns.
    mean
        The running mean (EMA) of its weights: steadier than the weights themselves.
    steps
        How many are done.
    """

    def __init__(
        self, net: UNet, teacher: UNet, trust: float, *, statistics: bool = False
    ) -> None:
        self.net, self.trust, self.statistics = net, trust, statistics
        self.mean = copy.deepcopy(net)
        self.device = next(net.parameters()).device
        self.teacher = ready(teacher, self.device, fast_dtype(self.device))
        self.weights = list(net.requires_grad_(True).parameters())
        self.optimiser = torch.optim.AdamW(
            self.weights, weight_decay=_DECAY, betas=(0.9, 0.99)
        )
        self.steps = 0
        self.usual = 0.0  # weight of the reviewed pixels in a batch

    def step(self, batch: Batch, rate: float) -> float:
        """Take one step at this learning rate, and return its loss."""
        image, target, weight = (t.to(self.device) for t in batch)
        self.net.train(self.statistics)
        logits = forward(self.net, image)  # (N, K, Y, X)
        self.net.eval()
        here = float(weight.sum())
        self.usual = 0.8 * self.usual + 0.2 * here if self.usual else here
        loss = self._loss(logits, (image, target, weight), self.usual)
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.weights, _CLIP)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.steps += 1
        self._average()
        return loss.item()

    def loss(self, net: UNet, batch: Batch, usual: float) -> float:
        """Return what a batch would cost another net, with gradients off.

        Parameters
        ----------
        usual
            The weight of what was reviewed in such batches.
        """
        image, target, weight = (t.to(self.device) for t in batch)
        logits = forward(net, image)
        return float(self._loss(logits, (image, target, weight), usual))

    def _loss(self, logits: Tensor, batch: Batch, usual: float) -> Tensor:
        """Return cross-entropy where people looked, plus distillation elsewhere."""
        image, target, weight = batch
        losses = masked_cross_entropy(logits, target)
        told = (losses * (weight / max(usual, 1e-12))).sum()
        if not self.trust:
            return told
        with torch.no_grad():
            taught = self.teacher(image).float().softmax(1)
            trust = self.trust * class_balanced_weights(taught, target == IGNORE)
        return told + (distillation_loss(logits, taught) * trust).sum()

    @torch.no_grad()
    def _average(self) -> None:
        """Move the EMA on; it follows faster in the first steps."""
        keep = min(_EMA, self.steps / (self.steps + 5))
        for mean, now in zip(_numbers(self.mean), _numbers(self.net), strict=True):
            mean.lerp_(now, 1 - keep)

    # --- to go on another day -----------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """Return all that `restore` needs."""
        found = {f"net.{i}": t for i, t in enumerate(_numbers(self.net))}
        found |= {f"mean.{i}": t for i, t in enumerate(_numbers(self.mean))}
        for i, slots in self.optimiser.state_dict()["state"].items():
            found |= {f"{name}.{i}": torch.as_tensor(t) for name, t in slots.items()}
        found["usual"] = torch.tensor(self.usual, dtype=torch.float64)
        return {name: t.detach().cpu().contiguous() for name, t in found.items()}

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor], steps: int) -> None:
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
        slots: dict[int, dict[str, Tensor]] = {i: {} for i in range(len(self.weights))}
        for key, tensor in state.items():
            name, _, index = key.rpartition(".")
            if name not in ("net", "mean", ""):
                slots[int(index)][name] = tensor
        about = self.optimiser.state_dict()
        self.optimiser.load_state_dict({**about, "state": slots})
        self.steps, self.usual = steps, float(state["usual"])

    def _check(self, state: dict[str, Tensor]) -> None:
        """Raise unless `state` has all numbers of this net, and real ones."""
        shapes = {"usual": torch.Size()}
        for name, net in (("net", self.net), ("mean", self.mean)):
            shapes |= {f"{name}.{i}": t.shape for i, t in enumerate(_numbers(net))}
        for i, weights in enumerate(self.weights):
            shapes |= {f"step.{i}": torch.Size()}
            shapes |= {f"{name}.{i}": weights.shape for name in _SLOTS}
        if {name: tensor.shape for name, tensor in state.items()} != shapes:
            raise ValueError("it has not the tensors of this net")
        for name, tensor in state.items():
            if not tensor.is_floating_point() or not tensor.isfinite().all():
                raise ValueError(f"{name} has no real numbers")


def _numbers(net: nn.Module) -> list[Tensor]:
    """Return the weights and the statistics of a net."""
    found = chain(net.parameters(), net.buffers())
    return [t for t in found if t.is_floating_point()]
