"""Process memory: huge pages and freed heaps on Linux; resident peak.

By default glibc keeps a heap for every thread and little of it ever shrinks: a long job
then holds a third more than it used at any moment. And Linux hands out memory in pages
of 4 kB, so that a third of a net's time goes by while it gets its own. Elsewhere than
on Linux nothing is done here.
"""

import ctypes
import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["peak_memory", "return_freed", "share_heaps", "take_huge_pages"]

_ARENA_MAX = -8  # of glibc's malloc.h


@cache
def _libc() -> Any:
    return ctypes.CDLL(None) if sys.platform == "linux" else None


def take_huge_pages() -> None:
    """Let PyTorch take memory in pages of 2 MB; it asks once, at its first tensor."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def share_heaps() -> None:
    """Let all threads of this process share two heaps; for processes that are ours."""
    with suppress(OSError, AttributeError, TypeError):
        _libc().mallopt(_ARENA_MAX, 2)


def return_freed() -> None:
    """Give back what is free now: a few milliseconds, to be called now and then."""
    with suppress(OSError, AttributeError, TypeError):
        _libc().malloc_trim(0)


def peak_memory() -> int:
    """Return the most resident bytes that this process has had."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    status = Path("/proc/self/status")
    if status.exists():
        # Unlike ru_maxrss, VmHWM leaves out the program that started this one.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)
