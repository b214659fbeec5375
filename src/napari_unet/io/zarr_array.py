"""Lazy Zarr array: windows read, large chunks decoded once and kept.

zarr decodes a chunk for every window that touches it. That is right for small chunks of
one plane. A chunk that is large, or holds many planes, is decoded whole here and kept.
"""

import itertools
import math
from collections import OrderedDict
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import ImageError
from napari_unet.io.axes import parse_key
from napari_unet.io.lazy_array import LazyArray
from napari_unet.io.shard_index import shard_index
from napari_unet.io.zarr_store import ZarrFolder

__all__ = ["ZarrArray"]

_LARGE = 4 * 2**20  # bytes of a chunk that is kept, even if it has one plane only
_ROOM = 2**28  # bytes that are kept where nobody says how many
_CLAIM = 2**28  # bytes of a chunk that has to have a file of some size ...
_RATIO = 2000  # ... of so many times less


class ZarrArray(LazyArray):
    """An array of a Zarr that is read where it is indexed.

    Takes integers, slices and ``...``, as numpy does, and returns numpy arrays. Several
    threads may read it at once; it can be pickled.

    Parameters
    ----------
    array
        In a `ZarrFolder`.
    axes
        A letter for every axis: chunks of several planes are known by them.
    room
        Bytes of decoded chunks that are kept; the last one is, however large.

    Attributes
    ----------
    path
        Where in the folder it is.
    shape, dtype, ndim, size
        As in numpy.
    piece
        Bytes of a chunk that is worth keeping, else 0.
    slab
        Bytes of all such chunks that one plane lies in: with so much room none is
        decoded twice while planes are read in their order.
    """

    def __init__(self, array: Any, axes: str, room: int = _ROOM) -> None:
        self._array, self._axes, self._room = array, axes, room
        self.path: str = array.path
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)
        self._chunks: tuple[int, ...] = tuple(array.chunks)
        size = math.prod(self._chunks) * self.dtype.itemsize
        if isinstance(array.store, ZarrFolder):
            array.store.expect(self.path, size, shard_index(array))
        lengths = list(zip(axes, self._chunks, self.shape, strict=True))
        deep = math.prod(min(c, n) for a, c, n in lengths if a not in "CSYX")
        large = size > _LARGE
        self.piece = size if large or deep > 1 else 0
        wide = (-(-n // c) for a, c, n in lengths if a in "CSYX")
        self.slab = self.piece * math.prod(wide)
        # Small chunks that would be gone before the next plane wants them are not kept.
        self._keeps = large or 0 < self.slab <= room
        self._empty = self.dtype.type(array.fill_value or 0)  # of chunks without a file
        self._cache: OrderedDict[tuple[int, ...], NDArray[Any]] = OrderedDict()
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return ZarrArray, (self._array, self._axes, self._room)

    def keeping(self, room: int) -> "ZarrArray":
        """Return the same array, with so much room for decoded chunks."""
        return ZarrArray(self._array, self._axes, room)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = parse_key(key, self.shape)
        if not self._keeps:
            return np.asarray(self._array[keys])
        picks = [range(n)[k] for k, n in zip(keys, self.shape, strict=True)]
        runs = [p if isinstance(p, range) else range(p, p + 1) for p in picks]
        if not all(runs):
            return np.empty([len(p) for p in picks if isinstance(p, range)], self.dtype)
        window = self._window([slice(min(r), max(r) + 1) for r in runs])
        steps = (
            slice(None, None, p.step) if isinstance(p, range) else 0 for p in picks
        )
        return window[tuple(steps)]

    def _window(self, box: list[slice]) -> NDArray[Any]:
        """Return a box, one slice an axis, from the chunks that it touches."""
        out = np.empty([s.stop - s.start for s in box], self.dtype)
        sides = list(zip(box, self._chunks, strict=True))
        numbers = (range(s.start // c, -(-s.stop // c)) for s, c in sides)
        for index in itertools.product(*numbers):
            spans = zip(index, self._chunks, strict=True)
            at = [slice(i * c, (i + 1) * c) for i, c in spans]
            both = [
                slice(max(a.start, s.start), min(a.stop, s.stop))
                for a, s in zip(at, box, strict=True)
            ]
            out[_moved(both, box)] = self._chunk(index)[_moved(both, at)]
        return out

    def _chunk(self, index: tuple[int, ...]) -> NDArray[Any]:
        """Return a decoded chunk, from the cache if it is there."""
        with self._lock:  # two threads never decode, and hold, the same
            if index in self._cache:
                self._cache.move_to_end(index)
                return self._cache[index]
            kept = max(self._room - self.piece, 0) // self.piece
            while len(self._cache) > kept:
                self._cache.popitem(last=False)
            if self.piece > _CLAIM and not self._stored(index):
                return np.broadcast_to(self._empty, self._chunks)
            sides = zip(index, self._chunks, self.shape, strict=True)
            box = tuple(slice(i * c, min((i + 1) * c, n)) for i, c, n in sides)
            chunk = self._cache[index] = np.asarray(self._array[box])
            return chunk

    def _stored(self, index: tuple[int, ...]) -> bool:
        """Return whether a huge chunk is stored, and in bytes that may hold it.

        Raises
        ------
        ImageError
            If there are too few.
        """
        array = self._array
        sides = zip(self._chunks, array.shards or self._chunks, strict=True)
        counts = [n // c for c, n in sides]  # of chunks in a file
        files, place = zip(*map(divmod, index, counts), strict=True)
        key = array.metadata.encode_chunk_key(files)
        size = array.store.packed_size(self.path, key, place)
        if size is not None and size * _RATIO < self.piece:
            raise ImageError(
                f"A chunk in {key} of {array.store.root.name} is to hold "
                f"{self.piece / 1e6:.0f} MB of pixels, and has {size} bytes. It is not "
                "read; convert the image again, with smaller chunks."
            )
        return size is not None


def _moved(box: list[slice], by: list[slice]) -> tuple[slice, ...]:
    """Return a box as seen from the start of another one."""
    return tuple(
        slice(s.start - t.start, s.stop - t.start) for s, t in zip(box, by, strict=True)
    )
