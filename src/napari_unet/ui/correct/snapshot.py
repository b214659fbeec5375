"""Snapshot of what is corrected, as the facts that the form depends on."""

from napari_unet.annotation.models import name_of
from napari_unet.project.project import Project
from napari_unet.ui.correct.class_names import OBJECTS
from napari_unet.ui.correct.facts import Facts, ProjectFacts, ResultFacts, Running
from napari_unet.ui.correct.state import CorrectionState
from napari_unet.ui.correct.tables import model_rows, score_points
from napari_unet.ui.result_layer import Result

__all__ = ["facts_of"]


def facts_of(desk: CorrectionState, running: Running) -> Facts:
    """Return what is known now of the subject, its project, and what runs."""
    subject, result, project = desk.subject, desk.result, desk.project
    return Facts(
        subject=None if subject is None else subject.kind,
        image=desk.image_layer,
        title="" if desk.other is None else desk.title,
        other=None if desk.other is None else desk.other.folder,
        result=None if result is None else _of_result(result, project),
        project=None if project is None else _of_project(project, desk),
        bound=desk.correcting is not None,
        rows=tuple(desk.rows()),
        known=_known(desk),
        painted=len(desk.counts()),
        model=desk.known_as,
        record=desk.record,
        learned_here=project is desk.learned_in,
        changed=bool(desk.compared),
        running=running,
    )


def _of_result(result: Result, project: Project | None) -> ResultFacts:
    rules = result.rules
    return ResultFacts(
        model=result.model if project is None else name_of(project, result.model),
        classes=None if rules is None else rules.classes,
        taken=result.taken,
        busy=result.busy,
        paintable=result.paintable,
        filed=result.file is not None,
    )


def _of_project(project: Project, desk: CorrectionState) -> ProjectFacts:
    images = desk.collection
    return ProjectFacts(
        folder=project.folder,
        active=project.index.active,
        earlier=desk.earlier,
        behind=desk.behind,
        images=() if images is None else tuple(images.rows(desk.image_layer)),
        models=tuple(model_rows(project)),
        scores=tuple(score_points(project)),
    )


def _known(desk: CorrectionState) -> int:
    """Return how many classes the labels that are painted on can have."""
    if desk.correcting is None:
        return 0
    return len(OBJECTS if desk.objects else desk.correcting.canvas.rules.classes)
