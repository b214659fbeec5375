"""Read-only Zarr store for untrusted folders: no links out, no pickles, no bombs.

Anybody may have made the folder. What is no regular file, what a link leads out of the
folder to, what would be unpickled, and a chunk that unpacks to far more than the array
says, is refused before it is opened or decoded.
"""

import json
import stat
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from napari_unet.errors import ImageError
from napari_unet.io.decompression import unpacks_to_more
from napari_unet.io.shard_index import ShardIndex

__all__ = ["ZarrFolder"]

_DESCRIPTIONS = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
_LONGEST = 64 * 2**20  # bytes of a description
_SPARE = 2**24  # bytes that any chunk may unpack to


class ZarrFolder(LocalStore):
    """A folder of Zarr on this computer, to be read only.

    Whatever is refused raises an ImageError.

    Parameters
    ----------
    root
        The folder; it may itself be a link.
    """

    def __init__(self, root: Path | str, *, read_only: bool = True) -> None:
        super().__init__(root, read_only=read_only)
        self._real = self.root.resolve()
        self._pieces: dict[str, tuple[int, ShardIndex | None]] = {}

    def expect(self, array: str, size: int, index: ShardIndex | None) -> None:
        """Note how many bytes a chunk of an array is when it is unpacked.

        Of several chunks in one file each is looked at: there the `index` says where.
        """
        self._pieces[array] = size, index

    def packed_size(self, array: str, key: str, place: tuple[int, ...]) -> int | None:
        """Return how many bytes a chunk is stored in; None if it is not stored.

        Parameters
        ----------
        array
            One that is expected.
        key
            Of a chunk, or of the shard that holds it ...
        place
            ... there.
        """
        name = f"{array}/{key}".lstrip("/")
        self._check(name)
        file = self.root / name
        if not file.exists():
            return None
        index = self._pieces[array][1]
        return index.length(file, place) if index else file.stat().st_size

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Return what is stored under a key, if it may be read."""
        self._check(key)
        found = await super().get(key, prototype, byte_range)
        return self._seen(key, found, byte_range)

    def get_sync(
        self,
        key: str,
        *,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Do the same at once."""
        self._check(key)
        found = super().get_sync(key, prototype=prototype, byte_range=byte_range)
        return self._seen(key, found, byte_range)

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Return parts of what is stored under several keys."""
        return [await self.get(key, prototype, part) for key, part in key_ranges]

    async def get_ranges(
        self,
        key: str,
        byte_ranges: Sequence[ByteRequest | None],
        *,
        prototype: BufferPrototype,
        **how: Any,
    ) -> AsyncIterator[Sequence[tuple[int, Buffer | None]]]:
        """Yield parts of a shard, each read by itself: so each can be looked at."""
        for number, part in enumerate(byte_ranges):
            yield [(number, await self.get(key, prototype, part))]

    def get_ranges_sync(
        self,
        key: str,
        byte_ranges: Sequence[ByteRequest | None],
        *,
        prototype: BufferPrototype,
        **how: Any,
    ) -> Sequence[tuple[int, Buffer | None]]:
        """Do the same at once."""
        return [
            (number, self.get_sync(key, prototype=prototype, byte_range=part))
            for number, part in enumerate(byte_ranges)
        ]

    def _check(self, key: str) -> None:
        """Raise unless a file is regular and lies in the folder, or is not there."""
        path, name = self.root / key, f"{self.root.name}/{key}"
        real = path.resolve()
        if not real.is_relative_to(self._real):
            raise ImageError(
                f"{name} is a link that leads out of the image, to '{real}', and is "
                "not followed. Put the file itself there."
            )
        try:
            mode, size = real.stat().st_mode, real.stat().st_size
        except OSError as error:
            if path.is_symlink():
                raise ImageError(
                    f"{name} is a link to '{real}', where nothing is. Copy the image "
                    "again, with what its links lead to."
                ) from error
            return
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise ImageError(
                f"{name} is no file but a pipe or a device, and is not read. Copy the "
                "image again."
            )
        if path.name in _DESCRIPTIONS and size > _LONGEST:
            raise ImageError(
                f"{name} has {size / 1e6:.0f} MB, which no description of an image "
                "has. Convert the image again."
            )

    def _seen(
        self, key: str, found: Buffer | None, part: ByteRequest | None
    ) -> Buffer | None:
        """Return what was read, unless it is dangerous to decode."""
        array, _, name = key.rpartition("/")
        if found is None:
            return None
        if name in _DESCRIPTIONS:
            self._refuse_pickles(key, found.to_bytes())
            return found
        size, index = self._piece(array)
        if size:
            limit = max(4 * size, _SPARE)  # filters may shrink what is larger
            data = memoryview(found.as_numpy_array().data)
            for span in index.spans(data) if index and part is None else [slice(None)]:
                self._refuse_bombs(key, data[span], limit)
        return found

    def _piece(self, folder: str) -> tuple[int, ShardIndex | None]:
        """Return what a chunk in a folder unpacks to; 0 if the array is not known."""
        while folder not in self._pieces:
            if not folder:
                return 0, None
            folder = folder.rpartition("/")[0]
        return self._pieces[folder]

    def _refuse_bombs(self, key: str, data: memoryview, limit: int) -> None:
        name = f"{self.root.name}/{key}"
        try:
            more = unpacks_to_more(data, limit)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        if more:
            raise ImageError(
                f"{name} would unpack to more than {limit / 1e6:.0f} MB, many times "
                "what the image says of it, and is not read. Convert the image again."
            )

    def _refuse_pickles(self, key: str, text: bytes) -> None:
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            return  # whoever reads it next says so
        if any(name.rpartition(".")[2] == "pickle" for name in _codecs(said)):
            raise ImageError(
                f"{self.root.name}/{key} says that its pixels are packed with "
                "'pickle', which may run any program when it is unpacked. It is not "
                "read; convert it with another compressor, such as zstd."
            )


def _codecs(said: Any) -> Iterator[str]:
    """Go through the names of all codecs in a description, wherever they stand."""
    if isinstance(said, list):
        for entry in said:
            yield from _codecs(entry)
    elif isinstance(said, dict):
        yield from (str(said[k]).lower() for k in ("id", "name") if k in said)
        for name, entry in said.items():
            if name != "attributes":
                yield from _codecs(entry)
