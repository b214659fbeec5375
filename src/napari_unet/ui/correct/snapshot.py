"""Snapshot of what is corrected, as the facts that the form depends on."""

from napari_unet.annotation.models import name_of
from napari_unet.project.project import Project
from napari_unet.ui.correct.class_names import OBJECTS
from napari_unet.ui.correct.facts import Facts, ProjectFacts, ResultFacts, Running
from napari_unet.ui.correct.state import CorrectionState
from napari_unet.ui.correct.tables import model_rows, score_points
from napari_unet.ui.result_layer import Result

__all__ = ["facts_of"]


def facts_of(state: CorrectionState, running: Running) -> Facts:
    """Return what is known now of the subject, its project, and what runs."""
    subject, result, project = state.subject, state.result, state.project
    return Facts(
        subject=None if subject is None else subject.kind,
        image=state.image_layer,
        title="" if state.other is None else state.title,
        other=None if state.other is None else state.other.folder,
        result=None if result is None else _of_result(result, project),
        project=None if project is None else _of_project(project, state),
        bound=state.correcting is not None,
        rows=tuple(state.rows()),
        known=_known(state),
        painted=len(state.counts()),
        model=state.known_as,
        record=state.record,
        learned_here=project is state.learned_in,
        changed=bool(state.compared),
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


def _of_project(project: Project, state: CorrectionState) -> ProjectFacts:
    images = state.collection
    return ProjectFacts(
        folder=project.folder,
        active=project.index.active,
        earlier=state.earlier,
        behind=state.behind,
        images=() if images is None else tuple(images.rows(state.image_layer)),
        models=tuple(model_rows(project)),
        scores=tuple(score_points(project)),
    )


def _known(state: CorrectionState) -> int:
    """Return how many classes the labels that are painted on can have."""
    if state.correcting is None:
        return 0
    return len(OBJECTS if state.objects else state.correcting.canvas.rules.classes)
