"""OME-Zarr 0.5 writer: a pyramid of chunked label arrays."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.io.label_array import LabelArray
from napari_unet.io.output_stack import OutputStack
from napari_unet.tiling import blocks

if TYPE_CHECKING:
    import zarr

__all__ = ["ZARR_ORDER", "level_shapes", "metadata", "write_omezarr"]

ZARR_ORDER = "TCZYX"  # OME-Zarr wants time first, then channels, then space
_CHUNK = 1024
_BLOCK = 2 * _CHUNK  # halved, it still covers whole chunks of the next level
_TOP = 512  # the pyramid ends with a level whose plane is no larger
_COLOURS = ("FFFFFF", "00FF00", "FF00FF", "00FFFF", "FFFF00", "FF0000", "0000FF")


def write_omezarr(path: Path, planes: OutputStack) -> None:
    """Write `planes` to the new folder `path`, block by block.

    Every level keeps each second row and column of the one before. Integers are
    marked as labels; floating-point numbers are an image with named channels.

    Raises
    ------
    OSError
        If the disk is full or fails.
    """
    import zarr  # half a second that TIFFs need not wait for

    dtype = np.dtype(planes.data.dtype)
    if dtype.kind == "b":
        dtype = np.dtype(np.uint8)
    shapes = level_shapes(planes.shape)
    group = zarr.create_group(
        path, attributes={"ome": metadata(planes, len(shapes), dtype)}
    )
    levels = [
        _create_level(group, i, shapes[i], planes, dtype) for i in range(len(shapes))
    ]
    for index in planes.indices():
        for y, x in blocks(planes.plane_shape, _BLOCK, _BLOCK):
            levels[0][(*index, y, x)] = planes.read(index, y, x).astype(dtype)
        for finer, coarser in itertools.pairwise(levels):
            _halve(finer, coarser, index)


def level_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the shape of every level of the pyramid over an array of `shape`."""
    shapes = [shape]
    while max(shapes[-1][-2:]) > _TOP:
        shapes.append((*shape[:-2], *(-(-n // 2) for n in shapes[-1][-2:])))
    return shapes


def _create_level(
    group: "zarr.Group",
    level: int,
    shape: tuple[int, ...],
    planes: OutputStack,
    dtype: np.dtype[Any],
) -> LabelArray:
    from zarr.codecs import BloscCodec

    return group.create_array(
        str(level),
        shape=shape,
        dtype=dtype,
        chunks=(*[1] * (len(shape) - 2), *(min(_CHUNK, n) for n in shape[-2:])),
        compressors=BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"),
        dimension_names=tuple(planes.order.lower()),
        fill_value=0,
    )


def _halve(finer: LabelArray, coarser: LabelArray, index: tuple[int, ...]) -> None:
    for y, x in blocks((finer.shape[-2], finer.shape[-1]), _BLOCK, _BLOCK):
        block = np.asarray(finer[(*index, y, x)])[::2, ::2]
        top, left = y.start // 2, x.start // 2
        target = slice(top, top + block.shape[0]), slice(left, left + block.shape[1])
        coarser[(*index, *target)] = block


def metadata(planes: OutputStack, levels: int, dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return what is said under ``"ome"`` about a pyramid of so many levels."""
    datasets = []
    for level in range(levels):
        scale = [
            planes.scales[axis] * (2**level if axis in "YX" else 1)
            for axis in planes.order
        ]
        changes: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if any(planes.translate):  # every level begins with the same pixel
            start = [planes.starts[axis] for axis in planes.order]
            changes.append({"type": "translation", "translation": start})
        datasets.append({"path": str(level), "coordinateTransformations": changes})
    multiscale = {
        "name": planes.name,
        "axes": [_axis(axis, planes.unit_names[axis]) for axis in planes.order],
        "datasets": datasets,
        "type": "nearest",
    }
    found: dict[str, Any] = {"version": "0.5", "multiscales": [multiscale]}
    if dtype.kind in "iu":
        found["image-label"] = {"version": "0.5"}
    elif planes.channel_names:
        found["omero"] = {"channels": _channels(planes.channel_names)}
    return found


def _axis(axis: str, unit: str) -> dict[str, str]:
    kind = {"T": "time", "C": "channel"}.get(axis, "space")
    found = {"name": axis.lower(), "type": kind}
    if kind != "channel" and unit != "pixel":
        found["unit"] = unit
    return found


def _channels(names: tuple[str, ...]) -> list[dict[str, Any]]:
    window = {"start": 0.0, "end": 1.0, "min": 0.0, "max": 1.0}
    return [
        {
            "label": name,
            "color": _COLOURS[i % len(_COLOURS)],
            "window": window,
            "active": i < 3,
        }
        for i, name in enumerate(names)
    ]
