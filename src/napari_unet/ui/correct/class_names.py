"""Class names in U-Net: Correct: the project's, the model's, or drafted ones."""

from napari_unet.annotation.models import drafted, kind_of, name_of
from napari_unet.project.project import Project
from napari_unet.ui.result_layer import Result
from napari_unet.ui.session import Session

__all__ = ["OBJECTS", "name_results", "paints_objects", "stored_names", "table_names"]

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


def name_results(session: Session, project: Project, old: tuple[str, ...]) -> None:
    """Let results of a project call their classes, which were `old`, as it does."""
    for result in session.results:
        reviews = result.reviews
        learned = reviews is not None and reviews.project is project
        ours = learned or name_of(project, result.model) != result.model
        if ours and result.rules is not None and result.rules.classes == old:
            result.name_classes(project.index.classes)
