"""Checks of an image: axes that fit its pixels, and no more of them than can be."""

import math
from typing import TYPE_CHECKING

from napari_unet.errors import ImageError

if TYPE_CHECKING:
    from napari_unet.io.image import Image

__all__ = ["check_image"]

_LARGEST = 2**60  # pixels
# More than any microscope takes, and no more than a computer can keep count of.
_MOST = {"channels": 10_000, "planes": 1_000_000, "pixels a plane": 10**12}


def check_image(image: "Image") -> None:
    """Ask whether axes and data fit each other, and the pixels are real numbers.

    Raises
    ------
    ImageError
        If they do not.
    """
    shape = tuple(image.data.shape)
    named = len(set(image.axes) & set("TCZYX")) == len(image.axes) == len(shape)
    if not named or not image.label_axes.endswith("YX"):
        raise ImageError(
            f"{image.title} has shape {shape}, which axes {image.axes!r} do not fit. "
            "Name every axis, Y and X last."
        )
    if 0 in shape:
        raise ImageError(
            f"{image.title} has an axis of length 0 (shape {shape}): there is "
            "nothing to see in it."
        )
    if math.prod(shape) > _LARGEST:
        raise ImageError(
            f"{image.title} has shape {shape}: more than any disk holds. Its "
            "description is damaged; copy or export it again."
        )
    counts = image.channels, math.prod(image.stack_shape), math.prod(image.plane_shape)
    for (what, most), count in zip(_MOST.items(), counts, strict=True):
        if count > most:
            raise ImageError(
                f"{image.title} is said to have {count} {what}; {most} can be "
                "opened. It is damaged, or its axes are others: name them.",
                option="axes",
            )
    if image.dtype.kind not in "buif":
        raise ImageError(
            f"{image.title} has pixels of type {image.dtype}; only real numbers can "
            "be segmented. Convert it to 8 bit, 16 bit or float."
        )
