"""Segmenting: windows of an image through the net, their cores into labels.

Every plane is cut into tiles; a tile reads its window, computes it, and keeps its
core. Objects are found afterwards in the finished classes of a plane, so that no tile's
border ever cuts one.
"""

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .errors import MemoryBudgetError, OptionsError
from .events import Joining, Segmentation, TileDone
from .images import Image
from .inference import Engine, engine, memory_pixels
from .inputs import ModelInput, model_input
from .labelstore import create_labels, memory_limit, put
from .model import Model
from .objects import label_blocks, label_tile
from .options import Output, SegmentOptions
from .readout import ReadOut
from .scaling import Intensities
from .tiling import (
    Box,
    Tile,
    TilePlan,
    best_window,
    plan_tiles,
    region,
    round_up,
    shifted,
)

__all__ = [
    "Joining",
    "Segmentation",
    "TileDone",
    "growth",
    "least_size",
    "output_kind",
    "output_shape",
    "predict_tile",
    "segment",
]

_SMALL = 512**2  # pixels of a plane that is one window anyway
_REACH = 3  # pixels, in the net's scale, that an object grows into its boundary


def output_kind(model: Model, options: SegmentOptions) -> Output:
    """Return the output in force: objects by default if the model has a boundary."""
    if options.output is not None:
        return options.output
    return "classes" if model.spec.boundary is None else "objects"


def output_shape(
    model: Model, image: Image, options: SegmentOptions
) -> tuple[tuple[int, ...], np.dtype[Any], str]:
    """Return shape, dtype and axes of what `segment` writes."""
    kind = output_kind(model, options)
    if kind == "probabilities":
        shape = (len(model.spec.classes), *image.label_shape)
        return shape, np.dtype(np.float16), "C" + image.label_axes
    dtype = np.dtype(np.int32 if kind == "objects" else np.uint8)
    return image.label_shape, dtype, image.label_axes


def least_size(model: Model, source: ModelInput, options: SegmentOptions) -> int:
    """Return how many of the image's pixels an object has at least."""
    if options.min_size is not None:
        return options.min_size
    area = math.prod(a.source / a.target for a in source.axes)
    return round(model.min_size * area)


