"""Mixed precision training: float32 weights, bfloat16 where a device gains by it."""

import torch
from torch import Tensor, nn

from napari_unet.network.processor import computes_bfloat16
from napari_unet.network.unet import UNet

__all__ = ["fast_dtype", "forward", "mean_weights"]


def fast_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the device computes faster in it, else float32."""
    if device.type == "cuda":
        return torch.bfloat16
    fast = device.type == "cpu" and computes_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def forward(net: UNet, image: Tensor) -> Tensor:
    """Return the logits (N, K, Y, X) of `image` (N, C, Y, X) in float32."""
    dtype = fast_dtype(image.device)
    image = image.contiguous(memory_format=torch.channels_last)
    half = dtype == torch.bfloat16
    with torch.autocast(image.device.type, torch.bfloat16, enabled=half):
        logits: Tensor = net(image)
    return logits.float()


def mean_weights(net: nn.Module, before: nn.Module, share: float = 0.5) -> None:
    """Move the weights of `net` back by `share` (0 to 1) to what they were.

    The mean is steadier than either net, and often better than both (Wortsman et al.
    2022, arXiv:2109.01903).
    """
    with torch.no_grad():
        for now, then in zip(net.parameters(), before.parameters(), strict=True):
            now.lerp_(then, share)
