"""Commands of `napari-unet`: segment, batch, train, info, demo, and exit codes.

Exit codes: 0 success, 1 some files of a batch failed (`cli/batch.py`), 2 bad input or
usage, 130 Ctrl-C.
Everything heavy is imported inside the commands, so that ``--help`` and a typing
mistake are answered at once. Words of a command that are options are handed on by name.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Annotated, Any, TypeVar

import typer

from napari_unet import __version__
from napari_unet.cli import console
from napari_unet.cli import options as flags
from napari_unet.errors import StoppedError, UNetError, hinted, sentence
from napari_unet.options import (
    DEFAULT_MODEL,
    BatchOptions,
    SegmentOptions,
    TrainOptions,
)

__all__ = ["app", "main"]

_TRACEBACK = "NAPARI_UNET_TRACEBACK"  # set to 1 to see where a defect happened
_CANCELLED = 130  # what a shell expects after Ctrl-C
# Where the options of the commands have their defaults.
_SEGMENT, _BATCH, _TRAIN = SegmentOptions(), BatchOptions(), TrainOptions()
_Options = TypeVar("_Options", SegmentOptions, BatchOptions, TrainOptions)
app = typer.Typer(
    name="napari-unet",
    help="Segment microscopy images with a U-Net.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # boxes would break file names, and cost 0.2 s
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    argv
        The words after the command's name; None takes them from the process.
    """
    try:
        # Asked to end, end as after Ctrl-C: temporary files are removed.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        app(argv, prog_name="napari-unet")
    except SystemExit as stop:
        if stop.code == _CANCELLED:
            return _cancelled()
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt:
        return _cancelled()
    except StoppedError as stop:
        console.say(str(stop), err=True)
        return _CANCELLED
    except UNetError as error:
        command, *_ = sys.argv[1:] if argv is None else argv
        names = flags.flags_of(app, command)
        return _failed(hinted(sentence(error), error.options, names))
    except Exception as error:  # noqa: BLE001 - the border: anything foreign
        if os.environ.get(_TRACEBACK) == "1":
            traceback.print_exc()
        report = f" Please report it, with what {_TRACEBACK}=1 shows."
        told = isinstance(error, OSError) and error.filename
        return _failed(sentence(error) + ("" if told else report))
    return 0


def _failed(text: str) -> int:
    console.say("Error: " + " ".join(text.splitlines()), err=True)
    return 2


def _cancelled() -> int:
    console.say("Cancelled; no result was written.", err=True)
    return _CANCELLED


def _show_version(wanted: bool) -> None:
    if wanted:
        console.say(f"napari-unet {__version__}")
        raise typer.Exit


@app.callback()
def _app(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Print it and exit.",
        ),
    ] = False,
) -> None:
    """Segment microscopy images with a U-Net."""


@app.command()
def segment(
    ctx: typer.Context,
    image: flags.Image,
    out: flags.Out,
    *,
    model: flags.Model = DEFAULT_MODEL,
    output: flags.Outputs = _SEGMENT.output,
    link_z: flags.LinkZ = False,
    channel: flags.Channel = None,
    axes: flags.Axes = None,
    device: flags.Device = _SEGMENT.device,
    memory: flags.Memory = _SEGMENT.memory,
    tile: flags.Tile = _SEGMENT.tile,
    diameter: flags.Diameter = _SEGMENT.diameter,
    scale: flags.Scale = _SEGMENT.scale,
    min_size: flags.MinSize = _SEGMENT.min_size,
    min_score: flags.MinScore = _SEGMENT.min_score,
    threshold: flags.Threshold = _SEGMENT.threshold,
    precision: flags.Precise = _SEGMENT.precision,
    per_plane: flags.PerPlane = _SEGMENT.per_plane,
    overwrite: flags.Overwrite = False,
    as_json: flags.Json = False,
) -> None:
    """Segment an image and write its labels."""
    options = _options(SegmentOptions, ctx.params)
    console.quiet()
    from napari_unet.segmentation.files import segment_file

    with console.progress(f"opening {image.name}") as report:
        result = segment_file(
            image,
            out,
            model=model,
            axes=axes,
            options=options,
            link_z=link_z,
            overwrite=overwrite,
            report=report,
        )
    console.say(
        console.result_json(result, out)
        if as_json
        else console.result_text(result, image)
    )


