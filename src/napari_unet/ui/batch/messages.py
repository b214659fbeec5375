"""Messages of U-Net: Batch: planned, running, cancelled, finished."""

from pathlib import Path

from napari_unet.events import BatchReport
from napari_unet.ui.batch.rows import BatchRows
from napari_unet.ui.outcome import counted
from napari_unet.ui.widgets.progress import duration
from napari_unet.ui.widgets.table import thousands

__all__ = ["ended_line", "planned_line", "running_line", "stopped_line"]

_WHY = "Hover over a row in red to see why."
_LONGEST = 34  # letters of a name that fit the dock


def planned_line(rows: BatchRows) -> str:
    """Return whether all files can be done, once they were looked at."""
    total = len(rows.rows)
    files = f"{total} file{'' if total == 1 else 's'}"
    reasons = [row.reason for row in rows.rows if row.state == "refused"]
    if not reasons:
        return files
    if len(reasons) == total and len(set(reasons)) == 1:
        return reasons[0]
    return f"{files}, {len(reasons)} of them not possible. {_WHY}"


def running_line(rows: BatchRows, *, paused: bool) -> str:
    """Return which file is being done."""
    row = rows.current
    number, total = rows.number
    name = "" if row is None else f" · {_short(row.source.name)}"
    doing = "Paused" if paused else "Segmenting"
    if not paused and row is not None and row.doing:
        doing = row.doing.capitalize()
    return f"{doing} · file {number} of {total}{name}"


def stopped_line(rows: BatchRows) -> str:
    """Return what a run that was cancelled leaves."""
    done = sum(row.ended for row in rows.rows)
    return (
        f"Cancelled after {done} of {len(rows.rows)} files. What is finished is kept: "
        "Start goes on from there."
    )


def ended_line(report: BatchReport, folder: Path) -> str:
    """Return what became of all files."""
    words = {"done": "done", "skipped": "done before", "failed": "failed"}
    counts = [
        f"{report.count(state)} {word}"
        for state, word in words.items()
        if report.count(state)
    ]
    done, seconds = ", ".join(counts) + _objects(report), duration(report.seconds)
    lines = [f"{done} · {seconds} · in {_short(folder.name)}"]
    if report.count("failed"):
        lines.append(_WHY)
    lines += {note: None for file in report.files for note in file.notes}
    lines += report.notes
    return "\n".join(lines)


def _objects(report: BatchReport) -> str:
    """Return how many objects all files have together, if any were counted."""
    files = [file for file in report.files if file.objects is not None]
    if not files:
        return ""
    number = thousands(sum(file.objects or 0 for file in files))
    stacks = [file for file in files if file.planes > 1]
    planes = sum(file.planes for file in files) if stacks else 1
    linked = all(file.linked for file in stacks)
    return f" · {counted(number, planes, linked=linked)}"


def _short(name: str) -> str:
    """Return a name without its middle if it is long: a word is not wrapped."""
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST // 2]}...{name[-(_LONGEST // 2) :]}"
