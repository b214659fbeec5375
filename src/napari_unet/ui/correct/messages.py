"""Messages of U-Net: Correct: what to do next, what waits for what, what came out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.annotation.improved import Improved
from napari_unet.annotation.start import Begun
from napari_unet.project.project import Project
from napari_unet.ui.correct.facts import Facts

if TYPE_CHECKING:
    from napari_unet.training.compared import Compared
    from napari_unet.ui.correct.class_table import ClassRow

__all__ = [
    "IMPROVE",
    "LIVE",
    "TOO_LARGE",
    "begun_line",
    "closed_line",
    "improved_line",
    "invitation",
    "listed",
    "next_step",
    "nowhere_line",
    "resumable_line",
    "save_line",
    "undo_line",
    "unpainted_line",
    "waiting_line",
    "why_not",
    "why_not_live",
]

TOO_LARGE = (
    "napari cannot paint on planes of more than 16384 rows or columns. Crop a part of "
    "the image, correct that, and segment the whole with its model."
)
LIVE = (
    "After each stroke the labels in view follow what you painted, within about a "
    "second. Only the last step of the model is fitted for that, and it is not kept: "
    "Improve teaches the whole model."
)
IMPROVE = (
    "Learn from all that was painted. The new model is used only if it is right on "
    "as much of that as the model in use, or more; where most pixels are labelled, "
    "if it is better on those that were held out."
)
_LONGEST = 18  # letters of a name on a button
_FEW = 0.05  # share of what was painted that a model may miss, see `head.OBEYED`


def next_step(facts: Facts) -> str:
    """Return what to do first; empty once something was painted."""
    if facts.subject is None:
        return "There is no image yet. Open one with File > Open."
    if facts.large:
        return TOO_LARGE
    if facts.subject == "labels":
        return (
            "Click 'Start from labels' to take this layer as what is right. Say below "
            "the button what its 0 means."
        )
    if not facts.bound and facts.result is None:
        begin = "Go on" if facts.resumable else "Segment the image in U-Net: Segment"
        if facts.other is not None:
            begin = "Add the image to the project with the button above"
        own = "name your own classes here and make a new model for them"
        return f"{begin}, or {own}."
    if facts.bound and not any(row.pixels for row in facts.rows):
        names = listed([row.name for row in facts.rows], "and")
        return (
            "Click a class in the table to take the brush, and paint over what is "
            f"wrong: at least one stroke of each class ({names}). Then click Improve."
        )
    return ""


def why_not(facts: Facts) -> str:
    """Return why Improve cannot be clicked; empty if it can."""
    if not facts.idle:
        return f"{facts.running.doing}: wait until that has ended."
    if facts.taken:
        return "The result is being segmented: wait until that has ended."
    return _why_unbound(facts)


def why_not_live(facts: Facts) -> str:
    """Return why Live cannot be ticked; empty if it can."""
    if facts.bound and facts.result is not None and facts.result.filed:
        return (
            "These labels are a file, which Live would change after every stroke. "
            "Improve learns from what you paint."
        )
    return "" if facts.bound else _why_unbound(facts)


def _why_unbound(facts: Facts) -> str:
    if facts.large:
        return TOO_LARGE
    if not facts.bound:
        return "Segment an image first, or start from labels or from nothing."
    return ""


def undo_line(facts: Facts) -> str:
    """Return what Undo improvement does."""
    if facts.record is None or not facts.learned:
        return "There is no improvement to undo."
    return f"Use {Path(facts.record.parent).stem} again."


def save_line(facts: Facts) -> str:
    """Return what Save model as... does, or why it cannot."""
    if facts.record is None and facts.project is not None:
        return f"{facts.model} is not of this project, and a file already."
    return "Write the model in use as one file, for any image."


def resumable_line(facts: Facts) -> str:
    """Return what the labels do not show, and one can go on with; empty if nothing."""
    project, result = facts.project, facts.result
    if project is None:
        return ""
    active, where = project.active, project.folder.name
    if project.behind and result is not None:
        old = Path(result.model).stem
        return f"These labels are of {old}; {active} is in use in {where}."
    if not project.earlier:
        return ""
    model = f" and the model {active}" if active else ""
    return f"There are corrections{model} in {where} from before."


def invitation(title: str, other: Path) -> tuple[str, str, str]:
    """Return the offer to add an image to a project: line, button, and its tip."""
    name, folder = _short(title), other.name
    line = (
        f"{name} is not in {folder}, where you painted before. Add it, and Improve "
        "learns from the strokes on all its images."
    )
    tip = (
        f"Keep the strokes on {title} in {other}, and go on with its model. What was "
        "painted on it goes with it."
    )
    return line, f"Add '{name}' to {_short(folder)}", tip


def _short(name: str) -> str:
    """Return a name with its middle left out, if it is long."""
    half = _LONGEST // 2
    return name if len(name) <= _LONGEST else f"{name[: half - 1]}...{name[-half:]}"


def unpainted_line(rows: Sequence["ClassRow"]) -> str:
    """Return which classes have no stroke, and why that matters."""
    names = listed([row.name for row in rows])
    why = (
        "the model would find the other classes everywhere"
        if any(row.value == 0 for row in rows)
        else "the model would not learn it"
    )
    return (
        f"Nothing is painted as {names} yet: {why}. A small stroke is enough, also "
        "where the labels are right."
    )


def waiting_line(rows: Sequence["ClassRow"]) -> str:
    """Return what Improve waits for."""
    names = listed([row.name for row in rows], "and")
    return f"Improve waits for a stroke of {names}: see above."


def listed(names: Sequence[str], last: str = "or") -> str:
    """Return names as people list them; `last` stands before the last one.

    >>> listed(["background", "cell", "debris"])
    'background, cell or debris'
    """
    *others, end = names
    return f"{', '.join(others)} {last} {end}" if others else end


def begun_line(begun: Begun, project: Project | None) -> str:
    """Return what to do once corrections can be painted."""
    name = Path(begun.model).stem
    if begun.rules.kind == "objects":
        what = "the brush adds to an object, M begins a new one, the eraser removes"
    else:
        what = (
            "choose a class in the table, and paint over what is wrong, each class at "
            "least once"
        )
    where = "" if project is None else f" Strokes are kept in {project.folder.name}."
    note = f"{begun.note} " if begun.note else ""
    return f"{note}{name} is in use. To correct: {what}; then click Improve.{where}"


def closed_line(name: str, path: str) -> str:
    """Return why an image of the project cannot be opened, and what to do."""
    why = f"is not at {path} any more" if path else "has no file that is known"
    return f"{name} {why}. Open it with File > Open; its strokes are found again."


def nowhere_line(name: str) -> str:
    """Return what to do about a class that the labels do not have."""
    return (
        f"The labels of this plane have no {name}. Paint some that you see; if there "
        "is none in your images, click 'Improve anyway'."
    )


def improved_line(improved: Improved) -> str:
    """Return what an improvement came to."""
    if not improved.published:
        return (
            f"{improved.name} stays in use: what was learned in "
            f"{improved.seconds:.0f} s was not better. "
            f"{_missed_line(improved)}{improved.rule}"
        )
    fixed, broken = _changed(improved.compared)
    return (
        f"{improved.name} is in use, after {improved.seconds:.0f} s: it fixed "
        f"{fixed:,} reviewed pixels and broke {broken:,}{_part(improved)}. "
        f"{_missed_line(improved)}{improved.rule}"
    )


def _missed_line(improved: Improved) -> str:
    """Return that time ran out before all was followed, and what to do; else empty."""
    missed = improved.missed
    if missed is None or missed <= _FEW:
        return ""
    return (
        f"{100 * missed:.0f} % of what you painted is not obeyed yet: click Improve "
        "again, or give it more time. Where strokes contradict each other, some never "
        "will be. "
    )


def _part(improved: Improved) -> str:
    """Return on how much of what was painted that was found out; empty if on all."""
    seen, squares = len(improved.compared), improved.squares
    if seen == squares:
        return ""
    return (
        f", on {seen:,} of {squares:,} squares that were painted (the newest, and some "
        "of the others)"
    )


def _changed(compared: list["Compared"]) -> tuple[int, int]:
    counts = [c.counts for c in compared]
    return sum(c.fixed for c in counts), sum(c.broken for c in counts)
