"""Uncertainty search: scanning an image for the regions most worth annotating.

Only this file knows in which order an image is looked through, and how long.
"""

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import OptionsError
from napari_unet.io.image import Image
from napari_unet.network.model import Model, UNetSpec
from napari_unet.network.predictor import engine
from napari_unet.options import SegmentOptions
from napari_unet.segmentation.output import output_shape
from napari_unet.segmentation.predict import TileDone, segment
from napari_unet.segmentation.uncertain_regions import (
    Scanned,
    UncertainRegion,
    UncertainRegions,
    best_less_second,
)
from napari_unet.tiling import Box, blocks, shifted

__all__ = ["find_uncertain", "margin"]

_SIDE = 1024  # pixels along the side of what is looked at between two events
_RADIUS = 16  # pixels, at least: less is a matter of taste at an edge

_Plane = tuple[int, ...]


def margin(
    model: Model,
    image: Image,
    options: SegmentOptions,
    plane: tuple[int, ...],
    box: Box,
) -> NDArray[np.float32]:
    """Return how sure the model is of every pixel of a box, (Y, X) float32.

    That is the probability of the best class less that of the second best: 0 where it
    is undecided, 1 where it is sure.

    Parameters
    ----------
    options
        As for `predict.segment`, the kind of output excepted.
    plane, box
        Index along the image's plane axes, and (Y, X) slices of the plane.

    Raises
    ------
    ImageError
        If the image does not fit the model, or cannot be read.
    OptionsError
        If the box does not lie in the image, or an option cannot work here.
    """
    _check(image, plane, box)
    top, left = (side.start for side in box)
    found = np.zeros([side.stop - side.start for side in box], np.float32)
    for tile in _tiles(model, image, options, view=box, plane=plane, only=True):
        found[shifted(tile.core, -top, -left)] = best_less_second(tile.labels)
    return found


def find_uncertain(
    model: Model,
    image: Image,
    options: SegmentOptions,
    *,
    start: tuple[int, ...],
    reviewed: Callable[[tuple[int, ...], Box], NDArray[np.bool_]],
    found: Sequence[UncertainRegion] = (),
    most: int = 20,
    seconds: float = 20.0,
    centre: tuple[int, int] | None = None,
) -> Generator[Scanned, None, list[UncertainRegion]]:
    """Look for the places that the model is least sure of; return them, best first.

    A generator: closing it cancels. The plane `start` is looked at first, then those
    around it, each from `centre` outwards, until all is seen or the time is up. Every
    event says how much of the image that is. Reviewed pixels count as sure.

    Parameters
    ----------
    options
        As for `predict.segment`, the kind of output excepted.
    start
        Index along the image's plane axes.
    reviewed
        Takes a plane and (Y, X) slices; returns which pixels people looked at.
    found
        Places that were visited: what is near them is left out.
    most
        How many places are wanted.
    seconds
        Most time to take.
    centre
        Row and column that the user looks at; None takes the middle of the plane.

    Raises
    ------
    ImageError
        If the image does not fit the model, or cannot be read.
    OptionsError
        If there is no such plane, or an option cannot work here.
    """
    began = time.perf_counter()
    height, width = image.plane_shape
    _check(image, start, (slice(0, height), slice(0, width)))
    y, x = centre or (height // 2, width // 2)
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    radius = _radius(model, options)
    places = UncertainRegions(_words(model.spec), radius, tuple(found), most)
    total = height * width * math.prod(image.stack_shape)
    looked = 0
    yield Scanned(0.0, 0.0, ())
    options = _promptly(model, image, options)
    view = slice(y, y + 1), slice(x, x + 1)
    with closing(_tiles(model, image, options, view=view, plane=start)) as tiles:
        for plane, box, p in _pieces(tiles):
            places.look(plane, box, p, reviewed(plane, box))
            looked += p[0].size
            passed = (time.perf_counter() - began) / max(seconds, 1e-9)
            fraction = min(max(looked / total, passed), 1.0)
            yield Scanned(fraction, looked / total, tuple(places.best()))
            if fraction == 1:
                break
    return places.best()


@dataclass(frozen=True, slots=True)
class _Nowhere:
    """Stands for the array of all probabilities, and keeps none of them."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __setitem__(self, key: object, values: object) -> None:
        pass


def _tiles(
    model: Model, image: Image, options: SegmentOptions, **where: Any
) -> Generator[TileDone, None, None]:
    """Yield the probabilities (K, Y, X) of tile after tile."""
    options = replace(options, output="probabilities")
    shape, dtype, _ = output_shape(model, image, options)
    job = segment(model, image, options, out=_Nowhere(shape, dtype), **where)
    with closing(job):
        yield from (event for event in job if isinstance(event, TileDone))


def _pieces(
    tiles: Iterator[TileDone],
) -> Iterator[tuple[_Plane, Box, NDArray[np.float16]]]:
    """Cut tiles into pieces of bounded size: a graphics card makes large ones."""
    for tile in tiles:
        top, left = (side.start for side in tile.core)
        for y, x in blocks(tile.labels.shape[1:], _SIDE, _SIDE):
            yield tile.plane, shifted((y, x), top, left), tile.labels[:, y, x]


def _promptly(model: Model, image: Image, options: SegmentOptions) -> SegmentOptions:
    """Choose tiles that are small enough to go through one by one."""
    large = math.prod(image.plane_shape) > _SIDE**2
    if not large or options.tile is not None or options.memory is not None:
        return options
    run = engine(model, options.device, options.precision)
    side = min(math.isqrt(run.prompt_pixels()), _SIDE)
    return replace(options, tile=max(side, 4 * model.spec.halo))


def _radius(model: Model, options: SegmentOptions) -> int:
    """Return half the diameter of an object, in the image's pixels."""
    diameter = options.diameter
    if diameter is None:
        diameter = (model.diameter or 0.0) / (options.scale or 1.0)
    return max(_RADIUS, round(diameter / 2))


def _check(image: Image, plane: _Plane, box: Box) -> None:
    stack = image.stack_shape
    known = len(plane) == len(stack) and all(
        0 <= i < n for i, n in zip(plane, stack, strict=True)
    )
    if not known:
        raise OptionsError(
            f"{image.title} has no plane {plane}: its planes are counted from 0 along "
            f"{image.plane_axes or 'no axis'}, of length {stack}. Choose one of them."
        )
    sides = zip(box, image.plane_shape, strict=True)
    if not all(0 <= side.start < side.stop <= n for side, n in sides):
        rows, columns = (f"{side.start} to {side.stop}" for side in box)
        raise OptionsError(
            f"Rows {rows} and columns {columns} do not lie in {image.title}, which has "
            f"{image.plane_shape}. Choose a part of it."
        )


def _words(spec: UNetSpec) -> tuple[str, ...]:
    """Return what people call the classes: who corrects objects sees no others."""
    if spec.boundary is None or len(spec.classes) != 3:
        return spec.classes
    words = ["background", "object", "object"]
    words[spec.boundary] = "edge of an object"
    return tuple(words)
