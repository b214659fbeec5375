"""Data classes of the Improve job: request, progress, outcome."""

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_unet.annotation.resegment import Request
from napari_unet.options import TrainOptions
from napari_unet.project.project import Project

if TYPE_CHECKING:
    from napari_unet.training.compare import Compared
    from napari_unet.training.continuation import Continuation

__all__ = ["ImproveRequest", "Improved", "Learned"]


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
    stop
        Set by whoever wants the best so far now.
    previous
        Where the previous lesson stands by now, if there was one.
    """

    project: Project
    view: Request
    options: TrainOptions = field(default_factory=TrainOptions)
    stop: threading.Event = field(default_factory=threading.Event)
    previous: "Continuation | None" = None


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
    continuation
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
    continuation: "Continuation | None" = None
    missed: float | None = None
