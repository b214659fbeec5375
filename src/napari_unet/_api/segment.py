"""Public `segment`, `segment_iter` and `measure`."""

import os
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from napari_unet._api.images import ImageSource, load_model, open_image
from napari_unet._api.results import Progress, ProgressCall, Segmentation, drive
from napari_unet._api.settings import SegmentSettings, named, settle
from napari_unet._steps import Steps
from napari_unet.errors import ImageError, OptionsError
from napari_unet.events import Joining
from napari_unet.io.image import Image
from napari_unet.io.label_array import create_labels, memory_limit
from napari_unet.options import SegmentOptions

if TYPE_CHECKING:
    from napari_unet.network.model import Model

__all__ = ["measure", "segment", "segment_iter"]


def segment(
    model: "Model | str | os.PathLike[str]",
    image: ImageSource,
    options: SegmentOptions | None = None,
    *,
    axes: str | None = None,
    out: Any = None,
    progress: ProgressCall | None = None,
    **settings: Unpack[SegmentSettings],
) -> Segmentation:
    """Segment an image.

    Parameters
    ----------
    model
        A model, or the name or file of one; see `load_model`.
    image
        An image, a file or an array; see `open_image`.
    options, settings
        How: either options, or their fields as keywords, such as ``diameter=30``; see
        `SegmentOptions`.
    axes
        One letter of ``TCZYX`` (or S) for each axis, where the image does not say.
    out
        Array that the labels are written into; made if None. After a cancel it holds
        the tiles that are finished.
    progress
        Called with a `Progress` after every tile. What it raises cancels.

    Raises
    ------
    ImageError
        If the image cannot be read, or does not fit the model.
    ModelError
        If there is no such model.
    OptionsError
        If options and settings are both given, or a value cannot work here.

    Examples
    --------
    >>> import napari_unet as nu
    >>> cells = nu.open_image(nu.sample_path("nuclei")).data[:128, :128]
    >>> result = nu.segment("nuclei", cells, diameter=30)
    >>> result.labels.shape, str(result.labels.dtype), result.objects > 3
    ((128, 128), 'int32', True)
    """
    run = segment_iter(model, image, options, axes=axes, out=out, **settings)
    return drive(run, progress)


def segment_iter(
    model: "Model | str | os.PathLike[str]",
    image: ImageSource,
    options: SegmentOptions | None = None,
    *,
    axes: str | None = None,
    out: Any = None,
    **settings: Unpack[SegmentSettings],
) -> Steps[Progress, Segmentation]:
    """Segment an image in a loop that sees every tile; leaving the loop cancels.

    Takes what `segment` takes. The result is in the attribute ``result`` at the end.

    Examples
    --------
    >>> import napari_unet as nu
    >>> cells = nu.open_image(nu.sample_path("nuclei")).data[:128, :128]
    >>> run = nu.segment_iter("nuclei", cells)
    >>> for step in run:
    ...     done = step.fraction
    >>> done, run.result.axes
    (1.0, 'YX')
    """
    how = settle(SegmentOptions, options, settings)
    return Steps(named(segment_iter, _segmenting(model, image, how, axes, out)))


def _segmenting(
    model: "Model | str | os.PathLike[str]",
    source: ImageSource,
    options: SegmentOptions,
    axes: str | None,
    out: Any,
) -> Generator[Progress, None, Segmentation]:
    from napari_unet.segmentation.output import least_score
    from napari_unet.segmentation.predict import segment as run_tiles

    image, net = open_image(source, axes), load_model(model)
    scores = None
    if least_score(net, options):
        limit = memory_limit(options.memory)
        scores = create_labels(image.label_shape, np.uint8, limit=limit)
    for event in (run := Steps(run_tiles(net, image, options, out=out, scores=scores))):
        stage = "joining" if isinstance(event, Joining) else "segmenting"
        yield Progress(stage, event.progress, event)
    found = run.result
    channels = found.output == "probabilities"  # one for each class, first
    return Segmentation(
        found.labels,
        found.axes,
        found.objects,
        scale=(1.0,) * channels + image.label_scale,
        units=("pixel",) * channels + image.label_units,
        translate=(0.0,) * channels + image.label_translate,
        channel_names=net.spec.classes if channels else (),
        output=found.output,
        classes=net.spec.classes,
        name=image.name,
        source=image.source,
        model=found.model,
        device=found.device,
        seconds=found.seconds,
        notes=found.notes,
        scores=scores,
    )


