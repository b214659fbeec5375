"""Corrections as tensors: what a net is shown, and how much every pixel of it counts.

A stroke is one statement, however long: its weight grows with the root of its pixels.
All strokes of a class together weigh the same as those of any other class.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .corrections import IGNORE, Correction, strokes
from .inputs import ModelInput, model_input
from .model import Model
from .options import SegmentOptions
from .tiling import Box

__all__ = ["Example", "Piece", "Views", "read_examples"]

_SIDE = 1024  # pixels along the side of an example; a larger plane is cut


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Pixels of one class that hang together, as a rule one stroke.

    Attributes
    ----------
    value
        The class, or ``corrections.FOREGROUND``.
    rows, columns
        Where in the example.
    """

    value: int
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]

    @property
    def weight(self) -> float:
        """How much the whole piece counts."""
        return math.sqrt(len(self.rows))


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A crop as the net sees it, and what was said about it.

    Attributes
    ----------
    image
        (C, Y, X) float32, scaled as its whole image is.
    target
        (Y, X) uint8: what `Correction.target` says.
    weight
        (Y, X) float32, 0 where nobody looked; over all examples, those of a class sum
        to one.
    pieces
        What `target` consists of.
    """

    image: Tensor
    target: Tensor
    weight: Tensor
    pieces: tuple[Piece, ...]


def read_examples(
    model: Model, corrections: Sequence[Correction], channel: int | str | None = None
) -> list[Example]:
    """Return what `model` sees of the corrections, with context around them.

    Raises
    ------
    ImageError
        If an image does not fit the model, or cannot be read.
    """
    options = SegmentOptions(channel=channel)
    crops = [
        (window, target)
        for correction in corrections
        for window, target in _crops(model, correction, options)
    ]
    pieces = [tuple(_pieces(target)) for _, target in crops]
    totals: dict[int, float] = {}
    for piece in (p for found in pieces for p in found):
        totals[piece.value] = totals.get(piece.value, 0.0) + piece.weight
    return [
        Example(
            torch.from_numpy(window),
            torch.from_numpy(target),
            torch.from_numpy(_weights(target.shape, found, totals)),
            found,
        )
        for (window, target), found in zip(crops, pieces, strict=True)
    ]


def _crops(
    model: Model, correction: Correction, options: SegmentOptions
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
    """Cut a correction into crops of bounded size that somebody looked at."""
    source = model_input(model, correction.image, options)
    if correction.sample is None:
        intensities = source.intensities()
    else:
        intensities = source.intensities(sample=correction.sample)
    for box in _boxes(source, correction, model.spec.halo):
        y, x = box
        top, left = correction.corner
        target = np.full((y.stop - y.start, x.stop - x.start), IGNORE, np.uint8)
        height, width = correction.target.shape
        rows = slice(max(y.start, top), min(y.stop, top + height))
        columns = slice(max(x.start, left), min(x.stop, left + width))
        target[
            rows.start - y.start : rows.stop - y.start,
            columns.start - x.start : columns.stop - x.start,
        ] = correction.target[
            rows.start - top : rows.stop - top,
            columns.start - left : columns.stop - left,
        ]
        window, _ = source.read(correction.plane, box, intensities)
        yield np.ascontiguousarray(window), target


def _boxes(source: ModelInput, correction: Correction, halo: int) -> Iterator[Box]:
    """Go through the plane in squares; yield those with reviewed pixels, widened."""
    sides = [list(_even(n)) for n in source.shape]
    top, left = correction.corner
    for y in sides[0]:
        for x in sides[1]:
            part = correction.target[
                max(y.start - top, 0) : max(y.stop - top, 0),
                max(x.start - left, 0) : max(x.stop - left, 0),
            ]
            if (part != IGNORE).any():
                height, width = source.shape
                yield (
                    slice(max(y.start - halo, 0), min(y.stop + halo, height)),
                    slice(max(x.start - halo, 0), min(x.stop + halo, width)),
                )


def _even(length: int) -> Iterator[slice]:
    count = -(-length // _SIDE)
    ends = [round(i * length / count) for i in range(count + 1)]
    return (slice(a, b) for a, b in itertools.pairwise(ends))


def _pieces(target: NDArray[np.uint8]) -> Iterator[Piece]:
    numbers, count = strokes(target)
    rows, columns = np.nonzero(numbers)
    found = numbers[rows, columns]
    order = np.argsort(found, kind="stable")
    ends = np.searchsorted(found[order], np.arange(1, count + 2))
    for start, stop in itertools.pairwise(ends):
        own = order[start:stop]
        value = int(target[rows[own[0]], columns[own[0]]])
        yield Piece(value, rows[own], columns[own])


def _weights(
    shape: tuple[int, ...], pieces: Sequence[Piece], totals: dict[int, float]
) -> NDArray[np.float32]:
    weights = np.zeros(shape, np.float32)
    for piece in pieces:
        each = piece.weight / len(piece.rows) / totals[piece.value]
        weights[piece.rows, piece.columns] = each
    return weights


# --- what a step of training is shown ----------------------------------------------


class Views:
    """Draws square views of examples, turned, flipped and a little brighter or darker.

    Pixels are copied, never interpolated: that would smooth the very texture that
    local filters look at.
    """

    def __init__(self, examples: Sequence[Example], size: int, seed: int) -> None:
        self.examples, self.size = examples, size
        self.random = np.random.default_rng(seed)
        self.strokes = [(e, piece) for e in examples for piece in e.pieces]
        values = sorted({piece.value for _, piece in self.strokes})
        self.of_value = [
            [i for i, (_, p) in enumerate(self.strokes) if p.value == value]
            for value in values
        ]

    def batch(self, around: int, anywhere: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return images (N, C, S, S), targets and weights (N, S, S).

        Parameters
        ----------
        around
            Views with a stroke in them; every class as often as any other.
        anywhere
            Views from all over the examples.
        """
        views = [self._around() for _ in range(around)]
        views += [self._anywhere() for _ in range(anywhere)]
        images, targets, weights = map(torch.stack, zip(*views, strict=True))
        return images, targets, weights

    def _around(self) -> tuple[Tensor, Tensor, Tensor]:
        own = self.of_value[self.random.integers(len(self.of_value))]
        example, piece = self.strokes[own[self.random.integers(len(own))]]
        at = self.random.integers(len(piece.rows))
        return self._view(example, int(piece.rows[at]), int(piece.columns[at]))

    def _anywhere(self) -> tuple[Tensor, Tensor, Tensor]:
        example = self.examples[int(self.random.integers(len(self.examples)))]
        height, width = example.target.shape
        y, x = self.random.integers(height), self.random.integers(width)
        return self._view(example, int(y), int(x))

    def _view(self, example: Example, y: int, x: int) -> tuple[Tensor, Tensor, Tensor]:
        """Cut a square with (y, x) in its middle half, padded where there is less."""
        slices = []
        for at, length in zip((y, x), example.target.shape, strict=True):
            side = min(self.size, length)
            start = at - int(self.random.integers(side // 4, side - side // 4))
            start = min(max(start, 0), length - side)
            slices.append(slice(start, start + side))
        rows, columns = slices
        image = example.image[:, rows, columns]
        target, weight = example.target[rows, columns], example.weight[rows, columns]
        lack = (0, self.size - target.shape[1], 0, self.size - target.shape[0])
        if any(lack):
            image, weight = F.pad(image, lack), F.pad(weight, lack)
            target = F.pad(target, lack, value=IGNORE)
        turns, flip = int(self.random.integers(4)), bool(self.random.integers(2))
        image, target, weight = (
            torch.rot90(t.flip(-1) if flip else t, turns, (-2, -1))
            for t in (image, target, weight)
        )
        return self._tinted(image), target, weight

    def _tinted(self, image: Tensor) -> Tensor:
        """Make all channels brighter or darker, and each by itself."""
        own = (image.shape[0], 1, 1)
        gain = self.random.normal(0, 0.1) + self.random.normal(0, 0.1, own)
        shift = self.random.normal(0, 0.03) + self.random.normal(0, 0.03, own)
        gains, shifts = (torch.from_numpy(a).float() for a in (np.exp(gain), shift))
        return image * gains + shifts
