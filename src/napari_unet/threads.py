"""How many processor cores PyTorch may take."""

import torch

__all__ = ["spare_cores"]


def spare_cores(available: int, spared: int = 1) -> int:
    """Let PyTorch use all of the `available` cores but `spared`, and at least one.

    Whoever draws a window needs a core: with none, painting stutters and even the net
    gets slower. Returns how many are used.
    """
    used = max(1, available - spared)
    torch.set_num_threads(used)
    return used
