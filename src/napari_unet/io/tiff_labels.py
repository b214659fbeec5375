"""Labels in a TIFF that somebody paints on: in memory, and in the file a moment later.

A compressed TIFF cannot be changed in place. A thread writes it anew beside the old
one, and lets it take its name when it is complete: the file is whole at any moment.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import ImageError, OutputError, UNetError
from napari_unet.io.atomic import atomic
from napari_unet.io.fingerprint import fingerprint
from napari_unet.io.image import Image
from napari_unet.io.open import open_image
from napari_unet.io.output_stack import OutputStack
from napari_unet.io.save import check_output
from napari_unet.io.tiff_writer import write_tiff

__all__ = ["TiffLabels"]

_MOST = 10**9  # bytes of labels that are held in memory
_DELAY = 1.0  # seconds from a stroke to the file, for more strokes to come
_LONGEST = 10.0  # the same for a file that takes long: Python waits for it when it ends


class TiffLabels:
    """Labels of an OME-TIFF, as an array in memory that can be written to.

    Several threads may use it at once. Python does not end before the file has what was
    written.

    Parameters
    ----------
    path
        A file as a batch writes it: each level has every second row and column of the
        one before.
    name
        Title stored in the file: that of the image.

    Attributes
    ----------
    on_failure
        Called in a thread with what went wrong, when the file could not be written.

    Raises
    ------
    UNetError
        If it cannot be read or written, or takes too much memory.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.on_failure: Callable[[UNetError], None] = _nobody
        check_output(path, overwrite=True)
        self._mark = fingerprint(path)
        image = open_image(path)
        self._levels = len(image.levels)
        self._array = _read(image)
        self._about: dict[str, Any] = {
            "axes": image.axes,
            "scale": image.scale,
            "units": image.units,
            "name": name,
            "channel_names": (),
            "order": image.axes,
        }
        self._changes = self._saved = 0  # how many there were, and are in the file
        self._foreign = False  # the file, when it was to be written last
        self._took = 0.0  # seconds of the last writing
        self._timer: threading.Timer | None = None
        self._changing, self._writing = threading.Lock(), threading.Lock()

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self._array.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._array.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one pixel: int32 of objects, uint8 of classes."""
        return self._array.dtype

    def __getitem__(self, key: Any) -> Any:
        return self._array[key]

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        return np.array(self._array, dtype, copy=copy)

    def __deepcopy__(self, memo: dict[int, Any]) -> NDArray[Any]:
        """Return the labels as they are now: a layer that is duplicated has no file."""
        return self._array.copy()

    def __setitem__(self, key: Any, values: Any) -> None:
        with self._changing:
            self._array[key] = values
            self._changes += 1
            if self._timer is None:  # no daemon: Python waits for it
                wait = min(max(_DELAY, self._took), _LONGEST)
                self._timer = threading.Timer(wait, self._follow)
                self._timer.start()

    @property
    def unsaved(self) -> bool:
        """Whether the file lacks something, and may be written to still."""
        return self._changes != self._saved and not self._foreign

    def greatest(self) -> int:
        """Return the greatest number."""
        return int(self._array.max(initial=0))

    def settle(self) -> None:
        """Wait until the file has all that was written.

        Raises
        ------
        OutputError
            If the disk does not take it, or another program changed the file.
        """
        with self._writing:
            with self._changing:
                changes, timer, self._timer = self._changes, self._timer, None
            if timer is not None:
                timer.cancel()  # Python need not wait for it
            if changes != self._saved:
                began = time.monotonic()
                self._write()
                self._saved, self._took = changes, time.monotonic() - began

    def _follow(self) -> None:
        try:
            self.settle()
        except UNetError as error:  # the next stroke tries again
            self.on_failure(error)

    def _own(self) -> bool:
        """Whether the file is as it was read, or written here."""
        try:
            return fingerprint(self.path) == self._mark
        except ImageError:
            return False

    def _write(self) -> None:
        self._foreign = not self._own()
        if self._foreign:
            raise OutputError(
                f"{self.path.name} was changed or removed by another program and is "
                "not written over. Save the labels under another name, close them, and "
                "begin to edit again.",
                option=("save", "edit"),
            )
        first, *others = self._planes()
        try:
            with atomic(self.path, overwrite=True) as part:
                # A thread more cannot be had when Python is about to end.
                write_tiff(part, first, others, workers=1)
        except OSError as error:
            raise OutputError(
                f"What was painted cannot be written to '{self.path}' "
                f"({error.strerror or error}). It is in memory still: make room there, "
                "check that you may write to it, and paint on; or save the labels "
                "elsewhere.",
                option="save",
            ) from error
        self._mark = fingerprint(self.path)

    def _planes(self) -> Iterator[OutputStack]:
        """Yield all levels, the finest first."""
        for level in range(self._levels):
            step = 2**level
            yield OutputStack(data=self._array[..., ::step, ::step], **self._about)


def _nobody(error: UNetError) -> None:
    """Nobody is to be told."""


def _read(image: Image) -> NDArray[Any]:
    """Return all labels; plane by plane, so that they are in memory once."""
    dtype = np.dtype(np.uint8 if image.dtype == np.uint8 else np.int32)
    nbytes = math.prod(image.shape) * dtype.itemsize
    if nbytes > _MOST:
        raise OutputError(
            f"{image.title} holds {nbytes / 1e6:.0f} MB of labels. A TIFF is painted "
            f"on in memory, up to {_MOST / 1e6:.0f} MB. To edit a larger one, start "
            "again with the format OME-Zarr.",
            option="format",
        )
    array = np.empty(image.shape, dtype)
    rows, columns = (slice(0, length) for length in image.shape[-2:])
    for index in np.ndindex(image.shape[:-2]):
        array[index] = image.read(index, rows, columns)[0]
    return array
