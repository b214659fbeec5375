"""Lazy TIFF array: windows decoded strip by strip or tile by tile.

Only this file knows where a strip or tile sits in its plane. A file is open only while
a window is read, so no handle leaks; threads share nothing but a bounded cache.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_unet.io.axes import parse_key
from napari_unet.io.lazy_array import LazyArray

__all__ = ["Grid", "Page", "PaletteArray", "TiffArray"]

# Bytes that are kept, since neighbouring tiles share strips: those of one plane, which
# is all that is of use, within these limits.
_CACHE_LEAST, _CACHE_MOST = 16 * 2**20, 64 * 2**20


class Page(NamedTuple):
    """Where one page's segments (strips or tiles) lie: at ``start + offsets``."""

    path: Path
    start: int
    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]
    tables: bytes | None  # of JPEG


@dataclass(frozen=True, slots=True)
class Grid:
    """How every page of a level is cut; `shape` is (samples, depth, Y, X, samples)."""

    shape: tuple[int, int, int, int, int]
    chunk: tuple[int, int, int]  # depth, Y, X
    decode: Callable[..., Any]  # -> (segment or None, position, shape)

    def segment(self, plane: int, row: int, column: int) -> int:
        """Return the number of the segment at chunk (row, column) of a plane."""
        depth, height, width = self.shape[1:4]
        deep, high, wide = self.chunk
        sample, z = divmod(plane, depth)
        rows, columns = -(-height // high), -(-width // wide)
        slab = sample * -(-depth // deep) + z // deep
        return (slab * rows + row) * columns + column


class TiffArray(LazyArray):
    """One resolution level of a TIFF as an array that is read where it is indexed.

    Takes integers, slices and ``...``, as numpy does, and returns numpy arrays. Pickles
    as its `source`: a function and the arguments with which it opens the array again.

    Attributes
    ----------
    shape, dtype, ndim, size
        As in numpy; Y and X come last, colour samples after them.
    piece
        Bytes of a decoded segment.
    """

    def __init__(
        self,
        source: tuple[Callable[..., Any], tuple[Any, ...]],
        shape: tuple[int, ...],
        dtype: DTypeLike,
        grid: Grid,
        pages: Sequence[Page | None],
    ) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._source = source
        self._grid = grid
        self._pages = pages
        self._cache: OrderedDict[tuple[int, int], NDArray[Any] | None] = OrderedDict()
        plane = math.prod(grid.shape[2:]) * grid.chunk[0] * self.dtype.itemsize
        self._limit = min(max(plane, _CACHE_LEAST), _CACHE_MOST)
        self.piece = math.prod(grid.chunk) * grid.shape[4] * self.dtype.itemsize
        self._held = 0  # bytes in the cache
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return self._source

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = parse_key(key, self.shape)
        lead = self.ndim - (3 if self._grid.shape[4] > 1 else 2)
        picks = [range(n)[k] for n, k in zip(self.shape, keys, strict=True)]
        outer = [p if isinstance(p, range) else (p,) for p in picks[:lead]]
        y, x = (
            p if isinstance(p, range) else range(p, p + 1) for p in picks[lead:][:2]
        )
        tail = self.shape[lead + 2 :]
        out = np.zeros((*map(len, outer), len(y), len(x), *tail), self.dtype)
        if out.size:
            for where in np.ndindex(out.shape[:lead]):
                index = tuple(p[i] for p, i in zip(outer, where, strict=True))
                plane = int(np.ravel_multi_index(index, self.shape[:lead]))
                block = self._read(plane if lead else 0, y, x)
                out[where] = block if tail else block[..., 0]
        drop = tuple(
            0 if isinstance(p, int) else slice(None) for p in picks[: lead + 2]
        )
        return out[(*drop, *keys[lead + 2 :])]

    def _read(self, plane: int, y: range, x: range) -> NDArray[Any]:
        """Return rows `y` and columns `x` of one plane as (Y, X, samples)."""
        grid = self._grid
        number, inner = divmod(plane, grid.shape[0] * grid.shape[1])
        (y0, y1), (x0, x1) = ((min(r), max(r) + 1) for r in (y, x))
        out = np.zeros((y1 - y0, x1 - x0, grid.shape[4]), self.dtype)
        page = self._pages[number]
        _, high, wide = grid.chunk
        z = inner % grid.shape[1] % grid.chunk[0]
        rows, columns = (
            range(y0 // high, -(-y1 // high)),
            range(x0 // wide, -(-x1 // wide)),
        )
        if page is not None:
            with page.path.open("rb") as file:
                for row, column in product(rows, columns):
                    index = grid.segment(inner, row, column)
                    segment = self._segment(number, index, page, file)
                    if segment is None:  # a sparse file: never written
                        continue
                    top, left = row * high, column * wide
                    part = segment[
                        z, max(y0 - top, 0) : y1 - top, max(x0 - left, 0) : x1 - left
                    ]
                    top, left = max(top - y0, 0), max(left - x0, 0)
                    part = part[: y1 - y0 - top, : x1 - x0 - left]
                    out[top : top + part.shape[0], left : left + part.shape[1]] = part
        by_y, by_x = (slice(None, None, r.step) for r in (y, x))
        return out[by_y, by_x]

    def _segment(
        self, number: int, index: int, page: Page, file: Any
    ) -> NDArray[Any] | None:
        """Return a decoded segment (depth, Y, X, samples), from the cache if there."""
        with self._lock:
            if (number, index) in self._cache:
                self._cache.move_to_end((number, index))
                return self._cache[number, index]
        data = None
        if count := int(page.counts[index]):
            file.seek(page.start + int(page.offsets[index]))
            data = file.read(count)
        segment: NDArray[Any] | None
        segment, _, _ = self._grid.decode(data, index, jpegtables=page.tables)
        self._keep((number, index), segment)
        return segment

    def _keep(self, key: tuple[int, int], segment: NDArray[Any] | None) -> None:
        """Put a segment into the cache; the last one stays however large it is."""
        with self._lock:
            if key in self._cache:  # another thread was faster
                return
            self._cache[key] = segment
            self._held += 0 if segment is None else segment.nbytes
            while self._held > self._limit and len(self._cache) > 1:
                _, old = self._cache.popitem(last=False)
                self._held -= 0 if old is None else old.nbytes


class PaletteArray(LazyArray):
    """Numbers seen through their colour map.

    An array (..., Y, X, 3) of uint8; (..., Y, X) if the map (N,) is one of greys.
    """

    def __init__(self, numbers: Any, colours: NDArray[np.uint8]) -> None:
        self.shape: tuple[int, ...] = (*numbers.shape, *colours.shape[1:])
        self.dtype = colours.dtype
        self._numbers = numbers
        self._colours = colours

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = parse_key(key, self.shape)
        outer = len(self._numbers.shape)
        numbers = self._numbers[keys[:outer]]
        colours: NDArray[Any] = self._colours.take(numbers, axis=0, mode="clip")
        return colours[(..., *keys[outer:])]
