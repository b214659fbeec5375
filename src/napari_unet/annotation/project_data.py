"""Training data from a project: its corrections, its model, and what does not fit.

Improve and `napari-unet train --project` learn from the same.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.errors import CorrectionError
from napari_unet.options import DEFAULT_MODEL, START_MODEL, TrainOptions
from napari_unet.project.lazy_corrections import Drawn, More, room_for
from napari_unet.project.location import is_project
from napari_unet.project.project import Project

if TYPE_CHECKING:
    from napari_unet.network.model import Model
    from napari_unet.training.run import TrainingData

__all__ = ["project_data", "read_project"]


def project_data(
    project: Project, model: "Model", options: TrainOptions
) -> "TrainingData":
    """Return what was said about the images of a project.

    Where that is too much to hold, learning begins with the newest and some others, and
    moves on to all.

    Parameters
    ----------
    model
        The one that learns: a large one leaves less memory to its data.

    Raises
    ------
    CorrectionError
        If a file may not be read.
    MemoryBudgetError
        If the memory that may be used is too little to learn at all.
    """
    from napari_unet.training.run import TrainingData

    room = room_for(options.memory, model.spec.width)
    corrections = project.corrections(room)
    more = None
    if isinstance(corrections, Drawn):
        more = More(project.more(options.seed), room // 2)
    return TrainingData(corrections, more, project.notes)


def read_project(
    folder: Path,
    model: "Model | str | None",
    classes: Sequence[str] | None,
    options: TrainOptions,
) -> "tuple[Model, TrainingData]":
    """Return the model that learns from a project, and what it learns from.

    Parameters
    ----------
    model
        A model, or name or file of one, the project's own among them. None: the one
        that is in use there, or a shipped one: `START_MODEL` for other classes.
    classes
        Of a new model; None: those of `model`.

    Raises
    ------
    UNetError
        If there is nothing to learn, it cannot be read, or the classes do not fit.
    """
    if not is_project(folder):
        raise CorrectionError(
            f"'{folder}' is no project of napari-unet. Choose the folder in which what "
            "was painted is kept; as a rule its name ends in .unet."
        )
    project = Project.open(folder)
    parent = _parent(project, model, START_MODEL if classes else DEFAULT_MODEL)
    data = project_data(project, parent, options)
    if not data.corrections:
        why = " ".join(data.notes) or "Paint over what is wrong in napari first."
        raise CorrectionError(f"There is nothing to learn in '{folder}'. {why}")
    if classes is None:
        _check_model(project, parent)
    _check_classes(project, classes or parent.spec.classes)
    return parent, data


def _parent(project: Project, model: "Model | str | None", else_: str) -> "Model":
    """Return the model that learns: by itself, by its name here, or from its file."""
    from napari_unet.network.model import Model, load

    if isinstance(model, Model):
        return model
    own = {record.name for record in project.index.models}
    name = model or project.index.active or else_
    return load(project.model_file(name) if name in own else name)


def _check_model(project: Project, model: "Model") -> None:
    """Ask whether the project's classes are the model's."""
    from napari_unet.network.unet import BOUNDARY

    known, own = project.index.classes, model.spec.classes
    if known and known != own:
        new = "" if BOUNDARY in known else f", or begin a new one: {','.join(known)}"
        raise CorrectionError(
            f"The project '{project.folder}' has the classes {', '.join(known)}; the "
            f"model {model.name} has {', '.join(own)}. Choose a model with the "
            f"project's classes{new}.",
            option=("model", "new") if new else "model",
        )


def _check_classes(project: Project, classes: Sequence[str]) -> None:
    """Ask whether the numbers that were painted mean the same in `classes`."""
    known = project.index.classes
    for name in set(known) & set(classes):
        was, now = known.index(name), classes.index(name)
        if was != now:
            raise CorrectionError(
                f"{name!r} is class {was} of the project '{project.folder}', and class "
                f"{now} of the new model. Keep the project's order: {','.join(known)}.",
                option="new",
            )
    most = project.greatest()
    if most >= len(classes):
        called = f" ({known[most]})" if most < len(known) else ""
        raise CorrectionError(
            f"Pixels of class {most}{called} were painted in '{project.folder}'; there "
            f"are only {', '.join(classes)}, counted from 0. Name all classes of a new "
            "model.",
            option="new",
        )
