"""The index of a shard: a file of Zarr that holds several chunks.

Only this file knows the index of a shard, and which shards are read. The index is
looked at before zarr believes it.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import ImageError

__all__ = ["ShardIndex", "shard_index"]

_NAME = "sharding_indexed"
_ABSENT = 2**64 - 1  # where a chunk begins that is not stored
_CHECKSUM = 4  # bytes


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """How the index of every shard of an array is written.

    Attributes
    ----------
    counts
        Chunks in a shard along every axis.
    first
        Whether it comes before the chunks, and not after them.
    spare
        Bytes of a checksum that follows it.
    """

    counts: tuple[int, ...]
    first: bool
    spare: int

    def spans(self, shard: memoryview) -> list[slice]:
        """Return where the chunks are that a shard holds."""
        found = self._entries(shard).tolist()
        return [slice(at, at + size) for at, size in found if at != _ABSENT]

    def length(self, file: Path, place: tuple[int, ...]) -> int | None:
        """Return the bytes that one chunk takes in a file; None if it is not there."""
        size = file.stat().st_size
        shard = np.memmap(file, np.uint8, "r") if size else np.empty(0, np.uint8)
        entries = self._entries(shard.data)
        at, length = entries[np.ravel_multi_index(place, self.counts)].tolist()
        return None if at == _ABSENT else min(length, size)

    def _entries(self, shard: memoryview) -> NDArray[np.uint64]:
        """Return first byte and length of every chunk (N, 2), in C order.

        Raises
        ------
        ValueError
            If the shard is too short for them.
        """
        width = 16 * math.prod(self.counts)
        at = 0 if self.first else len(shard) - width - self.spare
        if at < 0 or len(shard) < width + self.spare:
            raise ValueError("the index of a shard was cut off")
        return np.frombuffer(shard[at : at + width], "<u8").reshape(-1, 2)


def shard_index(array: Any) -> ShardIndex | None:
    """Return how the shards of a Zarr array are indexed; None if it has none.

    Raises
    ------
    ImageError
        If what its chunks unpack to cannot be told from the index.
    """
    if array.metadata.zarr_format == 2:
        return None
    codecs = [codec.to_dict() for codec in array.metadata.codecs]
    if _NAME not in map(_name, codecs):
        return None
    about = codecs[0].get("configuration", {})
    inner, index = (list(about.get(k, ())) for k in ("codecs", "index_codecs"))
    plain = {"name": "bytes", "configuration": {"endian": "little"}}
    checked = list(map(_name, index[1:])) == ["crc32c"]
    usual = index[:1] == [plain] and (checked or len(index) == 1)
    if len(codecs) > 1 or _NAME in map(_name, inner) or not usual:
        raise ImageError(
            f"{array.store.root.name} has shards within shards, or packs whole shards "
            "or their index, which is not read. Convert the image again, with "
            f"'{_NAME}' as its only codec and an index that is not packed."
        )
    sides = zip(array.shards, array.chunks, strict=True)
    counts = tuple(shard // chunk for shard, chunk in sides)
    first = about["index_location"] == "start"
    return ShardIndex(counts, first, _CHECKSUM if checked else 0)


def _name(codec: Any) -> str:
    return str(codec.get("name"))
