"""Commands of `napari-unet`: segment, batch, train, info, demo, and exit codes.

Exit codes: 0 success, 1 some files of a batch failed (`cli/batch.py`), 2 bad input or
usage, 130 Ctrl-C.
Everything heavy is imported inside the commands, so that ``--help`` and a typing
mistake are answered at once.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from napari_unet import __version__
from napari_unet.cli import console
from napari_unet.cli import options as flags
from napari_unet.errors import (
    OptionsError,
    StoppedError,
    UNetError,
    hinted,
    sentence,
)
from napari_unet.options import BatchOptions, SegmentOptions, TrainOptions, parse_memory

__all__ = ["app", "main"]

_TRACEBACK = "NAPARI_UNET_TRACEBACK"  # set to 1 to see where a defect happened
_CANCELLED = 130  # what a shell expects after Ctrl-C
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
    image: flags.Image,
    out: flags.Out,
    *,
    model: flags.Model = "nuclei",
    output: flags.Outputs = None,
    link_z: flags.LinkZ = False,
    channel: flags.Channel = None,
    axes: flags.Axes = None,
    device: flags.Device = "auto",
    memory: flags.Memory = None,
    tile: flags.Tile = None,
    diameter: flags.Diameter = None,
    scale: flags.Scale = None,
    min_size: flags.MinSize = None,
    threshold: flags.Threshold = None,
    precision: flags.Precise = "auto",
    per_plane: flags.PerPlane = False,
    overwrite: flags.Overwrite = False,
    as_json: flags.Json = False,
) -> None:
    """Segment an image and write its labels."""
    options = SegmentOptions(
        output=output,
        channel=channel,
        device=device,
        precision=precision,
        tile=tile,
        memory=None if memory is None else parse_memory(memory),
        min_size=min_size,
        threshold=threshold,
        diameter=diameter,
        scale=scale,
        per_plane=per_plane,
    )
    _quiet()
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
    inputs: flags.Inputs,
    *,
    out: flags.OutFolder,
    model: flags.Model = "nuclei",
    output: flags.Outputs = None,
    form: flags.Format = "ome-zarr",
    measure: flags.Measure = False,
    link_z: flags.LinkZ = False,
    channel: flags.Channel = None,
    axes: flags.Axes = None,
    device: flags.Device = "auto",
    memory: flags.Memory = None,
    workers: flags.Workers = None,
    scheduler: flags.Scheduler = None,
    tile: flags.Tile = None,
    diameter: flags.Diameter = None,
    scale: flags.Scale = None,
    min_size: flags.MinSize = None,
    threshold: flags.Threshold = None,
    precision: flags.Precise = "auto",
    per_plane: flags.PerPlane = False,
    overwrite: flags.Replace = False,
    dry_run: flags.DryRun = False,
    as_json: flags.Json = False,
) -> None:
    """Segment many files, or stacks larger than memory, into a folder.

    Interrupted in any way, the same command goes on from what is finished.
    """
    segment = SegmentOptions(
        output=output,
        channel=channel,
        device=device,
        precision=precision,
        tile=tile,
        memory=None if memory is None else parse_memory(memory),
        min_size=min_size,
        threshold=threshold,
        diameter=diameter,
        scale=scale,
        per_plane=per_plane,
    )
    options = BatchOptions(
        segment=segment,
        format=form,
        measure=measure,
        link_z=link_z,
        workers=workers,
        scheduler=scheduler,
        axes=axes,
        overwrite=overwrite,
    )
    _quiet()
    from napari_unet.cli import batch as batchconsole

    show = batchconsole.plan if dry_run else batchconsole.run
    names = flags.flags_of(app, "batch")
    code = show(inputs, out, options, model, names, as_json=as_json)
    if code:
        raise typer.Exit(code)


@app.command()
def train(
    *,
    out: flags.NewModel,
    project: flags.Project = None,
    images: flags.Images = None,
    labels: flags.Labels = None,
    model: flags.Start = None,
    new: flags.NewClasses = None,
    seconds: flags.Seconds = None,
    channel: flags.Channel = None,
    device: flags.Device = "auto",
    memory: flags.Memory = None,
    seed: flags.Seed = 0,
    overwrite: flags.Overwrite = False,
    as_json: flags.Json = False,
) -> None:
    """Improve a model with what people painted or labelled.

    It learns from a project that was made in napari, or from a folder of images and one
    of labels; only pixels that somebody looked at count. It does what Improve does in
    the viewer: the result is never worse on those pixels, and is the model as it was
    when nothing better was found.
    """
    options = TrainOptions(
        seconds=seconds,
        channel=channel,
        device=device,
        seed=seed,
        memory=None if memory is None else parse_memory(memory),
    )
    classes = None if new is None else _names(new)
    _quiet()
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


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise OptionsError(
            f"--new {text!r} has a class without a name. Write names with commas "
            "between them, as in background,cell."
        )
    return names


def _quiet() -> None:
    """Keep the libraries' warnings off the terminal: our sentences say what matters."""
    import logging
    import warnings

    if not logging.root.handlers:
        logging.root.addHandler(logging.NullHandler())
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


@app.command()
def info(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="A name or a file.")
    ] = None,
    *,
    shapes: Annotated[
        bool, typer.Option("--shapes", help="What every level looks like.")
    ] = False,
    size: Annotated[
        int | None, typer.Option(help="Side of the image for --shapes.")
    ] = None,
    as_json: flags.Json = False,
) -> None:
    """Describe a model, or list those that come with napari-unet."""
    _quiet()
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
def demo(
    headless: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write what is seen to DIR and leave."),
    ] = None,
) -> None:
    """Open the sample image in napari and segment it with the shipped model."""
    from napari_unet.cli.demo import run

    _quiet()
    figures = run(headless)
    if figures is not None:
        console.say(json.dumps(figures))
