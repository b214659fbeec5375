"""Editable OME-Zarr labels: painted at level 0, coarser pyramid levels follow.

What is written into level 0 is in the file at once. The levels above it are made again
a moment later, by a thread, and only where something was written.
"""

import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_unet.errors import OutputError
from napari_unet.io.pyramid import follow, touched
from napari_unet.io.zarr_reader import read_zarr

__all__ = ["EditableZarr"]

_BLOCK = 512  # rows and columns that are made again together: a chunk of our files
_DELAY = 0.3  # seconds from a stroke to the coarser levels, for more strokes to come

_Place = tuple[int, ...]  # plane, then row and column of a block


class EditableZarr:
    """Level 0 of labels in an OME-Zarr, as an array that can be written to.

    Several threads may use it at once. After every change the time of ``zarr.json`` is
    that of the change, so that tables of the objects are known to be older.

    Parameters
    ----------
    path
        A folder of OME-Zarr as a batch writes it: the last axes are Y and X, and each
        level has every second row and column of the one before.

    Raises
    ------
    UNetError
        If it is no such folder, or cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        names = [level.path for level in read_zarr(path).levels]
        try:
            self._levels: list[Any] = [
                zarr.open_array(path, path=name, mode="r+") for name in names
            ]
        except OSError as error:
            raise _refusal(path, error) from error
        for finer, coarser in itertools.pairwise(self._levels):
            if coarser.shape[-2:] != tuple(-(-n // 2) for n in finer.shape[-2:]):
                raise OutputError(
                    f"{path.name} has a pyramid of another program, which would not "
                    "follow what is painted. Convert it, or paint on a copy."
                )
        self._touched: set[_Place] = set()
        self._timer: threading.Timer | None = None
        self._failure: OutputError | None = None
        self._writing, self._halving = threading.Lock(), threading.Lock()

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(self._levels[0].shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one pixel."""
        dtype: np.dtype[Any] = self._levels[0].dtype
        return dtype

    def __getitem__(self, key: Any) -> Any:
        return self._levels[0][key]

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        return np.asarray(self._levels[0][...], dtype)

    def __setitem__(self, key: Any, values: Any) -> None:
        """Write into the file.

        Raises
        ------
        OutputError
            If the disk does not take it, or did not take what was written before.
        """
        with self._writing:
            self._raise()
            try:
                self._levels[0][key] = values
                os.utime(self.path / "zarr.json")
            except OSError as error:
                raise _refusal(self.path, error) from error
            self._touched |= set(_places(key, self.shape))
            if self._timer is None:  # no daemon: Python waits for the coarser levels
                self._timer = threading.Timer(_DELAY, self._follow)
                self._timer.start()

    def greatest(self) -> int:
        """Return the greatest number in the coarsest level: all but small objects."""
        return int(np.max(self._levels[-1][...], initial=0))

    def settle(self) -> None:
        """Wait until the coarser levels are those of level 0.

        Raises
        ------
        OutputError
            If the disk does not take them.
        """
        self._follow()
        self._raise()

    def _follow(self) -> None:
        """Make the coarser levels again where something was written."""
        with self._halving:
            with self._writing:
                places, self._touched = self._touched, set()
                self._timer = None
            try:
                if places:  # zarr would make a lost folder again
                    (self.path / "zarr.json").stat()
                for *plane, row, column in places:
                    y, x = (slice(n * _BLOCK, (n + 1) * _BLOCK) for n in (row, column))
                    follow(self._levels, tuple(plane), (y, x))
            except OSError as error:
                self._failure = _refusal(self.path, error)

    def _raise(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure


def _places(key: Any, shape: tuple[int, ...]) -> Iterator[_Place]:
    """Return the blocks that a key of an array selects pixels of, and perhaps more."""
    planes, box = touched(key, shape)
    rows, columns = (
        range(s.start // _BLOCK, -(-s.stop // _BLOCK)) if s.stop > s.start else ()
        for s in box
    )
    return itertools.product(*planes, rows, columns)


def _refusal(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"What was painted cannot be written to '{path}' ({error.strerror or error}). "
        "Make room there, and check that you may write to it."
    )
