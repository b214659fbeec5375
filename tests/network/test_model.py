"""What a network may look like, the file that holds one, and where it runs."""

import json
import math
import os
import pickle
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers.processes import Forked

from napari_unet._memory import peak_memory
from napari_unet.errors import ModelError, OptionsError, OutputError
from napari_unet.network.model import (
    Model,
    UNet,
    UNetSpec,
    best_device,
    load,
    save,
    shipped,
)
from napari_unet.network.normalization import Scaling

NUCLEI = ("background", "interior", "boundary")


def tiny_model(**spec: Any) -> Model:
    torch.manual_seed(0)
    net = UNet(UNetSpec(1, NUCLEI, **{"width": 4, "depth": 2, **spec})).eval()
    for buffer in net.buffers():  # statistics, as training leaves them behind
        if buffer.is_floating_point():
            torch.nn.init.uniform_(buffer, 0.5, 1.5)
    return Model(net, Scaling(2, 99), {"diameter": 24, "licence": "CC0"}, "tiny")


# --- the spec ------------------------------------------------------------------------


def test_254_classes_are_possible() -> None:
    assert len(UNetSpec(classes=tuple(map(str, range(254)))).classes) == 254


def test_boundary_is_found_among_the_classes() -> None:
    assert UNetSpec(classes=NUCLEI).boundary == 2
    assert UNetSpec(classes=("background", "cell")).boundary is None


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"in_channels": 0}, "in_channels is 0"),
        ({"width": -4}, "width is -4"),
        ({"depth": 0}, "depth is 0"),
        ({"convs_per_block": 1.5}, r"convs_per_block is 1\.5"),
        ({"classes": ("background",)}, "two or more"),
        ({"classes": ("cell", "cell")}, "different names"),
        ({"classes": tuple(map(str, range(255)))}, "255 classes; 254 are the most"),
        ({"up": "bilinear"}, "'bilinear'.*'transpose' or 'upsample'"),
    ],
    ids=str,
)
def test_impossible_nets_are_refused(bad: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        UNetSpec(**bad)


# --- files ---------------------------------------------------------------------------


@pytest.mark.parametrize("up", ["transpose", "upsample"])
def test_model_comes_back_from_its_file_in_half_precision(
    tmp_path: Path, up: str
) -> None:
    model = tiny_model(up=up)
    save(model, tmp_path / "my cells.safetensors")
    back = load(tmp_path / "my cells.safetensors")
    assert (back.spec, back.scaling) == (model.spec, model.scaling)
    assert (back.card, back.name, back.diameter) == (model.card, "my cells", 24.0)
    assert not back.net.training
    for name, tensor in model.net.state_dict().items():
        expected = tensor.half().float() if tensor.is_floating_point() else tensor
        assert torch.equal(back.net.state_dict()[name], expected)
    image = torch.randn(1, 1, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(back.net(image), model.net(image), atol=0.02)


def test_saving_what_was_loaded_loses_nothing_more(tmp_path: Path) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save(tiny_model(), first)
    save(load(first), second)
    assert load(first).checksum() == load(second).checksum()
    assert load(first).checksum() != tiny_model().checksum()
    assert sorted(path.name for path in tmp_path.iterdir()) == [first.name, second.name]


def test_checksum_follows_the_weights() -> None:
    one, other = tiny_model(), tiny_model()
    assert one.checksum() == other.checksum()
    with torch.no_grad():
        other.net.head.bias[0] += 1
    assert one.checksum() != other.checksum()


def test_saving_where_there_is_no_folder_is_an_error_that_names_it(
    tmp_path: Path,
) -> None:
    target = tmp_path / "missing" / "a.safetensors"
    with pytest.raises(OutputError, match="missing"):
        save(tiny_model(), target)
    assert list(tmp_path.iterdir()) == []


FULL = """
import resource, sys
from napari_unet.errors import OutputError
from napari_unet.network.model import load, save
model = load("nuclei")
save(model, sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save(model, sys.argv[1])
except OutputError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on file sizes")
def test_full_disk_leaves_the_model_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    job = Forked(FULL, path)
    said, errors = job.end()
    assert job.returncode == 0, errors
    assert "a.safetensors' could not be saved: the disk is full" in said
    assert load(path).checksum() == load("nuclei").checksum()
    assert [found.name for found in tmp_path.iterdir()] == ["a.safetensors"]


def test_model_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch) -> None:
    settled, path = [], tmp_path / "a.safetensors"
    monkeypatch.setattr(os, "fsync", lambda file: settled.append(os.fstat(file)))
    save(tiny_model(), path)
    assert [found.st_ino for found in settled] == [path.stat().st_ino]


def test_two_writers_of_one_model_share_no_part(tmp_path, monkeypatch) -> None:
    path, real = tmp_path / "a.safetensors", os.fsync
    other = tiny_model(width=8)

    def while_saved(file: int) -> None:
        monkeypatch.setattr(os, "fsync", real)
        save(other, path)  # whole, while the first is half written

    monkeypatch.setattr(os, "fsync", while_saved)
    save(tiny_model(), path)
    assert load(path).spec == tiny_model().spec
    assert [found.name for found in tmp_path.iterdir()] == ["a.safetensors"]


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.pkl", "net.safetensors"])
def test_pickle_is_refused_without_being_run(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(ModelError, match=name):
        load(tmp_path / name)
    assert not (tmp_path / "sprung").exists()
    pickle.loads((tmp_path / name).read_bytes())  # it would have sprung
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("part", [0, 4, 8, 200, 0.5, 0.99])
def test_truncated_file_is_refused_by_name(tmp_path: Path, part: float) -> None:
    path = tmp_path / "cut.safetensors"
    save(tiny_model(), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data)) if 0 < part < 1 else int(part)])
    with pytest.raises(ModelError, match=r"cut\.safetensors is damaged"):
        load(path)


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_are_refused(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "noise.safetensors"
    path.write_bytes(np.random.default_rng(seed).bytes(5000))
    with pytest.raises(ModelError, match=r"noise\.safetensors"):
        load(path)


def rewrite(path: Path, **changes: Any) -> None:
    """Write `tiny_model` to `path` with another header."""
    model = tiny_model()
    about = {
        "format": 1,
        "spec": asdict(model.spec),
        "scaling": asdict(model.scaling),
        "card": model.card,
    }
    state = {k: v.contiguous() for k, v in model.net.state_dict().items()}
    header = {"napari_unet": json.dumps(about | changes)}
    safetensors.torch.save_file(state, path, header)


def test_the_header_that_is_changed_below_is_right(tmp_path: Path) -> None:
    rewrite(tmp_path / "a.safetensors")
    assert load(tmp_path / "a.safetensors").checksum() == tiny_model().checksum()


SPEC = asdict(UNetSpec(1, NUCLEI, 4, 2))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 99}, "newer napari-unet"),
        ({"format": "one"}, "damaged"),
        ({"spec": SPEC | {"width": 8}}, "do not fit"),
        ({"spec": SPEC | {"depth": 3}}, "do not fit"),
        ({"spec": SPEC | {"classes": ["a", "b"]}}, "do not fit"),
        ({"spec": SPEC | {"colour": 1}}, "damaged"),
        ({"spec": SPEC | {"width": "wide"}}, "width is 'wide'"),
        ({"spec": None}, "damaged"),
        ({"scaling": {"low": 99, "high": 1}}, "percentile 99"),
        ({"scaling": {"mean": 0}}, "damaged"),
        ({"spec": SPEC | {"classes": "abc"}}, "classes are 'abc'"),
        ({"spec": SPEC | {"classes": [0, 1, 2]}}, "names are text"),
        ({"spec": SPEC | {"width": 10**400}}, "damaged"),
        ({"card": [1]}, r"the card is \[1\]"),
        ({"card": {"diameter": "12"}}, "diameter is '12'"),
        ({"card": {"diameter": 0}}, "diameter is 0"),
        ({"card": {"min_size": True}}, "min_size is True"),
        ({"card": {"min_size": -1}}, "min_size is -1"),
        ({"card": {"min_score": "0.6"}}, "min_score is '0.6'"),
        ({"card": {"min_score": 1.5}}, "min_score is 1.5"),
        ({"card": {"diameter": 10**400}}, "damaged"),
        ({"card": {"history": 3}}, "history is 3"),
        ({"card": {"history": ["made", 3]}}, "history is "),
        ({"card": {"diameter": math.inf}}, "diameter is inf"),
        ({"card": {"min_size": math.nan}}, "min_size is nan"),
    ],
    ids=str,
)
def test_header_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    rewrite(tmp_path / "odd.safetensors", **changes)
    with pytest.raises(ModelError, match=says):
        load(tmp_path / "odd.safetensors")


HUGE = {
    "depth": SPEC | {"depth": 12},
    "convolutions": SPEC | {"convs_per_block": 10**6},
    "width": SPEC | {"width": 10**6},
    "width that is allowed": SPEC | {"width": 4096, "depth": 12},
    "channels": SPEC | {"in_channels": 10**9},
    "hypercolumn": SPEC | {"hypercolumn": 10**9},
    "classes": SPEC | {"classes": [*map(str, range(10**6))]},
    "all": SPEC | {"depth": 12, "convs_per_block": 32, "hypercolumn": 4096},
}


@pytest.mark.parametrize("spec", HUGE.values(), ids=HUGE)
def test_header_that_claims_more_than_the_file_holds_takes_no_memory(
    tmp_path: Path, spec: dict[str, Any]
) -> None:
    path = tmp_path / "huge.safetensors"
    rewrite(path, spec=spec)
    before = peak_memory()
    with pytest.raises(ModelError, match=r"huge\.safetensors is damaged") as caught:
        load(path)
    assert len(str(caught.value)) < 500
    assert peak_memory() - before < 300e6  # the names of the classes alone take 100


@pytest.mark.parametrize(
    "changes",
    [
        {"card": {"diameter": 10**400}},
        {"spec": SPEC | {"classes": [1, 2, 3]}},
        {"spec": SPEC | {"width": True}},
        {"spec": SPEC | {"up": ["transpose"]}},
    ],
    ids=["diameter", "classes", "width", "up"],
)
def test_values_of_other_kinds_are_damage(tmp_path: Path, changes) -> None:
    rewrite(tmp_path / "odd.safetensors", **changes)
    with pytest.raises(ModelError, match=r"odd\.safetensors is damaged"):
        load(tmp_path / "odd.safetensors")


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_weights_that_are_no_numbers_are_damage(tmp_path: Path, value: float) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.net.head.bias[0] = value
    save(model, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match=r"a\.safetensors is damaged.*no numbers"):
        load(tmp_path / "a.safetensors")


def test_header_that_is_nested_without_end_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "deep.safetensors"
    state = {"w": torch.zeros(3)}
    safetensors.torch.save_file(state, path, {"napari_unet": "[" * 10**5})
    with pytest.raises(ModelError, match=r"deep\.safetensors is damaged"):
        load(path)


@pytest.mark.parametrize("header", [None, {"format": "pt"}], ids=["none", "other"])
def test_weights_of_others_are_refused(
    tmp_path: Path, header: dict[str, str] | None
) -> None:
    path = tmp_path / "bert.safetensors"
    safetensors.torch.save_file({"w": torch.zeros(3)}, path, header)
    with pytest.raises(ModelError, match="not a napari-unet model"):
        load(path)


def test_unknown_name_is_answered_with_the_shipped_names(tmp_path: Path) -> None:
    for source in ("neurons", tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(ModelError) as caught:
            load(source)
        assert str(source) in str(caught.value)
        assert all(name in str(caught.value) for name in shipped())


def test_shipped_models_load_and_say_what_they_are() -> None:
    assert "nuclei" in shipped()
    for name in shipped():
        model = load(name)
        assert model.name == name
        assert model.card["licence"]
    model = load("nuclei")
    assert model.spec.in_channels == 1
    assert model.spec.classes == NUCLEI
    assert model.diameter is not None
    assert 10 < model.diameter < 50


def test_model_is_replaced_never_changed() -> None:
    model = tiny_model()
    renamed = replace(model, name="other")
    assert (model.name, renamed.name, renamed.net) == ("tiny", "other", model.net)


# --- devices -------------------------------------------------------------------------


def test_auto_finds_a_device_and_says_why() -> None:
    device, reason = best_device("auto")
    assert torch.ones(2, device=device).sum().item() == 2
    if device.type == "cpu":
        assert reason.startswith("CPU (")
    else:
        assert reason


def test_cpu_is_taken_as_chosen() -> None:
    assert best_device("cpu") == (torch.device("cpu"), "CPU, as chosen")


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "", "mps:7", "cpu:x"])
def test_device_that_does_not_exist_is_an_error(name: str) -> None:
    with pytest.raises(OptionsError, match="Choose 'auto' or 'cpu'") as caught:
        best_device(name)
    assert repr(name) in str(caught.value)
