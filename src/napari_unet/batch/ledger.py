"""Ledger: a journal of finished work, from which a long job resumes.

A ledger is a file of JSON lines that only ever grows: first what the job is, then what
of it is finished. A line counts when its newline is there, so that a write which was
cut short is a line that was never written.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

from napari_unet._files import read_regular
from napari_unet._locks import Timeout, turn_lock
from napari_unet.errors import OutputError

__all__ = ["Ledger", "locked", "read_ledger", "unless_used"]

Entry = dict[str, Any]

_SYNC = 0.5  # seconds of work that a power failure may cost


class Ledger:
    """The ledger of one job, open for more lines.

    Parameters
    ----------
    path
        A file in a folder that exists; made if it is not there.

    Attributes
    ----------
    entries
        The lines that were there when it was opened, and those that came since.

    Raises
    ------
    OutputError
        If the file cannot be read or written, or is no ledger.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.entries, whole = _read(path)
            with ExitStack() as refused:
                self._file = refused.enter_context(path.open("ab"))
                self._file.truncate(whole)
                refused.pop_all()
        except OSError as error:
            raise _refusal(path, error) from error
        self._synced = time.monotonic()
        self._lock = Lock()

    def append(self, **entry: Any) -> None:
        """Add a line. A crash of the program loses nothing of it.

        After a power failure lines of the last half second may be missing, those of
        one `sync` and before are there.

        Raises
        ------
        OutputError
            If the disk takes no more, or the ledger is not there any more.
        """
        with self._lock:  # tiles are noted by whoever writes them
            self.check()
            try:
                self._file.write(json.dumps(entry).encode() + b"\n")
                self._file.flush()
            except OSError as error:
                raise _refusal(self.path, error) from error
            self.entries.append(entry)
        if time.monotonic() - self._synced > _SYNC:
            self.sync()

    def sync(self) -> None:
        """Wait until the disk has every line."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _refusal(self.path, error) from error
        self._synced = time.monotonic()

    def check(self) -> None:
        """Raise unless the file is still where it was opened.

        Raises
        ------
        OutputError
            If somebody removed or replaced it: what is written goes nowhere.
        """
        try:
            there = os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))
        except OSError:
            there = False
        if not there:
            raise OutputError(
                f"'{self.path.parent}' was removed or replaced while it was written "
                "to. Start again; what was finished there is lost."
            )

    def close(self) -> None:
        """Close the file; lines that are there stay."""
        with suppress(OSError):  # of a line that `append` has refused
            self._file.close()


def read_ledger(path: Path) -> list[Entry]:
    """Return the entries of a ledger; none if there is no such file.

    Raises
    ------
    OutputError
        If it cannot be read.
    """
    try:
        return _read(path)[0]
    except OSError as error:
        raise _refusal(path, error) from error


def _read(path: Path) -> tuple[list[Entry], int]:
    """Return the entries of a ledger, and how many of its bytes are whole lines."""
    try:
        data = read_regular(path)
    except FileNotFoundError:
        return [], 0
    entries: list[Entry] = []
    whole = 0
    for line in data.splitlines(keepends=True):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not line.endswith(b"\n") or not isinstance(entry, dict):
            break
        entries.append(entry)
        whole += len(line)
    return entries, whole


def _refusal(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"Progress cannot be noted in '{path}' ({error.strerror or error}). Make room "
        "there, or choose an output folder that you may write to; started again, the "
        "batch goes on from what is finished."
    )


@contextmanager
def unless_used(folder: Path) -> Iterator[None]:
    """Remove `folder` in the end, and those around it, if nothing was kept in them.

    Only folders that were made meanwhile are removed.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    finally:
        with suppress(OSError):
            if made and [path.name for path in folder.iterdir()] == ["lock"]:
                (folder / "lock").unlink()
            for path in made:
                path.rmdir()  # refuses one that is not empty


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` (made if need be) for this job alone; its end frees it, however.

    Raises
    ------
    OutputError
        If another job holds it, or it cannot be made.
    """
    lock = turn_lock(folder / "lock", wait=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise OutputError(
            f"Another run is writing to '{folder.parent}' now. Wait until it has "
            "ended, or choose another output folder."
        ) from error
    except OSError as error:
        raise OutputError(
            f"'{folder.parent}' cannot be written to ({error.strerror or error}). "
            "Choose another output folder."
        ) from error
    try:
        yield
    finally:
        lock.release()
