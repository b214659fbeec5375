"""Tiled segmentation: windows through the net, cores stitched, objects labelled.

Every plane is cut into tiles; a tile reads its window, computes it, and keeps its
core. Objects are found afterwards in the finished classes of a plane, so that no tile's
border ever cuts one.
"""

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet._memory import return_freed
from napari_unet._steps import Steps
from napari_unet.errors import OptionsError
from napari_unet.events import Computing, Joining, Segmentation, TileDone
from napari_unet.io.chunks import keeping, reading_bytes, rooms
from napari_unet.io.image import Image
from napari_unet.io.label_array import LabelArray, create_labels, memory_limit, put
from napari_unet.labels.objects import label_blocks, label_tile
from napari_unet.network.blockwise import Workspace
from napari_unet.network.model import Model
from napari_unet.network.normalization import Intensities
from napari_unet.network.predictor import Predictor, engine, host_bytes
from napari_unet.options import Output, SegmentOptions
from napari_unet.segmentation.decode import ReadOut
from napari_unet.segmentation.inputs import ModelInput, model_input
from napari_unet.segmentation.output import (
    growth,
    least_score,
    least_size,
    output_kind,
    output_shape,
)
from napari_unet.segmentation.room import planned
from napari_unet.segmentation.tile_plan import PlaneTiles, plan_plane
from napari_unet.tiling import Box, Tile, blocks, shifted, whole

__all__ = [
    "Computing",
    "Joining",
    "Known",
    "Segmentation",
    "TileDone",
    "predict_tile",
    "segment",
]

_Events = Generator[TileDone | Computing | Joining, None, int]

_PAUSE = 0.2  # seconds between two signs of life of a tile that takes long
_JOINING = 0.05  # of the time that the net takes for a pixel, objects take after it
_SIDE = 2048  # of the squares that are joined at a time
_EACH = 40  # bytes for a pixel of one that is joined


class Known(Protocol):
    """Logits of a view that were computed before; see `training.live_view.Within`."""

    @property
    def run(self) -> Predictor:
        """What computed them."""

    @property
    def tiles(self) -> PlaneTiles:
        """The tiles that cover the view."""

    def logits(self, tile: Tile) -> torch.Tensor:
        """Return the logits (K, Y, X) of what a tile reads."""


