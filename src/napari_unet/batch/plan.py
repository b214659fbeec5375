"""Tile and window of a stack, chosen for the memory allowed; disk space needed.

A tile is a rectangle of the image's own grid and a whole shard of every array that it
is written to. The net computes it in one window if the memory allows that, else in
several. Nothing here is timed: the same image, model and memory give the same plan.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from napari_unet.errors import MemoryBudgetError
from napari_unet.io.chunks import reading_bytes, rooms
from napari_unet.io.image import Image
from napari_unet.network.predictor import (
    Predictor,
    host_bytes,
    memory_need,
    memory_pixels,
)
from napari_unet.options import Output, SegmentOptions
from napari_unet.segmentation.inputs import ModelInput
from napari_unet.segmentation.resample import Axis
from napari_unet.tiling import Box, blocks, round_up

__all__ = ["StackPlan", "plan_stack", "tile_boxes"]

# Of a tile: larger ones waste less on the halo.
_SIDES = (2048, 1536, 1024, 768, 512, 256)
_APART = 1024  # the largest side where tiles are computed by several processes
_WHOLE = 512  # a side that is not cut, whatever its length
_STEP = 256  # sides of tiles are multiples of it
_JOIN = 48  # bytes per pixel of a tile while its objects are joined and encoded
_LABEL = 32  # the same for a block of which objects are joined: measured, 16 to 21
_STORE = 20  # the same where classes are written as they come
_SCORES = 3  # more, a byte each: read out, noted, and written; peaks stay below plans
_WRITE = 12  # the same for a plane that is written with its coarser levels
# Bytes on the disk for one of labels, by kind of dtype, pyramid included.
_ON_DISK = {"objects": 1.4, "classes": 0.35, "probabilities": 2.7}


@dataclass(frozen=True, slots=True)
class StackPlan:
    """How one stack is computed.

    Attributes
    ----------
    side
        Rows and columns of a tile, in the image's pixels.
    window
        Largest side of a window of the net, in the net's pixels.
    block
        Rows and columns of which objects are joined at a time: some tiles.
    tiles
        How many tiles the stack has.
    memory
        Resident bytes that a process takes at most.
    disk
        Bytes that result and work files may take together.
    behind
        Whether there is memory to write a plane while the net computes the next tile.
    room
        Bytes of decoded pieces of the file that are kept.
    """

    side: tuple[int, int]
    window: int
    block: tuple[int, int]
    tiles: int
    memory: int
    disk: int
    behind: bool
    room: int


def tile_boxes(shape: tuple[int, int], side: tuple[int, int]) -> list[Box]:
    """Return the tiles of a plane of `shape`, row by row."""
    return list(blocks(shape, *side))


def plan_stack(
    source: ModelInput,
    run: Predictor,
    options: SegmentOptions,
    kind: Output,
    *,
    apart: bool = False,
    fixed: tuple[tuple[int, int], int] | None = None,
    complete: bool = False,
) -> StackPlan:
    """Choose tile and window for the memory that is allowed.

    Parameters
    ----------
    apart
        Whether several processes share the tiles: then there are more of them.
    fixed
        Side and window of a run that is gone on with.
    complete
        Whether all of it is done: then no memory is asked for.

    Raises
    ------
    MemoryBudgetError
        If the memory is too small for any tile, or for the one that is fixed.
    """
    *better, last = rooms(source.image)
    how = partial(_plan_room, source, run, options, kind, apart, fixed, complete)
    for room in better:
        with suppress(MemoryBudgetError):
            return how(room)
    return how(last)


def _plan_room(
    source: ModelInput,
    run: Predictor,
    options: SegmentOptions,
    kind: Output,
    apart: bool,
    fixed: tuple[tuple[int, int], int] | None,
    complete: bool,
    room: int,
) -> StackPlan:
    """Choose tile and window where `room` is for decoded pieces of the file."""
    image, spec = source.image, run.spec
    reach, scored = source.halo(spec), bool(options.min_score)
    each = _each(source, run)
    least = (2 * reach + spec.stride) ** 2
    sides = [n for n in _SIDES if n <= _APART] if apart else _SIDES
    choices = [fixed] if fixed else _choices(source, run, options, sides)
    for i, (side, window) in enumerate(choices):
        held = reading_bytes(image, room)
        held += math.prod(side) * (_JOIN if kind == "objects" else _STORE)
        held += math.prod(side) * _SCORES * scored
        extents = _extents(source, side, reach, spec.stride)
        pixels = math.prod(min(window, n) for n in extents)
        last = i == len(choices) - 1
        try:
            allowed = (
                pixels
                if complete
                else memory_pixels(
                    run,
                    options.memory,
                    held=held,
                    each=each,
                    least=min(pixels, least) if last and not fixed else pixels,
                )
            )
        except MemoryBudgetError:
            if last:
                raise
            continue
        if pixels > allowed:
            window = math.isqrt(allowed) // spec.stride * spec.stride
            pixels = window**2
        need = memory_need(run, pixels, held=held, each=each)
        block = _block(image.plane_shape, side, pixels * host_bytes(run))
        plan = _plan(image, side, window, block, need, kind, len(spec.classes))
        disk = plan.disk + math.prod(image.label_shape) * scored
        return replace(plan, room=room, disk=disk)
    raise AssertionError("the last choice is taken or refused")


def _block(
    shape: tuple[int, int], side: tuple[int, int], freed: int
) -> tuple[int, int]:
    """Return the largest block to join in the memory of a tile and what is `freed`.

    That is what the net took: it does not run meanwhile.
    """
    room = freed + math.prod(side) * _JOIN
    n = 1
    while math.prod((n + 1) * a for a in side) * _LABEL <= room:
        n += 1
    if math.prod(shape) * _LABEL <= room:
        return shape
    return n * side[0], n * side[1]


def _plan(
    image: Image,
    side: tuple[int, int],
    window: int,
    block: tuple[int, int],
    need: int,
    kind: Output,
    k: int,
) -> StackPlan:
    planes = math.prod(image.stack_shape)
    pixels = planes * math.prod(image.plane_shape)
    each = {"objects": 1.0, "classes": 1.0, "probabilities": float(k)}[kind]
    tiles = planes * len(tile_boxes(image.plane_shape, side))
    disk = int(pixels * each * _ON_DISK[kind])
    # While the net computes, the room to join a tile's objects is free.
    written = math.prod(image.plane_shape) * _WRITE
    free = math.prod(side) * _JOIN * (kind == "objects")
    behind = block == image.plane_shape and written <= free
    return StackPlan(side, window, block, tiles, need, disk, behind, 0)


def _each(source: ModelInput, run: Predictor) -> int:
    """Return bytes of image and result for a pixel of a window, one read ahead."""
    read = len(source.channels) * 12 + source.decoded * source.image.dtype.itemsize
    if source.resampled:  # probabilities are brought back, twice in memory
        read += len(run.spec.classes) * 8
    scale = math.prod(a.source / a.target for a in source.axes)
    return math.ceil(2 * read * scale)


def _choices(
    source: ModelInput, run: Predictor, options: SegmentOptions, sides: Sequence[int]
) -> list[tuple[tuple[int, int], int]]:
    """Return sides and windows that may be taken, the best first."""
    shape, stride = source.image.plane_shape, run.spec.stride
    reach = source.halo(run.spec)
    found = []
    for limit in sides:
        side = _side(shape[0], limit), _side(shape[1], limit)
        found.append((side, max(_extents(source, side, reach, stride))))
    if options.tile is None:
        return list(dict.fromkeys(found))
    # A window of the size that was asked for, and the tile that it computes at once.
    fitting = [side for side, window in found if window <= options.tile]
    return [(fitting[0] if fitting else found[-1][0], options.tile)]


def _side(length: int, limit: int) -> int:
    """Return the side of tiles that divide `length` evenly, `limit` at most."""
    if length <= min(_WHOLE, limit):
        return length
    return round_up(-(-length // -(-length // limit)), _STEP)


def _extents(
    source: ModelInput, side: tuple[int, int], reach: int, stride: int
) -> tuple[int, int]:
    """Return how many rows, and columns, the net reads for one tile at most."""
    y, x = (
        min(_reads(axis, n, stride) + 2 * reach, round_up(axis.target, stride))
        for axis, n in zip(source.axes, side, strict=True)
    )
    return y, x


def _reads(axis: Axis, side: int, stride: int) -> int:
    """Return how many of the net's pixels `side` pixels lie in or depend on."""
    if axis.source == axis.target:
        return round_up(side, stride)
    wanted = math.ceil(side * axis.target / axis.source) + 2 * axis.back().support
    return round_up(wanted + 2, stride) + stride