def growth(source: ModelInput) -> int:
    """Return how far objects grow into the boundary, in the image's pixels."""
    return max(-(-_REACH * a.source // a.target) for a in source.axes)


def predict_tile(
    run: Engine,
    source: ModelInput,
    plane: tuple[int, ...],
    tile: Tile,
    intensities: Intensities,
) -> tuple[torch.Tensor, bool]:
    """Return the logits of a tile's whole window, and whether its pixels were finite.

    Returns
    -------
    logits
        (K, Y, X) float32 on the engine's device; exact within the tile's core.
    finite
        False if a pixel of the window was NaN or infinite.
    """
    window, finite = source.window(plane, tile, intensities)
    return run(window), finite


def segment(
    model: Model,
    image: Image,
    options: SegmentOptions | None = None,
    *,
    out: Any = None,
    view: Box | None = None,
    plane: tuple[int, ...] | None = None,
    only: bool = False,
    folder: Path | None = None,
) -> Generator[TileDone | Joining, None, Segmentation]:
    """Segment `image` with `model`, tile by tile.

    A generator: each `TileDone` it yields is finished work (`Joining` only says that a
    large plane is nearly done); its return value is the `Segmentation`. Closing it
    cancels.

    Parameters
    ----------
    out
        Array to write into, with the shape and dtype of `output_shape`; made if None.
    view, plane
        (Y, X) slices and the plane that are wanted first.
    only
        Compute `view` of `plane` and nothing else; the rest of `out` is left alone.
    folder
        Where arrays too large for memory lie while they are needed; None takes the
        system's place for temporary files.

    Raises
    ------
    ImageError
        If the image does not fit the model, or cannot be read.
    OptionsError
        If an option cannot work here; `MemoryBudgetError` if memory is too small.
    """
    options = options or SegmentOptions()
    began = time.perf_counter()
    source = model_input(model, image, options)
    run = engine(model, options.device, options.precision)
    shape, dtype, axes = output_shape(model, image, options)
    if out is None:
        limit = memory_limit(options.memory)
        out = create_labels(shape, dtype, limit=limit, folder=folder)
    elif tuple(out.shape) != shape:
        raise OptionsError(
            f"The result of {image.name} has shape {shape}; it cannot be written into "
            f"an array of shape {tuple(out.shape)}."
        )
    job = _Job(model, run, source, options, output_kind(model, options), out, folder)
    if not options.per_plane:
        job.intensities = source.intensities()  # before memory is planned: it reads
    try:
        job.plan(view if only else None)
    except MemoryBudgetError:
        if options.device != "auto" or run.device.type == "cpu":
            raise
        run = replace(engine(model, "cpu"), reason="CPU (the GPU's memory is full)")
        job.run = run
        job.plan(view if only else None)
    objects = yield from job.planes(view, plane, only)
    notes = source.notes
    if job.not_finite:
        notes = (*notes, "NaN and infinite pixels were taken as background.")
    return Segmentation(
        out,
        axes,
        job.kind,
        str(run.device),
        run.reason,
        notes,
        job.tiles.window,
        time.perf_counter() - began,
        objects if job.kind == "objects" else None,
        model.name,
    )


class _Job:
    """The state of one run of `segment`."""

    def __init__(
        self,
        model: Model,
        run: Engine,
        source: ModelInput,
        options: SegmentOptions,
        kind: Output,
        out: Any,
        folder: Path | None,
    ) -> None:
        self.model, self.folder = model, folder
        self.run, self.source, self.options = run, source, options
        self.kind, self.out = kind, out
        self.not_finite = False
        y, x = source.axes
        # Interpolating results back needs neighbours beyond the core.
        support = max(y.back().support, x.back().support) if source.resampled else 0
        spec = run.spec
        self.halo = spec.halo + round_up(support, spec.stride)
        self.offset = (0, 0)
        self.intensities: Intensities | None = None  # None: each plane has its own
        self.tiles: TilePlan
        self.done = self.total = 0

    def plan(self, view: Box | None) -> None:
        """Cut a plane into tiles, or only what is needed for `view`."""
        spec, shape = self.run.spec, self.source.shape
        if view is not None:
            y, x = region(shape, self._to_net(view), self.halo, spec.stride)
            self.offset = (y.start, x.start)
            shape = (y.stop - y.start, x.stop - x.start)
        wanted = round_up(shape[0], spec.stride) * round_up(shape[1], spec.stride)
        least = min((2 * self.halo + spec.stride) ** 2, wanted)
        pixels = self._affordable(least)
        tile = self.options.tile
        if tile is not None and self.options.memory and min(tile**2, wanted) > pixels:
            raise MemoryBudgetError(
                f"A tile of {tile} pixels needs more than the memory that is allowed. "
                f"Choose {math.isqrt(pixels)} or less, or leave the choice to us."
            )
        if tile is None:
            if wanted > _SMALL:
                useful = max(least, (4 * self.halo) ** 2)  # less is mostly halo
                pixels = min(pixels, max(useful, self.run.prompt_pixels()))
            window = best_window(shape, pixels, self.halo, spec.stride)
        else:
            window = (tile, tile)
        self.tiles = plan_tiles(shape, window, self.halo, spec.stride)

    def _affordable(self, least: int) -> int:
        """Return how many pixels a window may have for the memory allowed."""
        image = self.source.image
        held = self.out.nbytes if isinstance(self.out, np.ndarray) else 0
        if self.kind == "objects":
            plane = math.prod(image.plane_shape)
            held += min(plane, memory_limit(self.options.memory))
        read = (
            len(self.source.channels) * 12 + self.source.decoded * image.dtype.itemsize
        )
        if self.source.resampled:  # probabilities are brought back, twice in memory
            read += len(self.run.spec.classes) * 8
        each = math.ceil(
            read * math.prod(a.source / a.target for a in self.source.axes)
        )
        return memory_pixels(
            self.run, self.options.memory, held=held, each=each, least=least
        )

    def planes(
        self, view: Box | None, plane: tuple[int, ...] | None, only: bool
    ) -> Generator[TileDone | Joining, None, int]:
        """Run every plane, `plane` first; return how many objects were found."""
        planes = list(self.source.image.planes())
        if plane is not None:
            planes.sort(
                key=lambda p: sum(abs(a - b) for a, b in zip(p, plane, strict=True))
            )
        planes = planes[:1] if only else planes
        self.total = len(planes) * len(self.tiles.tiles)
        found = 0
        for at in planes:
            intensities = self.intensities or self.source.intensities(at)
            found += yield from self._plane(at, intensities, view, only, found + 1)
        return found

    def _plane(
        self,
        plane: tuple[int, ...],
        intensities: Intensities,
        view: Box | None,
        only: bool,
        first: int,
    ) -> Generator[TileDone | Joining, None, int]:
        """Run the tiles of one plane, those in `view` first; return its objects."""
        box = view if only and view else _whole(self.source.image.plane_shape)
        read_out = ReadOut(self.source, box, self.kind, self.options.threshold)
        size = tuple(side.stop - side.start for side in box)
        limit = memory_limit(self.options.memory)
        objects = self.kind == "objects"
        classes = (
            create_labels(size, np.uint8, limit=limit, folder=self.folder)
            if objects
            else None
        )
        provisional = first
        for tile in self._ordered(view):
            core, values = read_out(*self._logits(plane, tile, intensities))
            if values.size:
                inner = shifted(core, -box[0].start, -box[1].start)
                if classes is not None:
                    put(classes, inner, values)
                    values = self._provisional(values, provisional)
                    provisional = max(provisional, int(values.max(initial=0)) + 1)
                elif self.kind == "probabilities":
                    put(self.out, (slice(None), *plane, *core), values)
                else:
                    put(self.out, (*plane, *core), values)
            self.done += 1
            yield TileDone(plane, core, values, self.done, self.total)
        if classes is None:
            return 0
        part = _Part(self.out, plane, box)
        return (yield from self._join(plane, classes, part, first))

    def _join(
        self, plane: tuple[int, ...], classes: Any, labels: "_Part", first: int
    ) -> Generator[Joining, None, int]:
        """Write the objects of a finished plane; return how many there are."""
        job = label_blocks(
            classes,
            labels,
            (),
            boundary=self.run.spec.boundary,
            first=first,
            min_size=least_size(self.model, self.source, self.options),
            reach=growth(self.source),
        )
        while True:
            try:
                yield Joining(plane, next(job))
            except StopIteration as stop:
                return int(stop.value)

    def _logits(
        self, plane: tuple[int, ...], tile: Tile, intensities: Intensities
    ) -> tuple[torch.Tensor, Tile]:
        """Return the logits of a window, and its tile in the whole plane's pixels."""
        dy, dx = self.offset
        moved = Tile(shifted(tile.core, dy, dx), shifted(tile.read, dy, dx), tile.pad)
        logits, finite = predict_tile(self.run, self.source, plane, moved, intensities)
        self.not_finite |= not finite
        return logits, moved

    def _ordered(self, view: Box | None) -> Iterator[Tile]:
        if view is None:
            return iter(self.tiles.tiles)
        y, x = shifted(self._to_net(view), -self.offset[0], -self.offset[1])
        middle = ((y.start + y.stop) / 2, (x.start + x.stop) / 2)

        def distance(tile: Tile) -> float:
            centre = [(side.start + side.stop) / 2 for side in tile.core]
            return float(max(abs(a - b) for a, b in zip(centre, middle, strict=True)))

        return iter(sorted(self.tiles.tiles, key=distance))

    def _to_net(self, box: Box) -> Box:
        """Return the net's pixels that the image's pixels `box` depend on."""
        if not self.source.resampled:
            return box
        y, x = (a.back().needs(b) for a, b in zip(self.source.axes, box, strict=True))
        return y, x

    def _provisional(self, classes: NDArray[np.uint8], first: int) -> NDArray[np.int32]:
        boundary = self.run.spec.boundary
        labels = label_tile(classes, boundary=boundary, reach=growth(self.source))
        return np.where(labels > 0, labels + (first - 1), 0).astype(np.int32)


@dataclass(frozen=True, slots=True)
class _Part:
    """A box of one plane of a larger array, read and written like an array."""

    array: Any
    plane: tuple[int, ...]
    box: Box

    @property
    def shape(self) -> tuple[int, int]:
        y, x = self.box
        return y.stop - y.start, x.stop - x.start

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    def _at(self, index: Box) -> tuple[Any, ...]:
        return (*self.plane, *shifted(index, self.box[0].start, self.box[1].start))

    def __getitem__(self, index: Box) -> NDArray[Any]:
        return np.asarray(self.array[self._at(index)])

    def __setitem__(self, index: Box, values: NDArray[Any]) -> None:
        self.array[self._at(index)] = values


def _whole(shape: tuple[int, int]) -> Box:
    return slice(0, shape[0]), slice(0, shape[1])
