"""Publishing a finished stack: optional export as OME-TIFF, then the final name."""

import math
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet._files import fsync_tree
from napari_unet.batch.store import Layout
from napari_unet.errors import OutputError
from napari_unet.io.atomic import publish
from napari_unet.io.tiff_writer import write_tiff

__all__ = ["move", "write_pyramid"]


def write_pyramid(
    path: Path, layout: Layout, levels: Sequence[Any]
) -> Generator[float, None, None]:
    """Write an OME-TIFF of all `levels`, and yield how much is done, 0 to 1.

    A TIFF cannot be gone on with: interrupted, it begins anew from the arrays.

    Raises
    ------
    OutputError
        If the disk does not take it.
    """
    total = sum(math.prod(level.shape) for level in levels)
    with ThreadPoolExecutor(1) as pool, closing(_Watched()) as watch:
        first, *others = (layout.planes(watch(level)) for level in levels)
        job = pool.submit(write_tiff, path, first, others)
        while not wait([job], timeout=0.2).done:
            yield min(1.0, watch.pixels / total)
        try:
            job.result()
        except OSError as error:
            raise _refusal(path, error) from error


class _Watched:
    """Arrays that count what is read of them, and that can be closed meanwhile.

    Attributes
    ----------
    pixels
        How many were read so far.
    """

    def __init__(self) -> None:
        self.pixels = 0
        self._closed = False

    def __call__(self, array: Any) -> "_WatchedArray":
        """Return `array`, watched."""
        return _WatchedArray(array, self._note)

    def close(self) -> None:
        """Let every further read fail, so that whoever reads in a thread ends."""
        self._closed = True

    def _note(self, pixels: int) -> None:
        if self._closed:
            raise InterruptedError("closed while it was read")
        self.pixels += pixels


class _WatchedArray:
    def __init__(self, array: Any, note: Callable[[int], None]) -> None:
        self.shape, self.dtype = array.shape, array.dtype
        self._array, self._note = array, note

    def __getitem__(self, key: Any) -> NDArray[Any]:
        found = np.asarray(self._array[key])
        self._note(found.size)
        return found

    def __setitem__(self, key: Any, values: Any) -> None:
        raise TypeError("a watched array is only read")


def move(part: Path, target: Path, *, overwrite: bool = True) -> None:
    """Let `part` appear as `target`, once it is on the disk itself.

    Of a Zarr only its descriptions are waited for: its planes are there already.

    Raises
    ------
    OutputError
        If something is there that may not be overwritten, or the disk fails.
    """
    marks = (part / "zarr.json", *part.glob("*/zarr.json"))
    try:
        for file in marks if part.is_dir() else (part,):
            fsync_tree(file)
        publish(part, target, overwrite=overwrite)
    except OSError as error:
        raise _refusal(target, error) from error


def _refusal(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"'{path.name}' could not be written ({error.strerror or error}). Make room, "
        "and check the disk; started again, the batch goes on from what is finished."
    )
