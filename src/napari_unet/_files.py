"""Atomic file writing: whole or not at all; damaged files are set aside."""

import errno
import io
import itertools
import math
import os
import re
import secrets
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from napari_unet.errors import CorrectionError, OutputError

__all__ = [
    "DAMAGE",
    "fsync_tree",
    "is_part",
    "pack",
    "read_regular",
    "read_whole",
    "set_aside",
    "sweep",
    "unpack",
    "write_whole",
]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What the libraries raise on bytes that they do not understand. (`RuntimeError` is that
# of nesting without end, too, `ArithmeticError` that of a number without end.)
DAMAGE = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, EOFError),
    *(OSError, RuntimeError, SyntaxError, TokenError, struct.error, zlib.error),
    zipfile.BadZipFile,
)
_KINDS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # of what `pack` writes
_PART = re.compile(r".+\.[0-9a-f]{8}\.(\d+)\.part", re.ASCII)  # and nobody else's
_DAMAGED = ".damaged"
# Bytes that a file may unpack to, whatever its size; and how many times its size. What
# is large is stored as it is, or are pixels, which become a few times smaller.
_UNPACKED, _RATIO = 2**28, 32
_HEADER = (
    1000  # characters of an array's header; more may nest deeper than Python reads
)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, and its folder; killed at any moment, it leaves the old or the new.

    Raises
    ------
    OutputError
        If the disk does not take it. What was there before is untouched.
    """
    # Two writers of one file, in one process or on two machines, share no part.
    mark = f"{secrets.token_hex(4)}.{os.getpid()}"
    part = path.with_name(f"{path.name}.{mark}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        full = error.errno in _FULL
        why = "the disk is full" if full else error.strerror or str(error)
        raise OutputError(
            f"'{path}' could not be saved: {why}. "
            f"{'Make room' if full else 'Check the disk'}, then save again; what was "
            "saved before is untouched."
        ) from error


def read_regular(path: Path) -> bytes:
    """Return what a file holds; nothing but a file is waited for, or read without end.

    Raises
    ------
    OSError
        If it cannot be read, or is a pipe or a device, perhaps through a link.
    """
    with open(path, "rb", opener=_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no file but a pipe or a device")
        return file.read()


def _at_once(path: str, flags: int) -> int:
    """Open a file; a pipe that nobody writes to is opened, too, and not waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_whole(path: Path) -> bytes:
    """Return what a file holds.

    Raises
    ------
    FileNotFoundError
        If there is none.
    CorrectionError
        If it may not be read, or the disk fails.
    """
    try:
        return read_regular(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CorrectionError(
            f"'{path}' cannot be read ({error.strerror or error}). Check the disk, and "
            "whether you may read the file."
        ) from error


def pack(raw: Collection[str] = (), /, **arrays: NDArray[Any]) -> bytes:
    """Return the bytes of a ``.npz`` file.

    Parameters
    ----------
    raw
        Names of arrays that are not compressed: pixels of an image take longer than it
        is worth.
    arrays
        What is in it.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array, allow_pickle=False)
            kind = zipfile.ZIP_STORED if name in raw else zipfile.ZIP_DEFLATED
            # Level 1 makes files as small as level 6, five times as fast.
            archive.writestr(f"{name}.npy", member.getvalue(), kind, 1)
    return file.getvalue()


def unpack(data: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of a ``.npz`` file; nothing in it is executed.

    What it claims to hold is looked at before any of it is unpacked.

    Raises
    ------
    ValueError
        If it is damaged, or unpacks to far more than `pack` would have put into it.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            _check_members(file.infolist(), len(data))
            # Whole members, so that their checksums are looked at first.
            return {
                member.filename.removesuffix(".npy"): _array(file.read(member))
                for member in file.infolist()
            }
    except DAMAGE as error:
        raise ValueError(f"no arrays: {error}") from error


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    if not _KINDS.issuperset(member.compress_type for member in members):
        raise ValueError("packed in an unknown way")
    unpacked = sum(member.file_size for member in members)
    if unpacked > max(_UNPACKED, _RATIO * size):
        raise ValueError(f"{size} bytes that unpack to {unpacked}")


def _array(member: bytes) -> NDArray[Any]:
    """Return what a ``.npy`` file holds; its header must say how long it is."""
    file = io.BytesIO(member)
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"an array of version {version}")
    shape, _, dtype = readers[version](file, max_header_size=_HEADER)
    there = len(member) - file.tell()
    if math.prod(shape) * dtype.itemsize != there:
        raise ValueError(f"{there} bytes for an array of {shape}, {dtype}")
    file.seek(0)
    found: NDArray[Any] = np.load(file, allow_pickle=False, max_header_size=_HEADER)
    return found


def fsync_tree(path: Path) -> None:
    """Wait until what was written to a file, or to all files in a folder, is on disk.

    Files that are not there, such as chunks of nothing but background, are no loss.

    Raises
    ------
    OSError
        If the disk does not take them.
    """
    files = path.rglob("*") if path.is_dir() else (path,)
    for file in files:
        if file.is_dir():
            continue
        try:
            number = os.open(file, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            os.fsync(number)
        finally:
            os.close(number)


def set_aside(path: Path, error: Exception) -> str:
    """Rename a damaged file, and return the sentence that says so."""
    numbers = itertools.count(2)
    aside = path.with_name(path.name + _DAMAGED)
    while aside.exists():
        aside = path.with_name(f"{path.name}{_DAMAGED}-{next(numbers)}")
    try:
        os.replace(path, aside)
    except OSError:
        aside = path
    return (
        f"{path.parent.name}/{path.name} is damaged ({error}) and was left out; it is "
        f"kept as '{aside}'."
    )


def is_part(name: str) -> bool:
    """Return whether a file is called as one that `write_whole` has not finished."""
    return _PART.fullmatch(name) is not None


def sweep(folder: Path) -> None:
    """Remove what programs that were killed did not finish writing."""
    for part in folder.rglob("*.part"):
        found = _PART.fullmatch(part.name)
        if found and not psutil.pid_exists(int(found[1])):
            with suppress(OSError):
                part.unlink()
