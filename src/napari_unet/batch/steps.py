"""Steps of one stack, each done once and noted in its ledger.

Classes of tiles, objects of planes and their coarser levels, links through Z, the table
of measurements, the file. Only this file knows in which order they stand in the ledger.
"""

import os
import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from napari_unet._steps import Steps
from napari_unet.batch.cluster import run_tiles
from napari_unet.batch.ledger import Ledger
from napari_unet.batch.levels import write_levels
from napari_unet.batch.publish import move, write_pyramid
from napari_unet.batch.record import ResultPaths, remove
from napari_unet.batch.setup import StackSetup
from napari_unet.batch.store import PlaneView, clear, open_levels, scratch
from napari_unet.batch.tables import classes_in, count_objects, write_tables
from napari_unet.errors import ImageError
from napari_unet.events import Phase, StackProgress
from napari_unet.io.fingerprint import fingerprint
from napari_unet.io.label_array import LabelArray
from napari_unet.io.open import open_image
from napari_unet.io.zarr_labels import announce
from napari_unet.labels.linking import link, relabel, z_stacks
from napari_unet.labels.objects import label_blocks
from napari_unet.labels.scores import drop_low
from napari_unet.segmentation.output import growth, least_size

__all__ = ["Stack"]

_T = TypeVar("_T")
_Steps = Generator[StackProgress, None, None]


