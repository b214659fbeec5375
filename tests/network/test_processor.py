"""A PyTorch that lacks a private name computes the same, more slowly."""

from types import SimpleNamespace

import pytest
import torch

from napari_unet.network.autocast import fast_dtype
from napari_unet.network.fuse import fold
from napari_unet.network.model import load
from napari_unet.network.predictor import engine
from napari_unet.network.processor import fuses_relu

CPU = torch.device("cpu")
IMAGE = torch.rand(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))
HERE = torch.ops.mkldnn


def refuse(*_: object) -> None:
    raise RuntimeError("expected at most 3 arguments")


# What PyTorch has there, and what it might have one day.
POINTWISE = {
    "missing": {},
    "changed": {"_convolution_pointwise": refuse},
}


@pytest.fixture(autouse=True)
def _fresh():
    fuses_relu.cache_clear()
    yield
    fuses_relu.cache_clear()


@pytest.fixture
def no_mkldnn(monkeypatch):
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace())


@pytest.mark.parametrize("names", POINTWISE.values(), ids=POINTWISE)
def test_without_the_fused_convolution_relu_comes_after_it(monkeypatch, names):
    folded = fold(load("nuclei").net)
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace(**names))
    assert not fuses_relu(torch.float32)
    with torch.inference_mode():
        plain = folded(IMAGE)
    monkeypatch.undo()
    fuses_relu.cache_clear()
    assert fuses_relu(torch.float32)
    with torch.inference_mode():
        torch.testing.assert_close(plain, folded(IMAGE), atol=1e-3, rtol=1e-4)


def test_asking_takes_no_random_number():
    torch.manual_seed(0)
    first = torch.rand(3)
    torch.manual_seed(0)
    fuses_relu(torch.float32)
    assert torch.equal(torch.rand(3), first)


@pytest.mark.parametrize(
    "name", ["_is_mkldnn_bf16_supported", "_is_avx512_bf16_supported"]
)
def test_who_cannot_ask_for_bfloat16_computes_in_float32(monkeypatch, name):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    able = SimpleNamespace(
        _is_mkldnn_bf16_supported=lambda: True,
        _convolution_pointwise=HERE._convolution_pointwise,
    )
    monkeypatch.setattr(torch.ops, "mkldnn", able)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert fast_dtype(CPU) == torch.bfloat16
    holder = able if hasattr(able, name) else torch.cpu
    monkeypatch.delattr(holder, name)
    assert fast_dtype(CPU) == torch.float32
    run = engine(load("nuclei"), "cpu")
    assert run.dtype == torch.float32
    assert torch.isfinite(run(IMAGE[0].numpy())).all()


@pytest.mark.usefixtures("no_mkldnn")
def test_a_named_precision_runs_without_either_name():
    run = engine(load("nuclei"), "cpu", "bf16")
    assert not fuses_relu(torch.bfloat16)
    assert torch.isfinite(run(IMAGE[0].numpy())).all()
