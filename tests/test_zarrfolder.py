"""What of a Zarr is read: its own files, none that do harm."""

import bz2
import gzip
import lzma
import os
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from numcodecs import pickles

from napari_unet.errors import ImageError
from napari_unet.images import open_image
from napari_unet.unpacking import unpacks_to_more

WHOLE = slice(0, 40), slice(0, 50)


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
