"""A label array whose reviewed pixels no prediction overwrites.

Only this file knows how labels that people decided on and labels that a net predicts
come together in one array; `match` knows which of them are one object.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.annotation.reviews import Reviews
from napari_unet.io.label_array import LabelArray, put
from napari_unet.project.block_store import SIDE
from napari_unet.project.corrections import IGNORE
from napari_unet.tiling import Box, cut, shifted

__all__ = ["PlaneBlock", "ProtectedLabels", "restore"]

_Corner = tuple[int, int]
PlaneBlock = tuple[tuple[int, ...], Box]


class ProtectedLabels:
    """An array of labels in which reviewed pixels stay as people left them.

    Written to and read from like the array itself: what was written is read again, so
    whoever computes in it need not know.

    Parameters
    ----------
    array
        (..., Y, X), as it is shown.
    store
        Knows what was reviewed.
    """

    def __init__(self, array: LabelArray, store: Reviews) -> None:
        self.array, self.store = array, store
        self._written: dict[tuple[tuple[int, ...], _Corner], NDArray[Any]] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one pixel."""
        return self.array.dtype

    def __setitem__(self, key: Any, values: Any) -> None:
        """Write a part; reviewed pixels keep what people decided on."""
        *plane, y, x = key
        box, at = (y, x), tuple(plane)
        target, shown = self.store.read(at, box)
        seen = target != IGNORE
        if seen.any():
            values = np.broadcast_to(values, seen.shape)
            self._remember(at, box, values, seen)
            values = np.where(seen, shown, values).astype(self.dtype)
        self.array[key] = values

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Return a part as it was written."""
        *plane, y, x = key
        found = np.asarray(self.array[key])
        for place, corner, there, here in self._overlaps(tuple(plane), (y, x)):
            square = self._written[(place, corner)][there]
            part = found[here]
            found = found.copy() if found.base is not None else found
            found[here] = np.where(square >= 0, square, part)
        return found

    def _remember(
        self, plane: tuple[int, ...], box: Box, values: NDArray[Any], seen: Any
    ) -> None:
        y, x = box
        for top in range(y.start // SIDE * SIDE, y.stop, SIDE):
            for left in range(x.start // SIDE * SIDE, x.stop, SIDE):
                common = cut((slice(top, top + SIDE), slice(left, left + SIDE)), box)
                here = shifted(common, -y.start, -x.start)
                if not seen[here].any():
                    continue
                empty = np.full((SIDE, SIDE), -1, np.int32)
                square = self._written.setdefault((plane, (top, left)), empty)
                there = shifted(common, -top, -left)
                square[there] = np.where(seen[here], values[here], -1)

    def _overlaps(
        self, plane: tuple[int, ...], box: Box
    ) -> list[tuple[tuple[int, ...], _Corner, Box, Box]]:
        found = []
        for place, (top, left) in self._written:
            common = cut((slice(top, top + SIDE), slice(left, left + SIDE)), box)
            if place == plane and all(s.stop > s.start for s in common):
                here = shifted(common, -box[0].start, -box[1].start)
                there = shifted(common, -top, -left)
                found.append((place, (top, left), there, here))
        return found


def restore(array: LabelArray, store: Reviews, blocks: Iterable[PlaneBlock]) -> None:
    """Show what was reviewed at some blocks (plane, box) in an array of labels."""
    height, width = array.shape[-2:]
    for plane, block in blocks:
        box = cut(block, (slice(0, height), slice(0, width)))
        target, shown = store.read(plane, box)
        key = (*plane, *box)
        put(array, key, np.where(target == IGNORE, np.asarray(array[key]), shown))
