"""Header of a model file: spec, scaling and card, and its checksum, without torch.

A safetensors file is the length of its header, the header in JSON, and the weights.
"""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet._files import DAMAGE

__all__ = [
    "BOUNDARY",
    "checksum_of",
    "class_names",
    "header_of",
    "own_defaults",
    "with_header",
]

BOUNDARY = "boundary"  # the class that separates touching objects
_KEY = "napari_unet"
_MOST = 2**24  # bytes of a header that are read: ours have some thousand
_WEIGHTS = Path(__file__).parents[1] / "weights"


def header_of(data: bytes) -> dict[str, Any]:
    """Return our part of a header: ``spec``, ``scaling``, ``card``.

    Parameters
    ----------
    data
        The file, or its first bytes.

    Raises
    ------
    _files.DAMAGE
        If it is no model of ours.
    """
    about = json.loads(_header(data)["__metadata__"][_KEY])
    if not isinstance(about, dict):
        raise TypeError("it is no object")
    return about


def with_header(data: bytes, about: dict[str, Any]) -> bytes:
    """Return a file with another header of ours, and the same weights.

    Raises
    ------
    _files.DAMAGE
        If it is no model of ours.
    """
    header = _header(data)
    header["__metadata__"][_KEY] = json.dumps(about)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the weights are aligned
    return struct.pack("<Q", len(text)) + text + data[8 + _size(data) :]


def own_defaults(source: str) -> tuple[float | None, float | None, float | None]:
    """Return the diameter of the objects that a model learned, least size and score.

    Parameters
    ----------
    source
        Name of a shipped model, or a file. What cannot be read has none of them.
    """
    try:
        card = _header_in(source)["card"]
        diameter, size, score = map(card.get, ("diameter", "min_size", "min_score"))
        return _number(diameter), _number(size), _number(score)
    except DAMAGE:
        return None, None, None


def class_names(source: str) -> tuple[str, ...]:
    """Return the classes of a model, background first; none if it cannot be read.

    Parameters
    ----------
    source
        Name of a shipped model, or a file.
    """
    try:
        return tuple(map(str, _header_in(source)["spec"]["classes"]))
    except DAMAGE:
        return ()


def checksum_of(source: str) -> str:
    """Return the checksum of a model's weights, as `Model.checksum` does with torch.

    Parameters
    ----------
    source
        Name of a shipped model, or a file. Empty if it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    digest = hashlib.sha256()
    try:
        with safe_open(_file_of(source), framework="numpy") as file:
            for name in sorted(file.keys()):
                weights = file.get_tensor(name)
                if weights.dtype == np.float16:  # nets compute in single precision
                    weights = weights.astype(np.float32)
                digest.update(name.encode())
                digest.update(weights.tobytes())
    except (*DAMAGE, SafetensorError):
        return ""
    return digest.hexdigest()


def _file_of(source: str) -> Path:
    """Return the file of a model."""
    places = _WEIGHTS / f"{source}.safetensors", Path(source)
    path = next((path for path in places if path.is_file()), None)
    if path is None:
        raise FileNotFoundError(source)
    return path


def _header_in(source: str) -> dict[str, Any]:
    """Return our part of the header of a model; one of `DAMAGE` if there is none."""
    with _file_of(source).open("rb") as file:
        start = file.read(8)
        return header_of(start + file.read(min(_size(start), _MOST)))


def _size(data: bytes) -> int:
    size: int = struct.unpack_from("<Q", data)[0]
    return size


def _header(data: bytes) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(data[8 : 8 + _size(data)])
    return header


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None
