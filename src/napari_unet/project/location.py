"""Folder of a project: where it is made, how it is found, and what makes it one."""

import os
import re
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from platformdirs import user_data_path

from napari_unet._files import is_part
from napari_unet.errors import CorrectionError
from napari_unet.project.image_record import slug
from napari_unet.project.index import INDEX, read_index

__all__ = [
    "check_folder",
    "holds_work",
    "is_project",
    "lists",
    "project_place",
    "projects_beside",
]

_OURS = {INDEX, "corrections", "models", "samples"}


def project_place(image_path: str | os.PathLike[str] | None, name: str = "") -> Path:
    """Return the folder for the project of an image; nothing is made yet.

    It lies beside the image as ``<image>.unet``, or in the user's folder for data when
    nothing can be written there, or the image is in no file and is only called `name`.
    """
    projects = _own_projects()
    if image_path is None:
        return projects / f"{slug(name)}.unet"
    path = Path(image_path).expanduser().resolve()
    stem = re.sub(r"(\.ome)?\.[^.]*$", "", path.name, flags=re.IGNORECASE) or path.name
    beside = path.with_name(f"{stem}.unet")
    try:  # permission bits do not tell
        with tempfile.TemporaryFile(dir=beside if beside.is_dir() else path.parent):
            return beside
    except OSError:
        number = sha256(str(beside).encode()).hexdigest()[:8]
        return projects / f"{stem}-{number}.unet"


def _own_projects() -> Path:
    """Return the folder of the projects that lie beside no image."""
    folder = user_data_path("napari-unet", appauthor=False) / "projects"
    # On macOS platformdirs goes by XDG_DATA_HOME, too. Projects may lie where it does
    # without: those that were begun before it was set, or by another rule, stay found.
    usual = Path.home() / "Library" / "Application Support" / "napari-unet" / "projects"
    if sys.platform == "darwin" and usual.is_dir() and not folder.is_dir():
        return usual
    return folder


def is_project(folder: Path) -> bool:
    """Return whether there is a project, or what is left of one, in this folder.

    Raises
    ------
    CorrectionError
        If it is no folder, or may not be read.
    """
    names = _names(folder)
    return bool(names) and _ours(folder, names)


def holds_work(folder: Path) -> bool:
    """Return whether something was painted or learned in a folder."""
    works = ("corrections/*/*.npz", "models/*.safetensors")
    try:
        return any(next(folder.glob(work), None) is not None for work in works)
    except OSError:  # who opens it is told
        return False


def lists(folder: Path, file: Path) -> bool:
    """Return whether the project in a folder has the image of a file."""
    try:
        images = read_index(folder / INDEX).images
    except (OSError, CorrectionError, ValueError):
        return False
    return str(file.resolve()) in {record.path for record in images}


def projects_beside(file: Path) -> list[Path]:
    """Return the folders of projects that lie beside an image, in order of names."""
    try:
        return sorted(file.resolve().parent.glob("*.unet"))
    except OSError:
        return []


def check_folder(folder: Path) -> None:
    """Ask whether a project can be, or is, in this folder.

    Raises
    ------
    CorrectionError
        If it is no folder, or one of other files.
    """
    names = _names(folder)
    if not _ours(folder, names):
        raise CorrectionError(
            f"'{folder}' holds other files and no project. Choose a new folder, or the "
            "project's own (it ends in .unet as a rule)."
        )


def _names(folder: Path) -> set[str]:
    try:
        names = {path.name for path in folder.iterdir()}
        return {name for name in names if name[0] != "." and not is_part(name)}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise CorrectionError(
            f"'{folder}' cannot be opened as a project ({error.strerror or error}). "
            "Choose a folder that you may read."
        ) from error


def _ours(folder: Path, names: set[str]) -> bool:
    """Whether all is ours; or, beside other files, what only a project has."""
    damaged = any(name.startswith(f"{INDEX}.damaged") for name in names)
    if INDEX in names or damaged or names <= _OURS:
        return True
    return any(folder.glob("corrections/*/plane*_*_*.npz"))
