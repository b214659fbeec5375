"""The network level by level, forward and backward, and how far it sees."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_unet.network.model import UNet, UNetSpec

NUCLEI = ("background", "interior", "boundary")
Shapes = list[tuple[int, ...]]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Nets this small are slower on two threads than on one."""
    torch.set_num_threads(1)


def make_net(spec: UNetSpec, seed: int = 0) -> UNet:
    """A net whose weights and statistics are all random, at rest."""
    torch.manual_seed(seed)
    net = UNet(spec)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return net.eval()


# --- forward -------------------------------------------------------------------------


def shapes(net: UNet, image: Tensor) -> dict[str, Shapes]:
    """(Y, X, C) of what enters and leaves the blocks while `image` passes through."""
    seen: dict[str, Shapes] = {"encoder": [], "pooled": [], "bottleneck": []}
    seen |= {"up": [], "concatenated": [], "decoder": [], "head": []}

    def note(name: str, tensor: Tensor) -> None:
        seen[name].append((tensor.shape[2], tensor.shape[3], tensor.shape[1]))

    parts = [("encoder", b) for b in net.encoder] + [("up", b) for b in net.up]
    parts += [("pooled", net.pool), ("bottleneck", net.bottleneck), ("head", net.head)]
    for name, part in parts:
        part.register_forward_hook(lambda _m, _i, out, name=name: note(name, out))
    for block in net.decoder:
        block.register_forward_hook(
            lambda _m, i, out: (
                (note("concatenated", i[0]), note("decoder", out))[2:] or None
            )
        )
    net(image)
    return seen


CASES = {
    "full": (UNetSpec(3, ("a", "b", "c"), 64, 4), 256),
    "full upsample": (UNetSpec(3, ("a", "b", "c"), 64, 4, up="upsample"), 256),
    "cells": (UNetSpec(1, ("a", "b"), 16, 2), 64),
    "tiny": (UNetSpec(1, ("a", "b"), 4, 2, convs_per_block=1), 8),
}
EXPECTED: dict[str, dict[str, Shapes]] = {
    "full": {
        "encoder": [(256, 256, 64), (128, 128, 128), (64, 64, 256), (32, 32, 512)],
        "pooled": [(128, 128, 64), (64, 64, 128), (32, 32, 256), (16, 16, 512)],
        "bottleneck": [(16, 16, 1024)],
        "up": [(32, 32, 512), (64, 64, 256), (128, 128, 128), (256, 256, 64)],
        "concatenated": [
            (32, 32, 512 + 512),
            (64, 64, 256 + 256),
            (128, 128, 128 + 128),
            (256, 256, 64 + 64),
        ],
        "decoder": [(32, 32, 512), (64, 64, 256), (128, 128, 128), (256, 256, 64)],
        "head": [(256, 256, 3)],
    },
    "cells": {
        "encoder": [(64, 64, 16), (32, 32, 32)],
        "pooled": [(32, 32, 16), (16, 16, 32)],
        "bottleneck": [(16, 16, 64)],
        "up": [(32, 32, 32), (64, 64, 16)],
        "concatenated": [(32, 32, 32 + 32), (64, 64, 16 + 16)],
        "decoder": [(32, 32, 32), (64, 64, 16)],
        "head": [(64, 64, 2)],
    },
    "tiny": {
        "encoder": [(8, 8, 4), (4, 4, 8)],
        "pooled": [(4, 4, 4), (2, 2, 8)],
        "bottleneck": [(2, 2, 16)],
        "up": [(4, 4, 8), (8, 8, 4)],
        "concatenated": [(4, 4, 8 + 8), (8, 8, 4 + 4)],
        "decoder": [(4, 4, 8), (8, 8, 4)],
        "head": [(8, 8, 2)],
    },
}
EXPECTED["full upsample"] = EXPECTED["full"]


@pytest.mark.parametrize("case", CASES)
def test_worked_case_holds_at_every_level(case: str) -> None:
    spec, size = CASES[case]
    with torch.device("meta"):  # shapes alone: the full case is 55 billion products
        net, image = UNet(spec).eval(), torch.empty(1, spec.in_channels, size, size)
        assert shapes(net, image) == EXPECTED[case]


@pytest.mark.parametrize("case", ["cells", "tiny"])
def test_worked_case_computes_finite_logits(case: str) -> None:
    spec, size = CASES[case]
    with torch.inference_mode():
        logits = make_net(spec)(torch.randn(2, spec.in_channels, size, size))
    assert logits.shape == (2, len(spec.classes), size, size)
    assert torch.isfinite(logits).all()


def test_tiny_case_has_the_parameters_that_a_hand_counts() -> None:
    net = UNet(CASES["tiny"][0])
    encoder = (1 * 9 * 4 + 2 * 4) + (4 * 9 * 8 + 2 * 8)
    bottleneck = 8 * 9 * 16 + 2 * 16
    decoder = (16 * 4 * 8 + 8) + (16 * 9 * 8 + 2 * 8)
    decoder += (8 * 4 * 4 + 4) + (8 * 9 * 4 + 2 * 4)
    head = 4 * 2 + 2
    total = sum(p.numel() for p in net.parameters())
    assert total == encoder + bottleneck + decoder + head == 3658


