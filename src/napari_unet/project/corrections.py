"""Correction: image crop and target with IGNORE, where nobody looked at a pixel."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.errors import CorrectionError
from napari_unet.io.image import Image
from napari_unet.options import SegmentOptions

__all__ = ["FOREGROUND", "IGNORE", "Correction", "Spot", "held_bytes", "strokes"]

IGNORE = 255  # nobody looked
FOREGROUND = 254  # not background; which other class, nobody said
_CONTEXT = 192  # pixels beside a target that are held with it, about
_EIGHT = np.ones((3, 3), bool)  # pixels that touch at a corner belong together

Spot = tuple[str, tuple[int, ...], int, int]  # image, plane, row, column


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """Reviewed pixels of one plane of an image, with the image around them.

    Attributes
    ----------
    image
        The whole image, or a crop of it with context around the reviewed pixels.
    target
        (Y, X) uint8: the index of a class, `FOREGROUND` or `IGNORE`.
    plane
        Index along the image's plane axes.
    corner
        Row and column of the plane where `target` begins.
    cut
        Plane of the whole image, and its row and column, where `image` begins if it is
        a crop.
    sample
        Raw pixels (C, N) from all over the image that `image` was cut from: its
        intensities are scaled by them, never by the crop. None: `image` is whole.
    seen
        In which channel, and at which scale, it was segmented when it was corrected.
    source, key, model, time
        Which image it came from, what its project calls that, which model was
        corrected, and when (ISO 8601).

    Raises
    ------
    CorrectionError
        If the target does not lie within the plane.
    """

    image: Image
    target: NDArray[np.uint8]
    plane: tuple[int, ...] = ()
    corner: tuple[int, int] = (0, 0)
    cut: tuple[tuple[int, ...], tuple[int, int]] = ((), (0, 0))
    sample: NDArray[Any] | None = None
    seen: SegmentOptions = field(default_factory=SegmentOptions)
    source: str = ""
    key: str = ""
    model: str = ""
    time: str = ""

    def __post_init__(self) -> None:
        ends = (a + n for a, n in zip(self.corner, self.target.shape, strict=True))
        fits = all(e <= n for e, n in zip(ends, self.image.plane_shape, strict=True))
        if not fits or min(self.corner) < 0 or self.target.dtype != np.uint8:
            raise CorrectionError(
                f"A correction of {self.image.title} covers {self.target.shape} pixels "
                f"({self.target.dtype}) from {self.corner}; the plane has "
                f"{self.image.plane_shape}. Was the image changed since?"
            )

    @property
    def place(self) -> tuple[tuple[int, ...], tuple[int, int]]:
        """Plane of the whole image, and its row and column, where `target` begins."""
        plane, (top, left) = self.cut
        y, x = self.corner
        return (*plane, *self.plane), (top + y, left + x)

    @property
    def spot(self) -> Spot:
        """Image and plane that it is of, and row and column where `target` begins."""
        plane, corner = self.place
        return self.key or str(self.image.source or self.source), plane, *corner

    @property
    def nbytes(self) -> int:
        """About how many bytes a lesson holds of it: see `held_bytes`."""
        sides = zip(self.target.shape, self.image.plane_shape, strict=True)
        pixels = math.prod(min(n + _CONTEXT, whole) for n, whole in sides)
        reviewed = int(np.count_nonzero(self.target != IGNORE))
        return held_bytes(pixels, reviewed, self.image.channels)

    @property
    def reviewed(self) -> NDArray[np.bool_]:
        """Which pixels of `target` somebody looked at."""
        return np.not_equal(self.target, IGNORE)

    def counts(self, classes: int) -> NDArray[np.int64]:
        """Return the pixels of each class, and of `FOREGROUND` at the end."""
        found = np.bincount(self.target.ravel(), minlength=256)
        return np.append(found[:classes], found[FOREGROUND])


def held_bytes(pixels: int, reviewed: int, channels: int) -> int:
    """Return about how many bytes a lesson holds of so many pixels.

    They are the image as the net sees it (float32), target and weight (uint8 and
    float32), and where every reviewed pixel lies.
    """
    return pixels * (4 * channels + 1 + 4) + 9 * reviewed


def strokes(target: NDArray[np.uint8]) -> tuple[NDArray[np.int32], int]:
    """Give a number to every piece of equal class that hangs together.

    Pixels that touch at a corner do.

    Returns
    -------
    numbers
        (Y, X) int32 from 1; 0 where nobody looked.
    count
        How many pieces there are.
    """
    numbers = np.zeros(target.shape, np.int32)
    count = 0
    for value in np.flatnonzero(np.bincount(target.ravel(), minlength=256)[:IGNORE]):
        found, n = ndimage.label(target == value, _EIGHT)
        numbers += np.where(found > 0, found + count, 0).astype(np.int32)
        count += n
    return numbers, count
