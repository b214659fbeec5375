"""The head that sees every level: what its filters are, and that it stays exact."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_unet.network.fuse import fold
from napari_unet.network.hypercolumn import local_filters
from napari_unet.network.model import Model, UNet, UNetSpec, load, save
from napari_unet.network.predictor import engine


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    torch.manual_seed(0)
    return


def net_with_statistics(spec: UNetSpec) -> UNet:
    net = UNet(spec)
    for _ in range(3):
        net(torch.rand(2, spec.in_channels, 64, 64))
    head = net.hypercolumn
    torch.nn.init.normal_(head.out.weight)
    sizes = [len(m) for m in head.mean]
    head.standardise([torch.rand(n) for n in sizes], [torch.rand(n) for n in sizes])
    return net.eval()


def test_filters_are_gaussian_gradient_and_hessian() -> None:
    image = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    found = local_filters(torch.from_numpy(image)[None, None], 1)[0][0].numpy()

    def derivative(y: int, x: int) -> np.ndarray:
        return ndimage.gaussian_filter(image, 1, (y, x), mode="nearest", truncate=3)

    assert np.allclose(found[0], derivative(0, 0), atol=1e-3)
    slope = np.hypot(derivative(1, 0), derivative(0, 1))
    assert np.allclose(found[1], 4 * slope, atol=0.02)
    yy, xx, yx = derivative(2, 0), derivative(0, 2), derivative(1, 1)
    apart = np.hypot((yy - xx) / 2, yx)
    assert np.allclose(found[2], 4 * ((yy + xx) / 2 + apart), atol=0.06)
    assert np.allclose(found[3], 4 * ((yy + xx) / 2 - apart), atol=0.06)
    assert np.array_equal(found[4], image)


def test_levels_are_halved_images() -> None:
    image = torch.rand(2, 3, 32, 48)
    shapes = [tuple(x.shape) for x in local_filters(image, 3)]
    assert shapes == [(2, 15, 32, 48), (2, 12, 16, 24), (2, 12, 8, 12)]


def test_pixels_one_by_one_get_the_logits_of_the_whole() -> None:
    spec = UNetSpec(2, ("a", "b", "c"), 4, 1, hypercolumn=8)
    net = net_with_statistics(spec)
    image = torch.rand(1, 2, 32, 32)
    head, features = net.hypercolumn, net.features(image)
    columns = head.columns(image, features)
    fine = torch.nn.functional.interpolate(columns[1], scale_factor=2, mode="bilinear")
    y, x = torch.randint(0, 32, (2, 50))
    weights, hidden = head.weights()
    for weight, column in zip(weights, (columns[0], fine), strict=True):
        hidden = hidden + column[0, :, y, x].T @ weight.T
    found = head.classify(hidden) + net.head(features[0])[0, :, y, x].T
    assert torch.allclose(found, net(image)[0, :, y, x].T, atol=1e-4)


def test_new_hypercolumn_changes_nothing() -> None:
    net = UNet(UNetSpec(1, width=4, depth=2, hypercolumn=8)).eval()
    plain = UNet(UNetSpec(1, width=4, depth=2)).eval()
    plain.load_state_dict(net.state_dict(), strict=False)
    image = torch.rand(1, 1, 64, 64)
    assert torch.equal(net(image), plain(image))


def test_folding_changes_nothing() -> None:
    spec = UNetSpec(1, width=4, depth=2, hypercolumn=8)
    net = net_with_statistics(spec)
    image = torch.rand(1, 1, 64, 64)
    assert torch.allclose(fold(net)(image), net(image), atol=1e-4)
    head = fold(net).hypercolumn
    assert all(bool((g == 1).all()) for g in head.gain)


def test_model_with_hypercolumn_is_saved_and_loaded(tmp_path) -> None:
    net = net_with_statistics(UNetSpec(1, width=4, depth=2, hypercolumn=8))
    save(Model(net), tmp_path / "hyper.safetensors")
    again = load(tmp_path / "hyper.safetensors")
    assert again.spec == net.spec
    image = torch.rand(1, 1, 64, 64)
    assert torch.allclose(again.net(image), net(image), atol=0.05)


def test_bfloat16_gives_the_same_labels() -> None:
    net = net_with_statistics(UNetSpec(1, width=8, depth=3, hypercolumn=16))
    window = np.random.default_rng(0).random((1, 128, 128)).astype(np.float32)
    exact = engine(Model(net), "cpu", "fp32")(window)
    fast = engine(Model(net), "cpu", "bf16")(window)
    best = exact.topk(2, 0).values
    clear = (best[0] - best[1]) > 0.05
    assert bool((exact.argmax(0) == fast.argmax(0))[clear].all())
