"""Segmenting one file to a file of labels: checks, opening, disk space, saving.

Knows the order in which files and models are checked and opened, and how much room a
result takes on the disk.
"""

import math
import os
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

from napari_unet._steps import Steps
from napari_unet.errors import OptionsError
from napari_unet.io.image import Image
from napari_unet.io.label_array import LabelArray, create_labels, memory_limit
from napari_unet.io.open import open_image
from napari_unet.io.save import check_different, check_output, save_labels
from napari_unet.labels.linking import join_planes, z_stacks
from napari_unet.network.model import load
from napari_unet.options import SegmentOptions
from napari_unet.segmentation.output import least_score, output_kind, output_shape
from napari_unet.segmentation.predict import (
    Computing,
    Joining,
    Segmentation,
    TileDone,
    segment,
)

__all__ = ["segment_file"]

# Bytes on the disk for a byte of labels, the working copy included, by kind of dtype:
# whole numbers compress at least eightfold, probabilities (floats) hardly.
_ON_DISK = {"i": 0.25, "u": 0.25, "f": 2.0}

_Report = Callable[[str, float | None], None]


def segment_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    model: str,
    axes: str | None = None,
    options: SegmentOptions | None = None,
    link_z: bool = False,
    overwrite: bool = False,
    report: _Report = lambda doing, fraction: None,
) -> Segmentation:
    """Segment the image in `source` and write its labels to `target`.

    Parameters
    ----------
    source, target
        Files, or folders of OME-Zarr. `target` appears only when it is complete.
    model
        Name of a shipped model, or a file.
    axes
        Axes of the image where its file is silent, as in ``"TZYX"``.
    link_z
        Objects of neighbouring Z planes that overlap become one.
    overwrite
        Whether `target` may exist and be replaced.
    report
        Called with what is being done, and how much of it (0 to 1, None: unknown).

    Raises
    ------
    UNetError
        If anything about the files, the model or the options cannot work.
    """
    options = options or SegmentOptions()
    source, out = Path(source).expanduser(), Path(target).expanduser()
    check_different(source, out)
    check_output(out, overwrite=overwrite)
    image = open_image(source, axes)
    net = load(model)
    if link_z and (kind := output_kind(net, options)) != "objects":
        raise OptionsError(
            f"Joining through Z is about objects; the model {net.name} gives {kind}. "
            "Leave it out, or choose objects as the output.",
            option=("link_z", "output"),
        )
    shape, dtype, axes = output_shape(net, image, options)
    nbytes = math.prod(shape) * dtype.itemsize * _ON_DISK[dtype.kind]
    check_output(out, overwrite=overwrite, nbytes=int(nbytes))
    limit = memory_limit(options.memory)
    folder = out.resolve().parent
    labels = create_labels(shape, dtype, limit=limit, folder=folder)
    links = link_z and "Z" in image.plane_axes
    least = least_score(net, options) if links else 0.0
    classes, scores = (
        create_labels(shape, "uint8", limit=limit, folder=folder) if wanted else None
        for wanted in (links, least)
    )
    if links:  # the score that counts is that of the joined objects
        options = replace(options, min_score=0.0)
    job = segment(
        net, image, options, out=labels, folder=folder, classes=classes, scores=scores
    )
    result = _drive(job, image.name, report)
    if links:
        how = result, classes, image, net.spec.boundary, report
        result = _linked(*how, scores=scores, min_score=least)
    report(f"writing {out.name}", None)
    _save(out, result, image, net.spec.classes, overwrite=overwrite)
    return result


def _save(
    out: Path,
    result: Segmentation,
    image: Image,
    classes: tuple[str, ...],
    *,
    overwrite: bool,
) -> None:
    """Write what came out, with the image's scale and place."""
    channels = result.axes.startswith("C")  # of probabilities: one for each class
    save_labels(
        out,
        result.labels,
        axes=result.axes,
        scale=(1.0,) * channels + image.label_scale,
        units=("pixel",) * channels + image.label_units,
        name=image.name,
        channel_names=classes if channels else (),
        translate=(0.0,) * channels + image.label_translate,
        overwrite=overwrite,
    )


def _linked(
    result: Segmentation,
    classes: LabelArray | None,
    image: Image,
    boundary: int | None,
    report: _Report,
    *,
    scores: LabelArray | None,
    min_score: float,
) -> Segmentation:
    """Give one id to objects that go on through planes; drop those of a low score."""
    began = time.perf_counter()
    job = join_planes(
        result.labels,
        classes,
        z_stacks(image.plane_axes, image.stack_shape),
        result.objects or 0,
        boundary=boundary,
        scores=scores,
        min_score=min_score,
    )
    for fraction in (run := Steps(job)):
        report(f"joining objects of {image.name} through Z", fraction)
    seconds = result.seconds + time.perf_counter() - began
    return replace(result, objects=run.result, seconds=seconds)


def _drive(
    job: Generator[TileDone | Computing | Joining, None, Segmentation],
    name: str,
    report: _Report,
) -> Segmentation:
    for event in (run := Steps(job)):
        if isinstance(event, Joining):
            report(f"joining objects of {name}", event.fraction)
        else:
            report(f"segmenting {name}", event.progress)
    return run.result
