"""Results of the public functions, and the progress that they report."""

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from napari_unet._api.settings import naming
from napari_unet._steps import Steps
from napari_unet.io.label_array import LabelArray
from napari_unet.options import Output

__all__ = ["Progress", "ProgressCall", "Segmentation", "drive"]

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a verb is.

    Attributes
    ----------
    stage
        What is being done: ``"segmenting"``, ``"joining"`` (objects across tiles),
        ``"measuring"``, ``"learning"``; in a batch also ``"linking"``, ``"writing"``,
        and ``"done"``, ``"skipped"`` or ``"failed"`` when a file ends.
    fraction
        How much of all that was asked for is done, 0 to 1.
    event
        What was reached: `events.TileDone` with the labels of a tile,
        `events.StackReport` of a file, `TrainStep` with a better model, and others.
    """

    stage: str
    fraction: float
    event: Any = field(repr=False)


ProgressCall = Callable[[Progress], object]


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """The labels of an image, with all that is needed to use and to keep them.

    Attributes
    ----------
    labels
        int32 objects or uint8 classes with the image's axes less C; float16
        probabilities with C, one channel per class, first. A numpy array, or a zarr
        array where it is large.
    axes
        One letter of ``TCZYX`` for each axis of `labels`.
    objects
        How many there are; None for other outputs.
    scale, units
        Size of a pixel along each axis, and what it is counted in.
    translate
        Where the first pixel lies along each axis, in `units`.
    channel_names
        Of the C axis of probabilities: the classes; else empty.
    output
        ``"objects"``, ``"classes"`` or ``"probabilities"``.
    classes
        The classes of the model, background first.
    name, source
        Of the image, and its file if it has one.
    model, device
        What computed it, and where.
    seconds
        How long it took.
    notes
        Sentences about what was done to fit image and model together.
    scores
        How sure the model is of every pixel within an object, 1 to 255, and 0
        elsewhere: uint8 of the shape of `labels`, from which `measure` takes the score
        of an object. None unless a `min_score` is in force.
    """

    labels: LabelArray = field(repr=False)
    axes: str
    objects: int | None
    scale: tuple[float, ...]
    units: tuple[str, ...]
    translate: tuple[float, ...]
    channel_names: tuple[str, ...]
    output: Output
    classes: tuple[str, ...]
    name: str
    source: Path | None
    model: str
    device: str
    seconds: float
    notes: tuple[str, ...]
    scores: LabelArray | None = field(default=None, repr=False)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the labels, with scale and units; the file appears when it is complete.

        Parameters
        ----------
        path
            Ends in ``.tif`` or ``.ome.tif`` (one file), or in ``.ome.zarr`` (a folder).
        overwrite
            Whether what is there already may be replaced.

        Raises
        ------
        OutputError
            If it cannot be written there, or would damage the image.

        Examples
        --------
        >>> import napari_unet as nu
        >>> result = nu.segment("nuclei", nu.sample_path("nuclei"))
        >>> result.save("labels.ome.tif")
        >>> nu.open_image("labels.ome.tif").shape
        (512, 512)
        """
        from napari_unet.io.save import check_different, check_output, save_labels

        with naming(self.save):
            target = check_output(path, overwrite=overwrite)
            if self.source is not None:
                check_different(self.source, target)
            save_labels(
                target,
                self.labels,
                axes=self.axes,
                scale=self.scale,
                units=self.units,
                name=self.name,
                channel_names=self.channel_names,
                translate=self.translate,
                overwrite=overwrite,
            )


def drive(run: Steps[Progress, _Result], progress: ProgressCall | None) -> _Result:
    """Run a verb to its end and return its result; what `progress` raises cancels."""
    with closing(iter(run)) as steps:
        for step in steps:
            if progress is not None:
                progress(step)
    return run.result
