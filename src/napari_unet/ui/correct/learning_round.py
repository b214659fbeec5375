"""A round of learning that goes on after one Improve: its model, and what it found."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.annotation.improved import Improved
from napari_unet.annotation.keep_learning import Better, Renewed
from napari_unet.annotation.resegment import Request
from napari_unet.project.project import Project
from napari_unet.ui.correct.learning_line import over_line, quiet_line, stopped_line
from napari_unet.ui.job import Job
from napari_unet.ui.result_layer import Result

if TYPE_CHECKING:
    from napari_unet.training.continuation import Continuation, Further

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
        What was found and is not shown yet.
    painted
        Whether somebody painted since it began.
    ended, closed
        Whether nothing is learned, and nothing is shown, any more.
    said
        What it came to; empty before its end.
    """

    continuation: "Continuation"
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
    better: "Further | None" = None
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

    def take(self, further: "Further") -> None:
        """Take what was learned since."""
        self.steps = further.steps
        if further.model is not None and not self.closed:
            self.better, self.right = further, further.right

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
        self.better, self.said, self.closed = None, said, True

    def renewal(self, view: Request, fixed: Collection[str]) -> Better | None:
        """Return the better model, to be put in its place; None if there is none.

        Parameters
        ----------
        view
            What is segmented with it.
        fixed
            Files of models that stay as they are.
        """
        found, self.better, self.shown = self.better, None, 0
        if found is None or found.model is None:
            return None
        return Better(
            self.project,
            view,
            found.model,
            self.name,
            self.parent,
            found.right,
            self.before,
            found.steps,
            self.continuation.strokes,
            fixed,
        )

    def replace(self, renewed: Renewed) -> bool:
        """Go on with a better model; return whether it is a new version."""
        new = not self.name
        self.name, self.model = renewed.name, renewed.path
        self.result.rename(renewed.path)
        return new


def round_after(
    improved: Improved,
    continuation: "Continuation",
    result: Result,
    project: Project,
    job: Job,
) -> Round:
    """Return the round that goes on with what Improve has learned."""
    name = improved.name if improved.published else ""
    found = (m.parent for m in project.index.models if m.name == name)
    return Round(
        continuation,
        project,
        result,
        improved.path,
        name,
        next(found, "") if name else improved.path,
        improved.before,
        improved.after,
        job,
    )
