"""TIFF writer: labels as OME-TIFF.

Tiled, deflated, OME-XML for axes, pixel size and names, and resolution tags beside it
for programs that read nothing else. Two equal results make equal files, byte for byte.
"""

import hashlib
import math
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_unet.errors import OutputError
from napari_unet.io.output_stack import OutputStack
from napari_unet.tiling import blocks

__all__ = ["write_tiff"]

_TILE = 512
_BAND = 8  # tiles that are read at once: fewer, larger reads are faster
_BUFFER = 16 * 2**20  # tiles that wait for the compressor, in bytes
_CLASSIC = 3_900_000_000  # a classic TIFF ends at 4 GiB, page tables included
_SYMBOLS = {
    "angstrom": "Å",
    "picometer": "pm",
    "nanometer": "nm",
    "micrometer": "µm",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "inch": "in",
    "pixel": "pixel",
}  # lengths as OME-XML 2016-06 writes them
_TIMES = {
    "nanosecond": "ns",
    "microsecond": "µs",
    "millisecond": "ms",
    "second": "s",
    "minute": "min",
    "hour": "h",
    "day": "d",
}
_CENTIMETERS = {
    "angstrom": 1e-8,
    "picometer": 1e-10,
    "nanometer": 1e-7,
    "micrometer": 1e-4,
    "millimeter": 0.1,
    "centimeter": 1.0,
    "meter": 100.0,
    "inch": 2.54,
}


def write_tiff(
    path: Path,
    planes: OutputStack,
    levels: Sequence[OutputStack] = (),
    *,
    workers: int | None = None,
) -> None:
    """Write `planes` to the new file `path`, tile by tile.

    With coarser `levels` it is a pyramid, and always a BigTIFF. `workers` threads
    compress; None: half of the cores.

    Labels are stored as uint16 while they fit (programs such as Fiji read 32-bit
    integers badly), else as int32; classes and probabilities keep their type.

    Raises
    ------
    OutputError
        If the labels have a type or values that a TIFF cannot hold.
    OSError
        If the disk is full or fails.
    """
    dtype = _stored_dtype(planes)
    side = _side(planes)
    padded = [-(-n // s) * s for n, s in zip(planes.plane_shape, side, strict=True)]
    size = math.prod(planes.shape[:-2]) * math.prod(padded) * dtype.itemsize
    big = size > _CLASSIC or bool(levels)
    with tifffile.TiffWriter(path, bigtiff=big, ome=False) as file:
        file.write(
            _tiles(planes, *side, dtype),
            subifds=len(levels),
            description=_description(planes, dtype).encode(),
            software="napari-unet",
            maxworkers=workers,
            **_layout(planes, dtype),
            **_resolution(planes),
        )
        for level in levels:
            tiles = _tiles(level, *_side(level), dtype)
            layout = _layout(level, dtype)
            file.write(tiles, subfiletype=1, maxworkers=workers, **layout)


def _side(planes: OutputStack) -> tuple[int, int]:
    y, x = (min(_TILE, -(-n // 16) * 16) for n in planes.plane_shape)
    return y, x


def _layout(planes: OutputStack, dtype: np.dtype[Any]) -> dict[str, Any]:
    return {
        "shape": planes.shape,
        "dtype": dtype,
        "tile": _side(planes),
        "photometric": "minisblack",
        "compression": "zlib",
        "predictor": 2 if dtype.kind in "iu" else None,
        "metadata": None,
        "buffersize": _BUFFER,
    }


def _stored_dtype(planes: OutputStack) -> np.dtype[Any]:
    dtype = np.dtype(planes.data.dtype)
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind == "f" or dtype.name in ("uint8", "int8", "uint16", "int16"):
        return dtype
    low, high = planes.extrema() if dtype.kind in "iu" else (0, 0)
    if dtype.kind not in "iu" or high > np.iinfo(np.int32).max or low < -(2**31):
        raise OutputError(
            f"The labels {planes.name!r} are of type {dtype} with values from {low} to "
            f"{high}; a TIFF of ours holds integers of up to 32 bits and "
            "floating-point numbers. Renumber the labels or write an .ome.zarr."
        )
    return np.dtype(np.uint16 if low >= 0 and high < 2**16 else np.int32)


def _tiles(
    planes: OutputStack, height: int, width: int, dtype: np.dtype[Any]
) -> Iterator[NDArray[Any]]:
    for index in planes.indices():
        for y, x in blocks(planes.plane_shape, height, width * _BAND):
            band = planes.read(index, y, x).astype(dtype, copy=False)
            for _, part in blocks((1, band.shape[1]), 1, width):
                yield band[:, part]  # the writer pads it to a full tile


def _description(planes: OutputStack, dtype: np.dtype[Any]) -> str:
    """Return the OME-XML; float16 is declared as OME's only short float, "float"."""
    digest = hashlib.sha256(
        repr((planes.name, planes.shape, planes.order, dtype.name)).encode()
        + repr((planes.scales, planes.unit_names, planes.channel_names)).encode()
    ).digest()
    xml = tifffile.OmeXml(UUID=str(uuid.UUID(bytes=digest[:16])), Creator="napari-unet")
    pages = math.prod(planes.shape[:-2])
    metadata: dict[str, Any] = {"Name": _printable(planes.name), **_sizes(planes)}
    if planes.channel_names:
        metadata["Channel"] = {"Name": [_printable(n) for n in planes.channel_names]}
    xml.addimage(
        dtype=np.float32 if dtype == np.float16 else dtype,
        shape=planes.shape,
        storedshape=(pages, 1, 1, *planes.plane_shape, 1),
        axes=planes.order,
        **metadata,
    )
    return xml.tostring(declaration=True)


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())


def _sizes(planes: OutputStack) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for axis, step in planes.scales.items():
        unit = planes.unit_names[axis]
        if not 0 < step < math.inf:
            continue  # OME-XML has no such size
        if axis == "T" and unit in _TIMES:
            found |= {"TimeIncrement": step, "TimeIncrementUnit": _TIMES[unit]}
        elif axis in "ZYX" and unit in _SYMBOLS and (unit, step) != ("pixel", 1):
            key = f"PhysicalSize{axis}"
            found |= {key: step, f"{key}Unit": _SYMBOLS[unit]}
    return found


def _resolution(planes: OutputStack) -> dict[str, Any]:
    """Return pixels per centimetre, X first, as TIFF tags; nothing without a length."""
    steps = [
        planes.scales[axis] * _CENTIMETERS.get(planes.unit_names[axis], 0)
        for axis in "XY"
    ]
    density = [1 / step if step > 0 else 0 for step in steps]
    if not all(1e-9 < pixels < 2**32 for pixels in density):  # limits of the tag
        return {}
    return {"resolution": tuple(density), "resolutionunit": "CENTIMETER"}
