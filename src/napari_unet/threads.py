"""How many processor cores PyTorch may take."""

import os

import torch

__all__ = ["spare_cores"]


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
    torch.set_num_threads(used)
    return used
