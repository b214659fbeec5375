"""The Improve job: fine-tune, save the new model, segment the view.

No Qt, no layers: an `ImproveRequest` goes in; `Learned` and `Step` come out, and what
it came to.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_unet.annotation.improved import Improved, ImproveRequest, Learned
from napari_unet.annotation.models import free_name, keep
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
    from napari_unet.training.compare import Compared, Comparing
    from napari_unet.training.fine_tune import Trained, TrainStep

__all__ = ["improving", "warm_up"]

_COMPARING = 10.0  # seconds to find out what was fixed; the new labels wait for it


def warm_up() -> None:
    """Load what the first lesson needs, so that its first answer comes sooner."""
    from napari_unet.training import fine_tune as training

    training.warm_up()


def improving(
    request: ImproveRequest,
) -> Generator["Learned | Step | Outcome | Comparing", None, Improved]:
    """Learn, keep the better model, and segment the view with it."""
    from napari_unet.network.threads import spare_cores

    spare_cores()  # the viewer needs one too
    view = request.view
    old = load_model(view.model, view.models)
    corrections = _corrections(request.project)
    lesson = _Lesson(request, old)
    trained = yield from lesson.run(corrections)
    if not trained.published:
        if lesson.shown is not None:  # a first answer that was taken back
            yield (yield from segmenting(replace(lesson.view, ready=old)))
        return _told(trained, old.name, view.model, [])
    name, path = _keep(request, trained, corrections)
    new = load_model(path, view.models)
    compared = yield from _compared(old, new, corrections, request.options)
    if lesson.shown is not trained.model:
        yield (yield from segmenting(replace(lesson.view, ready=new)))
    part = isinstance(corrections, Drawn)
    squares = request.project.squares if part else len(corrections)
    return _told(trained, name, path, compared, squares)


class _Lesson:
    """A training that shows its first answer, and can be stopped with what it has.

    Attributes
    ----------
    shown
        The model that the view was last segmented with.
    view
        How the view is segmented next.
    """

    def __init__(self, request: ImproveRequest, old: "Model") -> None:
        self.request, self.old = request, old
        self.view = request.view
        self.shown: Model | None = None

    def run(
        self, corrections: Sequence[Correction]
    ) -> Generator[Learned | Step | Outcome, None, "Trained"]:
        """Train; what comes out after a stop is the best so far."""
        from napari_unet.training.fine_tune import fine_tune

        request = self.request
        job = fine_tune(self.old, corrections, request.options, before=request.before)
        with closing(job) as steps:
            best: TrainStep | None = None
            last: TrainStep | None = None
            while not request.stop.is_set():
                try:
                    last = next(steps)
                except StopIteration as end:
                    trained: Trained = end.value
                    return trained
                yield Learned(
                    last.fraction, last.step, last.seconds, last.loss, last.score
                )
                if last.model is not None:
                    best = last
                    if self.shown is None:
                        yield from self._show(last.model)
        return self._stopped(corrections, best, last)

    def _show(self, model: "Model") -> Generator[Step | Outcome, None, None]:
        """Segment the view with the first answer, while the rest is learned."""
        outcome = yield from segmenting(replace(self.view, ready=model))
        yield outcome
        self.shown, self.view = model, _again(self.view, outcome)

    def _stopped(
        self,
        corrections: Sequence[Correction],
        best: "TrainStep | None",
        last: "TrainStep | None",
    ) -> "Trained":
        """Return the best until now; it is judged like one whose training has ended."""
        from napari_unet.training.fine_tune import Trained, judge
        from napari_unet.training.selection import told

        old = self.old
        steps, seconds = (0, 0.0) if last is None else (last.step, last.seconds)
        if best is None or best.model is None:
            rule = "It was stopped before there was a better model."
            return Trained(old, False, 0.0, 0.0, rule, steps, seconds)
        options = self.request.options
        was, now, measure = judge(old, best.model, corrections, options)
        what = told(now, was, measure, "what was painted")
        rule = f"It was stopped; this is the best until then: {what}."
        if now < was:  # a first answer is chosen by a part of what was painted
            return Trained(old, False, was, was, rule, steps, seconds, measure)
        return Trained(best.model, True, was, now, rule, steps, seconds, measure)


def _again(view: Request, outcome: Outcome) -> Request:
    """Return the request to segment a view once more."""
    return replace(
        view, array=outcome.array, shown=outcome.array, last_id=outcome.last_id
    )


def _corrections(project: Project) -> Sequence[Correction]:
    """Return what there is to learn from.

    Raises
    ------
    CorrectionError
        If it is too little.
    """
    corrections = project.corrections()
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
    return corrections


def _keep(
    request: ImproveRequest, trained: "Trained", corrections: Sequence[Correction]
) -> tuple[str, str]:
    """Put a new model into the project and in use; return its name and file."""
    from napari_unet.training.from_files import describe

    project = request.project
    name = free_name(project, "v")
    new = replace(trained.model, card=describe(trained, corrections), name=name)
    path = keep(
        project,
        new,
        request.view.model,
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
        trained.sequel,
        _missed(trained),
    )


def _missed(trained: "Trained") -> float | None:
    judged = trained.score_after > 0 or trained.published  # not stopped before that
    return 1 - trained.score_after if judged and trained.measure == "right" else None
