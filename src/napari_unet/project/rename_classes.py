"""Renaming classes in a project and in the headers of its models."""

from typing import Any

from napari_unet._files import DAMAGE, read_whole, write_whole
from napari_unet.errors import OptionsError
from napari_unet.network.header import header_of, with_header
from napari_unet.project.project import Project

__all__ = ["finish_renaming", "rename_class"]

_PENDING = "renaming"  # in the project's settings, until all models have the new names
_BOUNDARY = "boundary"  # as in `unet`, which needs torch
_Names = tuple[str, ...]


def rename_class(project: Project, value: int, name: str) -> None:
    """Call a class otherwise, in a project and in those models that have its classes.

    Killed at any moment, `finish_renaming` does what is left.

    Parameters
    ----------
    value
        The class, counted from 0.

    Raises
    ------
    OptionsError
        If it is to be called "boundary", which means something to the program.
    UNetError
        If the disk does not take it, or a model may not be read.
    """
    if name == _BOUNDARY:
        raise OptionsError(
            f"A class called {name!r} separates touching objects and is made from "
            "objects; it cannot be painted. Choose another name for the class."
        )
    old = project.index.classes
    new = (*old[:value], name, *old[value + 1 :])
    project.update(new, {_PENDING: {"from": list(old), "to": list(new)}})
    finish_renaming(project)


def finish_renaming(project: Project) -> None:
    """Give the classes of all models the names that they have in their project.

    Raises
    ------
    UNetError
        If the disk does not take it, or a model may not be read.
    """
    begun = project.index.settings.get(_PENDING)
    if not isinstance(begun, dict):
        return
    old, new = (_names(begun.get(key)) for key in ("from", "to"))
    if not old or len(old) != len(new):  # it is finished, or somebody else wrote it
        return
    for record in project.index.models:
        file = project.model_file(record.name)
        try:
            data = _renamed(read_whole(file), old, new)
        except DAMAGE:
            continue  # whoever uses that model is told that it is damaged
        if data is not None:
            write_whole(file, data)
    project.update(settings={_PENDING: {}})


def _names(stored: Any) -> _Names:
    """Return names that the classes of a model can have; none if it is no such list."""
    names = tuple(stored) if isinstance(stored, list) else ()
    text = all(isinstance(name, str) and name for name in names)
    return names if text and len(set(names)) == len(names) else ()


def _renamed(data: bytes, old: _Names, new: _Names) -> bytes | None:
    """Return a model's file with other names in its header; None if it has others."""
    about = header_of(data)
    if tuple(about["spec"]["classes"]) != old:
        return None
    about["spec"]["classes"] = list(new)
    return with_header(data, about)
