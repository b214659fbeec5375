"""Terminal output: progress bar, result lines, tables, one line of JSON.

Knows where the terminal is and how a result reads; rich is loaded only when a bar or a
table is really drawn.
"""

import json
import logging
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from napari_unet import __version__
from napari_unet._memory import peak_memory
from napari_unet._text import plain

if TYPE_CHECKING:
    from napari_unet.network.summary import Row
    from napari_unet.segmentation.predict import Segmentation
    from napari_unet.training.to_file import TrainingOutcome

__all__ = [
    "describe",
    "lesson_json",
    "lesson_text",
    "progress",
    "quiet",
    "result_json",
    "result_text",
    "say",
    "shapes_json",
    "show_shapes",
]


def say(text: str, *, err: bool = False) -> None:
    """Print lines, none of which can do anything to a terminal but be read."""
    typer.echo("\n".join(map(plain, text.split("\n"))), err=err)


def quiet() -> None:
    """Keep the libraries' warnings off the terminal: our sentences say what matters."""
    if not logging.root.handlers:
        logging.root.addHandler(logging.NullHandler())
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


@contextmanager
def progress(text: str) -> Iterator[Callable[[str, float | None], None]]:
    """Show a bar on the error stream if that is a terminal; yield what moves it.

    What is yielded takes what is being done, and how much of it (0 to 1, or None).
    """
    if not sys.stderr.isatty():
        yield lambda doing, fraction: None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        doing = plain(text)
        task = bar.add_task(doing, total=None)

        def report(now: str, fraction: float | None) -> None:
            nonlocal doing
            now, total = plain(now), None if fraction is None else 1.0
            if now != doing:  # another step: its time left is its own
                doing = now
                bar.reset(task, description=now, total=total)
            bar.update(task, completed=fraction or 0.0, total=total)

        yield report


def result_text(result: "Segmentation", image: Path) -> str:
    """Return the result line, and a line for each note."""
    if result.objects is None:
        found = f"{result.output.capitalize()} of {image.name}"
    else:
        found = f"{result.objects} object{'s' * (result.objects != 1)} in {image.name}"
    line = f"{found} · {result.seconds:.1f} s · {result.reason}"
    return "\n".join((line, *result.notes))


def result_json(result: "Segmentation", output: Path) -> str:
    """Return the result as one line of JSON, for scripts."""
    shape = tuple(result.labels.shape)
    pixels = math.prod(shape[1:] if result.output == "probabilities" else shape)
    about = {
        "objects": result.objects,
        "shape": shape,
        "axes": result.axes,
        "seconds": round(result.seconds, 4),
        "megapixels_per_second": round(pixels / 1e6 / max(result.seconds, 1e-9), 4),
        "peak_rss_mb": round(peak_memory() / 1e6, 1),
        "device": result.device,
        "tile": result.tile,
        "model": result.model,
        "output": str(output),
        "notes": result.notes,
        "version": __version__,
    }
    return json.dumps(about)


def lesson_text(lesson: "TrainingOutcome", output: Path) -> str:
    """Return what training came to, the rule that decided, and a line for each note."""
    from napari_unet.training.selection import told  # torch is loaded by then

    trained = lesson.trained
    if trained.published:
        scores = trained.score_after, trained.score_before
        what = told(*scores, trained.measure, "what was reviewed")
        line = f"{output.name}: {what}"
    else:
        line = f"{output.name}: nothing better was found; it is the model as it was"
    first = f"{line} · {trained.seconds:.1f} s"
    return "\n".join((first, trained.rule, *lesson.notes))


def lesson_json(lesson: "TrainingOutcome", output: Path) -> str:
    """Return what training came to as one line of JSON, for scripts."""
    trained = lesson.trained
    about = {
        "published": trained.published,
        "score_before": trained.score_before,
        "score_after": trained.score_after,
        "measure": trained.measure,
        "rule": trained.rule,
        "steps": trained.steps,
        "seconds": round(trained.seconds, 3),
        "classes": trained.model.spec.classes,
        "output": str(output),
        "notes": lesson.notes,
        "peak_rss_mb": round(peak_memory() / 1e6, 1),
        "version": __version__,
    }
    return json.dumps(about)


def describe(about: dict[str, Any]) -> str:
    """Return what is known about a model, a line for each fact."""
    return "\n".join(
        f"{name.replace('_', ' '):16}{_words(value)}" for name, value in about.items()
    )


def _words(value: object) -> str:
    if value is None:
        return "not stated"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def shapes_json(rows: "Sequence[Row]") -> list[dict[str, Any]]:
    """Return the table of shapes, ready for JSON."""
    return [
        {
            "name": row.name,
            "shape": row.shape,
            "parts": row.parts,
            "parameters": row.parameters,
            "flops": row.flops,
        }
        for row in rows
    ]


def show_shapes(rows: "Sequence[Row]") -> None:
    """Draw the table of shapes on the terminal, with totals."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE, show_footer=True)
    parameters = sum(row.parameters for row in rows)
    flops = sum(row.flops for row in rows)
    table.add_column("", "total", no_wrap=True)
    table.add_column("H x W x C", no_wrap=True)
    table.add_column("parameters", f"{parameters:,}", justify="right", no_wrap=True)
    table.add_column("FLOPs", f"{flops:,}", justify="right", no_wrap=True)
    for row in rows:
        own = f"{row.parameters:,}", f"{row.flops:,}"
        table.add_row(row.name, row.text, *(("", "") if row.parts else own))
    screen = Console(file=sys.stdout)
    screen.print(table, crop=False, soft_wrap=not screen.is_terminal)