@app.command()
def batch(
    ctx: typer.Context,
    inputs: flags.Inputs,
    *,
    out: flags.OutFolder,
    model: flags.Model = DEFAULT_MODEL,
    output: flags.Outputs = _SEGMENT.output,
    format: flags.Format = _BATCH.format,  # noqa: A002 - as the field is called
    measure: flags.Measure = _BATCH.measure,
    link_z: flags.LinkZ = _BATCH.link_z,
    channel: flags.Channel = None,
    axes: flags.Axes = _BATCH.axes,
    device: flags.Device = _SEGMENT.device,
    memory: flags.Memory = _SEGMENT.memory,
    workers: flags.Workers = _BATCH.workers,
    scheduler: flags.Scheduler = _BATCH.scheduler,
    tile: flags.Tile = _SEGMENT.tile,
    diameter: flags.Diameter = _SEGMENT.diameter,
    scale: flags.Scale = _SEGMENT.scale,
    min_size: flags.MinSize = _SEGMENT.min_size,
    min_score: flags.MinScore = _SEGMENT.min_score,
    threshold: flags.Threshold = _SEGMENT.threshold,
    precision: flags.Precise = _SEGMENT.precision,
    per_plane: flags.PerPlane = _SEGMENT.per_plane,
    overwrite: flags.Replace = _BATCH.overwrite,
    dry_run: flags.DryRun = False,
    as_json: flags.Json = False,
) -> None:
    """Segment many files, or stacks larger than memory, into a folder.

    Interrupted in any way, the same command goes on from what is finished.
    """
    segment = _options(SegmentOptions, ctx.params)
    options = _options(BatchOptions, ctx.params, segment=segment)
    console.quiet()
    from napari_unet.cli import batch as batchconsole

    show = batchconsole.plan if dry_run else batchconsole.run
    names = flags.flags_of(app, "batch")
    code = show(inputs, out, options, model, names, as_json=as_json)
    if code:
        raise typer.Exit(code)


@app.command()
def train(
    ctx: typer.Context,
    *,
    out: flags.NewModel,
    project: flags.Project = None,
    images: flags.Images = None,
    labels: flags.Labels = None,
    model: flags.Start = None,
    new: flags.NewClasses = None,
    seconds: flags.Seconds = None,
    channel: flags.Channel = None,
    device: flags.Device = _TRAIN.device,
    memory: flags.Memory = _TRAIN.memory,
    seed: flags.Seed = _TRAIN.seed,
    overwrite: flags.Overwrite = False,
    as_json: flags.Json = False,
) -> None:
    """Improve a model with what people painted or labelled.

    It learns from a project that was made in napari, or from a folder of images and one
    of labels; only pixels that somebody looked at count. It does what Improve does in
    the viewer: the result is never worse on those pixels, and is the model as it was
    when nothing better was found.
    """
    options = _options(TrainOptions, ctx.params)
    classes = None if new is None else flags.class_names(new)
    console.quiet()
    from napari_unet.annotation import train as training

    request = training.TrainRequest(
        out,
        project=project,
        images=images,
        labels=labels,
        model=model,
        classes=classes,
        options=options,
        overwrite=overwrite,
    )
    with console.progress("reading what was said") as report:
        lesson = training.train(request, report)
    said = console.lesson_json if as_json else console.lesson_text
    console.say(said(lesson, out))


def _options(kind: type[_Options], words: Mapping[str, Any], **others: Any) -> _Options:
    """Return options as the words of a command say, whose names are their fields."""
    known = {field.name for field in fields(kind)} - others.keys()
    return kind(**{name: words[name] for name in known & words.keys()}, **others)


@app.command()
def info(
    model: flags.Described = None,
    *,
    shapes: flags.Shapes = False,
    size: flags.Size = None,
    as_json: flags.Json = False,
) -> None:
    """Describe a model, or list those that come with napari-unet."""
    console.quiet()
    from napari_unet.network.model import load, shipped

    if model is None:
        names = shipped()
        text = json.dumps({"models": names}) if as_json else "\n".join(names)
        console.say(text or "No model comes with this build.")
        return
    from napari_unet.network import summary

    found = load(model)
    about = summary.describe(found)
    rows = summary.rows(found.spec, size) if shapes or size is not None else ()
    if as_json:
        if rows:
            about["shapes"] = console.shapes_json(rows)
        console.say(json.dumps(about))
        return
    console.say(console.describe(about))
    if rows:
        console.show_shapes(rows)


@app.command()
def demo(headless: flags.Headless = None) -> None:
    """Open the sample image in napari and segment it with the shipped model."""
    from napari_unet.cli.demo import run

    console.quiet()
    figures = run(headless)
    if figures is not None:
        console.say(json.dumps(figures))
