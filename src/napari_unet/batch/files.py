"""Batch driver: many files into one folder, with a report; one failure stops no other.

Knows the report that is left in the folder. Whoever drives it sees every file begin,
go on and end, and pauses or cancels it by not asking.
"""

import csv
import io
import json
import math
import os
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from napari_unet._files import sweep, write_whole
from napari_unet._memory import peak_memory, return_freed
from napari_unet._text import plain
from napari_unet.batch.all_tables import NAME, check_ours, write_all
from napari_unet.batch.cluster import connected, worker_peaks
from napari_unet.batch.inputs import as_zarr, find_inputs, name_outputs
from napari_unet.batch.ledger import locked, unless_used
from napari_unet.batch.loaded_model import LoadedModel
from napari_unet.batch.record import ResultPaths
from napari_unet.batch.stack import plan_stack_file, run_stack
from napari_unet.errors import OutputError, UNetError, sentence
from napari_unet.events import BatchReport, StackProgress, StackReport
from napari_unet.io.open import open_image
from napari_unet.io.zarr_labels import image_around
from napari_unet.options import DEFAULT_MODEL, BatchOptions

__all__ = ["FilePlan", "plan_files", "segment_files"]

_COLUMNS = ("file", "state", "reason", "objects", "seconds")
_LARGE = 2**28  # pixels of labels, about a gigabyte: more is no longer opened at once
_OFTEN = 5.0  # seconds between two reports while files are done quickly

_Words = Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, slots=True)
class FilePlan:
    """What one file will take.

    Attributes
    ----------
    memory, disk
        Bytes: of the process at most, and of result and work files together.
    reason
        Why it cannot be done, else empty.
    options
        What would help; see `UNetError`.
    """

    source: Path
    target: Path
    tiles: int = 0
    memory: int = 0
    disk: int = 0
    reason: str = ""
    options: tuple[str, ...] = ()


def plan_files(
    inputs: _Words,
    folder: str | os.PathLike[str],
    options: BatchOptions | None = None,
    *,
    model: str = DEFAULT_MODEL,
) -> Iterator[FilePlan]:
    """Go through what `segment_files` would do; nothing is written.

    Raises
    ------
    UNetError
        If there is nothing to do, or no such model.
    """
    options = options or BatchOptions()
    sources = find_inputs(inputs)
    targets = name_outputs(sources, Path(folder).expanduser(), options.format)
    net = LoadedModel(model)
    for source, target in zip(sources, targets, strict=True):
        try:
            place, how = _settled(source, target, options)
            plan = plan_stack_file(source, ResultPaths(place), how, net)
            yield FilePlan(source, place, plan.tiles, plan.memory, plan.disk)
        except Exception as error:  # noqa: BLE001 - the border: a file that is bad
            reason, helpful = _reason(error)
            yield FilePlan(source, target, reason=reason, options=helpful)


def segment_files(
    inputs: _Words,
    folder: str | os.PathLike[str],
    options: BatchOptions | None = None,
    *,
    model: str = DEFAULT_MODEL,
) -> Generator[StackProgress | StackReport, None, BatchReport]:
    """Segment files, folders and globs into `folder`, and leave a report there.

    A generator: it yields what `segment_stack` yields, and a `StackReport` for every
    file that ends. Not asking for the next one pauses, closing cancels; the same call
    goes on from there.

    Raises
    ------
    UNetError
        If nothing can be done at all. A file that fails is only reported.
    """
    options = options or BatchOptions()
    began = time.perf_counter()
    sources = find_inputs(inputs)
    out = Path(folder).expanduser()
    targets = name_outputs(sources, out, options.format)
    net = LoadedModel(model)
    base, around = ResultPaths(targets[0]).base, image_around(targets[0])
    with unless_used(base), locked(base), connected(options) as client:
        sweep(base)
        report = _Report(out, options, model, spare=around is not None)
        if options.measure:
            check_ours(out / NAME)
        try:
            for source, target in zip(sources, targets, strict=True):
                done = yield from _one(source, target, options, net, client)
                report.add(done)
                yield done
        finally:
            notes = report.finish()
        if options.measure:
            _join_tables(out, report.files)
        peak = max([peak_memory(), *worker_peaks(client)])
    seconds = time.perf_counter() - began
    return BatchReport(tuple(report.files), seconds, peak, notes)


