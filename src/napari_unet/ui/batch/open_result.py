"""Opening a batch result as labels to paint on, in the thread.

No Qt, no layers: it is found out which model made the result, and what its numbers mean
to it, before anybody paints.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_unet.annotation.resegment import Request, load_model
from napari_unet.annotation.start import Begun, beginning_with
from napari_unet.errors import OutputError
from napari_unet.io.editable_zarr import EditableZarr
from napari_unet.io.image import Image
from napari_unet.io.open import open_image
from napari_unet.io.tiff_labels import TiffLabels
from napari_unet.network.header import checksum_of
from napari_unet.ui.batch.worker import BatchRequest
from napari_unet.ui.reader_writer import LayerData, layers_of

__all__ = ["Editable", "editing"]

_MOST = 2**28  # pixels of a plane that napari draws at once: 16384 x 16384


@dataclass(frozen=True, slots=True)
class Editable:
    """A result that can be painted on.

    Attributes
    ----------
    images
        Layers of the image, if they were wanted.
    channel
        Which of them the labels are of.
    begun
        What the labels mean; its array is the file.
    last_id
        The greatest number that an object has.
    """

    images: list[LayerData]
    channel: int
    begun: Begun
    last_id: int


def editing(
    source: Path,
    target: Path,
    request: BatchRequest,
    models: dict[Any, Any],
    *,
    bare: bool,
) -> Generator[None, None, Editable]:
    """Open the result of `source` for painting.

    Parameters
    ----------
    request
        The run that it is of.
    models
        Those that are loaded, and where this one is kept.
    bare
        Whether the image is wanted, too.

    Raises
    ------
    UNetError
        If it cannot be painted on.
    """
    found = _objects(target, request, models)
    yield
    image = open_image(source, request.options.axes)
    _check(image, open_image(target), target)
    place = target.resolve()
    labels: EditableZarr | TiffLabels
    labels = EditableZarr(place) if place.is_dir() else TiffLabels(place, image.name)
    images = layers_of(source) if bare else []
    yield
    segment = request.options.segment
    if segment.channel is not None:
        segment = replace(segment, channel=image.channel_index(segment.channel))
    begun = yield from beginning_with(
        Request(image, request.model, segment, models), labels
    )
    last = max(found, labels.greatest()) if begun.rules.kind == "objects" else 0
    channel = segment.channel if isinstance(segment.channel, int) else 0
    return Editable(images, channel, begun, last)


def _objects(target: Path, request: BatchRequest, models: dict[Any, Any]) -> int:
    """Return how many objects a result has; it must be the model's own."""
    from napari_unet.batch.ledger import read_ledger
    from napari_unet.batch.record import ResultPaths

    entries = read_ledger(ResultPaths(target).ledger)
    if not entries or "done" not in entries[-1]:
        raise OutputError(
            f"{target.name} is not complete, or another program made it. Click Start "
            "first."
        )
    made = checksum_of(request.model) or load_model(request.model, models).checksum()
    if entries[0]["model"] != made:
        raise OutputError(
            f"Another model than {Path(request.model).stem} made {target.name}. Choose "
            "that one in 'Model', so that it can learn from what you paint."
        )
    return int(entries[-1]["done"] or 0)


def _check(image: Image, labels: Image, target: Path) -> None:
    if labels.dtype.kind == "f":
        raise OutputError(
            f"{target.name} holds probabilities, which cannot be painted. Choose "
            "objects or classes in 'Labels'."
        )
    if (labels.axes, labels.shape) != (image.label_axes, image.label_shape):
        raise OutputError(
            f"{target.name} has axes {labels.axes} of {labels.shape}, its image "
            f"{image.label_axes} of {image.label_shape}: they cannot be painted on "
            "top of each other. Save the image as OME-Zarr, and segment that."
        )
    pixels = image.plane_shape[0] * image.plane_shape[1]
    if pixels > _MOST:
        raise OutputError(
            f"A plane of {image.title} has {pixels / 1e6:.0f} megapixels; napari can "
            f"paint on {_MOST / 1e6:.0f} at most. Cut the image into parts."
        )
