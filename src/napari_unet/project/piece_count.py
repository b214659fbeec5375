"""Stroke counts: connected regions of reviewed pixels, across blocks."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.project.block_store import SIDE
from napari_unet.project.corrections import IGNORE, strokes

__all__ = ["Count", "Pieces", "Spot"]

Spot = tuple[tuple[int, ...], int, int]  # plane, first row and column of a block
_RIM = 2  # pixels: as far as a stroke decides beyond it, see `annotation.painting`
_Piece = tuple[Spot, int]


@dataclass(frozen=True, slots=True)
class Count:
    """How much was said of one class: pieces that hang together, and pixels."""

    strokes: int = 0
    pixels: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.strokes + other.strokes, self.pixels + other.pixels)


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """The pieces of a block.

    Attributes
    ----------
    pixels
        How many there are of every class.
    classes
        That of every piece, by its number, from 1; -1 for a rim, which is none.
    edge
        (SIDE, 4): the numbers along top, bottom, left and right; 0: nothing.
    """

    pixels: dict[int, int]
    classes: NDArray[np.int64]
    edge: NDArray[np.int32]


class Pieces:
    """The pieces in the blocks of an image; a stroke over many of them is one.

    Parameters
    ----------
    objects
        Whether objects are painted: then a piece is of background, or of anything else,
        and the rim of an object, which is reviewed where the eraser passed, is none.
    """

    def __init__(self, *, objects: bool = False) -> None:
        self.objects = objects
        self._blocks: dict[Spot, _Block] = {}
        self._joins: dict[Spot, list[tuple[_Piece, _Piece]]] = {}

    def take(self, spot: Spot, target: NDArray[np.uint8]) -> None:
        """Look at a block (SIDE, SIDE) anew."""
        if (target == IGNORE).all():
            self._blocks.pop(spot, None)
        else:
            self._blocks[spot] = self._block(target)
        plane, y, x = spot
        # A block is joined with those to its right and below; two were before it.
        before = (0, 0), (0, -SIDE), (-SIDE, -SIDE), (-SIDE, 0), (-SIDE, SIDE)
        for down, right in before:
            first = plane, y + down, x + right
            self._joins[first] = list(self._joined(first))
            if not self._joins[first]:
                del self._joins[first]

    def spots(self) -> list[Spot]:
        """Return the blocks in which anything was reviewed."""
        return list(self._blocks)

    def counts(self) -> dict[int, Count]:
        """Return what there is of every class."""
        found: dict[int, Count] = {}
        for block in self._blocks.values():
            for value, pixels in block.pixels.items():
                pieces = int((block.classes == value).sum())
                found[value] = found.get(value, Count()) + Count(pieces, pixels)
        for value, pieces in self._counted_twice().items():
            found[value] += Count(-pieces)
        return found

    def _counted_twice(self) -> dict[int, int]:
        """Return how many pieces go on in another block, by their class."""
        above: dict[_Piece, _Piece] = {}
        found: dict[int, int] = {}

        def top(piece: _Piece) -> _Piece:
            while piece in above:
                piece = above[piece]
            return piece

        for joins in self._joins.values():
            for pair in joins:
                one, other = (top(piece) for piece in pair)
                if one == other:
                    continue
                if self._class(one) < 0:  # a rim goes on in what is none
                    one, other = other, one
                above[other] = one
                if (value := self._class(other)) >= 0:
                    found[value] = found.get(value, 0) + 1
        return found

    def _class(self, piece: _Piece) -> int:
        return int(self._blocks[piece[0]].classes[piece[1] - 1])

    def _block(self, target: NDArray[np.uint8]) -> _Block:
        alike = target
        if self.objects:
            alike = np.where((target > 0) & (target != IGNORE), 1, target)
        numbers, count = strokes(alike.astype(np.uint8))
        classes = np.full(count + 1, IGNORE, np.int64)
        np.minimum.at(classes, numbers.ravel(), target.ravel())
        if self.objects:
            _leave_out_rims(classes, numbers, target)
        sizes = np.bincount(target.ravel(), minlength=IGNORE + 1)[:IGNORE]
        edge = (numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1])
        pixels = {int(v): int(sizes[v]) for v in np.flatnonzero(sizes)}
        return _Block(pixels, classes[1:], np.stack(edge, axis=1))

    def _joined(self, spot: Spot) -> Iterator[tuple[_Piece, _Piece]]:
        """Return the pieces of a block that go on to the right of it, or below."""
        plane, y, x = spot
        here = self._blocks.get(spot)
        if here is None:
            return
        top, bottom, left, right = range(4)
        sides = (
            ((0, SIDE), here.edge[:, right], left, slice(None)),
            ((SIDE, 0), here.edge[:, bottom], top, slice(None)),
            ((SIDE, SIDE), here.edge[-1:, bottom], top, slice(1)),
            ((SIDE, -SIDE), here.edge[:1, bottom], top, slice(-1, None)),
        )
        for (down, across), ours, side, part in sides:
            there = plane, y + down, x + across
            block = self._blocks.get(there)
            if block is None:
                continue
            for a, b in _touching(ours, block.edge[part, side]):
                if self._alike(here.classes[a - 1], block.classes[b - 1]):
                    yield (spot, a), (there, b)

    def _alike(self, one: int, other: int) -> bool:
        return (one == 0) == (other == 0) if self.objects else one == other


def _leave_out_rims(
    classes: NDArray[np.int64], numbers: NDArray[np.int32], target: NDArray[np.uint8]
) -> None:
    """Note which pieces lie along background that was painted, and nowhere else.

    They go on in an object that nobody looked at.
    """
    far = ~ndimage.binary_dilation(target == 0, np.ones((2 * _RIM + 1,) * 2))
    open_ = ndimage.binary_dilation(target == IGNORE, np.ones((3, 3)))
    rims = classes > 0
    rims[numbers[far]] = False
    beside = np.zeros(len(classes), bool)
    beside[numbers[open_]] = True
    classes[rims & beside] = -1


def _touching(
    one: NDArray[np.int32], other: NDArray[np.int32]
) -> list[tuple[int, int]]:
    """Return the pairs of pieces that touch along two edges, at corners too."""
    found: set[tuple[int, int]] = set()
    size = len(one)
    for shift in (-1, 0, 1):
        a = one[max(shift, 0) : size + min(shift, 0)]
        b = other[max(-shift, 0) : size + min(-shift, 0)]
        both = (a > 0) & (b > 0)
        found |= set(zip(a[both].tolist(), b[both].tolist(), strict=True))
    return sorted(found)