def test_block_is_convolution_norm_relu_in_this_order() -> None:
    net = UNet(UNetSpec(width=4, depth=1, convs_per_block=2))
    for block in (*net.encoder, net.bottleneck, *net.decoder):
        kinds = [type(layer) for layer in block]
        assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 2


@pytest.mark.parametrize("up", ["transpose", "upsample"])
@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("depth", [1, 3])
def test_any_channels_and_classes_in_both_kinds(
    up: Any, classes: int, channels: int, depth: int
) -> None:
    names = tuple(f"class {k}" for k in range(classes))
    net = make_net(UNetSpec(channels, names, 2, depth, up=up))
    with torch.inference_mode():
        logits = net(torch.randn(1, channels, 24, 16))
    assert logits.shape == (1, classes, 24, 16)


def test_forward_returns_logits_and_softmax_probabilities() -> None:
    net = make_net(UNetSpec(1, NUCLEI, 4, 2))
    with torch.no_grad():
        net.head.bias += torch.tensor([-3.0, 0.0, 5.0])
        logits = net(torch.randn(1, 1, 16, 16))
    p = logits.softmax(1)
    assert logits.min() < 0
    assert logits.max() > 1
    assert torch.allclose(p.sum(1), torch.ones(1, 16, 16), atol=1e-6)
    assert torch.equal(p.argmax(1), logits.argmax(1))


def test_head_is_a_product_with_the_weights_at_every_pixel() -> None:
    net = make_net(UNetSpec(1, NUCLEI, 4, 1))
    inputs: list[Tensor] = []
    net.head.register_forward_pre_hook(lambda _m, args: inputs.append(args[0]))
    with torch.no_grad():
        logits = net(torch.randn(1, 1, 8, 8))
        w, b = net.head.weight[:, :, 0, 0], net.head.bias
        expected = torch.einsum("kc,ncyx->nkyx", w, inputs[0]) + b[:, None, None]
    assert torch.allclose(logits, expected, atol=1e-6)


# --- backward ------------------------------------------------------------------------


def test_cross_entropy_of_the_worked_pixel_and_its_gradient() -> None:
    logits = torch.tensor([[0.12, 0.88]]).log().requires_grad_()
    loss = F.cross_entropy(logits, torch.tensor([1]))
    loss.backward()
    assert loss.item() == pytest.approx(0.128, abs=5e-4)
    assert logits.grad is not None
    assert logits.grad[0].tolist() == pytest.approx([0.12, -0.12], abs=1e-6)


def test_gradient_passes_the_head_as_a_sum_over_classes() -> None:
    net = make_net(UNetSpec(1, NUCLEI, 4, 1))
    inputs: list[Tensor] = []
    net.head.register_forward_pre_hook(
        lambda _m, args: (args[0].retain_grad(), inputs.append(args[0]))[2:] or None
    )
    logits = net(torch.randn(1, 1, 4, 4))
    truth = torch.randint(0, 3, (1, 4, 4))
    F.cross_entropy(logits, truth, reduction="sum").backward()
    delta = logits.detach().softmax(1) - F.one_hot(truth, 3).movedim(-1, 1)
    weights, found = net.head.weight.detach()[:, :, 0, 0], inputs[0].grad
    assert found is not None
    for c in range(4):
        expected = sum(delta[0, k] * weights[k, c] for k in range(3))
        assert torch.allclose(found[0, c], torch.as_tensor(expected), atol=1e-6)


def test_transposed_convolution_scatters_its_input() -> None:
    up = make_net(UNetSpec(width=2, depth=1)).up[0]
    assert isinstance(up, nn.ConvTranspose2d)
    x = torch.randn(1, 4, 3, 5)
    out = up.bias.detach()[:, None, None].expand(2, 6, 10).clone()
    w, s = up.weight.detach(), 2  # (inputs, outputs, 2, 2)
    for i, j, m, n in np.ndindex(3, 5, 2, 2):
        out[:, i * s + m, j * s + n] += x[0, :, i, j] @ w[:, :, m, n]
    assert torch.allclose(up(x)[0], out, atol=1e-6)


def detach_skips(net: UNet) -> UNet:
    """Cut the gradient of every skip; the values that pass forward stay the same."""
    for level, block in zip(
        range(net.spec.depth - 1, -1, -1), net.decoder, strict=True
    ):
        skip = net.spec.width << level
        block.register_forward_pre_hook(
            lambda _m, args, skip=skip: torch.cat(
                [args[0][:, :skip].detach(), args[0][:, skip:]], 1
            )
        )
    return net


