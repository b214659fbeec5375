"""Facts about the image that is corrected, its project, and what runs; no Qt."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from napari_unet.project.index import ModelRecord
    from napari_unet.ui.correct.class_table import ClassRow
    from napari_unet.ui.correct.curve import Point
    from napari_unet.ui.correct.image_list import ImageRow
    from napari_unet.ui.correct.model_history import ModelRow

__all__ = ["Facts", "ProjectFacts", "ResultFacts", "Running"]


@dataclass(frozen=True, slots=True)
class Running:
    """What runs, and which boxes are ticked.

    Attributes
    ----------
    doing
        What the user reads of the task; empty if there is none.
    stopping
        Whether that was asked to end.
    learning
        Whether learning goes on after Improve, for which nothing waits.
    live, unsure
        Whether Live, and Uncertainty, are ticked.
    """

    doing: str = ""
    stopping: bool = False
    learning: bool = False
    live: bool = False
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class ResultFacts:
    """What is known of the labels of a model.

    Attributes
    ----------
    model
        Name or file of the model that made them.
    classes
        What the model tells apart; None until they are finished.
    taken, busy
        Whether a job has them, and whether tiles arrive in them now.
    paintable
        Whether napari can paint on planes of that size.
    filed
        Whether they are a file, which every stroke changes.
    """

    model: str = ""
    classes: tuple[str, ...] | None = None
    taken: bool = False
    busy: bool = False
    paintable: bool = True
    filed: bool = False


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    """What is known of the project in which strokes on the image are kept.

    Attributes
    ----------
    active
        Name of the model in use for all its images; empty if there is none yet.
    earlier
        Whether it holds what is from an earlier session, and not shown.
    behind
        Whether its model is newer than the labels.
    """

    folder: Path
    active: str = ""
    earlier: bool = False
    behind: bool = False
    images: tuple["ImageRow", ...] = ()
    models: tuple["ModelRow", ...] = ()
    scores: tuple["Point", ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the form depends on.

    Attributes
    ----------
    subject
        What is corrected; None if there is nothing.
    image
        What tells the image from others.
    title
        What people call it.
    other
        Folder of the project in use, which the image may join; None for none.
    result, project
        The labels, if they are of a model, and where strokes on them are kept.
    bound
        Whether strokes are listened to.
    rows
        The classes in the table.
    known
        How many of them the model in use tells apart, from the first on.
    painted
        Of how many of its classes something was reviewed, in all images.
    model, record
        What the project calls the model in use; its record, if it is its own.
    learned_here, changed
        Whether the last training was in this project, and whether it changed what is
        reviewed of this image.
    """

    subject: Literal["result", "labels", "image"] | None = None
    image: Any = None
    title: str = ""
    other: Path | None = None
    result: ResultFacts | None = None
    project: ProjectFacts | None = None
    bound: bool = False
    rows: tuple["ClassRow", ...] = ()
    known: int = 0
    painted: int = 0
    model: str = ""
    record: "ModelRecord | None" = None
    learned_here: bool = False
    changed: bool = False
    running: Running = field(default_factory=Running)

    @property
    def idle(self) -> bool:
        """Whether no task runs."""
        return not self.running.doing

    @property
    def taken(self) -> bool:
        """Whether a job has the labels."""
        return self.result is not None and self.result.taken

    @property
    def large(self) -> bool:
        """Whether the labels are too large to be painted on."""
        return self.result is not None and not self.result.paintable

    @property
    def resumable(self) -> bool:
        """Whether the project holds what the labels do not show."""
        project = self.project
        return project is not None and (project.earlier or project.behind)

    @property
    def learned(self) -> bool:
        """Whether the model in use has learned from strokes of this project."""
        return self.record is not None and self.record.score is not None

    @property
    def unpainted(self) -> tuple["ClassRow", ...]:
        """The classes of which the model in use has seen no stroke yet.

        There are none before the first stroke, nor once the model has learned here.
        """
        if not self.bound or self.learned:
            return ()
        known = self.rows[: self.known]  # the table may have more classes by now
        found = tuple(row for row in known if not row.pixels)
        return found if len(found) < self.known else ()
