"""Adapter for napari layers: axes, scale, files and the visible region.

napari aligns layers by their last axes, keeps the samples of RGB out of ``ndim``, names
axes "-2", "-1" when nobody named them, and speaks of regions in world coordinates.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer

from napari_unet.errors import ImageError
from napari_unet.io.image import Image
from napari_unet.ui.private import from_file

__all__ = [
    "MARK",
    "OVERLAY",
    "View",
    "add_layers",
    "as_image",
    "axes_of",
    "file_of",
    "files_of",
    "folder_of",
    "free_name",
    "geometry",
    "last_line",
    "layers_from",
    "looked_at",
    "move",
    "named_axes",
    "read_from",
]

# In the metadata of layers: it only shows something; what its file was when opened.
OVERLAY, MARK = "napari_unet_overlay", "napari_unet_mark"

_WORDS = {
    "T": "T", "TIME": "T", "C": "C", "CHANNEL": "C", "CHANNELS": "C",
    "Z": "Z", "DEPTH": "Z", "Y": "Y", "HEIGHT": "Y", "X": "X", "WIDTH": "X",
}  # fmt: skip
_PACKAGE = Path(__file__).resolve().parents[1]
_USUAL = {2: "YX", 3: "ZYX", 4: "TZYX", 5: "TCZYX"}


@dataclass(frozen=True, slots=True)
class View:
    """What the user looks at.

    Attributes
    ----------
    plane
        Position along the image's axes other than C, Y and X.
    box
        (Y, X) slices of the plane in level 0; None when it is not seen as a plane.
    """

    plane: tuple[int, ...]
    box: tuple[slice, slice] | None


def axes_of(layer: Any) -> str:
    """Return the letters of an image layer's axes, C of colours included.

    The layer's own axis labels count when they make sense; else the usual order for
    that many axes.

    Raises
    ------
    ImageError
        If the layer cannot be segmented as it is.
    """
    axes = named_axes(layer.ndim, layer.axis_labels)
    if axes is None:
        raise ImageError(
            f"{layer.name} has {layer.ndim} axes; images with 2 to 5 axes can be "
            "segmented. Open it with fewer, or name its axes."
        )
    if layer.rgb and "C" in axes:
        raise ImageError(
            f"{layer.name} has both colours and channels. Give one of its channels a "
            "layer of its own."
        )
    if layer.rgb:
        return axes + "C"
    if axes.find("C") > 0:
        raise ImageError(
            f"The channels of {layer.name} are its axis {axes.index('C')}; "
            "napari shows labels only over channels that come first. Open the file "
            "with U-Net (File > Open), which makes a layer of every channel."
        )
    return axes


def named_axes(ndim: int, labels: Iterable[object]) -> str | None:
    """Return the letters that axis labels mean, or the usual ones for `ndim` axes.

    >>> named_axes(3, ("t", "y", "x")), named_axes(3, ("-3", "-2", "-1"))
    ('TYX', 'ZYX')
    """
    axes = "".join(_WORDS.get(str(label).strip().upper(), "?") for label in labels)
    if "?" not in axes and len(set(axes)) == ndim and axes.endswith("YX"):
        return axes
    return _USUAL.get(ndim)


def as_image(layer: Any, source: Path | None = None) -> Image:
    """Return an image layer as an `Image`, from a file or none; nothing is copied.

    Raises
    ------
    ImageError
        If the layer cannot be segmented as it is.
    """
    axes = axes_of(layer)
    data = layer.data[0] if layer.multiscale else layer.data
    colours = len(axes) - layer.ndim
    return Image(
        layer.name,
        data,
        axes,
        rgb=bool(layer.rgb),
        scale=(*(float(step) for step in layer.scale), *[1.0] * colours),
        units=(*(str(unit) for unit in layer.units), *["pixel"] * colours),
        source=source,
        mark={} if source is None else layer.metadata.get(MARK, {}),
    )


def file_of(viewer: Any, layer: Any) -> Path | None:
    """Return the file that a layer shows; None if it has none of its own.

    A file of several channels is shown by as many layers: it belongs to none of them.
    The files of our samples belong to nobody.
    """
    path = layer.source.path
    if path is None:
        return None
    others = [x for x in viewer.layers if type(x) is type(layer) and x is not layer]
    if any(x.source.path == path for x in others):
        return None
    place = Path(path).resolve()
    return None if place.is_relative_to(_PACKAGE) else place


def read_from(layer: Any) -> Path | None:
    """Return the file that a layer's pixels are read from whenever they are wanted.

    None if they are in memory.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    path = layer.source.path
    return None if path is None or isinstance(data, np.ndarray) else Path(path)


