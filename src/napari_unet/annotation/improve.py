"""The Improve job: fine-tune, save the new model, segment the view.

No Qt, no layers: an `ImproveRequest` goes in; `Learned` and `Step` come out, and what
it came to.
"""

import math
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_unet.annotation.improved import Improved, ImproveRequest, Learned
from napari_unet.annotation.lessons import keep_lesson, lesson_of
from napari_unet.annotation.models import free_name, keep
from napari_unet.annotation.project_data import project_data
from napari_unet.annotation.resegment import (
    Outcome,
    Request,
    Step,
    load_model,
    segmenting,
)
from napari_unet.annotation.reviews import ImageReviews
from napari_unet.errors import CorrectionError
from napari_unet.options import TrainOptions
from napari_unet.project.corrections import Correction
from napari_unet.project.lazy_corrections import Drawn, by_turns
from napari_unet.project.project import Project

if TYPE_CHECKING:
    from napari_unet.network.model import Model
    from napari_unet.training.compared import Compared, Comparing
    from napari_unet.training.fine_tune import Trained
    from napari_unet.training.run import TrainingRun

__all__ = ["improving", "warming_up"]

_COMPARING = 10.0  # seconds to find out what was fixed; the new labels wait for it


def warming_up() -> Generator[None, None, None]:
    """Load what the first lesson needs, so that its first answer comes sooner."""
    from napari_unet.training import fine_tune as training

    yield
    training.warm_up()


def improving(
    request: ImproveRequest,
) -> Generator["Learned | Step | Outcome | Comparing", None, Improved]:
    """Learn, keep the better model, and segment the view with it."""
    from napari_unet.network.threads import spare_cores
    from napari_unet.training.run import TrainingRun

    spare_cores()  # the viewer needs one too
    view, options = request.view, request.options
    project = request.project.open()
    old = load_model(view.model, view.models)
    data = project_data(project, old, options)
    _check_contrast(project, data.corrections)
    lesson = _Lesson(request, TrainingRun(old, data, options))
    trained = yield from lesson.steps()
    if not trained.published:
        request.project.tell(project)  # what it notes of its corrections
        if lesson.shown is not None:  # a first answer that was taken back
            yield (yield from segmenting(replace(lesson.view, ready=old)))
        return _told(request, trained, old.name, view.model, [])
    name, path = _keep(project, view.model, lesson.run, trained)
    request.project.tell(project)
    new = load_model(path, view.models)
    compared = yield from _compared(old, new, data.corrections, options)
    if lesson.shown is not trained.model:
        yield (yield from segmenting(replace(lesson.view, ready=new)))
    part = isinstance(data.corrections, Drawn)
    squares = project.squares if part else len(data.corrections)
    return _told(request, trained, name, path, compared, squares)


class _Lesson:
    """A training run that shows its first answer, and ends when somebody says stop.

    Attributes
    ----------
    shown
        The model that the view was last segmented with.
    view
        How the view is segmented next.
    """

    def __init__(self, request: ImproveRequest, run: "TrainingRun") -> None:
        self.request, self.run = request, run
        self.view = request.view
        self.shown: Model | None = None

    def steps(self) -> Generator[Learned | Step | Outcome, None, "Trained"]:
        """Train; what comes out after a stop is the best so far."""
        request = self.request
        last = lesson_of(request.lessons, request.previous)
        previous = None if last is None else last.continuation
        with closing(self.run.steps(previous=previous)) as steps:
            while not request.stopped():
                try:
                    now = next(steps)
                except StopIteration as end:
                    trained: Trained = end.value
                    return trained
                yield Learned(now.fraction, now.step, now.seconds, now.loss, now.score)
                if now.model is not None and self.shown is None:
                    yield from self._show(now.model)
        return self.run.stopped()

    def _show(self, model: "Model") -> Generator[Step | Outcome, None, None]:
        """Segment the view with the first answer, while the rest is learned."""
        outcome = yield from segmenting(replace(self.view, ready=model))
        yield outcome
        self.shown, self.view = model, _again(self.view, outcome)


def _again(view: Request, outcome: Outcome) -> Request:
    """Return the request to segment a view once more."""
    return replace(
        view, array=outcome.array, shown=outcome.array, last_id=outcome.last_id
    )


def _check_contrast(project: Project, corrections: Sequence[Correction]) -> None:
    """Ask whether there is more than one class to tell apart.

    Raises
    ------
    CorrectionError
        If there is not.
    """
    said = {int(v) for c in corrections for v in set(c.target[c.reviewed].tolist())}
    if len(said) == 1:
        value = said.pop()
        names = project.index.classes
        name = names[value] if value < len(names) else "object"
        raise CorrectionError(
            f"All that was painted so far is {name!r}: that says nothing about what is "
            "not. Paint a stroke of another class too, or mark a view as right.",
            option="approve",
        )


def _keep(
    project: Project, parent: str, run: "TrainingRun", trained: "Trained"
) -> tuple[str, str]:
    """Put a new model into the project and in use; return its name and file."""
    name = free_name(project, "v")
    path = keep(
        project,
        run.named(trained, name),
        parent,
        score=trained.score_after,
        before=trained.score_before,
        strokes=_strokes(project),
    )
    return name, path


def _strokes(project: Project) -> int:
    """Return in how many pieces strokes were made, as the table counts them."""
    images = (ImageReviews(project, record.key) for record in project.index.images)
    return sum(count.strokes for image in images for count in image.counts().values())


def _compared(
    old: "Model", new: "Model", corrections: Sequence[Correction], options: TrainOptions
) -> Generator["Comparing", None, list["Compared"]]:
    """Return what the new model fixed and broke on reviewed pixels.

    Where that takes too long, on the newest and some of the others.
    """
    from napari_unet.training.compare import compare

    order = None  # those that are read one by one come in a good one
    if not isinstance(corrections, Drawn):
        numbers = range(len(corrections))
        last = sorted(numbers, key=lambda i: corrections[i].time, reverse=True)
        order = by_turns(last, numbers)
    job = compare(old, new, corrections, options, order=order, seconds=_COMPARING)
    found: list[Compared] = yield from job
    return found


def _told(
    request: ImproveRequest,
    trained: "Trained",
    name: str,
    path: str,
    compared: list["Compared"],
    squares: int = 0,
) -> Improved:
    return Improved(
        name,
        path,
        trained.published,
        trained.rule,
        trained.score_before,
        trained.score_after,
        trained.steps,
        trained.seconds,
        compared,
        squares,
        keep_lesson(request.lessons, trained.continuation),
        _missed(trained),
    )


def _missed(trained: "Trained") -> float | None:
    judged = math.isfinite(trained.score_after)  # not stopped before that
    return 1 - trained.score_after if judged and trained.measure == "right" else None
