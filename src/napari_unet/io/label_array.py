"""Label arrays to fill: in memory while small, else a temporary Zarr on disk.

Only this file knows where temporary arrays lie and when they are removed again.
"""

import math
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_unet.errors import OutputError

__all__ = ["LabelArray", "create_labels", "memory_limit", "put"]

_LIMIT = 2**28  # bytes: 8192 x 8192 objects

_CHUNK = 512  # the tile of our TIFFs: writing one then decodes every chunk only once


class LabelArray(Protocol):
    """What a numpy and a zarr array have in common: shape, dtype, basic slicing."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one pixel."""

    def __getitem__(self, key: Any, /) -> Any:
        """Return a part as a numpy array; ints, slices and ``...`` select it."""

    def __setitem__(self, key: Any, value: Any, /) -> None:
        """Write a part."""


def memory_limit(memory: int | None) -> int:
    """Return how many bytes an array may take if the process may take `memory`.

    An eighth, so that the labels and what they are made from leave most to the net.
    """
    return _LIMIT if memory is None else min(_LIMIT, memory // 8)


def create_labels(
    shape: Sequence[int],
    dtype: DTypeLike,
    *,
    limit: int = _LIMIT,
    folder: Path | None = None,
) -> LabelArray:
    """Return an array of zeros that takes at most `limit` bytes of memory.

    Parameters
    ----------
    shape
        Lengths of the axes; the last two are Y and X.
    dtype
        int32 for objects, uint8 for classes, float16 for probabilities.
    limit
        A larger array is a chunked zarr array in a temporary folder. The folder is
        removed when the array is garbage-collected or Python exits.
    folder
        Where the temporary folder is made; None takes the system's place for
        temporary files, which may be small or held in memory.

    Raises
    ------
    OutputError
        If the temporary array cannot be made.
    """
    shape, dtype = tuple(shape), np.dtype(dtype)
    if math.prod(shape) * dtype.itemsize <= limit:
        return np.zeros(shape, dtype)
    return _temporary_array(shape, dtype, folder)


def put(array: LabelArray, key: tuple[Any, ...], values: NDArray[Any]) -> None:
    """Write `values` into a part of `array`.

    Raises
    ------
    OutputError
        If the array is on a disk that takes no more.
    """
    try:
        array[key] = values
    except OSError as error:
        raise OutputError(
            f"The labels cannot be kept on the disk while they are made "
            f"({error.strerror or error}). Make room there and start again."
        ) from error


def _temporary_array(
    shape: tuple[int, ...], dtype: np.dtype[Any], folder: Path | None
) -> LabelArray:
    import zarr  # half a second that small results need not wait for
    from zarr.codecs import BloscCodec

    root: Path | None = None
    try:
        root = Path(tempfile.mkdtemp(prefix=".napari-unet-", dir=folder))
        array = zarr.create_array(
            root / "labels.zarr",
            shape=shape,
            dtype=dtype,
            chunks=(*[1] * (len(shape) - 2), *(min(_CHUNK, n) for n in shape[-2:])),
            compressors=BloscCodec(cname="lz4", clevel=3, shuffle="shuffle"),
            fill_value=0,
        )
    except OSError as error:
        if root is not None:
            shutil.rmtree(root, ignore_errors=True)
        raise OutputError(
            f"Temporary labels cannot be kept in '{folder or tempfile.gettempdir()}' "
            f"({error.strerror or error}). Labels of this size are on disk while they "
            "are made: choose an output folder with room that you can write to."
        ) from error
    weakref.finalize(array, shutil.rmtree, root, ignore_errors=True)
    return array
