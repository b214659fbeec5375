"""Tiles of a plane for the memory allowed, in the net's pixels; those in view first."""

import math
from dataclasses import dataclass

from napari_unet.errors import MemoryBudgetError
from napari_unet.io.label_array import memory_limit
from napari_unet.network.predictor import Predictor, memory_pixels
from napari_unet.options import Output, SegmentOptions
from napari_unet.segmentation.inputs import ModelInput
from napari_unet.tiling import (
    Box,
    Tile,
    best_window,
    plan_tiles,
    region,
    round_up,
    shifted,
    whole,
)

__all__ = ["PlaneTiles", "plan_plane"]

_SMALL = 512**2  # pixels of a plane that is one window anyway
# Pixels of a window in strips: larger ones waste little less, and nothing is seen of
# them for longer.
_LARGEST = 3072**2
_FIRST = 512  # side of what is shown first of a large plane, in the net's pixels
_WORTH = 8  # it is computed if the windows of a plane have so many times more pixels


@dataclass(frozen=True, slots=True)
class PlaneTiles:
    """All tiles of a plane, or of a part of it, in the net's pixels.

    Attributes
    ----------
    window
        Rows and columns of every window.
    tiles
        Each pixel is in the core of exactly one.
    first
        A small one in the middle of what someone looks at; the others compute it again.
        None where it would hardly come sooner.
    """

    window: tuple[int, int]
    tiles: tuple[Tile, ...]
    first: Tile | None = None

    def by_distance(self, view: Box) -> tuple[Tile, ...]:
        """Return the tiles, those nearest to the middle of `view` first."""
        middle = [(side.start + side.stop) / 2 for side in view]

        def distance(tile: Tile) -> float:
            centre = [(side.start + side.stop) / 2 for side in tile.core]
            return float(max(abs(a - b) for a, b in zip(centre, middle, strict=True)))

        return tuple(sorted(self.tiles, key=distance))


def plan_plane(
    run: Predictor,
    source: ModelInput,
    options: SegmentOptions,
    kind: Output,
    *,
    held: int,
    view: Box | None = None,
    only: bool = False,
) -> PlaneTiles:
    """Cut a plane into tiles for the memory that is allowed.

    Parameters
    ----------
    held
        Bytes of the result that will be resident.
    view
        (Y, X) slices of the image that someone looks at.
    only
        Whether nothing else is wanted.

    Raises
    ------
    MemoryBudgetError
        If the memory is too small for any tile, or for the one that was chosen.
    """
    spec = run.spec
    halo = source.halo(run.spec)
    part = whole(source.shape)
    if view is not None and only:
        part = region(source.shape, source.needs(view), halo, spec.stride)
    shape = (part[0].stop - part[0].start, part[1].stop - part[1].start)
    window = _window(run, source, options, shape, _held(source, options, kind, held))
    plan = plan_tiles(shape, window, halo, spec.stride)
    tiles = tuple(_moved(t, part[0].start, part[1].start) for t in plan.tiles)
    first = None
    if view is not None and not only and kind != "probabilities":  # nobody sees those
        first = _first(run, source, source.needs(view))
        y, x = first.read
        size = (y.stop - y.start) * (x.stop - x.start)
        if size * _WORTH > math.prod(plan.window):
            first = None
    return PlaneTiles(plan.window, tiles, first)


def _window(
    run: Predictor,
    source: ModelInput,
    options: SegmentOptions,
    shape: tuple[int, int],
    held: int,
) -> tuple[int, int]:
    """Return the largest sides (Y, X) of a window."""
    stride, halo, tile = run.spec.stride, source.halo(run.spec), options.tile
    wanted = round_up(shape[0], stride) * round_up(shape[1], stride)
    least = min((2 * halo + stride) ** 2, wanted)
    pixels = memory_pixels(
        run, options.memory, held=held, each=_each(run, source), least=least
    )
    if tile is not None and options.memory and min(tile**2, wanted) > pixels:
        raise MemoryBudgetError(
            f"A tile of {tile} pixels needs more than the memory that is allowed. "
            f"Choose {math.isqrt(pixels)} or less, or leave the choice to us."
        )
    if tile is not None:
        return tile, tile
    if wanted > _SMALL:
        useful = max(least, (4 * halo) ** 2)  # less is mostly halo
        strips = run.device.type == "cpu"
        pixels = min(pixels, max(useful, _LARGEST if strips else run.prompt_pixels()))
    return best_window(shape, pixels, halo, stride)


def _held(
    source: ModelInput, options: SegmentOptions, kind: Output, result: int
) -> int:
    """Return the bytes that are held besides the windows."""
    if kind == "objects":
        plane = math.prod(source.image.plane_shape)
        return result + min(plane, memory_limit(options.memory))
    return result


def _each(run: Predictor, source: ModelInput) -> int:
    """Return bytes of the image and the result for one pixel of a window."""
    read = len(source.channels) * 12 + source.decoded * source.image.dtype.itemsize
    if source.resampled:  # probabilities are brought back, twice in memory
        read += len(run.spec.classes) * 8
    return math.ceil(read * math.prod(a.source / a.target for a in source.axes))


def _first(run: Predictor, source: ModelInput, view: Box) -> Tile:
    """Return a tile of its own for the middle of `view`."""
    stride, halo = run.spec.stride, source.halo(run.spec)
    y, x = (
        slice(max(s.start, centre - _FIRST // 2), min(s.stop, centre + _FIRST // 2))
        for s, centre in zip(view, [(s.start + s.stop) // 2 for s in view], strict=True)
    )
    rows, columns = region(source.shape, (y, x), halo, stride)
    size = rows.stop - rows.start, columns.stop - columns.start
    (tile,) = plan_tiles(size, max(size), halo, stride).tiles
    return Tile((y, x), (rows, columns), tile.pad)


def _moved(tile: Tile, dy: int, dx: int) -> Tile:
    return Tile(shifted(tile.core, dy, dx), shifted(tile.read, dy, dx), tile.pad)
