"""Jobs for a compute process that need no net, and what looks at processes."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from napari_unet.errors import ImageError, MemoryBudgetError


def counting(request):
    """Yield 0, 1, 2, ... below `request`, and return the pid of who counts."""
    yield from range(request)
    return os.getpid()


def sleeping(request):
    """Yield a number again and again, so many seconds apart."""
    number = 0
    while True:
        number += 1
        yield number
        time.sleep(request)


def stubborn(request):
    """Yield once, and then work for so many seconds without a sign of life."""
    yield "begun"
    time.sleep(request)


def doubling(request):
    """Write twice an array into another one, row by row; return the sums of rows."""
    source, target, keep = request
    sums = np.zeros(len(source[:, 0]))
    for row in range(source.shape[0]):
        values = 2 * source[row]
        target[row] = values
        sums[row] = target[row].sum()
        yield target, values
    keep["runs"] = keep.get("runs", 0) + 1
    return target, sums, keep["runs"]


def watching(request):
    """Return whether each image counts as changed once its file is."""
    for image in request:
        watched = image.watched()
        os.utime(image.source, (1, 1))
        try:
            watched.check_unchanged()
        except ImageError:
            yield "changed"
        else:
            yield "as it was"
        os.utime(image.source)


def making(request):
    """Fill an array that the other side makes, and return it."""
    make, shape = request
    array = make(shape, np.dtype(np.int32))
    array[...] = 7
    yield array
    return array


def passing_on(request):
    """Yield arrays of so many bytes, with whatever is wanted to come first."""
    for size in request:
        yield np.arange(size, dtype=np.uint8)


def printing(request):
    """Print in all ways, and ask for input, in between."""
    for number in range(3):
        sys.stdout.write(request)
        sys.stdout.flush()
        os.write(1, request.encode())
        assert not os.read(0, 10)
        yield number


def failing(request):
    """Raise what is asked for."""
    yield 1
    if request == "image":
        raise ImageError("cells.tif is empty. Export it again.", option="axes")
    if request == "memory":
        raise MemoryBudgetError("Too little.", option="memory")
    if request == "array":
        raise MemoryError
    raise ValueError("a defect")


def hurting(request):
    """Kill oneself, as the system does with who takes too much memory."""
    yield "begun"
    os.kill(os.getpid(), getattr(signal, request))
    time.sleep(60)


def loaded(request):
    """Return which of some modules are imported here."""
    yield from ()
    return [name for name in request if name in sys.modules]


class Unreadable:
    """An array of which some part cannot be read, nor another written."""

    shape, dtype = (4, 4), np.dtype(np.uint8)

    def __getitem__(self, key):
        raise ImageError("Row 3 is damaged.", option="axes")

    def __setitem__(self, key, values):
        raise OSError(28, "No space left on device")


def reading(request):
    """Read an array, and yield what that raises."""
    try:
        request[0]
    except ImageError as error:
        yield error
    try:
        request[0] = 1
    except OSError as error:
        yield error.strerror


def alive(pid: int) -> bool:
    """Whether a process is there, and no mere entry of one that has ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return status not in ("Z", "X")


def until(condition, seconds: float = 60.0) -> float:
    """Wait until something holds; return how long that took, in seconds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.01)
    return time.monotonic() - began
