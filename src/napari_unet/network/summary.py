"""Model summary: card, parameters, table of shapes and operations level by level.

Shapes and costs come from running the real network on PyTorch's ``meta`` device, which
computes shapes without data, so that they cannot differ from what the network does.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from napari_unet.errors import OptionsError
from napari_unet.network.model import Model, UNet, UNetSpec

__all__ = ["Row", "describe", "rows"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table of shapes.

    Attributes
    ----------
    name
        ``"encoder 1"`` (at full size), ..., ``"bottleneck"``, ``"up 1"``,
        ``"concatenate 1"``, ``"decoder 1"``, ..., ``"head"``.
    shape
        Height, width and channels of what comes out.
    parts
        Channels from the skip and from below, at a concatenation; else empty.
    parameters
        Numbers that training changes.
    flops
        Floating-point operations of the convolutions, two for each multiply-add.
        Biases, BatchNorm, ReLU and pooling are not counted: together they are a few
        parts in a thousand.
    """

    name: str
    shape: tuple[int, int, int]
    parts: tuple[int, ...] = ()
    parameters: int = 0
    flops: int = 0

    @property
    def text(self) -> str:
        """The shape as it is written in a figure: ``"32 x 32 x (512+512)"``."""
        y, x, channels = self.shape
        last = f"({'+'.join(map(str, self.parts))})" if self.parts else str(channels)
        return f"{y} x {x} x {last}"


def describe(model: Model) -> dict[str, Any]:
    """Return what is known about `model`, ready for JSON."""
    spec = model.spec
    parameters = sum(p.numel() for p in model.net.parameters())
    return {
        "name": model.name,
        "classes": list(spec.classes),
        "channels": spec.in_channels,
        "width": spec.width,
        "depth": spec.depth,
        "convs_per_block": spec.convs_per_block,
        "up": spec.up,
        "parameters": parameters,
        "halo": spec.halo,
        "diameter": model.diameter,
        "licence": model.card.get("licence"),
        "data": model.card.get("data"),
        "sha256": model.checksum(),
    }


def rows(spec: UNetSpec, y: int | None = None, x: int | None = None) -> tuple[Row, ...]:
    """Return what a `y` by `x` image goes through in the U-Net that `spec` describes.

    Parameters
    ----------
    spec
        The network.
    y, x
        Size of the image, multiples of ``spec.stride``. None takes 256, or the next
        multiple; a missing `x` is `y`.

    Raises
    ------
    OptionsError
        If the size is no multiple of the network's stride.
    """
    stride = spec.stride
    y = -(-256 // stride) * stride if y is None else y
    x = y if x is None else x
    if min(y, x) < stride or y % stride or x % stride:
        raise OptionsError(
            f"A size of {y} x {x} does not fit {spec.depth} poolings. "
            f"Give a multiple of {stride}."
        )
    with torch.device("meta"):
        net = UNet(spec).eval()
        image = torch.empty(1, spec.in_channels, y, x)
    found: list[Row] = []
    with _watched(net, found.append), torch.inference_mode():
        net(image)
    return tuple(found)


@contextmanager
def _watched(net: UNet, report: Callable[[Row], None]) -> Iterator[None]:
    """Report a row for every named part of `net` that runs, in the order of running."""
    flops = [0]  # of the part that is running
    handles = [
        module.register_forward_hook(_count(flops))
        for module in net.modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    ]
    for name, module in _parts(net):
        hook = _report(name, flops, report)
        handles.append(module.register_forward_hook(hook))
        if name.startswith("decoder"):
            join = _concatenation(net, name.removeprefix("decoder "), report)
            handles.append(module.register_forward_pre_hook(join))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _parts(net: UNet) -> Iterator[tuple[str, nn.Module]]:
    """Yield every part by its name; levels count from 1, the image's own size."""
    for level, block in enumerate(net.encoder, 1):
        yield f"encoder {level}", block
    yield "bottleneck", net.bottleneck
    for i, (up, block) in enumerate(zip(net.up, net.decoder, strict=True)):
        yield f"up {net.spec.depth - i}", up
        yield f"decoder {net.spec.depth - i}", block
    yield "head", net.head
    if net.spec.hypercolumn:
        yield "hypercolumn", net.hypercolumn


def _count(flops: list[int]) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
    def hook(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        weights = sum(p.numel() for p in module.parameters() if p.dim() == 4)
        # A convolution uses its whole kernel for every output pixel, a transposed one
        # for every input pixel.
        transposed = isinstance(module, nn.ConvTranspose2d)
        pixels = (inputs[0] if transposed else output).shape[-2:].numel()
        flops[0] += 2 * weights * pixels

    return hook


def _report(
    name: str, flops: list[int], report: Callable[[Row], None]
) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
    def hook(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        parameters = sum(p.numel() for p in module.parameters())
        report(Row(name, _shape(output), (), parameters, flops[0]))
        flops[0] = 0

    return hook


def _concatenation(
    net: UNet, level: str, report: Callable[[Row], None]
) -> Callable[[nn.Module, tuple[Tensor]], None]:
    skip = net.spec.width * 2 ** (int(level) - 1)

    def hook(module: nn.Module, inputs: tuple[Tensor]) -> None:
        y, x, channels = _shape(inputs[0])
        report(Row(f"concatenate {level}", (y, x, channels), (skip, channels - skip)))

    return hook


def _shape(tensor: Tensor) -> tuple[int, int, int]:
    _, channels, y, x = tensor.shape
    return y, x, channels
