"""Saving labels as TIFF or OME-Zarr; checks of an output path before the work.

Everything that can be known before the work is asked before the work: a user who waits
an hour must not learn then that the folder is missing.
"""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from napari_unet.errors import OutputError
from napari_unet.io.atomic import atomic
from napari_unet.io.label_array import LabelArray, create_labels
from napari_unet.io.output_stack import OutputStack
from napari_unet.io.tiff_writer import write_tiff
from napari_unet.io.zarr_writer import ZARR_ORDER, write_omezarr

__all__ = [
    "SUFFIXES",
    "LabelArray",
    "check_different",
    "check_output",
    "create_labels",
    "save_labels",
]

SUFFIXES = (".tif", ".tiff", ".ome.tif", ".ome.tiff", ".ome.zarr")
_LONGEST = 230  # bytes; file systems allow 255, and a part has a longer name
_ZARR_FILES = {"zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata"}
_BYSTANDERS = {".DS_Store", "Thumbs.db", "desktop.ini"}  # made by file browsers
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def check_output(
    path: str | os.PathLike[str], *, overwrite: bool, nbytes: int = 0
) -> Path:
    """Return `path` if a result can be written there; nothing is written yet.

    Parameters
    ----------
    path
        A file ending in .tif or .tiff, or a folder ending in .ome.zarr.
    overwrite
        Whether something that is there already may be replaced. A folder is only
        replaced when it holds a zarr and nothing else.
    nbytes
        Room that the result may need; 0 asks for none.

    Raises
    ------
    OutputError
        If the suffix is unknown, the folder is missing or cannot be written to, the
        output exists, or the disk is too full.
    """
    target = Path(path).expanduser()
    if len(os.fsencode(target.name)) > _LONGEST:
        raise OutputError(
            f"'{target.name[:40]}...' is too long for the name of a file. Use "
            f"{_LONGEST} characters or fewer."
        )
    if target.name.lower() in SUFFIXES:
        raise OutputError(f"'{target}' has no name before its suffix. Give it one.")
    if not target.name.lower().endswith(SUFFIXES):
        raise OutputError(
            f"'{target}' has no suffix that can be written. Let its name end in .tif "
            "or .ome.tif (one file) or .ome.zarr (a folder, for very large results)."
        )
    _check_folder(target)
    if os.path.lexists(target):
        _check_existing(target, overwrite)
    _check_room(target, nbytes)
    return target


def check_different(source: Path, target: Path) -> None:
    """Raise unless a result can be written without harm to its image.

    Raises
    ------
    OutputError
        If one is the other, or lies in it.
    """
    image, out = source.resolve(), target.resolve()
    inside = image in out.parents  # of an OME-Zarr, which is a folder
    if image == out or out in image.parents or inside:
        raise OutputError(
            f"'{target}' is the image itself, holds it or lies in it; writing there "
            "would damage the image. Choose another name."
        )


def save_labels(
    path: str | os.PathLike[str],
    labels: LabelArray,
    *,
    axes: str,
    scale: Sequence[float],
    units: Sequence[str],
    name: str,
    channel_names: Sequence[str] = (),
    translate: Sequence[float] = (),
    overwrite: bool = False,
) -> None:
    """Write `labels` to a tiled TIFF or an OME-Zarr, whichever `path` names.

    The labels are read block by block. The file appears under its name only when it
    is complete; after an error or a cancel nothing of it is left, and what was there
    before is untouched.

    Parameters
    ----------
    path
        See `check_output`.
    labels
        numpy or zarr array: int32 objects, uint8 classes or float16 probabilities.
    axes
        Letters of "TCZYX" in the order of `labels`. A TIFF keeps this order, except
        that Y and X come last; OME-Zarr prescribes the order TCZYX.
    scale, units
        One per axis: pixel size and its unit (``"micrometer"``, ``"second"``,
        ``"pixel"``).
    name
        Title stored in the file.
    channel_names
        One per channel, such as the classes of probabilities.
    translate
        Where the first pixel lies, one per axis, or none for all 0. Only OME-Zarr has
        a word for it.
    overwrite
        Whether something that is there already may be replaced.

    Raises
    ------
    OutputError
        If the path, the labels or the disk do not allow it.
    """
    target = check_output(path, overwrite=overwrite)
    zarr = target.name.lower().endswith(".zarr")
    file_order = ZARR_ORDER if zarr else axes.replace("Y", "").replace("X", "") + "YX"
    planes = OutputStack(
        data=labels,
        axes=axes,
        scale=tuple(scale),
        units=tuple(units),
        name=name,
        channel_names=tuple(channel_names),
        translate=tuple(translate),
        order="".join(axis for axis in file_order if axis in axes),
    )
    try:
        with atomic(target, overwrite=overwrite) as part:
            (write_omezarr if zarr else write_tiff)(part, planes)
    except OSError as error:
        raise OutputError(_failure(target, error)) from error


def _check_folder(target: Path) -> None:
    folder = target.parent
    if not folder.is_dir():
        raise OutputError(
            f"'{target}' cannot be written: there is no folder '{folder}'. Create it "
            "or choose another."
        )
    try:
        with tempfile.TemporaryFile(dir=folder):  # asks what permission bits do not say
            pass
    except OSError as error:
        if error.errno in _FULL:
            raise OutputError(_failure(target, error)) from error
        raise OutputError(
            f"'{target}' cannot be written: no file can be made in '{folder}' "
            f"({error.strerror}). Choose a folder that you may write to."
        ) from error


def _check_existing(target: Path, overwrite: bool) -> None:
    if not overwrite:
        raise OutputError(
            f"'{target}' exists already. Choose another name, or have it replaced.",
            option="overwrite",
        )
    if target.name.lower().endswith(".zarr"):
        if not _is_zarr(target):
            raise OutputError(
                f"'{target}' exists and is no zarr, or holds other files too; it is "
                "not overwritten. Choose another name, or remove it yourself."
            )
    elif target.is_dir():
        raise OutputError(f"'{target}' is a folder. Choose another name for the TIFF.")


def _is_zarr(folder: Path) -> bool:
    """Whether the folder holds a zarr hierarchy and nothing that is not part of it."""
    if not folder.is_dir():
        return False
    names = {entry.name for entry in folder.iterdir() if not entry.is_dir()}
    if not names & _ZARR_FILES or names - _ZARR_FILES - _BYSTANDERS:
        return False
    try:
        marks = [json.loads((folder / n).read_bytes()) for n in names & _ZARR_FILES]
    except (OSError, ValueError):
        return False
    return any(isinstance(mark, dict) and "zarr_format" in mark for mark in marks)


def _check_room(target: Path, nbytes: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if nbytes > free:
        raise OutputError(
            f"'{target}' may need {_amount(nbytes)} and only {_amount(free)} are free "
            "there. Free some space or choose another disk."
        )


def _amount(nbytes: int) -> str:
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if nbytes >= size:
            return f"{nbytes / size:.1f} {unit}"
    return f"{nbytes / 1000:.0f} kB"


def _failure(target: Path, error: OSError) -> str:
    if error.errno in _FULL:
        return (
            f"'{target}' could not be written: the disk is full. Free some space or "
            "choose another disk; nothing half-written was left."
        )
    return (
        f"'{target}' could not be written ({error.strerror or error}). Check the disk "
        "and try again; nothing half-written was left."
    )
