"""Corrections as tensors: what a net is shown, and how much every pixel of it counts.

A stroke is one statement, however long: its weight grows with the root of its pixels.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .corrections import IGNORE, Correction, strokes
from .inputs import ModelInput, corrected_input
from .model import Model
from .tiling import Box, shifted

__all__ = [
    "Example",
    "Piece",
    "View",
    "as_images",
    "find_pieces",
    "read_examples",
    "said_in",
]

_SIDE = 1024  # pixels along the side of an example; a larger plane is cut

View = tuple[Tensor, Tensor, Tensor]  # image (C, Y, X), target and weight (Y, X)


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

    def somewhere(self, random: np.random.Generator) -> tuple[int, int]:
        """Return row and column of one of its pixels."""
        at = int(random.integers(len(self.rows)))
        return int(self.rows[at]), int(self.columns[at])


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
        (Y, X) float32, 0 where nobody looked; they sum to one over all examples.
    pieces
        What `target` consists of.
    """

    image: Tensor
    target: Tensor
    weight: Tensor
    pieces: tuple[Piece, ...]

    def cut(self, box: Box) -> View:
        """Return image, target and weight of a part."""
        return self.image[:, *box], self.target[box], self.weight[box]

    def only(self, where: NDArray[np.bool_]) -> "Example":
        """Return the same image, as if nobody had looked anywhere but there."""
        mask = torch.from_numpy(where)
        kept = ((piece, where[piece.rows, piece.columns]) for piece in self.pieces)
        return Example(
            self.image,
            torch.where(mask, self.target, IGNORE),
            self.weight * mask,
            tuple(
                Piece(piece.value, piece.rows[m], piece.columns[m])
                for piece, m in kept
                if m.any()
            ),
        )


def read_examples(
    model: Model, corrections: Sequence[Correction], channel: int | str | None = None
) -> list[Example]:
    """Return what `model` sees of the corrections, with context around them.

    Raises
    ------
    ImageError
        If an image does not fit the model, or cannot be read.
    """
    crops = [
        (window, target)
        for correction in corrections
        for window, target in _crops(model, correction, channel)
    ]
    pieces = [tuple(find_pieces(target)) for _, target in crops]
    total = sum(piece.weight for found in pieces for piece in found)
    return [
        Example(
            torch.from_numpy(window),
            torch.from_numpy(target),
            torch.from_numpy(_weights(target.shape, found, total)),
            found,
        )
        for (window, target), found in zip(crops, pieces, strict=True)
    ]


def _crops(
    model: Model, correction: Correction, channel: int | str | None
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
    """Cut a correction into crops of bounded size that somebody looked at."""
    source = corrected_input(model, correction, channel)
    if correction.sample is None:
        intensities = source.intensities()
    else:
        intensities = source.intensities(sample=correction.sample)
    for core, box in _squares(source.shape, model.spec.halo):
        said = said_in(correction, source, core)
        if (said != IGNORE).any():
            y, x = box
            target = np.full((y.stop - y.start, x.stop - x.start), IGNORE, np.uint8)
            target[shifted(core, -y.start, -x.start)] = said  # others have the rest
            window, _ = source.read(correction.plane, box, intensities)
            yield np.ascontiguousarray(window), target


def said_in(correction: Correction, source: ModelInput, box: Box) -> NDArray[np.uint8]:
    """Return the target (Y, X) of a box in the net's pixels."""
    at = zip(source.axes, box, correction.corner, strict=True)
    y, x = (axis.nearest(side) - start for axis, side, start in at)
    rows, columns = (
        (i >= 0) & (i < n) for i, n in zip((y, x), correction.target.shape, strict=True)
    )
    found = np.full((len(y), len(x)), IGNORE, np.uint8)
    found[np.ix_(rows, columns)] = correction.target[np.ix_(y[rows], x[columns])]
    return found


def _squares(shape: tuple[int, int], halo: int) -> Iterator[tuple[Box, Box]]:
    """Cut a plane into squares; yield each, and with the context around it."""
    height, width = shape
    for y, x in itertools.product(_even(height), _even(width)):
        yield (
            (y, x),
            (
                slice(max(y.start - halo, 0), min(y.stop + halo, height)),
                slice(max(x.start - halo, 0), min(x.stop + halo, width)),
            ),
        )


def _even(length: int) -> Iterator[slice]:
    count = -(-length // _SIDE)
    ends = [round(i * length / count) for i in range(count + 1)]
    return (slice(a, b) for a, b in itertools.pairwise(ends))


def find_pieces(target: NDArray[np.uint8]) -> Iterator[Piece]:
    """Yield what a target (Y, X) consists of."""
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
    shape: tuple[int, ...], pieces: Sequence[Piece], total: float
) -> NDArray[np.float32]:
    weights = np.zeros(shape, np.float32)
    for piece in pieces:
        each = piece.weight / len(piece.rows) / total
        weights[piece.rows, piece.columns] = each
    return weights


def as_images(examples: Sequence[Example]) -> list[Example]:
    """Return the same, weighed pixel by pixel: where all is labelled, none is a stroke.

    All pixels of a class weigh alike, and the whole class by the root of how many they
    are: what is thin or rare is seen, and what is common still counts for more. The
    weights sum to one.
    """
    count = torch.zeros(IGNORE + 1)
    for example in examples:
        count += torch.bincount(example.target.flatten(), minlength=IGNORE + 1)
    each = count.clamp_min(1).rsqrt()
    each[IGNORE] = 0
    each /= (each * count).sum()
    return [replace(e, weight=each[e.target.long()]) for e in examples]
