"""napari reader, writer and sample data of the plugin.

napari asks here by the names in napari.yaml; what a file says is found out by
`open_image`, and how one is written by `save_labels`.
"""

import math
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import tifffile
from napari.utils.notifications import show_warning

from napari_unet.errors import ImageError, OutputError
from napari_unet.io.image import Image
from napari_unet.io.open import open_image
from napari_unet.io.save import save_labels
from napari_unet.io.suffixes import TIFFS
from napari_unet.io.zarr_groups import is_zarr
from napari_unet.io.zarr_labels import find_labels, says_labels
from napari_unet.sample_data import sample_path, skimage_samples
from napari_unet.ui.layers import MARK, named_axes

__all__ = ["layers_of", "reader", "sample", "write_labels"]

LayerData = tuple[Any, dict[str, Any], str]

_SUFFIXES = (*TIFFS, ".zarr")
_IN_MEMORY = 256_000_000  # bytes; a larger image is read where it is looked at
_CHUNK = 1024
_SAMPLES = 16_000_000  # pixels of all channels that the range of intensities is from
_SHOWN = (0.05, 99.95)  # percentiles of the intensities that are black and white


def reader(path: str | list[str]) -> Callable[[Any], list[LayerData]] | None:
    """Return a function that reads `path`, or None if it is nothing of ours."""
    paths = [path] if isinstance(path, str) else path
    return _read if all(_is_ours(str(name)) for name in paths) else None


def _is_ours(path: str) -> bool:
    """Whether a path is called as what we open, or is a Zarr of any name."""
    named = path.rstrip("/\\").lower().endswith(_SUFFIXES)
    return named or is_zarr(Path(path))  # a field of a plate is called 0


def layers_of(path: str | os.PathLike[str]) -> list[LayerData]:
    """Return a file as layer tuples: an Image layer per channel, or a Labels layer.

    Labels beside an OME-Zarr image come along. What of the file is not shown is said
    in napari's notifications.

    Raises
    ------
    ImageError
        If it cannot be opened.
    """
    image = open_image(path)
    for note in image.notes:
        show_warning(note)
    kind = "labels" if _is_labels(Path(path), image) else "image"
    folders, notes = find_labels(Path(path))
    layers = [_layer(image, kind)]
    for folder in folders:
        try:
            layers.append(_labels_layer(folder))
        except Exception as error:  # noqa: BLE001 - the border: labels that are bad
            notes.append(f"Labels of {image.title} are not shown: {error}")
    for note in notes:
        show_warning(note)
    return layers


