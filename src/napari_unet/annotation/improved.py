"""Data classes of the Improve job: request, progress, outcome."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_unet.annotation.lessons import LessonHandle
from napari_unet.annotation.project_link import ProjectLink
from napari_unet.annotation.resegment import Request
from napari_unet.compute.call import Kept
from napari_unet.options import TrainOptions

if TYPE_CHECKING:
    from napari_unet.training.compared import Compared

__all__ = ["ImproveRequest", "Improved", "Learned"]


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class ImproveRequest:
    """What is learned from, and what is shown meanwhile.

    Attributes
    ----------
    project
        Its corrections, of all images, and where the new model is kept.
    view
        What is segmented again when there is a better model, and with which one to
        begin; its ``model`` is the one in use.
    stopped
        Tells whether somebody wants the best so far now.
    previous
        The previous lesson, with which this one may go on, if there was one.
    lessons
        Where lessons are kept.
    """

    project: ProjectLink
    view: Request
    options: TrainOptions = field(default_factory=TrainOptions)
    stopped: Callable[[], bool] = _never
    previous: LessonHandle | None = None
    lessons: Kept = field(default_factory=lambda: Kept("lessons"))


@dataclass(frozen=True, slots=True)
class Learned:
    """How far the training is; see `selection.TrainStep`."""

    fraction: float
    step: int
    seconds: float
    loss: float
    score: float


@dataclass(frozen=True, slots=True)
class Improved:
    """What learning came to.

    Attributes
    ----------
    name, path
        Of the model in use now: a new one, or the one before.
    published
        Whether it is a new one.
    rule
        A sentence: how the two were compared.
    before, after
        Their scores, 0 to 1.
    compared
        What the new model fixed and broke of each correction that there was time for.
    squares
        How many corrections there are in all.
    lesson
        With what learning can go on, if it can.
    missed
        Share of what was painted that the model in use does not say, 0 to 1; None where
        it is not judged by that.
    """

    name: str
    path: str
    published: bool
    rule: str
    before: float
    after: float
    steps: int
    seconds: float
    compared: list["Compared"]
    squares: int
    lesson: LessonHandle | None = None
    missed: float | None = None
