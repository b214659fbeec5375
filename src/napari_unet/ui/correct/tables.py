"""Rows for the tables and curve of U-Net: Correct, from a project's records."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from napari_unet.annotation.reviews import Count
from napari_unet.project.corrections import FOREGROUND
from napari_unet.project.project import Project
from napari_unet.ui.correct.class_table import ClassRow
from napari_unet.ui.correct.curve import Point
from napari_unet.ui.correct.model_history import ModelRow
from napari_unet.ui.recording.recorder import spent_at
from napari_unet.ui.widgets.palette import class_colours

__all__ = ["class_rows", "model_rows", "score_points"]


def class_rows(
    names: Sequence[str], counts: Mapping[int, Count], *, objects: bool
) -> list[ClassRow]:
    """Return a row for each class; with `objects`, all that is not background is one.

    What is only known to be no background counts as the first class after it.
    """
    found = dict(counts)
    if objects:
        rest = (count for value, count in counts.items() if value)
        found = {0: found.get(0, Count()), 1: sum(rest, Count())}
    found[1] = found.get(1, Count()) + found.pop(FOREGROUND, Count())
    rows = []
    for value, (name, colour) in enumerate(
        zip(names, class_colours(len(names)), strict=True)
    ):
        count = found.get(value, Count())
        rows.append(ClassRow(value, name, colour, count.strokes, count.pixels))
    return rows


def model_rows(project: Project | None) -> list[ModelRow]:
    """Return a row for each model that a project keeps."""
    return [
        ModelRow(m.name, m.time, m.strokes, m.score, m.before, Path(m.parent).stem)
        for m in ([] if project is None else project.index.models)
    ]


def score_points(project: Project | None) -> list[Point]:
    """Return the scores of each improvement, against minutes of annotation."""
    if project is None:
        return []
    spent = spent_at(project)
    return [
        Point(
            spent.get(m.name, 0.0) / 60,
            m.before,
            m.score,
            m.name,
            Path(m.parent).stem,
        )
        for m in project.index.models
        if m.score is not None and m.before is not None
    ]
