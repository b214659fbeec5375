"""A plane of which parts are reviewed, and predicted as a segmentation does it."""

import numpy as np

from napari_unet.annotation.protect import ProtectedLabels
from napari_unet.annotation.reviews import ImageReviews

__all__ = ["SHAPE", "predict", "review", "square"]

SHAPE = 600, 520


def review(reviews: ImageReviews, rows: slice, columns: slice, shown: int) -> None:
    """Say that a rectangle is the object `shown`, or background."""
    size = rows.stop - rows.start, columns.stop - columns.start
    target = np.full(size, min(shown, 1), np.uint8)
    reviews.write((), (rows, columns), (target, np.full(size, shown, np.int32)))


def square(y: int, x: int, side: int) -> tuple[slice, slice]:
    return slice(y, y + side), slice(x, x + side)


def predict(kept: ProtectedLabels, labels: np.ndarray, side: int = 200) -> None:
    """Write labels tile by tile, and read some back, as a segmentation does."""
    for y in range(0, SHAPE[0], side):
        for x in range(0, SHAPE[1], side):
            box = slice(y, min(y + side, SHAPE[0])), slice(x, min(x + side, SHAPE[1]))
            kept[box] = labels[box]
            np.testing.assert_array_equal(kept[box], labels[box])
