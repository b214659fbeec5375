"""`napari-unet batch`: runs it, and prints plan, progress and outcome.

The first Ctrl-C lets the running tiles end; only the second one does not wait.
"""

import json
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_unet import __version__
from napari_unet._memory import share_heaps
from napari_unet._steps import Steps
from napari_unet.batch.files import FilePlan, plan_files, segment_files
from napari_unet.batch.inputs import find_inputs
from napari_unet.cli import console
from napari_unet.errors import StoppedError, hinted
from napari_unet.events import BatchReport, StackProgress, StackReport
from napari_unet.options import BatchOptions

__all__ = ["plan", "run"]

_FAILED = 1


def plan(
    inputs: Sequence[str],
    out: Path,
    options: BatchOptions,
    model: str,
    flags: Mapping[str, str],
    *,
    as_json: bool,
) -> int:
    """Say what would be done and what that takes; return the exit code."""
    plans = [
        replace(plan, reason=hinted(plan.reason, plan.options, flags))
        for plan in plan_files(inputs, out, options, model=model)
    ]
    bad = sum(bool(file.reason) for file in plans)
    if as_json:
        console.say(json.dumps(_plan_json(plans)))
    else:
        for file in plans:
            console.say(_plan_text(file))
        most = max(file.memory for file in plans)
        room = sum(file.disk for file in plans)
        console.say(
            f"{_count(len(plans), 'file')}, {bad} that cannot be done · "
            f"{_megabytes(most)} of memory · up to {_megabytes(room)} on the disk"
        )
    return _FAILED if bad else 0


def _plan_text(file: FilePlan) -> str:
    if file.reason:
        return f"{file.source.name}: {file.reason}"
    return (
        f"{file.source.name} -> {file.target.name} · {_count(file.tiles, 'tile')} · "
        f"{_megabytes(file.memory)} of memory · {_megabytes(file.disk)} on the disk"
    )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _megabytes(size: int) -> str:
    """Return bytes as MB; what is little is not nothing."""
    return "less than 1 MB" if 0 < size < 1e6 else f"{size / 1e6:.0f} MB"


def _plan_json(plans: list[FilePlan]) -> dict[str, Any]:
    return {
        "files": len(plans),
        "failed": sum(bool(file.reason) for file in plans),
        "tiles": sum(file.tiles for file in plans),
        "memory_mb": round(max(file.memory for file in plans) / 1e6, 1),
        "disk_mb": round(sum(file.disk for file in plans) / 1e6, 1),
        "plan": [
            {
                "file": str(file.source),
                "output": str(file.target),
                "tiles": file.tiles,
                "memory_mb": round(file.memory / 1e6, 1),
                "disk_mb": round(file.disk / 1e6, 1),
                "reason": file.reason,
            }
            for file in plans
        ],
        "version": __version__,
    }


def run(
    inputs: Sequence[str],
    out: Path,
    options: BatchOptions,
    model: str,
    flags: Mapping[str, str],
    *,
    as_json: bool,
) -> int:
    """Do it, say how it ended, and return the exit code.

    Parameters
    ----------
    flags
        What options are called here; see `errors.hinted`.

    Raises
    ------
    StoppedError
        After Ctrl-C.
    """
    share_heaps()
    total = len(find_inputs(inputs))
    ended: list[StackReport] = []
    run = Steps(segment_files(inputs, out, options, model=model))
    with _patience() as stopped, console.progress("opening") as show:
        for event in run:
            if isinstance(event, StackReport):
                ended.append(event)
            else:
                show(_doing(event, len(ended) + 1, total), event.fraction)
            if stopped():
                raise StoppedError(_stopped(event, len(ended), total))
    report = _with_flags(run.result, flags)
    console.say(
        json.dumps(_result_json(report, out)) if as_json else _result_text(report, out)
    )
    return _FAILED if report.count("failed") or report.notes else 0


def _with_flags(report: BatchReport, flags: Mapping[str, str]) -> BatchReport:
    files = (
        replace(file, reason=hinted(file.reason, file.options, flags))
        for file in report.files
    )
    return replace(report, files=tuple(files))


@contextmanager
def _patience() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether Ctrl-C was pressed; the second time it interrupts."""
    seen: list[int] = []

    def note(number: int, frame: Any) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    names = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(name, note) for name in names]
    try:
        yield lambda: bool(seen)
    except KeyboardInterrupt:
        raise StoppedError(
            "Stopped at once. What is finished is kept: the same command goes on."
        ) from None
    finally:
        for name, old in zip(names, before, strict=True):
            signal.signal(name, old)


def _doing(event: StackProgress, number: int, total: int) -> str:
    file = f" ({number} of {total})" if total > 1 else ""
    return f"{event.phase} {event.source.name}{file}"


def _stopped(event: StackProgress | StackReport, done: int, total: int) -> str:
    where = ""
    if isinstance(event, StackProgress):
        where = f", {event.done} of {event.total} tiles of {event.source.name}"
    return (
        f"Stopped after {done} of {total} files{where}. What is finished is kept: the "
        "same command goes on."
    )


def _result_text(report: BatchReport, out: Path) -> str:
    lines = [
        f"{file.source.name}: {file.reason}" for file in report.files if file.reason
    ]
    notes = {note: None for file in report.files for note in file.notes}
    counts = [
        f"{report.count(state)} {state}"
        for state in ("done", "skipped", "failed")
        if state == "done" or report.count(state)
    ]
    found = [file.objects for file in report.files if file.objects is not None]
    objects = f" · {sum(found)} objects" if found else ""
    last = f"{', '.join(counts)}{objects} · {report.seconds:.1f} s · {out}"
    return "\n".join((*lines, *notes, *report.notes, last))


def _result_json(report: BatchReport, out: Path) -> dict[str, Any]:
    pixels = sum(file.pixels for file in report.files)
    objects = [f.objects for f in report.files if f.objects is not None]
    return {
        "files": len(report.files),
        "done": report.count("done"),
        "failed": report.count("failed"),
        "skipped": report.count("skipped"),
        "objects": sum(objects) if objects else None,
        "tiles_done": sum(file.tiles_done for file in report.files),
        "tiles_resumed": sum(file.tiles_resumed for file in report.files),
        "peak_rss_mb": round(report.peak_memory / 1e6, 1),
        "seconds": round(report.seconds, 3),
        "megapixels_per_second": round(pixels / 1e6 / max(report.seconds, 1e-9), 4),
        "output": str(out),
        "reasons": {str(f.source): f.reason for f in report.files if f.reason},
        "notes": [
            *{note: None for file in report.files for note in file.notes},
            *report.notes,
        ],
        "version": __version__,
    }
