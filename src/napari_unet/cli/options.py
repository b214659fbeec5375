"""Command line options: names, types and ``--help`` texts, shared by the commands.

An argument of a command has the name that the option has in `UNetError.options`.
"""

from pathlib import Path
from typing import Annotated

import typer
from typer.main import get_group

from napari_unet.errors import OptionsError
from napari_unet.options import Output, Precision, StackFormat, parse_memory

Axes = Annotated[
    str | None, typer.Option(help="Axes of the file where it is silent, as in TZYX.")
]
Channel = Annotated[
    str | None, typer.Option(help="Which channel: its name, or its index from 0.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Described = Annotated[
    str | None, typer.Argument(metavar="[MODEL]", help="A name or a file.")
]
Diameter = Annotated[
    float | None, typer.Option(help="Typical diameter of an object, in pixels.")
]
Headless = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write what is seen to DIR and leave."),
]
Image = Annotated[
    Path, typer.Argument(metavar="IMAGE", help="TIFF, PNG, JPEG or OME-Zarr.")
]
Images = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of images to learn from, with --labels."),
]
Format = Annotated[
    StackFormat, typer.Option("--format", help="A folder of OME-Zarr, or one TIFF.")
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Say what would be done, and the memory it takes."),
]
Inputs = Annotated[
    list[str],
    typer.Argument(metavar="INPUT...", help="Images, folders of images, or patterns."),
]
LinkZ = Annotated[
    bool,
    typer.Option("--link-z", help="Objects that overlap from plane to plane are one."),
]
Measure = Annotated[
    bool, typer.Option("--measure", help="Write a table of the objects, too.")
]
OutFolder = Annotated[
    Path, typer.Option("-o", "--out", metavar="OUTDIR", help="Folder of the results.")
]
Replace = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace results, also those begun with other options."
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="tcp://HOST:PORT", help="A dask cluster that is there."),
]
Workers = Annotated[
    int | None, typer.Option(help="Number of processes that compute tiles.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON instead.")]
Labels = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of their labels: TIFFs with the images' names. 8 bit: 0, 1, 2, "
        "... are classes, 255 is where nobody looked. 16 bit: every object has its own "
        "number, 0 is background.",
    ),
]
Memory = Annotated[
    int | None,
    typer.Option(
        metavar="<str>",
        parser=parse_memory,
        help="Most memory to use altogether, as in 2GB.",
    ),
]
MinScore = Annotated[
    float | None,
    typer.Option(
        help="Drop objects whose interior has a lower mean probability, 0 to 1; else "
        "as the model says."
    ),
]
MinSize = Annotated[
    int | None,
    typer.Option(help="Drop objects of fewer pixels; else as the model says."),
]
Model = Annotated[str, typer.Option(help="A shipped model's name, or a file.")]
NewClasses = Annotated[
    str | None,
    typer.Option(
        "--new",
        metavar="NAMES",
        help="Begin a new model for these classes, numbered from 0 as in the labels: "
        "background,cell,debris.",
    ),
]
NewModel = Annotated[
    Path,
    typer.Option(
        "-o", "--out", metavar="OUT", help="The improved model: a .safetensors file."
    ),
]
Out = Annotated[
    Path,
    typer.Option("-o", "--out", metavar="OUT", help="Result: .tif or .ome.zarr."),
]
Outputs = Annotated[
    Output | None,
    typer.Option(help="Default: objects if the model separates them, else classes."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")]
PerPlane = Annotated[
    bool, typer.Option("--per-plane", help="Scale intensities plane by plane.")
]
Precise = Annotated[Precision, typer.Option(help="fp32 is exact, bf16 is faster.")]
Project = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Learn from what was painted in napari: a project folder (it ends in "
        ".unet as a rule).",
    ),
]
Scale = Annotated[
    float | None, typer.Option(help="Show the net an image so many times as large.")
]
Seconds = Annotated[
    float | None,
    typer.Option(help="Most time to take; else until it gets no better."),
]
Seed = Annotated[int, typer.Option(help="The same one gives the same model.")]
Shapes = Annotated[bool, typer.Option("--shapes", help="What every level looks like.")]
Size = Annotated[int | None, typer.Option(help="Side of the image for --shapes.")]
Start = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="What to improve: a model's name, or a file. Default: the project's model "
        "in use if it has one, else nuclei, or general for other classes.",
    ),
]
Threshold = Annotated[
    float | None, typer.Option(help="Least probability of a labelled pixel, 0 to 1.")
]
Tile = Annotated[
    int | None,
    typer.Option(help="Side of the net's window in pixels; else from the memory."),
]


def flags_of(app: typer.Typer, command: str) -> dict[str, str]:
    """Return the flag of each option of a command, by its name in the code.

    Of what is no command, nothing.
    """
    found = get_group(app).commands.get(command)
    options = [] if found is None else found.params
    return {p.name: p.opts[-1] for p in options if p.name and p.opts[-1][:2] == "--"}


def class_names(text: str) -> tuple[str, ...]:
    """Return the names in what ``--new`` says.

    Raises
    ------
    OptionsError
        If one of them is empty.
    """
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise OptionsError(
            f"--new {text!r} has a class without a name. Write names with commas "
            "between them, as in background,cell."
        )
    return names
