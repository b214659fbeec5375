"""The header of a model file, read without its weights: for fields, and for names."""

import json
import os
import struct
from pathlib import Path

import pytest

from napari_unet.network.header import (
    checksum_of,
    header_of,
    own_defaults,
    with_header,
)
from napari_unet.network.model import Model, load, save


def model(about: str) -> bytes:
    """Return a model file whose header says so of it, and which has two weights."""
    header = json.dumps({"__metadata__": {"napari_unet": about}}).encode()
    return struct.pack("<Q", len(header)) + header + b"\x01\x02"


def card(**values: object) -> bytes:
    return model(json.dumps({"card": values}))


def test_defaults_are_those_of_the_card(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(card(diameter=12, min_size=2.5, min_score=0.5))
    assert own_defaults(str(file)) == (12, 2.5, 0.5)
    diameter, _, _ = own_defaults("nuclei")  # which comes with the package
    assert diameter is not None
    assert 10 < diameter < 50


DAMAGED = {
    "nothing": b"",
    "cut": b"abc",
    "no text": struct.pack("<Q", 4) + b"\xff\xfe\xfd\xfc",
    "a size without end": struct.pack("<Q", 2**64 - 1) + b"{}",
    "nested without end": struct.pack("<Q", 10**5) + b"[" * 10**5,
    "no metadata": struct.pack("<Q", 2) + b"{}",
    "ours nested without end": model("[" * 10**5),
    "ours is a list": model("[1]"),
    "no card": model("{}"),
    "card is a list": model('{"card": [1]}'),
    "text": card(diameter="12", min_size="3"),
    "below 0": card(diameter=-12, min_size=-3),
    "more than a float": card(diameter=10**400),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_damaged_model_has_no_defaults(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(data)
    assert own_defaults(str(file)) == (None, None, None)


def test_checksum_is_that_of_the_loaded_net(tmp_path: Path, tiny_model: Model) -> None:
    file = tmp_path / "tiny.safetensors"
    save(tiny_model, file)
    for source in ("nuclei", str(file)):
        assert checksum_of(source) == load(source).checksum()
    file.write_bytes(file.read_bytes()[:-1])
    assert checksum_of(str(file)) == checksum_of("nobody") == ""


@pytest.mark.skipif(os.name != "posix", reason="needs pipes")
def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.safetensors")
    assert own_defaults(str(tmp_path / "a.safetensors")) == (None, None, None)


def test_file_with_another_header_has_the_same_weights() -> None:
    data = with_header(card(diameter=12), {"card": {"diameter": 123456789}})
    assert header_of(data) == {"card": {"diameter": 123456789}}
    assert data[-2:] == b"\x01\x02"
    (size,) = struct.unpack_from("<Q", data)
    assert size % 8 == 0
    assert len(data) == 8 + size + 2
