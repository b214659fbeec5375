"""What of a Zarr is read: its own files, none that do harm."""

import asyncio
import bz2
import gzip
import itertools
import json
import lzma
import os
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numcodecs
import numpy as np
import pytest
import zarr
from numcodecs import pickles
from zarr.abc.store import RangeByteRequest
from zarr.codecs import BytesCodec, GzipCodec, ShardingCodec, TransposeCodec, ZstdCodec
from zarr.core.buffer import default_buffer_prototype

from napari_unet.errors import ImageError
from napari_unet.io.decompression import unpacks_to_more
from napari_unet.io.open import open_image

WHOLE = slice(0, 40), slice(0, 50)
INNER = ShardingCodec(chunk_shape=(4, 4))
BIG = BytesCodec(endian="big")
PROTOTYPE = default_buffer_prototype()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=np.ones((40, 50), "u2"), chunks=(20, 50))
    return path


def swap(file: Path, make: Callable[[Path], object]) -> None:
    file.unlink()
    make(file)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (os.mkfifo, "is no file but a pipe or a device"),
        (lambda file: file.symlink_to("/dev/zero"), "leads out of the image"),
        (lambda file: file.symlink_to("../../../secret"), "leads out of the image"),
        (lambda file: file.symlink_to("nothing"), r"c/1/0 is a link to .*nothing is"),
    ],
    ids=["pipe", "device", "link_out", "dangling"],
)
def test_chunk_that_is_no_file_of_the_image_is_refused_at_once(
    path: Path, make: Any, sentence: str
) -> None:
    (path.parent / "secret").write_bytes(b"")
    swap(path / "c" / "1" / "0", make)
    image = open_image(path)
    assert image.read((), slice(0, 20), slice(0, 50)).all()  # the other chunk
    with pytest.raises(ImageError, match=sentence):
        image.read((), *WHOLE)


def test_link_within_the_image_is_followed(path: Path) -> None:
    swap(path / "c" / "1" / "0", lambda file: file.symlink_to("../0/0"))
    (path.parent / "b.zarr").symlink_to(path)
    assert open_image(path.parent / "b.zarr").read((), *WHOLE).all()


def test_description_that_is_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=np.ones((9, 9), "u2"), zarr_format=2)
    swap(path / ".zattrs", os.mkfifo)
    with pytest.raises(ImageError, match="a pipe or a device"):
        open_image(path)


