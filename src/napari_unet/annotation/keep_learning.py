"""The job that trains on after Improve, and replaces the model when it is better.

No Qt, no layers: the continuation of a lesson goes in, and better models come out; then
such a model is put into the project, and the view is segmented with it.
"""

import datetime as dt
from collections.abc import Collection, Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_unet.annotation.models import free_name, keep, renew
from napari_unet.annotation.resegment import (
    Outcome,
    Request,
    Step,
    load_model,
    segmenting,
)
from napari_unet.project.project import Project

if TYPE_CHECKING:
    from napari_unet.network.model import Model
    from napari_unet.training.continuation import Continuation, Further

__all__ = ["Better", "Renewed", "continuing", "renewing"]

_FURTHER = "went on learning"  # in the history of a card


@dataclass(frozen=True, slots=True)
class Better:
    """A model that takes the place of the one that Improve has made, or has not made.

    Attributes
    ----------
    view
        What is segmented with it.
    name
        Of the model that it replaces; empty: it is the first one of this lesson.
    parent
        Name or file of the model that was improved.
    right, before
        Share of what was painted that it, and the parent, are right about.
    steps
        How many more there were than in the lesson.
    strokes
        That it learned from.
    fixed
        Files of models that stay as they are, as known at any moment: a batch may have
        begun since.
    """

    project: Project
    view: Request
    model: "Model"
    name: str
    parent: str
    right: float
    before: float
    steps: int
    strokes: int
    fixed: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Renewed:
    """Name and file of a model that is better than before."""

    name: str
    path: str


def continuing(continuation: "Continuation") -> "Generator[Further, None, Further]":
    """Go on learning, on one core and after everything else."""
    from napari_unet.network.threads import give_way
    from napari_unet.training.continuation import go_on

    give_way()
    return (yield from go_on(continuation))


def renewing(better: Better) -> Generator[Step | Outcome, None, Renewed | None]:
    """Put a better model in its place, and segment the view with it.

    None: the model there is to stay as it is.
    """
    project, models = better.project, better.view.models
    if better.name:
        if better.view.model in better.fixed:
            return None
        old = load_model(str(project.model_file(better.name)), models)
        path = renew(project, _named(better, better.name, old.card), better.right)
        name = better.name
    else:
        name = free_name(project, "v")
        path = keep(
            project,
            _named(better, name, better.model.card),
            better.parent,
            score=better.right,
            before=better.before,
            strokes=better.strokes,
        )
    for key in [key for key in list(models) if key[0] == path]:
        models.pop(key, None)  # what the file held before
    view = replace(better.view, model=path, ready=load_model(path, models))
    yield (yield from segmenting(view))
    return Renewed(name, path)


def _named(better: Better, name: str, card: dict[str, Any]) -> "Model":
    """Return the model with its name, and a card that says how it came about."""
    day = dt.datetime.now(dt.UTC).date().isoformat()
    said = (
        f"{day}: {_FURTHER} from the same strokes for {better.steps} steps, right on "
        f"{better.right:.1%} of them"
    )
    before = [step for step in card.get("history", []) if _FURTHER not in str(step)]
    return replace(better.model, name=name, card={**card, "history": [*before, said]})
