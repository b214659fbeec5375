"""Lessons that can go on: kept where their nets are, elsewhere known by a handle."""

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.compute.call import Kept

if TYPE_CHECKING:
    from napari_unet.training.continuation import Continuation, Further

__all__ = ["Lesson", "LessonHandle", "keep_lesson", "lesson_of"]


@dataclass(frozen=True, slots=True)
class LessonHandle:
    """What is known of a lesson wherever its net is not.

    Attributes
    ----------
    name
        By which it is found.
    lacking
        Whether too little of what was painted was followed at its end.
    strokes
        How many it learned from.
    """

    name: str
    lacking: bool
    strokes: int


@dataclass(slots=True, eq=False)
class Lesson:
    """Where a lesson stands, and the best model since, with what was said of it."""

    continuation: "Continuation"
    better: "Further | None" = None


def keep_lesson(
    lessons: Kept, continuation: "Continuation | None"
) -> LessonHandle | None:
    """Keep where a lesson stands in the place of the one before; return its handle."""
    if continuation is None:
        return None
    lessons.clear()  # each holds nets, an optimiser and all it learns from
    name = secrets.token_hex(8)  # never that of a process that is gone
    lessons[name] = Lesson(continuation)
    return LessonHandle(name, continuation.lacking, continuation.strokes)


def lesson_of(lessons: Kept, handle: LessonHandle | None) -> Lesson | None:
    """Return a lesson; None if there is none, or its process has ended."""
    found: Lesson | None = None if handle is None else lessons.get(handle.name)
    return found