class Trap:
    """What runs a program when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("place", ["filters", "compressor"])
def test_pickles_are_refused_whatever_numcodecs_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True)
    path, mark = tmp_path / "a.zarr", tmp_path / "trapped"
    codec = numcodecs.Pickle()
    how = {"filters": [codec], "compressor": None}
    how = how if place == "filters" else {"filters": None, "compressor": codec}
    array = zarr.create(shape=(9, 9), store=path, dtype="u1", zarr_format=2, **how)
    array[...] = 1
    (path / "0.0").write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(ImageError, match="packed with 'pickle'"):
        open_image(path).read((), slice(0, 9), slice(0, 9))
    assert not mark.exists()


ZEROS = bytes(2**25)


def zstd_without_size(data: bytes) -> bytes:
    packed = bytes(numcodecs.Zstd().encode(data))
    about = packed[4]
    single, width = about >> 5 & 1, (1, 2, 4, 8)[about >> 6]
    window = b"\xa0" if single else packed[5:6]
    return packed[:4] + bytes([about & 0x1F]) + window + packed[6 - single + width :]


BOMBS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": lambda data: zlib.compress(data) * 8,
    "gzip": lambda data: gzip.compress(data) * 8,
    "bz2": bz2.compress,
    "lzma": lzma.compress,
    "zstd": lambda data: bytes(numcodecs.Zstd().encode(data)),
    "zstd_twice": lambda data: bytes(numcodecs.Zstd().encode(data[: 2**24])) * 2,
    "zstd_without_size": zstd_without_size,
    "blosc": lambda data: bytes(numcodecs.Blosc().encode(data)),
}


@pytest.mark.parametrize("pack", BOMBS.values(), ids=BOMBS)
def test_what_bytes_unpack_to_is_known_before(pack: Callable[[bytes], bytes]) -> None:
    packed = memoryview(pack(ZEROS))
    assert unpacks_to_more(packed, len(ZEROS) - 1)
    if pack is not BOMBS["zlib"] and pack is not BOMBS["gzip"]:
        assert not unpacks_to_more(packed, len(ZEROS) + 2**17)


def test_bytes_that_are_packed_in_no_way_are_left_alone() -> None:
    rng = np.random.default_rng(0)
    for start in (b"", b"\x1f\x8b\x08", b"\x78\x9c", b"BZh9", b"\xfd7zXZ\0"):
        data = start + rng.integers(0, 256, 2**20, np.uint8).tobytes()
        assert not unpacks_to_more(memoryview(data), 0)


def test_frames_of_zstd_that_decoders_never_end_are_damage(path: Path) -> None:
    packed = zstd_without_size(bytes(2 * 20 * 50)) + b"\x28\xb5\x2f"
    (path / "c" / "1" / "0").write_bytes(packed)
    with pytest.raises(ImageError, match="something else follows"):
        open_image(path).read((), *WHOLE)


def test_bomb_in_an_image_is_refused(path: Path) -> None:
    (path / "c" / "1" / "0").write_bytes(bytes(numcodecs.Zstd().encode(ZEROS)))
    with pytest.raises(ImageError, match="would unpack to more than 17 MB"):
        open_image(path).read((), *WHOLE)


def write_shard(path: Path, chunks: list[bytes], where: str, checked: bool) -> Path:
    """Write an image of 40 x 50 pixels, in one shard with chunks of 20 x 25."""
    how = {"chunks": (20, 25), "shards": (40, 50), "dtype": "u2"}
    zarr.create_array(path, shape=(40, 50), compressors=ZstdCodec(), **how)
    about = json.loads((path / "zarr.json").read_text())
    sharding = about["codecs"][0]["configuration"]
    sharding["index_location"] = where
    del sharding["index_codecs"][2 if checked else 1 :]
    (path / "zarr.json").write_text(json.dumps(about))
    width = 16 * len(chunks) + 4 * checked
    starts = np.cumsum([width * (where == "start"), *map(len, chunks)])
    index = np.array([*zip(starts, map(len, chunks), strict=False)], "<u8").tobytes()
    index += google_crc32c.value(index).to_bytes(4, "little") * checked
    packed = b"".join(chunks)
    (path / "c" / "0").mkdir(parents=True)
    whole = index + packed if where == "start" else packed + index
    (path / "c" / "0" / "0").write_bytes(whole)
    return path


BOMB = bytes(numcodecs.Zstd().encode(bytes(2**24))) * 128  # 68 kB, of 2 GB
GOOD = bytes(numcodecs.Zstd().encode(np.ones((20, 25), "<u2").tobytes()))


@pytest.mark.parametrize(
    ("where", "checked"), [("end", True), ("start", True), ("end", False)]
)
def test_bomb_in_a_shard_is_refused(tmp_path: Path, where: str, checked: bool) -> None:
    chunks = [GOOD, BOMB, GOOD, GOOD]
    image = open_image(write_shard(tmp_path / "a.zarr", chunks, where, checked))
    assert image.read((), slice(20, 40), slice(0, 50)).all()
    for window in (WHOLE, (slice(0, 9), slice(20, 40))):
        with pytest.raises(ImageError, match="would unpack to more than 17 MB"):
            image.read((), *window)
    good = open_image(write_shard(tmp_path / "b.zarr", [GOOD] * 4, where, checked))
    assert good.read((), *WHOLE).all()


def test_parts_of_a_shard_are_looked_at_one_by_one(tmp_path: Path) -> None:
    """Zarr 3.4 asks for several at once, and would read neighbours in one go."""
    chunks = [GOOD, GOOD, BOMB, GOOD]
    path = write_shard(tmp_path / "a.zarr", chunks, "end", checked=True)
    folder = open_image(path).data._array.store
    at = np.cumsum([0, len(GOOD), len(GOOD), len(BOMB)]).tolist()
    parts = [RangeByteRequest(*pair) for pair in itertools.pairwise(at)]

    async def read(count: int) -> list[bytes]:
        asked = folder.get_ranges("c/0/0", parts[:count], prototype=PROTOTYPE)
        return [found.to_bytes() async for group in asked for _, found in group]

    def read_sync(count: int) -> list[bytes]:
        asked = folder.get_ranges_sync("c/0/0", parts[:count], prototype=PROTOTYPE)
        return [found.to_bytes() for _, found in asked]

    assert asyncio.run(read(2)) == read_sync(2) == [GOOD] * 2
    for start in (read_sync, lambda count: asyncio.run(read(count))):
        with pytest.raises(ImageError, match="would unpack to more than 17 MB"):
            start(3)


def test_shard_that_was_cut_off_is_damage(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "a.zarr", [GOOD] * 4, "end", checked=True)
    (path / "c" / "0" / "0").write_bytes(bytes(60))
    with pytest.raises(ImageError, match="index of a shard was cut off"):
        open_image(path).read((), *WHOLE)


@pytest.mark.parametrize(
    "how",
    [
        {"serializer": ShardingCodec(chunk_shape=(8, 8), codecs=[INNER])},
        {"serializer": INNER, "filters": [TransposeCodec(order=(1, 0))]},
        {"serializer": INNER, "compressors": [GzipCodec()]},
        {"serializer": ShardingCodec(chunk_shape=(4, 4), index_codecs=[BIG])},
    ],
    ids=["nested", "transposed", "packed", "other_index"],
)
def test_shards_that_cannot_be_looked_into_are_refused(
    tmp_path: Path, how: dict[str, Any]
) -> None:
    path, about = tmp_path / "a.zarr", {"compressors": None, **how}
    zarr.create_array(path, data=np.ones((16, 16), "u2"), chunks=(16, 16), **about)
    with pytest.raises(ImageError, match="shards within shards, or packs whole"):
        open_image(path)
