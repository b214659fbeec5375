"""Messages of U-Net: Correct when a task has ended."""

from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.annotation.improved import Improved
from napari_unet.annotation.start import Begun
from napari_unet.project.project import Project

if TYPE_CHECKING:
    from napari_unet.training.compare import Compared

_FEW = 0.05  # share of what was painted that a model may miss, see `head.OBEYED`

__all__ = ["begun_line", "closed_line", "improved_line", "nowhere_line"]


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
        "again, or give it more time; strokes that contradict each other never all "
        "are. "
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
