"""A disk that fails at the n-th thing it is asked to do, and is real in all else."""

import builtins
import errno
import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from napari_unet.errors import UNetError

__all__ = ["FAULTS", "Disk", "every_fault"]

# The error, and whether all that follows fails, too.
FAULTS = [
    pytest.param(errno.ENOSPC, False, id="full-once"),
    pytest.param(errno.EIO, True, id="dead-from-then-on"),
]
_CALLS = [
    "fsync",
    "replace",
    "rename",
    "link",
    "mkdir",
    "unlink",
    "remove",
    "rmdir",
    "truncate",
]


class Disk:
    """Counts what is asked of a folder's files for writing, and lets some of it fail.

    Of a write that fails, the first half of the bytes arrives, as on a real disk.

    Parameters
    ----------
    folder
        Whatever lies elsewhere is not counted.
    at
        Which operation fails, counted from 1.
    number, lasting
        Of the error; and whether every operation after that fails as well.
    """

    def __init__(self, folder: Path, at: int, number: int, lasting: bool) -> None:
        self.folder, self.at, self.number, self.lasting = folder, at, number, lasting
        self.asked: list[str] = []
        self._lock = threading.Lock()
        self._open, self._patch = io.open, pytest.MonkeyPatch()

    @property
    def failed(self) -> bool:
        """Whether it came to that."""
        return len(self.asked) >= self.at

    def fail(self, name: str, place: Any) -> bool:
        """Count an operation; return whether it is to fail."""
        with self._lock:
            self.asked.append(f"{name} {place}")
            count = len(self.asked)
        return count == self.at or (self.lasting and count > self.at)

    def error(self, place: Any) -> OSError:
        """Return what the system would say."""
        return OSError(self.number, os.strerror(self.number), place)

    def __enter__(self) -> "Disk":
        for name in _CALLS:
            self._patch.setattr(os, name, self._failing(name, getattr(os, name)))
        self._patch.setattr(os, "open", self._opening(os.open))
        self._patch.setattr(io, "open", self.open)
        self._patch.setattr(builtins, "open", self.open)
        return self

    def __exit__(self, *error: object) -> None:
        self._patch.undo()

    def _failing(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(place: Any, *args: Any, **kwargs: Any) -> Any:
            if self._here(place, kwargs) and self.fail(name, place):
                raise self.error(None if isinstance(place, int) else place)
            return real(place, *args, **kwargs)

        return call

    def _opening(self, real: Callable[..., int]) -> Callable[..., int]:
        def call(place: Any, flags: int, *args: Any, **kwargs: Any) -> int:
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes and self._here(place, kwargs) and self.fail("open", place):
                raise self.error(place)
            return real(place, flags, *args, **kwargs)

        return call

    def open(self, file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        """Open a file as the real one does, for writing with calls that can fail."""
        writes, counted = set(mode) & set("wax+"), "opener" in kwargs  # by os.open
        if counted or not writes or not self._here(file, {}):
            return self._open(file, mode, *args, **kwargs)
        if self.fail("open", file):
            raise self.error(file)
        raw = _File(self, file, mode.replace("b", "").replace("t", ""))
        kind = io.BufferedRandom if "+" in mode else io.BufferedWriter
        if "b" in mode:
            return kind(raw)
        return io.TextIOWrapper(kind(raw), **kwargs)

    def _here(self, place: Any, kwargs: dict[str, Any]) -> bool:
        """Whether a place is in the folder; handles of open files are, too."""
        inside = isinstance(place, int) or kwargs.get("dir_fd") is not None
        return inside or Path(os.fsdecode(place)).is_relative_to(self.folder)


class _File(io.FileIO):
    def __init__(self, disk: Disk, file: Any, mode: str) -> None:
        self._disk = disk
        super().__init__(file, mode)

    def truncate(self, size: int | None = None, /) -> int:
        """Cut it."""
        if self._disk.fail("truncate", self.name):
            raise self._disk.error(self.name)
        return super().truncate(size)

    def write(self, data: Any) -> int:
        """Write, or half of it."""
        if not self._disk.fail("write", self.name):
            return super().write(data)
        super().write(bytes(data)[: len(data) // 2])
        raise self._disk.error(self.name)


def every_fault(
    folder: Path,
    number: int,
    lasting: bool,
    work: Callable[[], object],
    which: Iterable[int] = range(1, 10**4),
) -> Iterator[str]:
    """Do work with a fault at its first operation, its second, ... until all are over.

    Or at those operations that `which` counts.

    Yields
    ------
    said
        The sentence that came out; empty where the work was done all the same. Last
        comes the work without a fault.
    """
    for at in which:
        said = ""
        disk = Disk(folder, at, number, lasting)
        try:
            with disk:
                work()
        except UNetError as error:
            said = str(error)
            assert said.endswith("."), said
        except BaseException as error:
            error.add_note(
                f"fault {at}: {disk.asked[at - 1 : at]}, then {disk.asked[at:]}"
            )
            raise
        yield said
        if not disk.failed:
            assert not said, said
            assert at > 4, disk.asked  # else it counts nothing
            return
