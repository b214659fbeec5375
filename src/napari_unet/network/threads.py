"""CPU threads that PyTorch uses, and their priority."""

import os
import sys
import threading
from contextlib import suppress

import torch

__all__ = ["give_way", "spare_cores"]

_NICE = 10  # a tenth of a core, while others want all of them


def spare_cores(spared: int = 1, most: int | None = None) -> int:
    """Let PyTorch use all cores of this process but `spared`, and at least one.

    Whoever draws a window needs a core: with none, painting stutters and even the net
    gets slower. `most` is for small steps, in which threads wait for each other.
    Returns how many are used.
    """
    if hasattr(os, "sched_getaffinity"):  # in a container, fewer than the machine has
        available = len(os.sched_getaffinity(0))
    else:
        available = os.cpu_count() or 1
    used = min(max(1, available - spared), most or available)
    _limit(used)
    return used


def give_way() -> None:
    """Let this thread compute on one core, and only as far as nobody else wants it.

    Other threads take as many as before. The priority is lowered on Linux alone, where
    it is that of a thread; elsewhere it would be that of the viewer, too.
    """
    before = torch.get_num_threads()
    _limit(1)
    # What was set last is also what a new thread begins with.
    other = threading.Thread(target=torch.set_num_threads, args=(before,))
    other.start()
    other.join()
    if sys.platform == "linux":
        own = os.PRIO_PROCESS, threading.get_native_id()
        with suppress(OSError):
            os.setpriority(*own, min(19, os.getpriority(*own) + _NICE))


def _limit(cores: int) -> None:
    """Set how many cores this thread computes on."""
    torch.get_num_threads()  # else its first step would take what another thread set
    torch.set_num_threads(cores)