def gradients(net: UNet, image: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Loss, and gradients at the top level's skip, upward part and concatenation."""
    kept: dict[str, Tensor] = {}

    def keep(name: str, tensor: Tensor) -> None:
        tensor.retain_grad()
        kept[name] = tensor

    net.encoder[0].register_forward_hook(lambda _m, _i, out: keep("skip", out))
    net.up[-1].register_forward_hook(lambda _m, _i, out: keep("up", out))
    net.decoder[-1].register_forward_pre_hook(lambda _m, args: keep("both", args[0]))
    loss = F.cross_entropy(net(image), truth)
    loss.backward()
    found = {name: tensor.grad for name, tensor in kept.items()}
    weights = net.encoder[0][0].weight.grad
    assert weights is not None
    return {"loss": loss.detach(), "weights": weights} | {
        name: grad for name, grad in found.items() if grad is not None
    }


@pytest.mark.parametrize("seed", range(4))
def test_gradient_splits_at_the_concatenation(seed: int) -> None:
    spec = UNetSpec(1, NUCLEI, 4, 2)
    torch.manual_seed(seed)
    image, truth = torch.randn(2, 1, 16, 16), torch.randint(0, 3, (2, 16, 16))
    whole = gradients(make_net(spec, seed), image, truth)
    cut = gradients(detach_skips(make_net(spec, seed)), image, truth)
    assert torch.equal(whole["loss"], cut["loss"])
    assert whole["both"].shape[1] == 4 + 4
    assert torch.allclose(whole["up"], whole["both"][:, 4:], atol=1e-8)


def test_skip_alone_carries_its_half_of_the_gradient() -> None:
    spec = UNetSpec(1, NUCLEI, 4, 1)  # one skip: nothing else differs when it is cut
    image, truth = torch.randn(2, 1, 16, 16), torch.randint(0, 3, (2, 16, 16))
    whole = gradients(make_net(spec), image, truth)
    cut = gradients(detach_skips(make_net(spec)), image, truth)
    assert torch.allclose(whole["skip"] - cut["skip"], whole["both"][:, :4], atol=1e-7)


@pytest.mark.parametrize("seed", range(6))
def test_detached_skips_starve_the_first_encoder_block(seed: int) -> None:
    spec = UNetSpec(1, NUCLEI, 4, 3)
    torch.manual_seed(seed)
    image, truth = torch.randn(2, 1, 32, 32), torch.randint(0, 3, (2, 32, 32))
    whole = gradients(make_net(spec, seed), image, truth)
    cut = gradients(detach_skips(make_net(spec, seed)), image, truth)
    assert torch.equal(whole["loss"], cut["loss"])
    assert 0 < cut["weights"].norm() < whole["weights"].norm()


# --- reach ---------------------------------------------------------------------------


def support(net: UNet, length: int, pixel: int) -> tuple[int, int]:
    """First and last column of the input that output column `pixel` depends on."""
    image = torch.rand(1, 1, net.spec.stride, length, dtype=torch.float64) + 0.5
    image.requires_grad_()
    net(image)[..., pixel].sum().backward()
    assert image.grad is not None
    columns = image.grad.abs().sum((0, 1, 2)).nonzero()
    return int(columns[0]), int(columns[-1])


def all_paths_open(spec: UNetSpec) -> UNet:
    """A net in which no gradient vanishes by chance: positive weights, mean pooling."""
    net = UNet(spec).double().eval()
    net.pool = nn.AvgPool2d(2)  # the same windows as the maximum, and all of each
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_()
        if spec.hypercolumn:  # a new one has weights of 0
            net.hypercolumn.out.weight.fill_(1)
    return net


@pytest.mark.parametrize("hypercolumn", [0, 2])
@pytest.mark.parametrize(
    ("up", "depth", "convs", "reach"),
    [
        ("transpose", 2, 2, 22),
        ("transpose", 3, 2, 46),
        ("transpose", 4, 2, 94),
        ("upsample", 4, 2, 110),
        ("transpose", 1, 2, None),
        ("transpose", 3, 1, None),
        ("upsample", 2, 3, None),
        ("upsample", 3, 1, None),
    ],
)
def test_reach_is_the_support_of_the_input_gradient(
    up: Any, depth: int, convs: int, reach: int | None, hypercolumn: int
) -> None:
    spec = UNetSpec(
        1,
        width=2,
        depth=depth,
        convs_per_block=convs,
        up=up,
        hypercolumn=hypercolumn,
    )
    assert hypercolumn or reach in (None, spec.reach)
    first = spec.halo + spec.stride  # of a core that is aligned to the stride
    last = first + spec.stride - 1
    net = all_paths_open(spec)
    length = 3 * spec.stride + 2 * spec.halo
    left = first - support(net, length, first)[0]
    right = support(net, length, last)[1] - last
    assert max(left, right) == spec.reach


@pytest.mark.parametrize("up", ["transpose", "upsample"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_halo_is_the_reach_rounded_up_to_the_stride(up: Any, depth: int) -> None:
    spec = UNetSpec(depth=depth, up=up)
    assert spec.stride == 2**depth
    assert spec.halo % spec.stride == 0
    assert spec.reach <= spec.halo < spec.reach + spec.stride
