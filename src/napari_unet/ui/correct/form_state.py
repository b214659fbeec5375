"""State of the form of U-Net: Correct: what is shown, what is said, what can be done.

One function makes it from facts, without Qt; the form renders it and decides nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.ui.correct import messages
from napari_unet.ui.correct.facts import Facts

if TYPE_CHECKING:
    from napari_unet.ui.correct.class_table import ClassRow
    from napari_unet.ui.correct.curve import Point
    from napari_unet.ui.correct.image_list import ImageRow
    from napari_unet.ui.correct.model_history import ModelRow

__all__ = ["Begin", "Buttons", "FormState", "Invite", "Learn", "form_state"]


@dataclass(frozen=True, slots=True)
class Begin:
    """Ways to begin that are offered.

    Attributes
    ----------
    image
        Whose they are.
    line
        What one can go on with; empty if there is nothing.
    """

    image: Any = None
    line: str = ""
    go_on: bool = False
    from_labels: bool = False
    from_nothing: bool = False


@dataclass(frozen=True, slots=True)
class Invite:
    """The offer to join the project in use: what it says, and its button."""

    line: str
    button: str
    tip: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class Buttons:
    """What can be clicked.

    Attributes
    ----------
    begin
        All ways to begin that are shown.
    review
        This view is right, and Forget this view.
    reviewed, uncertain, changed
        The boxes of the overlays.
    """

    open: bool = False
    begin: bool = False
    images: bool = False
    new_classes: bool = False
    review: bool = False
    next: bool = False
    improve: bool = False
    stop: bool = False
    live: bool = False
    undo: bool = False
    save: bool = False
    reviewed: bool = False
    uncertain: bool = False
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Learn:
    """What is said of learning, and which classes it waits for.

    Attributes
    ----------
    improve, live, undo, save
        The tooltips of these.
    unpainted
        Classes for which a stroke is asked.
    without
        Whether a model could learn without them.
    """

    improve: str = ""
    live: str = ""
    undo: str = ""
    save: str = ""
    unpainted: tuple["ClassRow", ...] = ()
    without: bool = False


@dataclass(frozen=True, slots=True)
class FormState:
    """What the form shows, says and offers.

    Attributes
    ----------
    folder
        Where strokes are kept; None: nowhere.
    fixed
        Why no class can be added or renamed; empty if they can.
    hint
        What to do next, where nothing else is said; None: what is said stays.
    model
        How the project calls the model in use.
    learned_here
        Whether the curve is of a training in this project.
    """

    folder: Path | None
    invite: Invite | None
    begin: Begin
    buttons: Buttons
    learn: Learn
    fixed: str
    hint: str | None
    classes: tuple["ClassRow", ...]
    images: tuple["ImageRow", ...]
    models: tuple["ModelRow", ...]
    scores: tuple["Point", ...]
    model: str
    learned_here: bool


def form_state(facts: Facts, before: FormState | None = None) -> FormState:
    """Return what the form shows.

    Parameters
    ----------
    before
        What it shows now: the ways to begin stay while a task runs, or they would come
        and go with what that does.
    """
    project = facts.project
    stay = before is not None and before.begin.image is facts.image and not facts.idle
    return FormState(
        folder=None if project is None else project.folder,
        invite=_invite(facts),
        begin=before.begin if before is not None and stay else _begin(facts),
        buttons=_buttons(facts),
        learn=_learn(facts),
        fixed=messages.TOO_LARGE if facts.large else "",
        hint=(messages.next_step(facts) or "") if facts.idle else None,
        classes=facts.rows,
        images=() if project is None else project.images,
        models=() if project is None else project.models,
        scores=() if project is None else project.scores,
        model=facts.model,
        learned_here=facts.learned_here,
    )


def _invite(facts: Facts) -> Invite | None:
    if facts.other is None:
        return None
    line, button, tip = messages.invitation(facts.title, facts.other)
    return Invite(line, button, tip, enabled=facts.idle and not facts.taken)


def _begin(facts: Facts) -> Begin:
    """Return the ways to begin that there are."""
    waiting = facts.result is not None and not facts.bound and not facts.taken
    return Begin(
        image=facts.image,
        line=messages.resumable_line(facts),
        go_on=(facts.resumable or waiting) and not facts.large,
        from_labels=facts.subject == "labels",
        from_nothing=facts.subject == "image",
    )


def _buttons(facts: Facts) -> Buttons:
    idle, bound, result, running = facts.idle, facts.bound, facts.result, facts.running
    free = idle and not facts.taken
    names = tuple(row.name for row in facts.rows)
    known = result is not None and result.classes == names
    own = idle and facts.record is not None
    return Buttons(
        open=idle and facts.subject is not None,
        begin=free and facts.project is not None,
        images=idle,
        new_classes=idle and facts.subject is not None and not (known or facts.large),
        review=bound and result is not None and not result.busy,
        next=free and bound,
        improve=free and bound,
        stop=running.learning if idle else not running.stopping,
        live=running.live or not messages.why_not_live(facts),
        undo=free and facts.learned,
        save=own,
        reviewed=bound,
        uncertain=running.unsure or (bound and idle),
        changed=facts.changed,
    )


def _learn(facts: Facts) -> Learn:
    unpainted = facts.unpainted
    return Learn(
        improve=messages.why_not(facts) or messages.IMPROVE,
        live=messages.why_not_live(facts) or messages.LIVE,
        undo=messages.undo_line(facts),
        save=messages.save_line(facts),
        unpainted=unpainted,
        without=bool(unpainted) and facts.painted > 1,  # one class says nothing
    )
