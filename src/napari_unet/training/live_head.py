"""Live head: the one part of a model that strokes refit while people paint.

The net never changes, so its features are kept (`live_view`); only the second head is
fitted, again and again, for a fraction of a second. It is what `head` makes, on fewer
pixels.
"""

import copy
import time
from dataclasses import replace

import torch
from torch import Tensor

from napari_unet.network.autocast import mean_weights
from napari_unet.network.hypercolumn import Hypercolumn
from napari_unet.network.model import Model
from napari_unet.network.predictor import Predictor
from napari_unet.training.examples import Example
from napari_unet.training.features import Pixels, read_at
from napari_unet.training.head import OBEYED
from napari_unet.training.head_fit import follow
from napari_unet.training.readers import with_hypercolumn
from napari_unet.training.selection import copied
from napari_unet.training.standing import Standing, standing

__all__ = ["LiveHead"]

_STEPS, _MORE = 60, 25  # of a head that begins, and of one that goes on
_ROUNDS = 3  # of them at most, until strokes are followed; a shipped model need not
_SECONDS = 0.6  # for all of them, about
_SEED = 0


class LiveHead:
    """The second head of a model, which strokes change; the model is not changed.

    Parameters
    ----------
    model
        It is the teacher wherever nobody looked.
    """

    def __init__(self, model: Model) -> None:
        torch.manual_seed(_SEED)
        self.model = model
        # Few strokes, and a head held by the model, cannot tell whether it is right.
        self.standing = standing(model.card) or Standing()
        self._student = with_hypercolumn(model.net)
        self.spec = self._student.spec
        self._base = copy.deepcopy(self._student.hypercolumn)
        self._head: Hypercolumn | None = None  # None: nothing was learned

    @property
    def fitted(self) -> bool:
        """Whether it is another than the model's own."""
        return self._head is not None

    def forget(self) -> None:
        """Be the model's own head again."""
        self._head = None

    def fit(self, pixels: Pixels) -> None:
        """Fit to pixels, from where it stands."""
        torch.manual_seed(_SEED)  # the same strokes, the same head
        new, left = self._head is None, _SECONDS
        base = copy.deepcopy(self._base).to(pixels.first.device)
        if self._head is None:
            self._head = self._begun(base, pixels)
        trust = self.standing.head_trust
        for _ in range(1 if self.standing.proven else _ROUNDS):
            began, steps = time.perf_counter(), _STEPS if new else _MORE
            good = follow(self._head, base, pixels, trust, steps, left)
            left, new = left - (time.perf_counter() - began), False
            if good >= OBEYED or left <= 0:
                return

    def _begun(self, base: Hypercolumn, pixels: Pixels) -> Hypercolumn:
        """Return a head that says what the model's does, and is not fitted yet."""
        head = copy.deepcopy(base)
        if not bool(base.out.weight.any()):
            spread = [c.std(0) for c in pixels.columns]
            head.standardise([c.mean(0) for c in pixels.columns], spread)
        return head

    def head(self) -> Hypercolumn:
        """Return what the head is now, with as much of the model's as it keeps."""
        if self._head is None:
            return copy.deepcopy(self._base)
        found = copy.deepcopy(self._head).cpu().requires_grad_(False)
        mean_weights(found, self._base, self.standing.kept)
        return found

    def learned(self) -> Model:
        """Return the model with the head as it is now."""
        net = copied(self._student, torch.contiguous_format).cpu()
        net.hypercolumn = self.head()
        return replace(self.model, net=net.requires_grad_(False))

    def read(
        self, run: Predictor, example: Example, at: tuple[Tensor, Tensor]
    ) -> tuple[list[Tensor], Tensor]:
        """Return the features at pixels of an example, and the first head's logits."""
        student = self._student.to(run.device)
        return read_at(run.net, student, example.image.to(run.device), at)
