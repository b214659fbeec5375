"""How memory that was freed is given back to the operating system.

By default glibc keeps a heap for every thread and little of it ever shrinks: a long job
then holds a third more than it used at any moment. Elsewhere than on glibc nothing is
done here.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

__all__ = ["kept_heap", "return_freed", "share_heaps"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of glibc's malloc.h
_KEPT = 2**30  # bytes: larger than what one layer of a net takes
_USUAL = 2**25  # bytes: up to where glibc raises the threshold by itself


@cache
def _libc() -> Any:
    return ctypes.CDLL(None) if sys.platform == "linux" else None


def share_heaps() -> None:
    """Let all threads of this process share two heaps; for processes that are ours."""
    with suppress(OSError, AttributeError, TypeError):
        _libc().mallopt(_ARENA_MAX, 2)


def return_freed() -> None:
    """Give back what is free now: a few milliseconds, to be called now and then."""
    with suppress(OSError, AttributeError, TypeError):
        _libc().malloc_trim(0)


@contextmanager
def kept_heap() -> Iterator[None]:
    """Use freed memory again at once, and give it back to the system at the end.

    By default glibc gives large blocks back at once; fresh ones come page by page,
    which took a fifth of the time of a net. Where two jobs overlap, the second is
    only slower after the first has ended.
    """
    _thresholds(_KEPT, _KEPT)
    try:
        yield
    finally:
        _thresholds(_USUAL, 2 * _USUAL)
        return_freed()


def _thresholds(mmap: int, trim: int) -> None:
    with suppress(OSError, AttributeError, TypeError):
        _libc().mallopt(_MMAP_THRESHOLD, mmap)
        _libc().mallopt(_TRIM_THRESHOLD, trim)
