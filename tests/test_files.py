"""Files that are whole or not there, whoever else writes them, and what is swept."""

import io
import os
import struct
import threading
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.processes import dead_process

from napari_unet._files import pack, set_aside, sweep, unpack, write_whole
from napari_unet.errors import OutputError


def test_two_writers_of_one_file_never_mix(tmp_path) -> None:
    file = tmp_path / "x.bin"
    write_whole(file, bytes(300_000))
    wrong: list[object] = []
    done = threading.Event()

    def write(value: int) -> None:
        for _ in range(150):
            try:
                write_whole(file, bytes([value]) * 300_000)
            except OutputError as error:
                wrong.append(error)

    def read() -> None:
        while not done.is_set():
            content = file.read_bytes()
            if len(content) != 300_000 or len(set(content)) != 1:
                wrong.append(len(content))

    writers = [threading.Thread(target=write, args=(value,)) for value in (1, 2)]
    reader = threading.Thread(target=read)
    reader.start()
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert not wrong
    assert [path.name for path in tmp_path.iterdir()] == ["x.bin"]


def test_unfinished_file_of_a_dead_program_is_swept(tmp_path, monkeypatch) -> None:
    def killed(file: int) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "corrections" / "cells"
    monkeypatch.setattr(os, "fsync", killed)
    monkeypatch.setattr(os, "getpid", dead_process)
    with pytest.raises(KeyboardInterrupt):
        write_whole(folder / "plane_0_0.npz", b"half")
    assert len(list(folder.iterdir())) == 1
    sweep(tmp_path)
    assert not list(folder.iterdir())


def test_unfinished_file_of_a_living_program_stays(tmp_path, monkeypatch) -> None:
    def stop(file: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "x.npz", b"half")
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "name", ["film.2020.part", "weights.bin.99999.part", "a.part", "12345.part"]
)
def test_files_of_other_programs_are_never_swept(tmp_path, name) -> None:
    for folder in (tmp_path, tmp_path / "models"):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("a download that goes on")
    sweep(tmp_path)
    assert (tmp_path / name).exists()
    assert (tmp_path / "models" / name).exists()


def test_every_damaged_file_is_kept(tmp_path) -> None:
    file = tmp_path / "project.json"
    notes = []
    for content in ("one", "two", "three"):
        file.write_text(content)
        notes.append(set_aside(file, ValueError("broken")))
    kept = sorted(tmp_path.iterdir())
    assert {path.read_text() for path in kept} == {"one", "two", "three"}
    assert all(any(f"'{path}'" in note for note in notes) for path in kept)


def test_damaged_file_that_cannot_be_renamed_is_named(tmp_path) -> None:
    gone = tmp_path / "gone" / "x.npz"
    assert f"it is kept as '{gone}'" in set_aside(gone, ValueError("broken"))
    assert not Path(gone).exists()


# --- arrays --------------------------------------------------------------------


def zipped(kind: int, **members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def claiming(shape: tuple[int, ...]) -> bytes:
    """Return a .npy file of 8 bytes that says it holds more."""
    data = saved(np.zeros(8, np.uint8))
    old, new = b"(8,)", repr(shape).encode()
    head = data[:128].replace(old, new)
    return head[:127].rstrip().ljust(127)[:127] + b"\n" + data[-8:]


def headed(header: bytes) -> bytes:
    """Return a file with an array that begins like this."""
    header = header.ljust(117) + b"\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
    return zipped(zipfile.ZIP_STORED, raw=start + header + bytes(8))


def changed(*changes: tuple[bytes, int, int]) -> bytes:
    """Return a good file; each byte so far after a mark is another."""
    kind = zipfile.ZIP_DEFLATED
    data = bytearray(zipped(kind, raw=saved(np.arange(8, dtype=np.uint8))))
    for mark, after, value in changes:
        data[data.index(mark) + after] = value
    return bytes(data)


def bomb() -> bytes:
    """Return a file that unpacks to a thousand times its size."""
    return zipped(zipfile.ZIP_DEFLATED, target=bytes(2**28 + 1))


ONE_BYTE = b"{'descr': '|u1', 'fortran_order': False, 'shape': (8,), }"
DAMAGED = {
    "bomb": bomb,
    "shape": lambda: zipped(zipfile.ZIP_STORED, raw=claiming((10**12,))),
    "less": lambda: zipped(zipfile.ZIP_STORED, raw=claiming((7,))),
    "lzma": lambda: zipped(zipfile.ZIP_LZMA, raw=saved(np.zeros(8))),
    "objects": lambda: zipped(
        zipfile.ZIP_STORED, raw=saved(np.array([None], dtype=object))
    ),
    "empty": lambda: zipped(zipfile.ZIP_STORED, raw=b""),
    "text": lambda: zipped(zipfile.ZIP_STORED, raw=b"hello, nobody"),
    # What numpy and zipfile raise there: one error each.
    "TokenError": lambda: headed(b"{'descr': '|u1', 'shape': (8"),
    "SyntaxError": lambda: headed(ONE_BYTE.replace(b"|u1", b",,")),
    "TypeError": lambda: headed(b"{1: 2, 'a': 3}"),
    "MemoryError": lambda: headed(b"-" * 9000 + b"1"),
    "zlib.error": lambda: changed((b"raw.npy", 7, 0xFF)),
    "RuntimeError": lambda: changed((b"PK\3\4", 6, 1), (b"PK\1\2", 8, 1)),  # a password
    "BadZipFile": lambda: b"",
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_arrays_that_claim_what_is_not_there_are_damage(data) -> None:
    damaged = data()
    tracemalloc.start()
    with pytest.raises(ValueError, match="no arrays"):
        unpack(damaged)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**20


def test_large_arrays_and_even_ones_come_back() -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "raw": rng.integers(0, 9, (3, 40, 50)).astype(np.uint16),
        "even": np.zeros((2000, 2000), np.int32),
        "by columns": np.asfortranarray(rng.random((4, 5))),
        "nothing": np.zeros((1, 0, 0), np.uint8),
    }
    found = unpack(pack({"raw"}, **arrays))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
        found[name][...] = 0  # they may be written to
