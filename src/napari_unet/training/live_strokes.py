"""Live strokes: painted pixels to refit the head with, in view and elsewhere.

Knows how many pixels stand for all that was painted, and remembers the features of
those out of view.
"""

import hashlib
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.network.predictor import Predictor, engine
from napari_unet.project.corrections import Correction
from napari_unet.training.examples import Example, Region, read_examples
from napari_unet.training.features import Pixels
from napari_unet.training.live_head import LiveHead

__all__ = [
    "SEED",
    "Elsewhere",
    "PaintedPixels",
    "PixelFeatures",
    "joined",
    "sampled",
    "thinned",
]

SEED = 0  # of which pixels are taken
_EACH, _BLOCKS = 400, 64  # pixels that are remembered of a block elsewhere; of how many


@dataclass(frozen=True, slots=True, eq=False)
class PaintedPixels:
    """Some painted pixels: where, which class, and how much each counts."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    target: NDArray[np.uint8]
    weight: NDArray[np.float32]

    def with_features(self, columns: list[Tensor], first: Tensor) -> "PixelFeatures":
        """Return them with their features, and the first head's logits (P, K)."""
        return PixelFeatures(columns, self.target, self.weight, first)


@dataclass(frozen=True, slots=True, eq=False)
class PixelFeatures:
    """The features of pixels, in all levels; see `Pixels`, but weights sum to any."""

    columns: list[Tensor]
    target: NDArray[np.uint8]
    weight: NDArray[np.float32]
    first: Tensor


class Elsewhere:
    """What was painted out of view, with its features: it must not be forgotten.

    Only what changed is read again when the view moves.

    Attributes
    ----------
    mark
        For whoever reads: what it was read for; None until that has ended.
    """

    def __init__(self, head: LiveHead) -> None:
        self._head = head
        self.mark: object = None
        self._known: dict[Any, tuple[bytes, list[PixelFeatures]]] = {}

    def read(
        self, corrections: Sequence[Correction], seconds: float, device: str = "auto"
    ) -> Generator[None, None, None]:
        """Read as many of the corrections as there is time for; forget all others."""
        self.mark = None
        began = time.perf_counter()
        run = engine(self._head.model, device)
        before, self._known = self._known, {}
        order = np.random.default_rng(SEED).permutation(len(corrections))
        late = []
        for correction in (corrections[i] for i in order):
            key, mark = (correction.key, correction.place), _mark(correction)
            if key in before and before[key][0] == mark:
                self._known[key] = before[key]
            else:
                late.append((key, mark, correction))
        for key, mark, correction in late:
            if time.perf_counter() - began > seconds or len(self._known) >= _BLOCKS:
                return
            examples = read_examples(self._head.model, [correction])
            self._known[key] = mark, [self._pixels(run, e) for e in examples]
            yield

    def values(self) -> set[int]:
        """Return the classes that were painted."""
        return {int(v) for part in self.parts() for v in np.unique(part.target)}

    def parts(self) -> list[PixelFeatures]:
        """Return what is known."""
        return [part for _, parts in self._known.values() for part in parts]

    @torch.no_grad()
    def _pixels(self, run: Predictor, example: Example) -> PixelFeatures:
        chosen = sampled(example.regions, _EACH)
        at = torch.from_numpy(chosen.rows), torch.from_numpy(chosen.columns)
        columns, first = self._head.read(run, example, at)
        return chosen.with_features(columns, first)


def sampled(regions: Sequence[Region], most: int) -> PaintedPixels:
    """Return the pixels of strokes, or some of them, which count for all."""
    lengths = [len(region.rows) for region in regions]
    rows, columns = (
        np.concatenate([np.zeros(0, np.intp), *found])
        for found in ([p.rows for p in regions], [p.columns for p in regions])
    )
    target = np.repeat(np.array([p.value for p in regions], np.uint8), lengths)
    each = [p.weight / n for p, n in zip(regions, lengths, strict=True)]
    weight = np.repeat(np.array(each, np.float32), lengths)
    if len(rows) > most:
        some = np.random.default_rng(SEED).choice(len(rows), most, replace=False)
        share = len(rows) / most
        return PaintedPixels(
            rows[some], columns[some], target[some], weight[some] * share
        )
    return PaintedPixels(rows, columns, target, weight)


def thinned(parts: list[PixelFeatures], most: int) -> list[PixelFeatures]:
    """Return about `most` of all pixels, which count for all of them."""
    count = sum(len(part.target) for part in parts)
    if count <= most:
        return parts
    random, share = np.random.default_rng(SEED), most / count
    found = []
    for part in parts:
        kept = random.random(len(part.target)) < share
        at = torch.from_numpy(kept).to(part.first.device)
        weight = part.weight[kept] / np.float32(share)
        columns = [column[at] for column in part.columns]
        found.append(PixelFeatures(columns, part.target[kept], weight, part.first[at]))
    return found


def joined(parts: list[PixelFeatures]) -> Pixels:
    """Return all of them as one, of which the weights sum to one."""
    first = torch.cat([part.first for part in parts])
    weight = np.concatenate([part.weight for part in parts])
    weight /= max(float(weight.sum()), 1e-12)
    target = np.concatenate([part.target for part in parts])
    return Pixels(
        [torch.cat(c) for c in zip(*(p.columns for p in parts), strict=True)],
        torch.from_numpy(target).to(first.device),
        torch.from_numpy(weight).to(first.device),
        first,
    )


def _mark(correction: Correction) -> bytes:
    return hashlib.blake2b(correction.target.tobytes()).digest()