def write_labels(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a Labels layer to a TIFF or an OME-Zarr; return what was written.

    Raises
    ------
    OutputError
        If it cannot be written there.
    """
    if meta.get("multiscale"):
        data = data[0]
    ndim = len(data.shape)
    axes = named_axes(ndim, meta.get("axis_labels") or ())
    if axes is None or "C" in axes:
        raise OutputError(
            f"{meta.get('name')} has {ndim} axes ({axes or 'unnamed'}); labels with 2 "
            "to 4 axes of T, Z, Y, X can be written. Name its axes, or write a part."
        )
    target = Path(path)
    if target.suffix.lower() == ".zarr" and not path.lower().endswith(".ome.zarr"):
        target = target.with_suffix(".ome.zarr")
    save_labels(
        target,
        data,
        axes=axes,
        scale=[float(step) for step in meta.get("scale") or [1.0] * ndim],
        units=[str(unit) for unit in meta.get("units") or ["pixel"] * ndim],
        translate=[float(start) for start in meta.get("translate", ())],
        name=str(meta.get("name") or target.stem),
        overwrite=target == Path(path),  # napari's dialog has asked about that one
    )
    return [str(target)]


def sample(name: str) -> list[LayerData]:
    """Return the sample image `name` as layer tuples: ours, or one of scikit-image.

    Raises
    ------
    ImageError
        If there is no such sample.
    """
    real = skimage_samples()
    if name not in real:
        return layers_of(sample_path(name))
    data = real[name]()
    return [_layer(Image(name, data, "YXC"[: data.ndim], rgb=data.ndim == 3), "image")]


nuclei = partial(sample, "nuclei")
nuclei_movie = partial(sample, "nuclei_movie")
tissue_rgb = partial(sample, "tissue_rgb")
cell = partial(sample, "cell")
coins = partial(sample, "coins")
immunohistochemistry = partial(sample, "immunohistochemistry")
microaneurysms = partial(sample, "microaneurysms")
retina = partial(sample, "retina")


def _read(path: str | list[str]) -> list[LayerData]:
    paths = [path] if isinstance(path, str) else path
    return [layer for name in paths for layer in layers_of(name)]


def _layer(image: Image, kind: str) -> LayerData:
    levels = [_shown(level, image) for level in image.levels]
    meta: dict[str, Any] = {
        "name": image.name,
        "scale": image.label_scale,
        "translate": image.label_translate,
        "units": image.label_units,
        "axis_labels": tuple(image.label_axes.lower()),
    }
    if kind == "image":
        meta |= _colours(image)
        if not isinstance(levels[0], np.ndarray):  # it is read again and again
            meta["metadata"] = {MARK: image.mark}
    if len(levels) > 1:
        return levels, {**meta, "multiscale": True}, kind
    return levels[0], meta, kind


def _labels_layer(folder: Path) -> LayerData:
    """Return labels in an image as a layer.

    Raises
    ------
    ImageError
        If they cannot be shown over it.
    """
    labels = open_image(folder)
    if labels.dtype.kind not in "biu":
        raise ImageError(f"{labels.title} has pixels of {labels.dtype}, no numbers.")
    return _layer(_one_channel(labels), "labels")


def _one_channel(labels: Image) -> Image:
    """Return labels without a C axis of length 1.

    napari shows labels over the axes of their image less its channels.

    Raises
    ------
    ImageError
        If there are more channels.
    """
    if "C" not in labels.axes:
        return labels
    if labels.channels > 1:
        raise ImageError(f"{labels.title} has {labels.channels} channels of labels.")
    at = labels.axes.index("C")
    levels = tuple(
        da.from_array(level)[(slice(None),) * at + (0,)]  # type: ignore[no-untyped-call]
        for level in labels.levels
    )
    return replace(
        labels,
        data=levels[0],
        levels=levels,
        axes=labels.label_axes,
        scale=labels.label_scale,
        units=labels.label_units,
        translate=labels.label_translate,
    )


def _colours(image: Image) -> dict[str, Any]:
    """Return how channels and intensities are shown."""
    if image.rgb:
        return {"rgb": True}
    if image.dtype == bool:
        return {}
    limit = min(1_000_000, _SAMPLES // image.channels)
    values = image.sample(range(image.channels), limit)
    limits = [_limits(channel) for channel in values]
    if image.channels == 1:
        at = {"channel_axis": image.axes.index("C")} if "C" in image.axes else {}
        return {"contrast_limits": limits if at else limits[0], **at}
    names = [*image.channel_names, *[""] * image.channels][: image.channels]
    return {
        "channel_axis": image.axes.index("C"),
        "name": [f"{image.name} {n or i}" for i, n in enumerate(names)],
        "contrast_limits": limits,
    }


def _limits(values: Any) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, _SHOWN)
    if high <= low:
        low, high = finite.min(), finite.max()
    return float(low), float(high) if high > low else float(low) + 1


def _shown(level: Any, image: Image) -> Any:
    """Return a level as napari takes it: lazy unless it is small, colours last."""
    if math.prod(level.shape) * image.dtype.itemsize <= _IN_MEMORY:
        array: Any = np.asarray(level[...])
    else:
        sizes = (_CHUNK if axis in "YX" else 1 for axis in image.axes)
        chunks = [
            -1 if image.rgb and axis == "C" else size
            for axis, size in zip(image.axes, sizes, strict=True)
        ]
        array = da.from_array(  # type: ignore[no-untyped-call]
            level, chunks=chunks, asarray=True, name=False
        )
    if image.rgb:
        move = da.moveaxis if isinstance(array, da.Array) else np.moveaxis
        array = move(array, image.axes.index("C"), -1)
    return array


def _is_labels(path: Path, image: Image) -> bool:
    """Whether the file itself says that its numbers are labels."""
    if image.dtype.kind not in "iu":
        return False
    if path.is_dir():
        return says_labels(path)
    with tifffile.TiffFile(path) as file:
        return file.pages.first.software == "napari-unet"  # as our writer signs
