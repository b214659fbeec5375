"""Options of segment, train and batch, checked when they are made."""

import math
import re
from dataclasses import dataclass, field
from typing import Literal, get_args

from napari_unet.errors import OptionsError

__all__ = [
    "DEFAULT_MODEL",
    "START_MODEL",
    "BatchOptions",
    "Output",
    "Precision",
    "SegmentOptions",
    "StackFormat",
    "TrainOptions",
    "parse_memory",
]

Output = Literal["objects", "classes", "probabilities"]
Precision = Literal["auto", "fp32", "bf16"]
StackFormat = Literal["ome-zarr", "ome-tiff", "auto"]

DEFAULT_MODEL = "nuclei"  # shipped: it segments, or learns, if none is named
START_MODEL = "general"  # shipped: new classes begin from it, if nothing else is named

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_MEMORY = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*$", re.IGNORECASE)


def parse_memory(text: str) -> int:
    """Return the bytes in a size such as ``"700MB"``, ``"2 GB"`` or ``"1GiB"``.

    Raises
    ------
    OptionsError
        If the text is no size, or the size is zero.
    """
    match = _MEMORY.match(text)
    if match is None or not 0 < float(match[1]) < 1e15:
        raise OptionsError(
            f"{text!r} is not an amount of memory. Write a number and a unit, as in "
            "700MB or 2GB."
        )
    number, unit, binary = match.groups()
    factor = _UNITS[unit.upper()]
    if binary:  # KiB, MiB, ...: powers of 1024
        factor = 1024 ** "KMGT".index(unit.upper()) * 1024 if unit else 1
    return int(float(number) * factor)


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """How an image is segmented.

    Parameters
    ----------
    output
        ``"objects"`` (every object its own id), ``"classes"`` (every pixel its class)
        or ``"probabilities"`` (float16, one channel per class). None takes objects
        when the model has a boundary class, else classes.
    channel
        Which channel a one-channel model sees: an index from 0, or text, which is a
        name first and then an index. None is fine when there is one channel, RGB, or
        as many as the model takes.
    device
        ``"auto"`` (the GPU if there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"``,
        ``"mps"``.
    precision
        ``"fp32"`` is exact; ``"auto"`` takes bfloat16 where the processor computes
        faster in it.
    tile
        Side of the square window that the net sees at once, in pixels; None chooses
        it from `memory`.
    memory
        Most resident memory that the whole process may take, in bytes; None takes a
        part of what is free now.
    min_size
        Objects with fewer pixels than this are dropped; None takes what the model's
        card says of objects as large as those it was trained on, or 0.
    min_score
        Objects are dropped whose interior has a lower mean probability than this, 0 to
        1, of objects that are joined through Z over all planes; None takes what the
        model's card says, or 0, which drops none.
    threshold
        Least probability of being anything but background for a pixel to be labelled;
        None takes the most probable class.
    diameter
        Typical object diameter in this image, in pixels; the image is resampled so
        that objects have the size that the model was trained on.
    scale
        The same as a factor: 2.0 shows the net an image twice as large. Give either
        `diameter` or `scale`.
    per_plane
        Scale intensities for every plane by itself, for movies that bleach.
    """

    output: Output | None = None
    channel: int | str | None = None
    device: str = "auto"
    precision: Precision = "auto"
    tile: int | None = None
    memory: int | None = None
    min_size: int | None = None
    min_score: float | None = None
    threshold: float | None = None
    diameter: float | None = None
    scale: float | None = None
    per_plane: bool = False

    def __post_init__(self) -> None:
        if self.output is not None and self.output not in get_args(Output):
            choices = _choices("Output", self.output, get_args(Output))
            raise OptionsError(choices, option="output")
        if self.precision not in get_args(Precision):
            choices = _choices("Precision", self.precision, get_args(Precision))
            raise OptionsError(choices, option="precision")
        if self.diameter is not None and self.scale is not None:
            raise OptionsError(
                "Both a diameter and a scale were given. Give one of the two.",
                option=("diameter", "scale"),
            )
        for name in ("tile", "memory", "diameter", "scale"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                text = f"{name} is {value}; it must be above 0 and finite."
                raise OptionsError(text, option=name)
        if self.min_size is not None and self.min_size < 0:
            text = f"min_size is {self.min_size}; it must be 0 or more."
            raise OptionsError(text, option="min_size")
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            text = f"min_score is {self.min_score}; it must be 0 to 1."
            raise OptionsError(text, option="min_score")
        if self.threshold is not None and not 0 < self.threshold < 1:
            text = f"threshold is {self.threshold}; it must lie between 0 and 1."
            raise OptionsError(text, option="threshold")


def _choices(what: str, seen: object, choices: tuple[str, ...]) -> str:
    return f"{what} {seen!r} does not exist. Choose one of: {', '.join(choices)}."


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How a model learns from corrections.

    Parameters
    ----------
    seconds
        Most time to take; None: until it gets no better.
    device
        ``"auto"`` (the GPU if there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"``,
        ``"mps"``.
    channel
        Which channel a one-channel model sees: an index from 0, or text as above.
    seed
        The same seed, steps and device give the same model.
    memory
        Most resident memory that the whole process may take, in bytes; None takes a
        part of what is free now, and no more than is of use.
    """

    seconds: float | None = 20.0
    device: str = "auto"
    channel: int | str | None = None
    seed: int = 0
    memory: int | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and not 0 <= self.seconds < math.inf:
            text = f"seconds is {self.seconds}; it must be 0 or more, and finite."
            raise OptionsError(text, option="seconds")
        if not 0 <= self.seed < 2**32:
            text = f"seed is {self.seed}; it must be 0 to {2**32 - 1}."
            raise OptionsError(text, option="seed")
        if self.memory is not None and not 0 < self.memory < math.inf:
            text = f"memory is {self.memory}; it must be above 0 and finite."
            raise OptionsError(text, option="memory")


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How files and large stacks are segmented on the disk.

    Parameters
    ----------
    segment
        How each image is segmented. Its `memory` bounds every process.
    format
        What is written: an OME-Zarr 0.5 or a pyramidal OME-TIFF. ``"auto"``, for many
        files, takes OME-Zarr where the labels are large, and OME-TIFF elsewhere.
    measure
        Write a table of the objects beside the labels.
    link_z
        Objects of neighbouring Z planes that overlap become one.
    workers
        Number of processes of a local dask cluster; None computes in this process.
    scheduler
        Address of a dask scheduler that is there already, as in
        ``"tcp://10.0.0.1:8786"``.
    axes
        Axes of the images where their files are silent, as in ``"TZYX"``.
    overwrite
        Replace results that are complete, or were begun with other options.
    """

    segment: SegmentOptions = field(default_factory=SegmentOptions)
    format: StackFormat = "ome-zarr"
    measure: bool = False
    link_z: bool = False
    workers: int | None = None
    scheduler: str | None = None
    axes: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.format not in get_args(StackFormat):
            choices = _choices("Format", self.format, get_args(StackFormat))
            raise OptionsError(choices, option="format")
        if self.workers is not None and self.workers < 1:
            text = f"workers is {self.workers}; it must be 1 or more."
            raise OptionsError(text, option="workers")
        if self.workers is not None and self.scheduler is not None:
            raise OptionsError(
                "Both workers and a scheduler were given. Give one of the two: a "
                "scheduler has workers of its own.",
                option=("workers", "scheduler"),
            )
        for name in ("measure", "link_z"):
            if getattr(self, name) and self.segment.output not in (None, "objects"):
                raise OptionsError(
                    f"{name} is about objects, and the output is "
                    f"{self.segment.output}. Leave one of the two out.",
                    option=(name, "output"),
                )
