"""Private parts of PyTorch: what this processor computes fast.

All that are used are here. Where one is missing, or does not do what it did, float32
and plain layers take its place: slower, and with the same labels.
"""

import platform
from functools import cache

import torch
from torch import Tensor

__all__ = ["computes_bfloat16", "conv_relu", "fuses_relu"]


def computes_bfloat16() -> bool:
    """Return whether the processor has instructions for bfloat16.

    On one with AVX-512 alone PyTorch imitates them, which is slower than float32.
    """
    intel = platform.machine().lower() in ("x86_64", "amd64")
    try:
        return _takes_bfloat16() and not (
            intel and not torch.cpu._is_avx512_bf16_supported()
        )
    except AttributeError:
        return False


@cache
def fuses_relu(dtype: torch.dtype) -> bool:
    """Return whether PyTorch has `conv_relu` here: what its compiler uses."""
    try:
        if dtype == torch.bfloat16 and not _takes_bfloat16():
            return False
        image = torch.zeros(1, 1, 3, 3, dtype=dtype)
        conv_relu(image, image, image[0, 0, 0, :1], (0, 0), (1, 1), (1, 1), 1)
    except (AttributeError, TypeError, RuntimeError):
        return False
    return dtype in (torch.float32, torch.bfloat16)


def conv_relu(
    image: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    padding: tuple[int, ...] | str,
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    """Return the ReLU of a convolution, (N, C, Y, X); both pass the memory once."""
    found: Tensor = torch.ops.mkldnn._convolution_pointwise(
        image, weight, bias, padding, stride, dilation, groups, "relu", [], ""
    )
    return found


def _takes_bfloat16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
