"""How many processor cores PyTorch may take."""

import os

import torch

__all__ = ["spare_cores"]


def spare_cores(spared: int = 1) -> int:
    """Let PyTorch use all cores of this process but `spared`, and at least one.

    Whoever draws a window needs a core: with none, painting stutters and even the net
    gets slower. Returns how many are used.
    """
    if hasattr(os, "sched_getaffinity"):  # in a container, fewer than the machine has
        available = len(os.sched_getaffinity(0))
    else:
        available = os.cpu_count() or 1
    used = max(1, available - spared)
    torch.set_num_threads(used)
    return used
