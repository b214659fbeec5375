"""A round of learning that goes on after one Improve: its model, and what it found."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_unet.annotation.calls import far
from napari_unet.annotation.improved import Improved
from napari_unet.annotation.keep_learning import Better, Progressed, Renewed
from napari_unet.annotation.lessons import LessonHandle
from napari_unet.annotation.project_link import ProjectLink
from napari_unet.annotation.resegment import Request
from napari_unet.compute.call import Here, Kept
from napari_unet.project.project import Project
from napari_unet.ui.correct.learning_line import over_line, quiet_line, stopped_line
from napari_unet.ui.job import Job
from napari_unet.ui.result_layer import Result

__all__ = ["Round", "round_after"]


@dataclass(slots=True, eq=False)
class Round:
    """Learning that goes on after one Improve.

    Attributes
    ----------
    model
        Name or file of the model in use.
    name
        What that is called, if this round may replace it; empty: it was there before.
    parent, before
        The model that was improved, and what it is right about.
    right
        What the best model so far is right about.
    shown
        The ticks since a better model was shown.
    better
        Whether a better model was found that is not shown yet.
    painted
        Whether somebody painted since it began.
    ended, closed
        Whether nothing is learned, and nothing is shown, any more.
    said
        What it came to; empty before its end.
    """

    lesson: LessonHandle
    project: Project
    result: Result
    model: str
    name: str
    parent: str
    before: float
    right: float
    job: Job
    steps: int = 0
    shown: int = 0
    better: bool = False
    painted: bool = False
    ended: bool = False
    closed: bool = False
    said: str = ""

    @property
    def known_as(self) -> str:
        """What people call its model."""
        return Path(self.name or self.model).stem

    @property
    def current(self) -> bool:
        """Whether its result is shown, and made by its model."""
        return self.result.shown and self.result.model == self.model

    def line(self, *, showing: bool) -> str:
        """Return what is said of it; `showing`: a better model is being shown."""
        resting = self.job.paused and not showing
        going = quiet_line(self.known_as, self.steps, self.right, resting=resting)
        return self.said or going

    def take(self, now: Progressed) -> None:
        """Take what was learned since."""
        self.steps = now.steps
        if now.better and not self.closed:
            self.better, self.right = True, now.right

    def over(self) -> None:
        """Note that there is nothing more to be learned."""
        self.said = over_line(self.known_as, self.right, painted=self.painted)

    def stop(self) -> None:
        """Learn no more; the best so far is kept."""
        self.job.cancel()
        self.said = stopped_line(self.known_as, self.right)

    def close(self, said: str) -> None:
        """Learn no more, and leave the model as it is."""
        self.job.cancel()
        self.better, self.said, self.closed = False, said, True

    def renewal(
        self, view: Request, lessons: Kept, fixed: Callable[[str], bool]
    ) -> Better | None:
        """Return the better model, to be put in its place; None if there is none.

        Parameters
        ----------
        view
            What is segmented with it.
        lessons
            Where lessons are kept.
        fixed
            Tells whether a model's file stays as it is.
        """
        found, self.better, self.shown = self.better, False, 0
        if not found:
            return None
        return Better(
            ProjectLink(self.project),
            far(view),
            self.lesson,
            lessons,
            self.name,
            self.parent,
            self.before,
            Here(fixed),
        )

    def replace(self, renewed: Renewed) -> bool:
        """Go on with a better model; return whether it is a new version."""
        new = not self.name
        self.name, self.model = renewed.name, renewed.path
        self.result.rename(renewed.path)
        return new


def round_after(
    improved: Improved,
    lesson: LessonHandle,
    result: Result,
    project: Project,
    job: Job,
) -> Round:
    """Return the round that goes on with what Improve has learned."""
    name = improved.name if improved.published else ""
    found = (m.parent for m in project.index.models if m.name == name)
    return Round(
        lesson,
        project,
        result,
        improved.path,
        name,
        next(found, "") if name else improved.path,
        improved.before,
        improved.after,
        job,
    )