def folder_of(layer: Any) -> Path:
    """Return the folder that a layer's file is in; one's own home if it has none."""
    path = None if layer is None else layer.source.path
    place = None if path is None else Path(path).resolve()
    if place is None or place.is_relative_to(_PACKAGE) or not place.parent.is_dir():
        return Path.home()
    return place.parent


def files_of(viewer: Any) -> tuple[list[Path], list[str]]:
    """Return the files of all image layers, and the names of those that are in none.

    The files of our samples belong to nobody.
    """
    files: dict[Path, None] = {}
    without = []
    for layer in viewer.layers:
        if not isinstance(layer, ImageLayer) or layer.metadata.get(OVERLAY):
            continue
        path = None if layer.source.path is None else Path(layer.source.path).resolve()
        if path is None or path.is_relative_to(_PACKAGE) or not path.exists():
            without.append(layer.name)
        else:
            files[path] = None
    return list(files), without


def layers_from(viewer: Any, path: Path) -> list[Any]:
    """Return the layers that show a file, from the undermost to the top."""
    place = path.resolve()
    known = [layer for layer in viewer.layers if layer.source.path is not None]
    return [x for x in known if Path(x.source.path).resolve() == place]


def add_layers(viewer: Any, found: Sequence[Any], path: Path) -> list[Any]:
    """Show layer tuples as what a file holds; return the layers."""
    added: list[Any] = []
    for data, meta, kind in found:
        with from_file(path):
            layers = getattr(viewer, f"add_{kind}")(data, **meta)
        added += layers if isinstance(layers, list) else [layers]
    return added


def free_name(viewer: Any, name: str) -> str:
    """Return `name`, with a number if a layer is called so already."""
    taken = {layer.name for layer in viewer.layers}
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} {number}"
    return free


def geometry(layer: Any) -> dict[str, Any]:
    """Return where the labels of an image layer lie, as arguments of a Labels layer."""
    first = 1 if axes_of(layer).startswith("C") else 0
    matrix = np.asarray(layer.affine.affine_matrix)[first:, first:]
    where = {
        "scale": np.asarray(layer.scale)[first:],
        "translate": np.asarray(layer.translate)[first:],
        "units": tuple(layer.units)[first:],
        "axis_labels": tuple(layer.axis_labels)[first:],
        "affine": matrix,
    }
    if not first:
        where |= {"rotate": layer.rotate, "shear": layer.shear}
    return where


def move(layer: Any, where: dict[str, Any]) -> None:
    """Put a layer where `geometry` says; it is drawn anew only if it was elsewhere."""
    for name, value in where.items():
        now = getattr(layer, name)
        if not np.array_equal(getattr(now, "affine_matrix", now), value):
            setattr(layer, name, value)


def looked_at(viewer: Any, layer: Any) -> View:
    """Return which plane of an image layer, and which part of it, is on the screen."""
    axes = axes_of(layer)[: layer.ndim]
    point = np.round(layer.world_to_data(viewer.dims.point)).astype(int)
    shape = layer.data[0].shape if layer.multiscale else layer.data.shape
    plane = tuple(
        int(np.clip(at, 0, size - 1))
        for at, size, axis in zip(point, shape, axes, strict=False)
        if axis not in "CYX"
    )
    displayed = set(viewer.dims.displayed)
    if displayed != {viewer.dims.ndim - 2, viewer.dims.ndim - 1}:
        return View(plane, None)
    factor = np.asarray(layer.downsample_factors[layer.data_level])
    corners = np.asarray(layer.corner_pixels) * factor
    sides = []
    for axis, size in ((-2, shape[layer.ndim - 2]), (-1, shape[layer.ndim - 1])):
        start = max(0, math.floor(corners[0][axis]))
        # napari names the last pixel; a step of a pyramid covers several
        stop = min(size, math.ceil(corners[1][axis] + factor[axis]))
        sides.append(slice(start, stop))
    if any(
        side.stop <= side.start + 1 for side in sides
    ):  # never drawn, or out of view
        return View(plane, None)
    return View(plane, (sides[0], sides[1]))


def last_line(shapes: Any, layer: Any) -> float | None:
    """Return the length of the line drawn last, in pixels of the image layer.

    None if `shapes` has no line.
    """
    lines = [
        points
        for points, kind in zip(shapes.data, shapes.shape_type, strict=True)
        if kind == "line"
    ]
    if not lines:
        return None
    ends = [layer.world_to_data(shapes.data_to_world(point)) for point in lines[-1]]
    return float(np.hypot(*(ends[1] - ends[0])[-2:]))