def predict_tile(
    run: Predictor,
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
    known: Known | None = None,
    classes: LabelArray | None = None,
    scores: LabelArray | None = None,
) -> Generator[TileDone | Computing | Joining, None, Segmentation]:
    """Segment `image` with `model`, tile by tile.

    A generator: each `TileDone` it yields is finished work (`Computing` and `Joining`
    only say that there is more to come); its return value is the `Segmentation`.
    Closing it cancels.

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
    known
        What was computed of just this `view` of `plane`: no net runs.
    classes
        Takes the class of every pixel (..., Y, X) uint8 that objects are made from,
        for who needs it afterwards.
    scores
        Takes the score of every pixel (..., Y, X) uint8 in the same way; see
        `labels.scores`.

    Raises
    ------
    ImageError
        If the image does not fit the model, or cannot be read.
    OptionsError
        If an option cannot work here; `MemoryBudgetError` if memory is too small.
    """
    options = options or SegmentOptions()
    began = time.perf_counter()
    if options.memory is not None:
        image = keeping(image, rooms(image)[-1])
    source = model_input(model, image, options)
    shape, dtype, axes = output_shape(model, image, options)
    if out is None:
        limit = memory_limit(options.memory)
        out = create_labels(shape, dtype, limit=limit, folder=folder)
    elif tuple(out.shape) != shape:
        raise OptionsError(
            f"The result of {image.name} has shape {shape}; it cannot be written into "
            f"an array of shape {tuple(out.shape)}."
        )
    job = _Job(model, source, options, output_kind(model, options), out, folder)
    job.known, job.classes, job.scores = known, classes, scores
    job.fit(view, only)  # before anything is read: a chunk may be larger than memory
    if not options.per_plane and known is None:
        job.intensities = source.intensities()
    objects = yield from job.planes(view, plane, only)
    notes = source.notes
    if job.not_finite:
        notes = (*notes, "NaN and infinite pixels were taken as background.")
    return Segmentation(
        out,
        axes,
        job.kind,
        str(job.run.device),
        job.run.reason,
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
        source: ModelInput,
        options: SegmentOptions,
        kind: Output,
        out: Any,
        folder: Path | None,
    ) -> None:
        self.model, self.folder = model, folder
        self.source, self.options = source, options
        self.kind, self.out = kind, out
        self.not_finite = False
        self.space = Workspace()
        self.known: Known | None = None
        self.classes: LabelArray | None = None
        self.scores: LabelArray | None = None
        self.least_score = least_score(model, options)
        self.intensities: Intensities | None = None  # None: each plane has its own
        self.of_plane: dict[tuple[int, ...], Intensities] = {}
        self.run: Predictor
        self.tiles: PlaneTiles
        self.done = self.total = 0
        self.provisional = 1  # the next id of an object that is not joined yet
        self.worked, self.work = 0.0, 1.0  # in the pixels that the net sees

    def fit(self, view: Box | None, only: bool) -> None:
        """Cut a plane into tiles, or only what is needed for `view`."""
        if self.known is not None:
            self.run, self.tiles = self.known.run, self.known.tiles
            return
        arrays = self.out, self.classes, self.scores
        held = sum(a.nbytes for a in arrays if isinstance(a, np.ndarray))
        if self.scored and self.scores is None:
            plane = math.prod(self.source.image.plane_shape)
            held += min(plane, memory_limit(self.options.memory))
        image = self.source.image
        bounded = self.options.memory is not None
        held += reading_bytes(image, rooms(image)[-1] if bounded else 0)

        def plan(run: Predictor) -> PlaneTiles:
            source, options = self.source, self.options
            about = run, source, options, self.kind
            return plan_plane(*about, held=held, view=view, only=only)

        def prepared(device: str) -> Predictor:
            return engine(self.model, device, self.options.precision)

        self.run, self.tiles = planned(plan, self.options.device, prepared)

    def planes(
        self, view: Box | None, plane: tuple[int, ...] | None, only: bool
    ) -> _Events:
        """Run every plane, `plane` first; return how many objects were found."""
        planes = list(self.source.image.planes())
        if plane is not None:
            planes.sort(
                key=lambda p: sum(abs(a - b) for a, b in zip(p, plane, strict=True))
            )
        planes = planes[:1] if only else planes
        tiles = self.tiles.tiles
        if view is not None:
            tiles = self.tiles.by_distance(self.source.needs(view))
        first = () if self.tiles.first is None else (self.tiles.first,)
        box = view if only and view else whole(self.source.image.plane_shape)
        self.total = len(planes) * len(tiles)
        self.work = len(planes) * (sum(map(_pixels, tiles)) + self._joining(box))
        self.work += sum(map(_pixels, first))
        found = 0
        for at in planes:
            todo = (*first, *tiles) if at == planes[0] else tiles
            found += yield from self._plane(at, todo, box, found + 1)
        return found

    def _plane(
        self, plane: tuple[int, ...], tiles: tuple[Tile, ...], box: Box, first: int
    ) -> _Events:
        """Run `tiles` of one plane, in this order; return the objects in `box`."""
        options, boundary = self.options, self.run.spec.boundary
        read_out = ReadOut(self.source, box, self.kind, options.threshold, boundary)
        part = _Part(self.out, plane, box)
        objects = self.kind == "objects"
        target: Any = self._kept(self.classes, part) if objects else part
        scores = self._kept(self.scores, part) if self.scored else None
        self.provisional = first
        for tile in tiles:
            logits = yield from self._logits(plane, tile)
            core, values = _decode(read_out, logits, tile, target, scores)
            self.worked += _pixels(tile)
            self.done += tile is not self.tiles.first
            if not objects or len(tiles) > 1:
                yield self._finished(plane, core, self._finder(values))
            del logits, values  # not held while the next window is computed
            self._give_back()
        self.source.image.check_unchanged()
        if not objects:
            return 0
        self.space = Workspace()  # joining takes the memory that the net has had
        self._give_back()
        found = yield from self._join(plane, target, scores, part, first)
        if len(tiles) == 1:  # with nothing to join, its objects come with it
            yield self._finished(plane, box, lambda: part[whole(part.shape)])
        return found

    @property
    def scored(self) -> bool:
        """Whether the score of every pixel is wanted."""
        wanted = self.scores is not None or self.least_score > 0
        return wanted and self.kind == "objects"

    def _kept(self, array: LabelArray | None, part: "_Part") -> Any:
        """Return the same part of an array, or one of its own if there is none."""
        if array is not None:
            return _Part(array, part.plane, part.box)
        limit = memory_limit(self.options.memory)
        return create_labels(part.shape, np.uint8, limit=limit, folder=self.folder)

    def _give_back(self) -> None:
        """Hold no freed memory where it is bounded: what comes next counts on it."""
        if self.options.memory is not None:
            return_freed()

    def _finished(
        self, plane: tuple[int, ...], core: Box, find: Callable[[], NDArray[Any]]
    ) -> TileDone:
        return TileDone(plane, core, self.done, self.total, self._progress(), find)

    def _progress(self, more: float = 0.0) -> float:
        """Return how much is done, 0 to 1, with some `more` pixels."""
        return min((self.worked + more) / self.work, 1.0)

    def _joining(self, box: Box) -> float:
        """Return what it takes to find the objects in a box, in pixels of the net."""
        return _JOINING * _area(box) if self.kind == "objects" else 0.0

    def _join(
        self,
        plane: tuple[int, ...],
        classes: Any,
        scores: Any,
        labels: "_Part",
        first: int,
    ) -> Generator[Joining, None, int]:
        """Write the objects of a finished plane; return how many there are."""
        ids: Any = labels
        if not isinstance(self.out, np.ndarray) and self._roomy(labels.shape):
            ids = np.empty(labels.shape, np.int32)
        job = label_blocks(
            classes,
            ids,
            (),
            boundary=self.run.spec.boundary,
            first=first,
            min_size=least_size(self.model, self.source, self.options),
            scores=scores,
            min_score=self.least_score,
            reach=growth(self.source),
            block=_SIDE,
        )
        work = self._joining(labels.box)
        for fraction in (run := Steps(job)):
            yield Joining(plane, fraction, self._progress(fraction * work))
        if ids is not labels:
            for box in blocks(labels.shape, _SIDE, _SIDE):
                put(labels, box, ids[box])
                yield Joining(plane, 1.0, self._progress(work))
        self.worked += work
        return run.result

    def _roomy(self, shape: tuple[int, int]) -> bool:
        """Whether a plane of many squares fits the memory that the net has had."""
        given = math.prod(self.tiles.window) * host_bytes(self.run)
        need = math.prod(shape) * 4 + min(math.prod(shape), _SIDE**2) * _EACH
        return max(shape) > _SIDE and need <= given

    def _logits(
        self, plane: tuple[int, ...], tile: Tile
    ) -> Generator[Computing, None, torch.Tensor]:
        """Return the logits of a tile's window; give signs of life meanwhile."""
        if self.known is not None:
            return self.known.logits(tile)
        window, finite = self.source.window(plane, tile, self._measured(plane))
        self.not_finite |= not finite
        said = time.perf_counter()
        for share in (run := Steps(self.run.steps(window, self.space))):
            if time.perf_counter() - said > _PAUSE:
                progress = self._progress(share * _pixels(tile))
                yield Computing(plane, self.done, self.total, progress)
                said = time.perf_counter()
        return run.result

    def _measured(self, plane: tuple[int, ...]) -> Intensities:
        """Return the intensities of the image, or of this plane."""
        if self.intensities is not None:
            return self.intensities
        if plane not in self.of_plane:
            self.of_plane = {plane: self.source.intensities(plane)}
        return self.of_plane[plane]

    def _finder(self, values: NDArray[Any]) -> Callable[[], NDArray[Any]]:
        """Return what finds the objects of a tile, once and only if somebody asks."""
        if self.kind != "objects":
            return lambda: values

        @cache
        def find() -> NDArray[np.int32]:
            boundary = self.run.spec.boundary
            ids = label_tile(values, boundary=boundary, reach=growth(self.source))
            np.add(ids, np.int32(self.provisional - 1), out=ids, where=ids > 0)
            self.provisional = max(self.provisional, int(ids.max(initial=0)) + 1)
            return ids

        return find


def _decode(
    read_out: ReadOut, logits: torch.Tensor, tile: Tile, target: Any, scores: Any
) -> tuple[Box, NDArray[Any]]:
    """Write what a tile says into `target`, and its `scores`; return it."""
    if scores is None:
        core, values = read_out(logits, tile)
    else:
        core, values, sure = read_out.with_scores(logits, tile)
    if values.size:
        y, x = read_out.box
        at = shifted(core, -y.start, -x.start)
        put(target, at, values)
        if scores is not None:
            put(scores, at, sure)
    return core, values


def _area(box: Box) -> int:
    y, x = box
    return int((y.stop - y.start) * (x.stop - x.start))


def _pixels(tile: Tile) -> int:
    """Return how many pixels the net sees for a tile."""
    return _area(tile.read)


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
        place = (*self.plane, *shifted(index, self.box[0].start, self.box[1].start))
        channels = len(self.array.shape) - len(place)  # of probabilities, first
        return (*(slice(None),) * channels, *place)

    def __getitem__(self, index: Box) -> NDArray[Any]:
        return np.asarray(self.array[self._at(index)])

    def __setitem__(self, index: Box, values: NDArray[Any]) -> None:
        self.array[self._at(index)] = values