class Stack:
    """One stack and what of it is finished.

    Parameters
    ----------
    setup
        Image, model, and how the work is cut.
    paths
        Where everything lies.
    ledger
        Opened for this job; its first line is the header of `setup`.
    client
        Of dask, or None to compute in this process.
    """

    def __init__(
        self, setup: StackSetup, paths: ResultPaths, ledger: Ledger, client: Any = None
    ) -> None:
        self.setup, self.paths, self.ledger = setup, paths, ledger
        self.client = client
        noted = ledger.entries[1:]
        self.tiles = {e["tile"] for e in noted if "tile" in e}
        self.planes = {e["plane"]: e["objects"] for e in noted if "plane" in e}
        self.computed = 0
        self.indices = list(setup.image.planes())
        self.per_plane = setup.plan.tiles // len(self.indices)
        self.objects = setup.kind == "objects"
        self.levels: list[Any] = []
        self.ids: Any = None  # of planes that are not linked yet
        self.classes: Any = None
        self.scores: Any = None  # of pixels, where a least one is in force

    def run(self) -> Generator[StackProgress, None, tuple[Path, ...]]:
        """Do all that is not done yet; return the tables that were written."""
        setup, paths = self.setup, self.paths
        tables: tuple[Path, ...] = ()
        found = sum(self.planes.values())
        if not self._published():
            self._open()
            yield from self._run_tiles()
            found = sum(self.planes.values())
            if setup.links:
                found = yield from self._link(found)
            if setup.options.measure:
                arrays = self.levels[0], self.classes, self.scores
                job = write_tables(setup, paths, *arrays)
                tables = yield from self._follow("measuring", job)
            yield self._progress("writing", 0.0)
            if setup.options.format == "ome-tiff":
                tiff = write_pyramid(paths.tiff, setup.layout, self.levels)
                yield from self._follow("writing", tiff)
            self._publish(found)
            if not tables and setup.options.overwrite:
                for table in paths.found_tables():
                    remove(table)  # of the result that was replaced
        if setup.options.measure:  # see `ResultPaths.measured`
            _date(paths.found_tables(), time.time_ns())
        announce(paths.target)
        found = next(e["publish"] for e in self.ledger.entries if "publish" in e)
        self.ledger.append(done=found if self.objects else None)
        self.ledger.sync()
        return tables

    def _open(self) -> None:
        """Open the arrays, or make those that are not there."""
        setup, paths = self.setup, self.paths
        self.levels = open_levels(paths.store, setup.layout)
        if self.objects:
            self.classes = scratch(paths.classes, setup.layout, "uint8")
        if setup.least_score:
            self.scores = scratch(paths.scores, setup.layout, "uint8")
        self.ids = self.levels[0]
        if setup.links:
            self.ids = scratch(paths.unlinked, setup.layout, "int32")

    def _run_tiles(self) -> _Steps:
        """Compute tiles, and finish every plane as soon as all of its tiles are there.

        Planes are finished in their order, so that ids follow each other.
        """
        todo = [n for n in range(self.setup.plan.tiles) if n not in self.tiles]
        left = Counter(n // self.per_plane for n in todo)
        waiting = deque(p for p in range(len(self.indices)) if p not in self.planes)
        with closing(self._computed(todo)) as job, ThreadPoolExecutor(1) as pool:
            written: Future[Any] | None = None
            for number in chain((None,), job):
                if number is not None:
                    self.computed += 1
                    left[number // self.per_plane] -= 1
                    yield self._progress("segmenting", len(self.tiles) / self._total)
                while waiting and not left[waiting[0]]:
                    if written is not None:
                        written.result()
                    written = pool.submit((yield from self._finish(waiting.popleft())))
            if written is not None:
                written.result()

    def _computed(self, todo: list[int]) -> Generator[int, None, None]:
        """Compute tiles, wherever that is done, and yield the number of each."""
        if not todo:
            return
        array = self.paths.classes if self.objects else self.paths.store / "0"
        arrays = array, self.paths.scores if self.setup.least_score else None
        if self.client is None:
            job = self.setup.worker(*arrays).run_tiles(todo, self._note)
        else:
            job = run_tiles(self.client, self.setup.task(*arrays), todo, self._note)
        with closing(job):
            yield from job

    def _note(self, number: int, finite: bool) -> None:
        """Note that a tile is on the disk, if the image is still what it was."""
        self._check_image()
        self.ledger.append(tile=number, **({} if finite else {"finite": False}))
        self.tiles.add(number)

    def _check_image(self) -> None:
        path = self.setup.image.source
        assert path is not None
        then = self.setup.header["image"]
        if any(then[key] != now for key, now in fingerprint(path).items()):
            raise ImageError(
                f"{path.name} was changed while it was segmented. When nothing writes "
                "to it any more, start again and have the result replaced.",
                option="overwrite",
            )

    def _finish(self, plane: int) -> Generator[StackProgress, None, Callable[[], None]]:
        """Find the objects of a plane whose tiles are there.

        Returns
        -------
        write
            What is left to do; the net may compute the next tile meanwhile.
        """
        setup, found, finest = self.setup, 0, None
        views = [self._view(self.ids, plane)]
        if not setup.links:
            views = [self._view(level, plane) for level in self.levels]
        if self.objects:
            if setup.plan.block == views[0].shape:
                finest = np.zeros(views[0].shape, np.int32)
            labels = views[0] if finest is None else finest
            found = yield from self._label(plane, labels)
        self.planes[plane] = found
        yield self._progress("joining", 1.0)
        job = write_levels(views, finest)
        if not setup.plan.behind:
            for _ in job:
                yield self._progress("joining", 1.0)

        def write() -> None:
            deque(job, maxlen=0)
            self.ledger.append(plane=plane, objects=found)

        return write

    def _label(
        self, plane: int, labels: LabelArray
    ) -> Generator[StackProgress, None, int]:
        """Write the objects of a plane into `labels` (Y, X); return how many."""
        setup, scores, least = self.setup, None, 0.0
        if self.scores is not None and not setup.links:  # else when they are whole
            scores, least = self._view(self.scores, plane), setup.least_score
        job = label_blocks(
            self._view(self.classes, plane),
            labels,
            (),
            boundary=setup.model.spec.boundary,
            first=sum(self.planes.values()) + 1,
            min_size=least_size(setup.model, setup.source, setup.options.segment),
            scores=scores,
            min_score=least,
            reach=growth(setup.source),
            block=setup.plan.block,
        )
        return (yield from self._follow("joining", job))

    def _link(self, count: int) -> Generator[StackProgress, None, int]:
        """Give one id to objects that go on through planes; return how many there are.

        The planes as they were stay until all is done, so that this can be repeated.
        """
        setup = self.setup
        side = setup.plan.side
        boundary = setup.model.spec.boundary
        job = link(self._chains(), count, boundary=boundary, side=side)
        table, found = yield from self._follow("linking", job, part=0.5)
        if self.scores is not None:
            planes = [
                (self._view(self.ids, plane), self._view(self.scores, plane))
                for plane in range(len(self.indices))
            ]
            drop = drop_low(planes, table, found, setup.least_score, side=side)
            for _ in (run := Steps(drop)):
                yield self._progress("linking", 0.5)
            table, found = run.result
        done = {e["linked"] for e in self.ledger.entries if "linked" in e}
        for plane in range(len(self.indices)):
            if plane in done:
                continue
            views = [self._view(level, plane) for level in self.levels]
            relabel(self._view(self.ids, plane), views[0], table, side)
            for _ in write_levels(views):
                yield self._progress("linking", 0.5 + plane / len(self.indices) / 2)
            self.ledger.append(linked=plane)
            yield self._progress("linking", 0.5 + (plane + 1) / len(self.indices) / 2)
        return int(found)

    def _chains(self) -> list[list[tuple[PlaneView, PlaneView]]]:
        """Return the stacks of planes that follow each other in Z."""
        image, view = self.setup.image, self.setup.layout.view
        return [
            [(view(self.ids, plane), view(self.classes, plane)) for plane in stack]
            for stack in z_stacks(image.plane_axes, image.stack_shape)
        ]

    def measure_again(self) -> Generator[StackProgress, None, tuple[Path, ...]]:
        """Measure the objects of a result that is complete, as they are there now.

        Tables that are not older than the labels stay as they are.
        """
        setup = self.setup
        if not setup.options.measure or self.paths.measured(linked=setup.links):
            return ()
        shutil.rmtree(self.paths.tables, ignore_errors=True)  # of labels as they were
        began, image = time.time_ns(), open_image(self.paths.target)
        spec = setup.model.spec
        named = [i for i in range(1, len(spec.classes)) if i != spec.boundary]
        known = classes_in(self.paths.table(".csv"))
        only = named[0] if len(named) == 1 else known
        job = write_tables(setup, self.paths, image.data, only)
        try:
            tables = yield from self._follow("measuring", job)
        except Exception:
            image.check_unchanged()  # it was painted on meanwhile: that is why
            raise
        _date(tables, began)  # strokes that came meanwhile are newer
        self.ledger.append(done=count_objects(tables[0]))
        return tables

    def _publish(self, found: int) -> None:
        """Let the result appear under its name, whole."""
        clear(self._part)
        self.ledger.append(publish=found)
        self.ledger.sync()
        overwrite = self.setup.options.overwrite
        move(self._part, self.paths.target, overwrite=overwrite)

    def _published(self) -> bool:
        """Whether an earlier run ended just after the result had appeared."""
        said = any("publish" in e for e in self.ledger.entries)
        part, target = self._part, self.paths.target
        if not (said and os.path.lexists(target)):
            return False
        return not part.exists() or part.samefile(target)  # a file is linked there

    @property
    def _part(self) -> Path:
        """What becomes the result when it is complete."""
        tiff = self.setup.options.format == "ome-tiff"
        return self.paths.tiff if tiff else self.paths.store

    def _view(self, array: Any, plane: int) -> PlaneView:
        return self.setup.layout.view(array, self.indices[plane])

    @property
    def _total(self) -> int:
        return self.setup.plan.tiles

    def _follow(
        self, phase: Phase, job: Generator[float, None, _T], part: float = 1.0
    ) -> Generator[StackProgress, None, _T]:
        """Say how far a `job` is, which is the first `part` of a phase; end with it."""
        for fraction in (run := Steps(job)):
            yield self._progress(phase, part * fraction)
        return run.result

    def _progress(self, phase: Phase, fraction: float) -> StackProgress:
        return StackProgress(
            source=self.setup.image.source or self.paths.target,
            phase=phase,
            fraction=fraction,
            done=len(self.tiles),
            total=self._total,
            objects=sum(self.planes.values()) if self.objects else None,
        )


def _date(tables: Sequence[Path], when: int) -> None:
    """Let tables be of a moment, in nanoseconds, where the disk lets them."""
    for table in tables:
        with suppress(OSError):
            os.utime(table, ns=(when, when))
