"""Public `write_strokes`: strokes from a script into a project."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_unet._api.images import ImageSource, open_image
from napari_unet.annotation.models import agree, meaning
from napari_unet.annotation.painting import LabelSchema, PaintRecorder
from napari_unet.errors import CorrectionError
from napari_unet.io.image import Image
from napari_unet.project.block_store import Pixels
from napari_unet.project.corrections import IGNORE
from napari_unet.project.project import Project
from napari_unet.tiling import Box, whole

__all__ = ["write_strokes"]

_BOUNDARY = "boundary"  # as in `unet`, which needs torch


def write_strokes(
    project: Project,
    image: ImageSource,
    labels: ArrayLike,
    *,
    classes: Sequence[str] | None = None,
    kind: Literal["classes", "objects"] = "classes",
    reviewed: ArrayLike | None = None,
    axes: str | None = None,
) -> int:
    """Tell a project what pixels of an image are; return how many pixels that were.

    What was said of other pixels stays. It is on the disk when this returns, and
    `Project.corrections` returns it again, block by block: ``target`` (Y, X) uint8,
    which is 255 where nobody looked, and the image around it.

    Parameters
    ----------
    project
        What it is kept in.
    image
        An image, a file or an array; see `open_image`. A file is found again after it
        was moved.
    labels
        Whole numbers with the image's axes less C. As ``"classes"``: indices of the
        classes, 255 where nobody looked. As ``"objects"``: 0 for background, a number
        of its own for each object.
    classes
        Names, background first; None takes those of the project.
    kind
        What the numbers of `labels` are. All strokes of a project are of one kind.
    reviewed
        True for the pixels that count, the shape of `labels`; None: all of objects, and
        of classes those that are not 255.
    axes
        One letter of ``TCZYX`` (or S) for each axis, where the image does not say.

    Raises
    ------
    CorrectionError
        If labels, classes, image and project do not fit each other.
    ImageError
        If the image cannot be read.
    OutputError
        If the disk does not take it; `Project.flush` tries again.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_unet as nu
    >>> cells = nu.open_image(nu.sample_path("nuclei")).data[:64, :64]
    >>> strokes = np.full((64, 64), 255, "uint8")
    >>> strokes[10:12, 5:30] = 1
    >>> project = nu.Project.open("strokes.unet")
    >>> nu.write_strokes(project, cells, strokes, classes=("background", "cell"))
    50
    >>> (correction,) = project.corrections()
    >>> int(correction.reviewed.sum())
    50
    """
    if kind not in ("classes", "objects"):
        raise CorrectionError(f"kind is {kind!r}. Choose 'classes' or 'objects'.")
    opened = open_image(image, axes)
    names = tuple(classes or project.index.classes)
    boundary = names.index(_BOUNDARY) if _BOUNDARY in names else None
    rules = LabelSchema(kind, names, boundary)
    numbers, where = _checked(opened, np.asarray(labels), reviewed, rules)
    agreed = agree(project, rules)
    key = project.add_image(opened)  # first: it may be that it cannot be read
    if agreed:
        project.update(names, meaning(rules))
    count = 0
    for plane in opened.planes():
        store = _Plane(project, key, plane)
        canvas = PaintRecorder(numbers[plane], store, rules)
        count += canvas.approve((), whole(opened.plane_shape), where[plane])
    project.flush()
    return count


def _checked(
    image: Image, labels: NDArray[Any], reviewed: ArrayLike | None, rules: LabelSchema
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return labels and which pixels count, once they are what they have to be."""
    if labels.shape != image.label_shape or labels.dtype.kind not in ("b", "u", "i"):
        raise CorrectionError(
            f"The labels have shape {labels.shape} ({labels.dtype}); {image.title} "
            f"needs whole numbers of shape {image.label_shape} ({image.label_axes})."
        )
    objects = rules.kind == "objects"
    where = np.ones(labels.shape, bool) if objects else labels != IGNORE
    if reviewed is not None:
        if np.shape(reviewed) != labels.shape:
            raise CorrectionError(
                f"reviewed has shape {np.shape(reviewed)}; give it that of the labels, "
                f"{labels.shape}."
            )
        where = where & np.asarray(reviewed, bool)
    if len(rules.classes) < 2:
        raise CorrectionError(
            "The project has no classes yet. Name them, background first, as in "
            "classes=('background', 'cell')."
        )
    least, most = labels.min(where=where, initial=0), labels.max(where=where, initial=0)
    if least < 0 or (not objects and most >= len(rules.classes)):
        raise CorrectionError(
            f"The labels hold {least if least < 0 else most}; the classes "
            f"{', '.join(rules.classes)} are counted from 0. Use 255 where nobody "
            "looked, or kind='objects' if the numbers are objects."
        )
    return labels, where


@dataclass(frozen=True, slots=True)
class _Plane:
    """One plane of an image in a project; a `annotation.painting.Store`."""

    project: Project
    key: str
    plane: tuple[int, ...]

    def read(self, plane: tuple[int, ...], box: Box) -> Pixels:
        return self.project.read(self.key, self.plane, box)

    def write(self, plane: tuple[int, ...], box: Box, pixels: Pixels) -> None:
        self.project.write(self.key, self.plane, box, pixels)
