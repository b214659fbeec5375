"""Resumable segmentation of one stack, file to file, in bounded memory.

The order of things: every tile's classes; the objects of each plane as soon as its
tiles are there, and the coarser levels; links through Z; measurements. Then the result
appears under its name. What is finished stands in a ledger and is never done again.
"""

import math
import os
import shutil
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_unet.batch.cluster import connected
from napari_unet.batch.ledger import Ledger, locked, unless_used
from napari_unet.batch.loaded_model import LoadedModel
from napari_unet.batch.plan import StackPlan
from napari_unet.batch.record import TABLES, ResultPaths, differences, read_record
from napari_unet.batch.setup import StackSetup, prepare
from napari_unet.batch.steps import Stack
from napari_unet.batch.store import create_store, fits
from napari_unet.errors import OutputError
from napari_unet.events import StackProgress, StackReport
from napari_unet.io.save import check_different, check_output
from napari_unet.io.zarr_labels import image_around
from napari_unet.options import DEFAULT_MODEL, BatchOptions

__all__ = ["plan_stack_file", "run_stack", "segment_stack"]


def segment_stack(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    options: BatchOptions | None = None,
    *,
    model: str = DEFAULT_MODEL,
) -> Generator[StackProgress, None, StackReport]:
    """Segment an image of any size from file to file, tile by tile.

    A generator: each `StackProgress` says that something more is finished and on the
    disk. Not asking for the next one pauses; closing it cancels, and calling this again
    goes on from there, also after a crash or a power failure.

    Parameters
    ----------
    source
        A file, or a folder of OME-Zarr.
    target
        Ends in ``.ome.zarr``, or in ``.ome.tif`` if `options` say so. It appears when
        it is complete. Work files lie in a hidden folder beside it. In the folder
        ``labels`` of an OME-Zarr 0.5 it becomes one of that image's labels.
    model
        Name of a shipped model, or a file.

    Raises
    ------
    UNetError
        If anything cannot work; what is finished is kept.
    """
    options = options or BatchOptions()
    paths = ResultPaths(Path(target).expanduser())
    path, net = Path(source).expanduser(), LoadedModel(model)
    with (
        unless_used(paths.base),
        locked(paths.base),
        connected(options) as client,
    ):
        return (yield from run_stack(path, paths, options, net, client))


def run_stack(
    source: Path,
    paths: ResultPaths,
    options: BatchOptions,
    net: LoadedModel,
    client: Any = None,
) -> Generator[StackProgress, None, StackReport]:
    """Do what `segment_stack` does, in a folder that the caller holds.

    With a dask `client`, tiles are computed by its workers.
    """
    began = time.perf_counter()
    _check_apart(source, paths.target)
    entries, said = read_record(paths)
    if not options.overwrite and _complete(entries, paths):
        setup = prepare(source, options, net, entries[0], complete=True)
        _refuse(paths, differences(entries[0], setup.header))
        with closing(Ledger(paths.ledger)) as ledger:
            tables = yield from Stack(setup, paths, ledger).measure_again()
            entries = ledger.entries
        shutil.rmtree(paths.work, ignore_errors=True)
        return _report(setup, paths, entries, began, tables)
    published = any("publish" in entry for entry in entries)
    going = bool(entries) and "done" not in entries[-1]
    usable = going and (paths.store.exists() or published)
    begun = entries[0] if usable else None
    setup = prepare(source, options, net, begun)
    if begun is not None and (changed := differences(begun, setup.header)):
        if not options.overwrite:
            _refuse(paths, changed)
        begun = None
        setup = prepare(source, options, net)
    if begun is not None and not (published or fits(paths.store, setup.layout)):
        begun = None  # what lies there is damaged, or of another cut
        setup = prepare(source, options, net)
    if begun is None:
        _begin(setup, paths)
    with closing(Ledger(paths.ledger)) as ledger:
        stack = Stack(setup, paths, ledger, client)
        tables = yield from stack.run()
        shutil.rmtree(paths.work, ignore_errors=True)
        done = _report(setup, paths, ledger.entries, began, tables, stack.computed)
        return replace(done, notes=(*said, *done.notes))


def plan_stack_file(
    source: Path, paths: ResultPaths, options: BatchOptions, net: LoadedModel
) -> StackPlan:
    """Return how `run_stack` would do it; nothing is written.

    Raises
    ------
    UNetError
        If it cannot be done.
    """
    _check_apart(source, paths.target)
    entries, _ = read_record(paths, keep=True)
    begun = entries[0] if entries and not options.overwrite else None
    complete = begun is not None and _complete(entries, paths)
    return prepare(source, options, net, begun, complete=complete).plan


def _complete(entries: list[dict[str, Any]], paths: ResultPaths) -> bool:
    """Return whether all was done, and the result is still there."""
    done = bool(entries) and "done" in entries[-1]
    return done and os.path.lexists(paths.target)


def _check_apart(source: Path, target: Path) -> None:
    """Raise if the result would damage the image; its folder ``labels`` is for it."""
    around = image_around(target)
    if around is None or around.resolve() != source.resolve():
        check_different(source, target)


def _refuse(paths: ResultPaths, changed: list[str]) -> None:
    if changed:
        raise OutputError(
            f"'{paths.target}' was begun or made otherwise: {'; '.join(changed)}. Use "
            "what was used then, or have it replaced.",
            option="overwrite",
        )


def _begin(setup: StackSetup, paths: ResultPaths) -> None:
    """Make empty work files, and last the ledger that says what they are for."""
    overwrite = setup.options.overwrite
    check_output(paths.target, overwrite=overwrite, nbytes=setup.plan.disk)
    if setup.options.measure and not overwrite:
        for table in paths.found_tables():
            raise OutputError(
                f"'{table}' exists already. Choose another output folder, or have it "
                "replaced.",
                option="overwrite",
            )
    paths.clear()
    try:
        paths.work.mkdir(parents=True)
    except OSError as error:
        raise OutputError(
            f"'{paths.work}' cannot be made ({error.strerror or error}). Choose "
            "another output folder."
        ) from error
    create_store(paths.store, setup.layout)
    with closing(Ledger(paths.ledger)) as ledger:
        ledger.append(**setup.header)


def _report(
    setup: StackSetup,
    paths: ResultPaths,
    entries: list[dict[str, Any]],
    began: float,
    tables: tuple[Path, ...],
    computed: int | None = None,
) -> StackReport:
    total = setup.plan.tiles
    notes = setup.source.notes
    if any(e.get("finite") is False for e in entries):
        notes = (*notes, "NaN and infinite pixels were taken as background.")
    if tables and len(tables) < len(TABLES):
        notes = (*notes, "The table is CSV only; for Parquet, pip install pyarrow.")
    skipped = computed is None
    pixels = math.prod(setup.image.label_shape) * (computed or 0) // total
    return StackReport(
        source=setup.image.source or paths.target,
        target=paths.target,
        state="skipped" if skipped else "done",
        reason="It is complete already." if skipped else "",
        objects=entries[-1]["done"],
        tiles_done=computed or 0,
        tiles_resumed=0 if skipped else total - (computed or 0),
        pixels=pixels,
        seconds=time.perf_counter() - began,
        tables=tables,
        notes=notes,
        planes=math.prod(setup.image.stack_shape),
        linked=setup.links,
    )
