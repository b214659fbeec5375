"""Training examples: corrections as tensors, with a weight for every pixel.

A stroke is one statement, however long: its weight grows with the root of its pixels.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_unet.network.model import Model
from napari_unet.network.normalization import Intensities
from napari_unet.options import SegmentOptions
from napari_unet.project.corrections import IGNORE, Correction, Spot, strokes
from napari_unet.segmentation.inputs import ModelInput, model_input
from napari_unet.tiling import Box, shifted

__all__ = [
    "Example",
    "Patch",
    "Region",
    "as_images",
    "class_weights",
    "corrected_input",
    "find_regions",
    "read_examples",
    "said_in",
]

_SIDE = 1024  # pixels along the side of an example; a larger plane is cut

Patch = tuple[Tensor, Tensor, Tensor]  # image (C, Y, X), target and weight (Y, X)


def corrected_input(
    model: Model, correction: Correction, channel: int | str | None = None
) -> ModelInput:
    """Decide what `model` sees of a corrected image: what it saw when it segmented it.

    Parameters
    ----------
    channel
        Which channel of all images; None takes that of the correction.

    Raises
    ------
    ImageError
        If the channels do not fit, or a channel must be chosen.
    OptionsError
        If the image would be scaled out of all proportion.
    """
    seen = correction.seen
    options = SegmentOptions(
        channel=seen.channel if channel is None else channel,
        # A model that does not know its own can have been shown no other.
        diameter=None if model.diameter is None else seen.diameter,
    )
    return model_input(model, correction.image, options)


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Pixels of one class that hang together, as a rule one stroke.

    Attributes
    ----------
    value
        The class, or ``project.corrections.FOREGROUND``.
    rows, columns
        Where in the example.
    """

    value: int
    rows: NDArray[np.int32]
    columns: NDArray[np.int32]

    @property
    def weight(self) -> float:
        """How much the whole region counts."""
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
    regions
        The connected regions of `target`, each of one class.
    spot
        Image, plane and first pixel of its correction.
    """

    image: Tensor
    target: Tensor
    weight: Tensor
    regions: tuple[Region, ...]
    spot: Spot = ("", (), 0, 0)

    @property
    def nbytes(self) -> int:
        """How many bytes it holds."""
        regions = sum(
            region.rows.nbytes + region.columns.nbytes for region in self.regions
        )
        return self.image.nbytes + self.target.nbytes + self.weight.nbytes + regions

    def cut(self, box: Box) -> Patch:
        """Return image, target and weight of a part."""
        return self.image[:, *box], self.target[box], self.weight[box]

    def only(self, where: NDArray[np.bool_]) -> "Example":
        """Return the same image, as if nobody had looked anywhere but there."""
        mask = torch.from_numpy(where)
        kept = ((region, where[region.rows, region.columns]) for region in self.regions)
        return Example(
            self.image,
            torch.where(mask, self.target, IGNORE),
            self.weight * mask,
            tuple(
                Region(region.value, region.rows[m], region.columns[m])
                for region, m in kept
                if m.any()
            ),
            self.spot,
        )


def read_examples(
    model: Model,
    corrections: Sequence[Correction],
    channel: int | str | None = None,
    total: float | None = None,
) -> list[Example]:
    """Return what `model` sees of the corrections, with context around them.

    Parameters
    ----------
    total
        The weight of all regions that are learned from, as `Region.weight`; None: there
        are no others.

    Raises
    ------
    ImageError
        If an image does not fit the model, or cannot be read.
    """
    found = []
    known: tuple[object, tuple[int, ...], Intensities] | None = None
    for correction in corrections:
        source = corrected_input(model, correction, channel)
        sample = correction.sample
        origin = correction.image if sample is None else sample
        # Planes and crops of one image have their intensities in common.
        if known is None or known[0] is not origin or known[1] != source.channels:
            known = origin, source.channels, source.intensities(sample=sample)
        for window, target in _crops(model, correction, source, known[2]):
            regions = tuple(find_regions(target))
            found.append((window, target, regions, correction.spot))
    if total is None:
        total = sum(region.weight for _, _, regions, _ in found for region in regions)
    return [
        Example(
            torch.from_numpy(window),
            torch.from_numpy(target),
            torch.from_numpy(_weights(target.shape, regions, total)),
            regions,
            spot,
        )
        for window, target, regions, spot in found
    ]


def _crops(
    model: Model,
    correction: Correction,
    source: ModelInput,
    intensities: Intensities,
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
    """Cut a correction into crops of bounded size that somebody looked at."""
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


def find_regions(target: NDArray[np.uint8]) -> Iterator[Region]:
    """Yield the connected regions of a target (Y, X), each of one class."""
    numbers, _ = strokes(target)
    for number, box in enumerate(ndimage.find_objects(numbers), 1):
        rows, columns = np.nonzero(numbers[box] == number)
        rows, columns = rows + box[0].start, columns + box[1].start
        value = int(target[rows[0], columns[0]])
        yield Region(value, rows.astype(np.int32), columns.astype(np.int32))


def _weights(
    shape: tuple[int, ...], regions: Sequence[Region], total: float
) -> NDArray[np.float32]:
    weights = np.zeros(shape, np.float32)
    for region in regions:
        each = region.weight / len(region.rows) / total
        weights[region.rows, region.columns] = each
    return weights


def class_weights(examples: Sequence[Example]) -> Tensor:
    """Return how much a pixel of each value (256,) weighs where all is labelled.

    All pixels of a class weigh alike, and the whole class by the root of how many they
    are: what is thin or rare is seen, and what is common still counts for more. Those
    of all examples sum to one. A class that is in none of them weighs as the rarest.
    """
    count = torch.zeros(IGNORE + 1)
    for example in examples:
        count += torch.bincount(example.target.flatten(), minlength=IGNORE + 1)
    each = count.clamp_min(1).rsqrt()
    each[IGNORE] = 0
    each /= (each * count).sum()
    there = count[:IGNORE] > 0
    each[:IGNORE][~there] = each[:IGNORE][there].max()
    return each


def as_images(
    examples: Sequence[Example], weights: Tensor | None = None
) -> list[Example]:
    """Return the same, weighed pixel by pixel: where all is labelled, none is a stroke.

    Parameters
    ----------
    weights
        Those of `class_weights`; None: of these examples.
    """
    each = class_weights(examples) if weights is None else weights
    return [replace(e, weight=each[e.target.long()]) for e in examples]
