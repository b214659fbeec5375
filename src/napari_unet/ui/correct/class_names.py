"""Class names in U-Net: Correct: the project's, the model's, or drafted ones."""

from typing import Any

from napari.utils.colormaps import DirectLabelColormap

from napari_unet.annotation.models import drafted, kind_of, name_of, note_draft
from napari_unet.errors import CorrectionError
from napari_unet.project.project import Project
from napari_unet.project.rename_classes import rename_class
from napari_unet.ui.result_layer import Result
from napari_unet.ui.session import Session
from napari_unet.ui.widgets.palette import class_colours

__all__ = [
    "OBJECTS",
    "colour_classes",
    "paints_objects",
    "rename_learned",
    "stored_names",
    "table_names",
]

OBJECTS = "background", "object"  # what is painted where objects are
_FIRST = "background", "foreground"  # classes of a model that nobody named yet


def paints_objects(project: Project | None, result: Result | None) -> bool:
    """Return whether objects are painted, rather than classes."""
    rules = None if result is None else result.rules
    if rules is not None:
        return rules.kind == "objects"
    return project is not None and kind_of(project) == "objects"


def stored_names(project: Project | None, result: Result | None) -> tuple[str, ...]:
    """Return the classes that there are, as the project calls them."""
    rules = None if result is None else result.rules
    if paints_objects(project, result):
        return OBJECTS
    if rules is not None:
        return rules.classes
    return (() if project is None else project.index.classes) or _FIRST


def table_names(project: Project | None, result: Result | None) -> tuple[str, ...]:
    """Return the classes that somebody named for the next new model, or there are."""
    draft = () if project is None else drafted(project)
    return draft or stored_names(project, result)


def rename_learned(
    session: Session, project: Project, names: tuple[str, ...], value: int, name: str
) -> None:
    """Call a class of a project otherwise, in its models and on its results.

    Parameters
    ----------
    names
        What the table has; of a draft for the next new model it is renamed, too.

    Raises
    ------
    UNetError
        If it cannot be called so, something runs that uses a model, or the disk does
        not take it.
    """
    if session.jobs:
        raise CorrectionError(
            f"A model is at work now, in which {names[value]!r} has that name. Rename "
            "the class when that has ended."
        )
    old = project.index.classes
    draft = drafted(project) and (*names[:value], name, *names[value + 1 :])
    rename_class(project, value, name)
    _name_results(session, project, old)
    note_draft(project, draft)


def colour_classes(layer: Any, count: int) -> None:
    """Let a labels layer show so many classes in the colours of the table."""
    colours = dict(enumerate(class_colours(count)))
    table: Any = {None: "transparent", **colours}
    layer.colormap = DirectLabelColormap(color_dict=table)


def _name_results(session: Session, project: Project, old: tuple[str, ...]) -> None:
    """Let results of a project call their classes, which were `old`, as it does."""
    for result in session.results:
        reviews = result.reviews
        learned = reviews is not None and reviews.project is project
        ours = learned or name_of(project, result.model) != result.model
        if ours and result.rules is not None and result.rules.classes == old:
            result.name_classes(project.index.classes)
