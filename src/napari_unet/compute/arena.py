"""Arena: memory that two processes share, and the room in it for what is under way.

Anonymous memory on Linux, which `/dev/shm` does not bound and no crash leaves behind; a
named mapping on Windows; elsewhere, and where there is none, a file that has no name
any more. Without either everything goes through the pipe.
"""

import mmap
import os
import secrets
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

__all__ = ["Arena", "Ring", "make_arena", "open_arena"]

_BLOCK = 2**20  # bytes that are written at a time, so that a full disk is noticed

Kind = Literal["memory", "file", "pipe"]


@dataclass(frozen=True, slots=True)
class Arena:
    """Shared memory of two halves, one for each direction.

    Attributes
    ----------
    kind
        Where it is: in memory or in a file; ``"pipe"`` if there is none.
    half
        Bytes for each direction.
    down, up
        What the viewer writes, and what the compute process does; empty if there is
        none.
    handle
        What another process opens it by: a file descriptor, or a name on Windows.
    """

    kind: Kind
    half: int
    down: memoryview
    up: memoryview
    handle: int | str = -1

    def close_handle(self) -> None:
        """Keep the memory, and let go of what others open it by."""
        if isinstance(self.handle, int) and self.handle >= 0:
            os.close(self.handle)


def make_arena(half: int) -> Arena:
    """Return new shared memory of `half` bytes each way, or an arena without any."""
    if sys.platform == "win32":
        name = f"napari-unet-{secrets.token_hex(16)}"
        with suppress(OSError):
            return _halves("memory", mmap.mmap(-1, 2 * half, tagname=name), name)
        return _nothing()
    ways: list[tuple[Kind, Callable[[], int]]]
    ways = [("memory", _in_memory), ("file", _in_file)]
    for kind, make in ways:
        handle = -1
        try:
            handle = make()
            _reserve(handle, 2 * half)
            return _halves(kind, mmap.mmap(handle, 2 * half), handle)
        except (OSError, AttributeError):  # none left, none allowed, none known
            if handle >= 0:
                os.close(handle)
    return _nothing()


def open_arena(kind: Kind, half: int, handle: int | str) -> Arena:
    """Return the arena that another process made."""
    if kind == "pipe":
        return _nothing()
    if sys.platform == "win32":
        return _halves(kind, mmap.mmap(-1, 2 * half, tagname=str(handle)), handle)
    return _halves(kind, mmap.mmap(int(handle), 2 * half), handle)


class Ring:
    """Which bytes of `size` are taken, given back in the order in which they were.

    >>> ring = Ring(10)
    >>> ring.take(6), ring.take(6), ring.take(4)
    (0, None, 6)
    >>> ring.give_back()
    >>> ring.take(5)
    0
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._taken: deque[tuple[int, int]] = deque()  # start and end, oldest first

    def take(self, length: int) -> int | None:
        """Return where `length` bytes are free now, which are taken then, or None."""
        start, end = 0, self.size
        if self._taken:
            oldest, (newest, start) = self._taken[0][0], self._taken[-1]
            if newest < oldest:  # it goes on from the beginning already
                end = oldest
            elif start + length > end:
                start, end = 0, oldest
        if start + length > end:
            return None
        self._taken.append((start, start + length))
        return start

    def give_back(self) -> None:
        """Free what was taken first."""
        self._taken.popleft()


def _in_memory() -> int:
    return os.memfd_create("napari-unet")


def _in_file() -> int:
    with tempfile.TemporaryFile(prefix=".napari-unet-") as file:
        return os.dup(file.fileno())


def _reserve(handle: int, size: int) -> None:
    """Write zeros: what is reserved later only would be a crash where it is missing."""
    zeros = bytes(_BLOCK)
    while size > 0:
        size -= os.write(handle, zeros[:size])


def _halves(kind: Kind, memory: mmap.mmap, handle: int | str) -> Arena:
    view = memoryview(memory)
    half = len(view) // 2
    return Arena(kind, half, view[:half], view[half:], handle)


def _nothing() -> Arena:
    return Arena("pipe", 0, memoryview(b""), memoryview(b""))
