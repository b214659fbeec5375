"""Renaming classes in a project and in the headers of its models."""

from napari_unet._files import DAMAGE, read_whole, write_whole
from napari_unet.errors import OptionsError
from napari_unet.network.header import header_of, with_header
from napari_unet.project.project import Project

__all__ = ["finish_renaming", "rename_class"]

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
    project.update(new, {"renaming": {"from": list(old), "to": list(new)}})
    finish_renaming(project)


def finish_renaming(project: Project) -> None:
    """Give the classes of all models the names that they have in their project.

    Raises
    ------
    UNetError
        If the disk does not take it, or a model may not be read.
    """
    begun = project.index.known.renaming
    if begun is None:
        return
    old, new = begun
    for record in project.index.models:
        file = project.model_file(record.name)
        try:
            data = _renamed(read_whole(file), old, new)
        except DAMAGE:
            continue  # whoever uses that model is told that it is damaged
        if data is not None:
            write_whole(file, data)
    project.update(settings={"renaming": {}})


def _renamed(data: bytes, old: _Names, new: _Names) -> bytes | None:
    """Return a model's file with other names in its header; None if it has others."""
    about = header_of(data)
    if tuple(about["spec"]["classes"]) != old:
        return None
    about["spec"]["classes"] = list(new)
    return with_header(data, about)
