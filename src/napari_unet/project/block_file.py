"""File format of a block: a square of reviewed pixels with its image, as .npz.

Only this file knows how such a file is named, and what is in it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet._files import DAMAGE, pack, read_whole, unpack
from napari_unet.errors import CorrectionError
from napari_unet.tiling import Box

__all__ = [
    "SIDE",
    "Block",
    "BlockKey",
    "Pixels",
    "find_blocks",
    "pack_block",
    "read_block",
]

SIDE = 256  # pixels; a stroke touches few squares, and one is written in milliseconds
_ARRAYS = "target", "shown", "raw"
_VERSION = 1  # of the files; a newer one is left alone
_NAME = re.compile(r"plane((?:-\d+)*)_(\d+)_(\d+)\.npz")

Pixels = tuple[NDArray[np.uint8], NDArray[np.int32]]  # target and shown, (Y, X) each


@dataclass(frozen=True, slots=True)
class BlockKey:
    """Where a block lies: which image, which plane, its first row and column."""

    image: str
    plane: tuple[int, ...]
    y: int
    x: int

    @property
    def file(self) -> str:
        """Path of the block's file in the folder of all blocks."""
        plane = "".join(f"-{i}" for i in self.plane)
        return f"{self.image}/plane{plane}_{self.y}_{self.x}.npz"

    @property
    def where(self) -> tuple[tuple[int, ...], int, int]:
        """The plane, the first row and the first column."""
        return self.plane, self.y, self.x

    @property
    def box(self) -> Box:
        """(Y, X) slices of the plane; they may reach beyond its end."""
        return slice(self.y, self.y + SIDE), slice(self.x, self.x + SIDE)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """What the file of a block holds.

    Attributes
    ----------
    target
        (256, 256) uint8; see `corrections.Correction`.
    shown
        (256, 256) int32: the labels that people decided on, objects or classes.
    raw
        (C, Y, X) pixels of the image, with context around the block; without pixels
        when the image could not be read any more.
    about
        Where it came from, fit for JSON.
    """

    target: NDArray[np.uint8]
    shown: NDArray[np.int32]
    raw: NDArray[Any]
    about: dict[str, Any]

    def __post_init__(self) -> None:
        for array, kind in ((self.target, np.uint8), (self.shown, np.int32)):
            if array.shape != (SIDE, SIDE) or array.dtype != kind:
                raise ValueError(f"pixels of {array.shape}, {array.dtype}")
        if self.raw.ndim != 3 or self.raw.dtype.kind not in "buif":
            raise ValueError(f"pixels of {self.raw.shape}, {self.raw.dtype}")
        if not isinstance(self.about, dict):
            raise ValueError(f"{self.about!r:.40} says nothing about it")


def find_blocks(folder: Path) -> Iterator[BlockKey]:
    """Go through the blocks that lie in a folder."""
    for path in folder.glob("*/*.npz"):
        found = _NAME.fullmatch(path.name)
        if found:
            plane = tuple(int(i) for i in found[1].split("-")[1:])
            yield BlockKey(path.parent.name, plane, int(found[2]), int(found[3]))


def read_block(path: Path) -> Block:
    """Read a block.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is damaged.
    CorrectionError
        If it may not be read, or a newer version wrote it.
    """
    arrays = unpack(read_whole(path))
    try:
        about = json.loads(arrays["about"].tobytes())
        newer = about["version"] > _VERSION
        target, shown, raw = (arrays[name] for name in _ARRAYS)
        block = None if newer else Block(target, shown, raw, about)
    except DAMAGE as error:
        raise ValueError(str(error)) from error
    if block is None:
        raise CorrectionError(
            f"'{path}' was written by a newer version of napari-unet. Update it first."
        )
    return block


def pack_block(block: Block) -> bytes:
    """Return the content of a block's file."""
    about = json.dumps({**block.about, "version": _VERSION}).encode()
    return pack(
        {"raw"},
        target=block.target,
        shown=block.shown,
        raw=block.raw,
        about=np.frombuffer(about, np.uint8),
    )
