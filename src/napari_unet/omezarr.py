"""What an OME-Zarr folder says: pyramid, axes, pixel sizes and channel names.

Only this file knows where OME-Zarr 0.1 to 0.5 note these things, and what else a Zarr
folder may be: a plain array, a plate, a converted series.
"""

from pathlib import Path
from typing import Any

import numpy as np

from .content import Content
from .errors import ImageError

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
_MARKS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
_COLOURS = (3, 4)  # RGB, RGBA


def read_zarr(path: Path) -> Content:
    """Read everything but the pixels of an OME-Zarr image or a plain Zarr array.

    Raises
    ------
    ImageError
        If the folder is no Zarr, or a Zarr that is no image.
    """
    import zarr  # takes half a second, which a TIFF need not pay

    if not any((path / name).is_file() for name in _MARKS):
        raise ImageError(
            f"{path.name} is a folder but no Zarr: it holds no zarr.json, .zgroup or "
            ".zarray. Open an image file, or an OME-Zarr folder."
        )
    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        return Content((node,), _plain_axes(node), True, {}, ())
    attributes: dict[str, Any] = dict(node.attrs)
    attributes.update(attributes.get("ome", {}))  # 0.5 keeps all in one place
    if attributes.get("multiscales"):
        return _read_multiscale(node, attributes, path)
    if "bioformats2raw.layout" in attributes and "0" in node:
        return read_zarr(path / "0")
    raise ImageError(_no_image(node, attributes, path))


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


def _no_image(node: Any, attributes: dict[str, Any], path: Path) -> str:
    """Return the sentence that says what a group is instead of an image."""
    if "plate" in attributes:
        wells = attributes["plate"].get("wells") or [{}]
        field = f"{path.name}/{wells[0].get('path', 'A/1')}/0"
        return (
            f"{path.name} is a plate of many images. Open one of them, as in {field}."
        )
    if "well" in attributes:
        return f"{path.name} is a well of many images. Open one, as in {path.name}/0."
    names = attributes.get("labels") or sorted(node.keys())
    inside = ", ".join(f"{path.name}/{name}" for name in list(names)[:5])
    return f"{path.name} is a Zarr group without an OME-Zarr image in it. " + (
        f"Open one of: {inside}." if inside else "It is empty."
    )


def _read_multiscale(group: Any, attributes: dict[str, Any], path: Path) -> Content:
    multiscale = attributes["multiscales"][0]
    datasets = multiscale.get("datasets") or []
    missing = [d["path"] for d in datasets if d["path"] not in group]
    if missing or not datasets:
        raise ImageError(
            f"{path.name} is damaged: it names the array {(missing or ['0'])[0]!r}, "
            "which is not there. Copy or convert it again."
        )
    levels = tuple(group[d["path"]] for d in datasets)
    axes = _parse_axes(multiscale.get("axes"), levels[0].ndim)
    if len(axes) != levels[0].ndim:
        raise ImageError(
            f"{path.name} is damaged: it names {len(axes)} axes for an array of shape "
            f"{levels[0].shape}. Convert it again."
        )
    letters = "".join(letter for letter, _ in axes)
    scale = _scale(datasets[0], len(axes)) * _scale(multiscale, len(axes))
    steps = {
        letter: (float(size), unit)
        for (letter, unit), size in zip(axes, scale, strict=True)
        if letter != "C"
    }
    channels = attributes.get("omero", {}).get("channels", [])
    names = tuple(str(channel.get("label") or "") for channel in channels)
    count = len(attributes["multiscales"])
    note = f"{path.name} holds {count} images; this is the first of them."
    return Content(
        levels,
        letters,
        False,
        steps,
        names if any(names) else (),
        (note,) if count > 1 else (),
    )


def _parse_axes(axes: Any, ndim: int) -> list[tuple[str, str]]:
    """Return (letter, unit) of every axis; 0.1 and 0.2 have none, 0.3 only names."""
    if not axes:
        return [(letter, "") for letter in "TCZYX"[-ndim:]]
    found = []
    for axis in axes:
        entry = axis if isinstance(axis, dict) else {"name": axis}
        letter = _LETTERS.get(str(entry["name"]).lower())
        if letter is None and entry.get("type") in ("time", "channel"):
            letter = _LETTERS[entry["type"]]
        found.append((letter or "Q", str(entry.get("unit") or "")))
    return found


def _scale(entry: dict[str, Any], ndim: int) -> Any:
    """Return the product of all scale transformations of a dataset, per axis."""
    factors = np.ones(ndim)
    for transformation in entry.get("coordinateTransformations") or ():
        if transformation.get("type") == "scale" and "scale" in transformation:
            factors = factors * np.asarray(transformation["scale"], float)
    return factors
