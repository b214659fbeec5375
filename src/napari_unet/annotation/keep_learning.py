"""The job that trains on after Improve, and replaces the model when it is better.

No Qt, no layers: the continuation of a lesson goes in, and better models come out; then
such a model is put into the project, and the view is segmented with it.
"""

import datetime as dt
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_unet.annotation.lessons import Lesson, LessonHandle, lesson_of
from napari_unet.annotation.models import free_name, keep, renew
from napari_unet.annotation.project_link import ProjectLink
from napari_unet.annotation.resegment import (
    Outcome,
    Request,
    Step,
    load_model,
    segmenting,
)
from napari_unet.compute.call import Kept
from napari_unet.project.project import Project

if TYPE_CHECKING:
    from napari_unet.network.model import Model
    from napari_unet.training.continuation import Further

__all__ = ["Better", "Progressed", "Renewed", "continuing", "renewing"]

_FURTHER = "went on learning"  # in the history of a card


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far learning has gone on.

    Attributes
    ----------
    steps
        Done since the lesson has ended.
    right
        Share of what was painted that the best model is right about.
    better
        Whether there is a better model than before.
    """

    steps: int
    right: float
    better: bool


@dataclass(frozen=True, slots=True)
class Better:
    """A model that takes the place of the one that Improve has made, or has not made.

    Attributes
    ----------
    project
        The project that it goes into.
    view
        What is segmented with it.
    lesson
        The one of which it is the best model by now.
    lessons
        Where that is kept.
    name
        Of the model that it replaces; empty: it is the first one of this lesson.
    parent
        Name or file of the model that was improved.
    before
        Share of what was painted that the parent is right about.
    fixed
        Tells whether a model's file stays as it is: a batch may have begun since.
    """

    project: ProjectLink
    view: Request
    lesson: LessonHandle
    lessons: Kept
    name: str
    parent: str
    before: float
    fixed: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Renewed:
    """Name and file of a model that is better than before."""

    name: str
    path: str


def continuing(
    lessons: Kept, handle: LessonHandle
) -> Generator[Progressed, None, None]:
    """Go on learning, on one core and after everything else."""
    from napari_unet.network.threads import give_way
    from napari_unet.training.continuation import go_on

    give_way()
    lesson = lesson_of(lessons, handle)
    if lesson is None:  # it ended with the process that it was in
        return
    for further in go_on(lesson.continuation):
        if further.model is not None:
            lesson.better = further
        yield Progressed(further.steps, further.right, further.model is not None)


def renewing(better: Better) -> Generator[Step | Outcome, None, Renewed | None]:
    """Put a better model in its place, and segment the view with it.

    None: the model there is to stay as it is, or there is no better one any more.
    """
    lesson = lesson_of(better.lessons, better.lesson)
    if lesson is None or lesson.better is None or lesson.better.model is None:
        return None
    if better.name and better.fixed(better.view.model):
        return None
    project = better.project.open()
    path, name = _put(project, better, lesson, lesson.better, lesson.better.model)
    better.project.tell(project)
    models = better.view.models
    for key in [key for key in list(models) if key[0] == path]:
        models.pop(key, None)  # what the file held before
    view = replace(better.view, model=path, ready=load_model(path, models))
    yield (yield from segmenting(view))
    return Renewed(name, path)


def _put(
    project: Project, better: Better, lesson: Lesson, found: "Further", model: "Model"
) -> tuple[str, str]:
    """Put a model into the project; return its file and name."""
    if better.name:
        old = load_model(str(project.model_file(better.name)), better.view.models)
        new = _named(found, model, better.name, old.card)
        return renew(project, new, found.right), better.name
    name = free_name(project, "v")
    path = keep(
        project,
        _named(found, model, name, model.card),
        better.parent,
        score=found.right,
        before=better.before,
        strokes=lesson.continuation.strokes,
    )
    return path, name


def _named(
    found: "Further", model: "Model", name: str, card: dict[str, Any]
) -> "Model":
    """Return the model with its name, and a card that says how it came about."""
    day = dt.datetime.now(dt.UTC).date().isoformat()
    said = (
        f"{day}: {_FURTHER} from the same strokes for {found.steps} steps, right on "
        f"{found.right:.1%} of them"
    )
    before = [step for step in card.get("history", []) if _FURTHER not in str(step)]
    return replace(model, name=name, card={**card, "history": [*before, said]})