def _one(
    source: Path, target: Path, options: BatchOptions, net: LoadedModel, client: Any
) -> Generator[StackProgress, None, StackReport]:
    """Do one file; what goes wrong becomes a sentence."""
    began = time.perf_counter()
    return_freed()  # by the file before
    try:
        target, options = _settled(source, target, options)
        return (yield from run_stack(source, ResultPaths(target), options, net, client))
    except Exception as error:  # noqa: BLE001 - the border: a file that is bad
        seconds = time.perf_counter() - began
        reason, helpful = _reason(error)
        return StackReport(
            source, target, "failed", reason, seconds=seconds, options=helpful
        )


def _join_tables(folder: Path, files: Sequence[StackReport]) -> None:
    """Write one table of the objects of all files that have one."""
    tables = [
        (str(file.source), table)
        for file in files
        if file.state != "failed" and (table := ResultPaths(file.target).table(".csv"))
        if table.is_file()
    ]
    path = folder / NAME
    if tables and path not in [table for _, table in tables]:
        write_all(path, ResultPaths(path).base / NAME, tables)


def _settled(
    source: Path, target: Path, options: BatchOptions
) -> tuple[Path, BatchOptions]:
    """Return where the result of a file goes, and in which format.

    What is left to us is an OME-TIFF, which everything opens, unless labels are large
    or lie in an OME-Zarr. A result that is there, or begun, is gone on with as it is.
    """
    if options.format != "auto":
        return target, options
    zarr = as_zarr(target)
    if ResultPaths(zarr).ledger.exists() or image_around(zarr) is not None:
        large = True
    elif ResultPaths(target).ledger.exists():
        large = False
    else:
        large = math.prod(open_image(source, options.axes).label_shape) > _LARGE
    if large:
        return zarr, replace(options, format="ome-zarr")
    return target, replace(options, format="ome-tiff")


def _reason(error: Exception) -> tuple[str, tuple[str, ...]]:
    """Return why a file failed, and the options that would help."""
    told = isinstance(error, UNetError | OSError)
    text = plain(sentence(error) + ("" if told else " Please report it."))
    return text, error.options if isinstance(error, UNetError) else ()


class _Report:
    """``report.csv`` and ``report.json``, written as files end.

    With `spare`, the folder lies in an image: an empty report is not written there.
    """

    def __init__(
        self, folder: Path, options: BatchOptions, model: str, *, spare: bool
    ) -> None:
        self.folder, self.spare = folder, spare
        self.about = {"model": model, "options": asdict(options)}
        self.files: list[StackReport] = []
        self.written = time.monotonic()
        self._check_ours()

    def add(self, file: StackReport) -> None:
        self.files.append(file)
        if time.monotonic() - self.written > _OFTEN:
            self.finish()

    def finish(self) -> tuple[str, ...]:
        """Write it; what is in the way stops no file, and is returned as a sentence."""
        if self.spare and not any(file.state != "failed" for file in self.files):
            return ()
        try:
            self._write()
        except OutputError as error:
            return (str(error),)
        return ()

    def _write(self) -> None:
        rows = [_row(file) for file in self.files]
        text = io.StringIO()
        table = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        about = {**self.about, "files": rows}
        if not self.folder.is_dir():
            raise OutputError(
                f"'{self.folder}' was removed while it was written to. Start again."
            )
        write_whole(self.folder / "report.csv", text.getvalue().encode())
        write_whole(self.folder / "report.json", json.dumps(about, indent=1).encode())
        self.written = time.monotonic()

    def _check_ours(self) -> None:
        """Refuse to replace a table that has nothing to do with this."""
        path = self.folder / "report.csv"
        try:
            with path.open(newline="", errors="replace") as file:
                first = file.readline().strip()
        except FileNotFoundError:
            return
        except OSError as error:
            raise OutputError(f"'{path}' cannot be read ({error}).") from error
        if first != ",".join(_COLUMNS):
            raise OutputError(
                f"'{path}' is another program's and would be replaced. Choose another "
                "output folder, or rename the file."
            )


def _row(file: StackReport) -> dict[str, Any]:
    return {
        "file": plain(str(file.source)),
        "state": file.state,
        "reason": file.reason,
        "objects": file.objects,
        "seconds": round(file.seconds, 3),
    }
