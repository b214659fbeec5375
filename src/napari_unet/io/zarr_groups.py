"""Zarr groups that are no image themselves: plates, wells, converted series.

Only this file knows how such a group names the images in it. Its description is read as
JSON, without Zarr, and nothing in it is believed: what it names may not be there.
"""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from napari_unet._files import read_regular

__all__ = [
    "DESCRIPTIONS",
    "described",
    "dict_of",
    "dicts_of",
    "image_folder",
    "is_zarr",
    "no_image",
]

DESCRIPTIONS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")  # of any version
_CONVERTED = "bioformats2raw.layout"


def is_zarr(path: Path) -> bool:
    """Return whether a folder says that it is a Zarr, whatever it is called."""
    try:
        return any((path / name).is_file() for name in DESCRIPTIONS)
    except (OSError, ValueError):  # no disk has such a name
        return False


def described(folder: Path) -> dict[str, Any]:
    """Return what a group of any version says of itself.

    Raises
    ------
    OSError, ValueError, RecursionError
        If it says nothing that can be read.
    """
    new = (folder / "zarr.json").exists()
    said = json.loads(read_regular(folder / ("zarr.json" if new else ".zattrs")))
    if not isinstance(said, dict):
        raise ValueError("its description is none")
    attributes = dict_of(said.get("attributes")) if new else said
    return attributes | dict_of(attributes.get("ome"))  # 0.5 keeps all in one place


def dict_of(found: Any) -> dict[str, Any]:
    """Return what may be ``null``, or something else, as a dict."""
    return found if isinstance(found, dict) else {}


def dicts_of(found: Any) -> list[dict[str, Any]]:
    """Return the dicts of what may be ``null``, one dict, or something else."""
    found = [found] if isinstance(found, dict) else found
    return [dict_of(entry) for entry in found] if isinstance(found, list) else []


def image_folder(path: Path) -> tuple[Path, int]:
    """Return where the image lies that a folder is opened as, and how many there are.

    It lies in the folder itself, unless that is a file which was converted: then it is
    the first of its series. These may be listed in the folder OME, else are numbered.
    """
    said = _known(path)
    if _CONVERTED not in said or "multiscales" in said:
        return path, 1
    listed = _known(path / "OME").get("series")
    series = _series(path, listed) if isinstance(listed, list) else []
    series = series or _series(path, itertools.count())
    return (series[0], len(series)) if series else (path, 1)


def _series(path: Path, names: Iterable[Any]) -> list[Path]:
    """Return the images of these names, up to the first that is not there."""
    found = list(itertools.takewhile(is_zarr, (path / str(name) for name in names)))
    inside = all(path.resolve() in at.resolve().parents for at in found)
    return found if inside else []


def no_image(path: Path, attributes: dict[str, Any], members: Iterable[str]) -> str:
    """Return the sentence that says what a group is instead of an image.

    Parameters
    ----------
    members
        Names of the arrays and groups in it.
    """
    if "plate" in attributes:
        wells = _paths(dict_of(attributes["plate"]).get("wells")) or ["A/1"]
        well = _there(path, wells)
        field = _there(path / well, _fields(_known(path / well)))
        return (
            f"{path.name} is a plate of many images. Open one of them, as in "
            f"{path.name}/{well}/{field}."
        )
    if "well" in attributes:
        field = _there(path, _fields(attributes))
        return (
            f"{path.name} is a well of many images. Open one, as in "
            f"{path.name}/{field}."
        )
    names = attributes.get("labels")
    names = names if names and isinstance(names, list) else sorted(members)
    inside = ", ".join(f"{path.name}/{name}" for name in list(names)[:5])
    return f"{path.name} is a Zarr group without an OME-Zarr image in it. " + (
        f"Open one of: {inside}." if inside else "It is empty."
    )


def _fields(well: dict[str, Any]) -> list[str]:
    return _paths(dict_of(well.get("well")).get("images")) or ["0"]


def _paths(entries: Any) -> list[str]:
    return [str(entry["path"]) for entry in dicts_of(entries) if "path" in entry]


def _there(folder: Path, names: list[str]) -> str:
    """Return the first name that is there, of those that are listed."""
    return next((name for name in names if is_zarr(folder / name)), names[0])


def _known(folder: Path) -> dict[str, Any]:
    """Return what a group says of itself, as far as anybody can read it."""
    try:
        return described(folder)
    except (OSError, ValueError, RecursionError):
        return {}
