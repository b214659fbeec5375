"""Models in a project: how they are named, kept, and found again by those they made."""

import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.project import Project

if TYPE_CHECKING:
    from napari_unet.model import Model

__all__ = ["free_name", "keep", "name_of", "source_of"]


def free_name(project: Project, stem: str) -> str:
    """Return the first of stem1, stem2, ... that no model of the project has."""
    taken = {record.name for record in project.index.models}
    names = (f"{stem}{number}" for number in itertools.count(1))
    return next(name for name in names if name not in taken)


def keep(
    project: Project,
    model: "Model",
    parent: str,
    *,
    score: float | None = None,
    strokes: int = 0,
) -> str:
    """Put a model into a project, and in use; return its file.

    Parameters
    ----------
    parent
        Name or file of the model that it was made from.

    Raises
    ------
    UNetError
        If the disk does not take it.
    """
    from napari_unet.model import save

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        save(model, file)
        project.add_model(
            model.name,
            file,
            parent=name_of(project, parent),
            score=score,
            strokes=strokes,
        )
    project.activate(model.name)
    return str(project.model_file(model.name))


def name_of(project: Project, source: str) -> str:
    """Return how a project calls the model of a file: by name, if it is its own."""
    for record in project.index.models:
        if str(project.model_file(record.name)) == source:
            return record.name
    return source


def source_of(project: Project, name: str) -> str:
    """Return the file of a model of the project; other names stand for themselves."""
    if any(record.name == name for record in project.index.models):
        return str(project.model_file(name))
    return name
