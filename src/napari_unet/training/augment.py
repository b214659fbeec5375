"""Data augmentation: random square patches, flipped, turned, brighter or darker."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_unet.project.corrections import IGNORE
from napari_unet.training.examples import Example, Patch

__all__ = ["Batch", "PatchSampler", "augmented"]

_GAIN, _SHIFT = 0.2, 0.06  # how much brighter or darker, on images from 0 to 1

Batch = tuple[Tensor, Tensor, Tensor]  # image (N, C, S, S), target, weight (N, S, S)


class PatchSampler:
    """Draws square patches of examples, turned, flipped, a bit brighter or darker.

    Pixels are copied, never interpolated: that would smooth the very texture that
    local filters look at.

    Parameters
    ----------
    side
        Of a patch, in pixels.
    seed
        Random seed.
    size
        Patches in a batch: so many with a stroke in them, and so many from all over the
        examples.

    Attributes
    ----------
    hasty
        Whether batches are half as large: the device is slow.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        side: int,
        seed: int,
        size: tuple[int, int],
    ) -> None:
        self.examples, self.side = list(examples), side
        self.seed, self.size = seed, size
        self.strokes = [(e, region) for e in examples for region in e.regions]
        self.hasty = False
        self.restart()

    def restart(self, steps: int = 0) -> None:
        """Draw from here on as whoever goes on after so many steps."""
        self.random = np.random.default_rng(self.seed + steps)

    def admit(self, example: Example, room: int) -> None:
        """Draw from one more example, and from the oldest no more if memory is short.

        Parameters
        ----------
        room
            Bytes that all examples may take together; the new one is always taken.
        """
        self.examples.append(example)
        self.strokes += [(example, region) for region in example.regions]
        held = sum(each.nbytes for each in self.examples)
        while held > room and len(self.examples) > 1:
            oldest = self.examples.pop(0)
            held -= oldest.nbytes
            del self.strokes[: len(oldest.regions)]  # they stand in the same order

    def batch(self) -> Batch:
        """Return the next images, targets and weights."""
        around, anywhere = (n // 2 if self.hasty else n for n in self.size)
        patches = [self._around() for _ in range(around)]
        patches += [self._anywhere() for _ in range(anywhere)]
        images, targets, weights = map(torch.stack, zip(*patches, strict=True))
        return images, targets, weights

    def _around(self) -> Patch:
        example, region = self.strokes[int(self.random.integers(len(self.strokes)))]
        return self._patch(example, *region.somewhere(self.random))

    def _anywhere(self) -> Patch:
        example = self.examples[int(self.random.integers(len(self.examples)))]
        height, width = example.target.shape
        y, x = self.random.integers(height), self.random.integers(width)
        return self._patch(example, int(y), int(x))

    def _patch(self, example: Example, y: int, x: int) -> Patch:
        """Cut a square with (y, x) in its middle half, padded where there is less."""
        slices = []
        for at, length in zip((y, x), example.target.shape, strict=True):
            side = min(self.side, length)
            start = at - int(self.random.integers(side // 4, side - side // 4))
            start = min(max(start, 0), length - side)
            slices.append(slice(start, start + side))
        image, target, weight = example.cut((slices[0], slices[1]))
        lack = (0, self.side - target.shape[1], 0, self.side - target.shape[0])
        if any(lack):
            image, weight = F.pad(image, lack), F.pad(weight, lack)
            target = F.pad(target, lack, value=IGNORE)
        return augmented((image, target, weight), self.random)


def augmented(patch: Patch, random: np.random.Generator) -> Patch:
    """Turn a patch, flip it, and make all channels brighter or darker, and each."""
    turns, flip = int(random.integers(4)), bool(random.integers(2))
    image, target, weight = (
        torch.rot90(t.flip(-1) if flip else t, turns, (-2, -1)) for t in patch
    )
    own = (image.shape[0], 1, 1)
    gain = random.normal(0, _GAIN) + random.normal(0, _GAIN, own)
    shift = random.normal(0, _SHIFT) + random.normal(0, _SHIFT, own)
    gains, shifts = (torch.from_numpy(a).float() for a in (np.exp(gain), shift))
    return image * gains + shifts, target, weight
