"""How memory that was freed is given back to the operating system.

By default glibc keeps a heap for every thread and little of it ever shrinks: a long job
then holds a third more than it used at any moment. Elsewhere than on glibc nothing is
done here.
"""

import ctypes
import sys
from contextlib import suppress
from functools import cache
from typing import Any

__all__ = ["return_freed", "share_heaps"]

_ARENA_MAX = -8  # of glibc's malloc.h


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
