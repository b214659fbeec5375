"""Data augmentation: random square views, flipped, turned, brighter or darker."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from napari_unet.project.corrections import IGNORE
from napari_unet.training.examples import Example, View

__all__ = ["Views", "altered_view"]

_GAIN, _SHIFT = 0.2, 0.06  # how much brighter or darker, on images from 0 to 1


class Views:
    """Draws square views of examples, turned, flipped and a little brighter or darker.

    Pixels are copied, never interpolated: that would smooth the very texture that
    local filters look at.
    """

    def __init__(self, examples: Sequence[Example], size: int, seed: int) -> None:
        self.examples, self.size = list(examples), size
        self.restart(seed)
        self.strokes = [(e, piece) for e in examples for piece in e.pieces]

    def restart(self, seed: int) -> None:
        """Draw from here on as this seed says."""
        self.random = np.random.default_rng(seed)

    def admit(self, example: Example, room: int) -> None:
        """Draw from one more example, and from the oldest no more if memory is short.

        Parameters
        ----------
        room
            Bytes that all examples may take together; the new one is always taken.
        """
        self.examples.append(example)
        self.strokes += [(example, piece) for piece in example.pieces]
        held = sum(each.nbytes for each in self.examples)
        while held > room and len(self.examples) > 1:
            oldest = self.examples.pop(0)
            held -= oldest.nbytes
            del self.strokes[: len(oldest.pieces)]  # they stand in the same order

    def batch(self, around: int, anywhere: int) -> View:
        """Return images (N, C, S, S), targets and weights (N, S, S).

        Parameters
        ----------
        around
            Views with a stroke in them.
        anywhere
            Views from all over the examples.
        """
        views = [self._around() for _ in range(around)]
        views += [self._anywhere() for _ in range(anywhere)]
        images, targets, weights = map(torch.stack, zip(*views, strict=True))
        return images, targets, weights

    def _around(self) -> View:
        example, piece = self.strokes[int(self.random.integers(len(self.strokes)))]
        return self._view(example, *piece.somewhere(self.random))

    def _anywhere(self) -> View:
        example = self.examples[int(self.random.integers(len(self.examples)))]
        height, width = example.target.shape
        y, x = self.random.integers(height), self.random.integers(width)
        return self._view(example, int(y), int(x))

    def _view(self, example: Example, y: int, x: int) -> View:
        """Cut a square with (y, x) in its middle half, padded where there is less."""
        slices = []
        for at, length in zip((y, x), example.target.shape, strict=True):
            side = min(self.size, length)
            start = at - int(self.random.integers(side // 4, side - side // 4))
            start = min(max(start, 0), length - side)
            slices.append(slice(start, start + side))
        image, target, weight = example.cut((slices[0], slices[1]))
        lack = (0, self.size - target.shape[1], 0, self.size - target.shape[0])
        if any(lack):
            image, weight = F.pad(image, lack), F.pad(weight, lack)
            target = F.pad(target, lack, value=IGNORE)
        return altered_view((image, target, weight), self.random)


def altered_view(view: View, random: np.random.Generator) -> View:
    """Turn a view, flip it, and make all channels brighter or darker, and each."""
    turns, flip = int(random.integers(4)), bool(random.integers(2))
    image, target, weight = (
        torch.rot90(t.flip(-1) if flip else t, turns, (-2, -1)) for t in view
    )
    own = (image.shape[0], 1, 1)
    gain = random.normal(0, _GAIN) + random.normal(0, _GAIN, own)
    shift = random.normal(0, _SHIFT) + random.normal(0, _SHIFT, own)
    gains, shifts = (torch.from_numpy(a).float() for a in (np.exp(gain), shift))
    return image * gains + shifts, target, weight
