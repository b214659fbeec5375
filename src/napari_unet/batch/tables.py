"""Measurement tables of one stack: a part for each finished plane, then the files.

Only this file knows what of the measuring is finished: every plane leaves a part.
"""

import csv
from collections.abc import Generator
from pathlib import Path
from typing import Any

from napari_unet._steps import Steps
from napari_unet.batch.measures import (
    join_tables,
    keep_table,
    measure_plane,
    write_csv,
    write_parquet,
)
from napari_unet.batch.publish import move
from napari_unet.batch.record import ResultPaths
from napari_unet.batch.setup import StackSetup
from napari_unet.labels.linking import z_stacks
from napari_unet.labels.solids import step_in_z

__all__ = ["classes_in", "count_objects", "write_tables"]


def write_tables(
    setup: StackSetup,
    paths: ResultPaths,
    labels: Any,
    classes: Any,
    scores: Any = None,
) -> Generator[float, None, tuple[Path, ...]]:
    """Measure the objects of all planes, and yield how much is done, 0 to 1.

    There is a row for each object and plane; where objects are linked, for each object
    and time point.

    Parameters
    ----------
    labels
        The array of the objects.
    classes
        That of the classes, the class of each object by its id, or the only one that
        objects have; None: unknown.
    scores
        The array of the score of every pixel, see `labels.scores`; None: unknown.

    Returns
    -------
    tables
        The files that were written.

    Raises
    ------
    OutputError
        If the disk does not take them.
    """
    planes = list(setup.image.planes())
    parts = [paths.tables / f"{i}.npz" for i in range(len(planes))]
    for i, (plane, part) in enumerate(zip(planes, parts, strict=True)):
        if part.exists():
            continue
        many = hasattr(classes, "shape")
        job = measure_plane(
            setup.layout.view(labels, plane),
            setup.layout.view(classes, plane) if many else classes,
            setup.image,
            plane,
            boundary=setup.model.spec.boundary,
            scores=None if scores is None else setup.layout.view(scores, plane),
        )
        for _ in (run := Steps(job)):
            yield i / len(parts)
        keep_table(part, run.result)
    if setup.links:
        parts = yield from _join(setup, paths, parts)
    return _publish(paths, parts)


def _join(
    setup: StackSetup, paths: ResultPaths, parts: list[Path]
) -> Generator[float, None, list[Path]]:
    """Return the tables of linked objects, made from those of all planes."""
    image, joined = setup.image, []
    part_of = dict(zip(image.planes(), parts, strict=True))
    for number, stack in enumerate(z_stacks(image.plane_axes, image.stack_shape)):
        place = paths.tables / f"stack-{number}"
        job = join_tables([part_of[at] for at in stack], step_in_z(image), place)
        for _ in (run := Steps(job)):
            yield 1.0
        joined += run.result
    return joined


def classes_in(table: Path) -> dict[int, int] | None:
    """Return the class of every object of a table, by id; None if it says none."""
    try:
        with table.open(newline="") as file:
            rows = csv.DictReader(file)
            return {int(row["label"]): int(row["class"]) for row in rows} or None
    except (OSError, KeyError, ValueError, TypeError):
        return None


def count_objects(table: Path) -> int:
    """Return how many objects a table has: one in several planes has several rows."""
    with table.open(newline="") as file:
        return len({row["label"] for row in csv.DictReader(file)})


def _publish(paths: ResultPaths, parts: list[Path]) -> tuple[Path, ...]:
    written = []
    for suffix, write in ((".csv", write_csv), (".parquet", write_parquet)):
        whole, table = paths.tables / f"all{suffix}", paths.table(suffix)
        if write(whole, parts):  # else there is no pyarrow
            move(whole, table)
            written.append(table)
        else:
            table.unlink(missing_ok=True)  # of what was measured before
    return tuple(written)
