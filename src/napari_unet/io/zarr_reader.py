"""OME-Zarr reader, 0.1 to 0.5, and plain Zarr: pyramid, axes, scale, channels.

Only this file knows where OME-Zarr 0.1 to 0.5 note these things, and what else a Zarr
folder may be: a plain array, a plate, a converted series.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet.errors import ImageError
from napari_unet.io.content import Content
from napari_unet.io.zarr_groups import (
    dict_of,
    dicts_of,
    image_folder,
    is_zarr,
    no_image,
)

__all__ = ["read_zarr"]

_LETTERS = {
    "t": "T",
    "time": "T",
    "c": "C",
    "channel": "C",
    "z": "Z",
    "y": "Y",
    "x": "X",
}
_COLOURS = (3, 4)  # RGB, RGBA


def read_zarr(path: Path) -> Content:
    """Read everything but the pixels of an OME-Zarr image or a plain Zarr array.

    Raises
    ------
    ImageError
        If the folder is no Zarr, or a Zarr that is no image.
    """
    import zarr  # takes half a second, which a TIFF need not pay

    from napari_unet.io.zarr_array import ZarrArray
    from napari_unet.io.zarr_store import ZarrFolder

    if not is_zarr(path):
        raise ImageError(
            f"{path.name} is a folder but no Zarr: it holds no zarr.json, .zgroup or "
            ".zarray. Open an image file, or an OME-Zarr folder."
        )
    # What is said once more in one place may be of an earlier day.
    node = zarr.open(ZarrFolder(path), mode="r", use_consolidated=False)
    if isinstance(node, zarr.Array):
        axes = _plain_axes(node)
        return Content((ZarrArray(node, axes),), axes, True, {}, ())
    attributes: dict[str, Any] = dict(node.attrs)
    attributes.update(dict_of(attributes.get("ome")))  # 0.5 keeps all in one place
    if attributes.get("multiscales"):
        return _read_multiscale(node, attributes, path)
    image, count = image_folder(path)
    if image == path:
        raise ImageError(no_image(path, attributes, node.keys()))
    content = read_zarr(image)
    more = (_first_of(path, count),) if count > 1 else ()
    return replace(content, notes=(*content.notes, *more))


def _first_of(path: Path, count: int) -> str:
    return f"{path.name} holds {count} images; this is the first of them."


def _plain_axes(array: Any) -> str:
    """Return axes of an array by its dimension names, else by its shape."""
    names = getattr(array.metadata, "dimension_names", None)
    names = names or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    letters = "".join(_LETTERS.get(str(name).lower(), "Q") for name in names)
    if {"Y", "X"} <= set(letters):
        return letters
    shape = array.shape
    if len(shape) == 3 and shape[-1] in _COLOURS and array.dtype == np.uint8:
        return "YXS"
    return ("Q" * (len(shape) - 2) + "YX")[-len(shape) :] if shape else ""


def _read_multiscale(group: Any, attributes: dict[str, Any], path: Path) -> Content:
    from napari_unet.io.zarr_array import ZarrArray

    images = [m for m in dicts_of(attributes["multiscales"]) if m]
    multiscale = (images or [{}])[0]
    datasets, missing = _levels_there(multiscale, group, path)
    arrays = [group[str(d["path"])] for d in datasets]
    finest = max(range(len(arrays)), key=lambda i: math.prod(arrays[i].shape))
    axes = _parse_axes(multiscale.get("axes"), arrays[finest].ndim)
    if any(len(axes) != array.ndim for array in arrays):
        raise ImageError(
            f"{path.name} is damaged: it names {len(axes)} axes for an array of shape "
            f"{arrays[finest].shape}. Convert it again."
        )
    letters = "".join(letter for letter, _ in axes)
    place, notes = _place(datasets[finest], multiscale, len(axes), path.name)
    if len(images) > 1:
        notes.append(_first_of(path, len(images)))
    if missing:
        notes.append(f"{path.name} names the level {missing[0]!r}, which is not there.")
    if finest:
        notes.append(f"{path.name} lists its levels from coarse to fine.")
        arrays.sort(key=lambda array: math.prod(array.shape), reverse=True)
    channels = dicts_of(dict_of(attributes.get("omero")).get("channels"))
    names = tuple(str(channel.get("label") or "") for channel in channels)
    named = [(a, unit, *at) for (a, unit), at in zip(axes, place, strict=True)]
    return Content(
        tuple(ZarrArray(array, letters) for array in arrays),
        letters,
        False,
        {a: (size, unit) for a, unit, size, _ in named if a != "C"},
        names if any(names) else (),
        tuple(notes),
        {a: start for a, _, _, start in named if a != "C"},
    )


def _levels_there(
    multiscale: dict[str, Any], group: Any, path: Path
) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return the levels whose arrays there are, and the paths of those that are gone.

    Raises
    ------
    ImageError
        If the first is not there.
    """
    datasets = dicts_of(multiscale.get("datasets"))
    missing = [d.get("path") for d in datasets if str(d.get("path")) not in group]
    if not datasets or datasets[0].get("path") in missing:
        raise ImageError(
            f"{path.name} is damaged: it names the array {(missing or ['0'])[0]!r}, "
            "which is not there. Copy or convert it again."
        )
    return [d for d in datasets if d.get("path") not in missing], missing


def _parse_axes(axes: Any, ndim: int) -> list[tuple[str, str]]:
    """Return (letter, unit) of every axis; 0.1 and 0.2 have none, 0.3 only names."""
    if not axes:
        return [(letter, "") for letter in "TCZYX"[-ndim:]]
    found, spaces = [], []
    for number, axis in enumerate(axes if isinstance(axes, list | str) else ()):
        entry = axis if isinstance(axis, dict) else {"name": axis}
        letter = _LETTERS.get(str(entry.get("name")).lower())
        if letter is None and entry.get("type") in ("time", "channel"):
            letter = _LETTERS[entry["type"]]
        elif letter is None and entry.get("type") == "space":
            spaces.append(number)
        found.append((letter or "Q", str(entry.get("unit") or "")))
    free = [a for a in "XYZ" if a not in {letter for letter, _ in found}]
    for number, letter in zip(reversed(spaces), free, strict=False):
        found[number] = letter, found[number][1]
    return found


def _place(
    dataset: dict[str, Any], multiscale: dict[str, Any], ndim: int, name: str
) -> tuple[list[tuple[float, float]], list[str]]:
    """Return the step and the first pixel's place along every axis, and notes.

    The transformations of a level come first, those of the whole pyramid after them. A
    transformation of another length than there are axes is left out, and named.
    """
    scale, start = np.ones(ndim), np.zeros(ndim)
    notes = []
    for entry in (dataset, multiscale):
        for change in dicts_of(entry.get("coordinateTransformations")):
            kind = change.get("type")
            if kind not in ("scale", "translation") or kind not in change:
                continue
            numbers = _numbers(change[kind], ndim)
            if numbers is None:
                notes.append(
                    f"{name} has a {kind} of {str(change[kind])[:60]} for its {ndim} "
                    "axes, which was left out."
                )
            elif kind == "scale":
                scale, start = scale * numbers, start * numbers
            else:
                start = start + numbers
    return list(zip(scale.tolist(), start.tolist(), strict=True)), notes


def _numbers(found: Any, count: int) -> Any:
    """Return so many finite numbers as an array, or None if they are none."""
    try:
        numbers = np.asarray(found, float)
    except (TypeError, ValueError):
        return None
    fits = numbers.shape == (count,) and bool(np.isfinite(numbers).all())
    return numbers if fits else None
