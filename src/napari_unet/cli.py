"""The command line: words in, sentences and one line of JSON out.

This file alone knows exit codes: 0 success, 2 bad input or usage, 130 Ctrl-C.
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

from . import __version__, console
from .errors import UNetError
from .options import Output, Precision, SegmentOptions, TrainOptions, parse_memory

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

_Image = Annotated[
    Path, typer.Argument(metavar="IMAGE", help="TIFF, PNG, JPEG or OME-Zarr.")
]
_Out = Annotated[
    Path,
    typer.Option("-o", "--out", metavar="OUT", help="Result: .tif or .ome.zarr."),
]
_Model = Annotated[str, typer.Option(help="A shipped model's name, or a file.")]
_Output = Annotated[
    Output | None,
    typer.Option(help="Default: objects if the model separates them, else classes."),
]
_Channel = Annotated[
    str | None, typer.Option(help="Which channel: its index from 0, or its name.")
]
_Axes = Annotated[
    str | None, typer.Option(help="Axes of the file where it is silent, as in TZYX.")
]
_Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
_Memory = Annotated[
    str | None, typer.Option(help="Most memory to use altogether, as in 2GB.")
]
_Tile = Annotated[
    int | None, typer.Option(help="Side of a tile in pixels; else from the memory.")
]
_Diameter = Annotated[
    float | None, typer.Option(help="Typical diameter of an object, in pixels.")
]
_Scale = Annotated[
    float | None, typer.Option(help="Show the net an image so many times as large.")
]
_MinSize = Annotated[
    int | None,
    typer.Option(help="Drop objects of fewer pixels; else as the model says."),
]
_Threshold = Annotated[
    float | None, typer.Option(help="Least probability of a labelled pixel, 0 to 1.")
]
_Precision = Annotated[Precision, typer.Option(help="fp32 is exact, bf16 is faster.")]
_PerPlane = Annotated[
    bool, typer.Option("--per-plane", help="Scale intensities plane by plane.")
]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON instead.")]


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
    except UNetError as error:
        return _failed(str(error))
    except Exception as error:  # noqa: BLE001 - the border: anything foreign
        if os.environ.get(_TRACEBACK) == "1":
            traceback.print_exc()
        return _failed(
            f"Something unexpected went wrong ({type(error).__name__}: {error}). "
            f"Please report it, with what {_TRACEBACK}=1 shows."
        )
    return 0


def _failed(sentence: str) -> int:
    typer.echo("Error: " + " ".join(sentence.splitlines()), err=True)
    return 2


def _cancelled() -> int:
    typer.echo("Cancelled; nothing was written.", err=True)
    return _CANCELLED


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"napari-unet {__version__}")
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
    image: _Image,
    out: _Out,
    *,
    model: _Model = "nuclei",
    output: _Output = None,
    channel: _Channel = None,
    axes: _Axes = None,
    device: _Device = "auto",
    memory: _Memory = None,
    tile: _Tile = None,
    diameter: _Diameter = None,
    scale: _Scale = None,
    min_size: _MinSize = None,
    threshold: _Threshold = None,
    precision: _Precision = "auto",
    per_plane: _PerPlane = False,
    overwrite: _Overwrite = False,
    as_json: _Json = False,
) -> None:
    """Segment an image and write its labels."""
    options = SegmentOptions(
        output=output,
        channel=int(channel) if channel and channel.isdecimal() else channel,
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
    from .pipeline import segment_file

    with console.progress(f"opening {image.name}") as report:
        result = segment_file(
            image,
            out,
            model=model,
            axes=axes,
            options=options,
            overwrite=overwrite,
            report=report,
        )
    typer.echo(
        console.result_json(result, out)
        if as_json
        else console.result_text(result, image)
    )


@app.command()
def train(
    *,
    images: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of images to learn from.")
    ],
    labels: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Their labels, of the same names: uint8 classes (255: nobody looked) "
            "or uint16 objects.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="OUT", help="New .safetensors file.")
    ],
    model: _Model = "nuclei",
    new: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Begin a model for these classes, as in background,cell.",
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="Most time to take; else until it gets no better."),
    ] = None,
    channel: _Channel = None,
    device: _Device = "auto",
    seed: Annotated[int, typer.Option(help="The same one gives the same model.")] = 0,
    overwrite: _Overwrite = False,
    as_json: _Json = False,
) -> None:
    """Improve a model with labelled images, as Improve does in the viewer."""
    options = TrainOptions(
        seconds=seconds,
        channel=int(channel) if channel and channel.isdecimal() else channel,
        device=device,
        seed=seed,
    )
    _quiet()
    from .lesson import train_folder

    with console.progress(f"reading {images.name}") as report:
        trained = train_folder(
            images,
            labels,
            out,
            model=model,
            classes=None if new is None else new.split(","),
            options=options,
            overwrite=overwrite,
            report=report,
        )
    typer.echo(
        console.trained_json(trained, out)
        if as_json
        else console.trained_text(trained, out)
    )


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
    as_json: _Json = False,
) -> None:
    """Describe a model, or list those that come with napari-unet."""
    _quiet()
    from .model import load, shipped

    if model is None:
        names = shipped()
        text = json.dumps({"models": names}) if as_json else "\n".join(names)
        typer.echo(text or "No model comes with this build.")
        return
    from . import summary

    found = load(model)
    about = summary.describe(found)
    rows = summary.rows(found.spec, size) if shapes or size is not None else ()
    if as_json:
        if rows:
            about["shapes"] = console.shapes_json(rows)
        typer.echo(json.dumps(about))
        return
    typer.echo(console.describe(about))
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
    from .demo import run

    _quiet()
    figures = run(headless)
    if figures is not None:
        typer.echo(json.dumps(figures))


if __name__ == "__main__":
    sys.exit(main())