def measure(
    segmentation: Segmentation,
    image: ImageSource,
    *,
    axes: str | None = None,
    channel: int | str | None = None,
    progress: ProgressCall | None = None,
) -> dict[str, NDArray[Any]]:
    """Return a table of the objects: columns by name, all of one length.

    There is a row for each object of each plane, with columns for its place on the
    other axes (``t``, ``z``), then label, area in pixels, area_physical, centroid,
    bounding box, diameter, axes, eccentricity, the intensities of each channel and,
    where a `min_score` is in force, the score, as in the tables of a batch.
    ``pandas.DataFrame(table)`` takes it as it is.

    Parameters
    ----------
    segmentation
        What `segment` returned, its output being objects.
    image
        The image that intensities are taken from: the one that was segmented, or
        another of its shape. An array has the labels' scale, and their axes if it has
        their shape.
    axes
        One letter of ``TCZYX`` (or S) for each axis, where the image does not say.
    channel
        Index or name of the channel whose intensities are measured; None: all.
    progress
        Called with a `Progress` after every part. What it raises cancels.

    Raises
    ------
    ImageError
        If the image cannot be read, or has another shape than the labels.
    OptionsError
        If the output is not objects.

    Examples
    --------
    >>> import napari_unet as nu
    >>> cells = nu.open_image(nu.sample_path("nuclei")).data[:128, :128]
    >>> result = nu.segment("nuclei", cells)
    >>> table = nu.measure(result, cells)
    >>> len(table["area"]) == result.objects, float(table["area"].min()) > 0
    (True, True)
    """
    kind = segmentation.output
    if kind != "objects":
        raise OptionsError(
            f"The labels of {segmentation.name} are {kind}; only objects can be "
            "measured. Segment with output='objects'."
        )
    found = _under(segmentation, image, axes)
    index = None if channel is None else found.channel_index(channel)
    table = drive(Steps(_measuring(segmentation, found, index)), progress)
    scored = segmentation.scores is not None
    return _no_rows(found, index, scored=scored) if table is None else table


def _under(segmentation: Segmentation, source: ImageSource, axes: str | None) -> Image:
    """Return the image, which has to have the shape of the labels."""
    labels = segmentation.labels
    is_array = not isinstance(source, Image | str | os.PathLike)
    alike = getattr(source, "shape", None) == labels.shape
    image = open_image(source, segmentation.axes if is_array and alike else axes)
    if image.label_shape != tuple(labels.shape):
        raise ImageError(
            f"{image.title} has shape {image.label_shape}; the labels of "
            f"{segmentation.name} have {tuple(labels.shape)}. Give the image that was "
            "segmented."
        )
    if is_array:
        image = open_image(image, scale=segmentation.scale, units=segmentation.units)
    return image


def _measuring(
    segmentation: Segmentation, image: Image, channel: int | None
) -> Generator[Progress, None, dict[str, NDArray[Any]] | None]:
    from napari_unet.segmentation.measure import measuring

    labels, scores = segmentation.labels, segmentation.scores
    run = Steps(measuring(image, labels, channel, scores=scores))
    for fraction in run:
        yield Progress("measuring", fraction, None)
    return run.result


def _no_rows(
    image: Image, channel: int | None, *, scored: bool
) -> dict[str, NDArray[Any]]:
    """Return the columns of a table without objects: those of one pixel, cut off."""
    from napari_unet.segmentation.measure import measuring

    key = tuple(slice(None) if a == "C" else slice(0, 1) for a in image.axes)
    pixel = replace(image, data=np.asarray(image.data[key]), levels=())
    one = np.ones(pixel.label_shape, np.int32)
    scores = one.astype(np.uint8) if scored else None
    table = Steps(measuring(pixel, one, channel, scores=scores)).finish() or {}
    return {name: column[:0] for name, column in table.items()}
