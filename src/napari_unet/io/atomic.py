"""Results that appear under their name whole, or not at all."""

import glob
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from napari_unet._files import fsync_tree
from napari_unet.errors import OutputError

__all__ = ["atomic", "publish"]

# What `_beside` puts behind a name, with the number of the process in it.
_OURS = re.compile(r"\.[0-9a-f]{8}\.(\d+)\.(?:part|old)", re.ASCII)


@contextmanager
def atomic(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a name to write to, and move what is there to `target` at the end.

    Raises
    ------
    OutputError
        If `target` came into being meanwhile, and may not be overwritten.
    OSError
        If the disk fails. What was there before is untouched.
    """
    part = _beside(target, "part")
    try:
        _sweep(target)
        yield part
        fsync_tree(part)  # a name must not outlive what it stands for
        publish(part, target, overwrite=overwrite)
    finally:
        _remove(part)


def _beside(target: Path, kind: str) -> Path:
    """Return a name that no other writer of the same file takes, in any process."""
    mark = f"{secrets.token_hex(4)}.{os.getpid()}"
    return target.with_name(f"{target.name}.{mark}.{kind}")


def publish(part: Path, target: Path, *, overwrite: bool) -> None:
    """Move a complete result from `part` to `target`, on the same disk.

    Raises
    ------
    OutputError
        If `target` came into being meanwhile, and may not be overwritten.
    OSError
        If the disk fails.
    """
    if overwrite:
        _replace(part, target)
    else:
        _place(part, target)


def _sweep(target: Path) -> None:
    """Remove what runs that were killed left of the same result.

    What was there before it stays if there is nothing in its place.
    """
    for kind in ("part", "old") if os.path.lexists(target) else ("part",):
        for left in target.parent.glob(f"{glob.escape(target.name)}.*.{kind}"):
            ours = _OURS.fullmatch(left.name[len(target.name) :])
            if ours and not psutil.pid_exists(int(ours[1])):
                _remove(left)


def _place(part: Path, target: Path) -> None:
    """Move `part` to `target`, which must not have come into being meanwhile."""
    try:
        if part.is_dir():
            part.rename(target)  # refuses a folder that is not empty
        else:
            os.link(part, target)  # refuses what exists, unlike a replacement
    except OSError as error:
        if os.path.lexists(target):
            raise OutputError(
                f"'{target}' came into being while it was computed, perhaps by another "
                "run; it was left alone. Choose another name, or have it replaced.",
                option="overwrite",
            ) from error
        part.replace(target)  # a disk without links


def _replace(part: Path, target: Path) -> None:
    if not target.is_dir() or target.is_symlink():
        part.replace(target)
        return
    old = _beside(target, "old")
    target.replace(old)  # a folder that is not empty cannot be replaced in one step
    try:
        part.replace(target)
    except OSError as error:
        _restore(old, target, error)
        raise
    _remove(old)


def _restore(old: Path, target: Path, error: OSError) -> None:
    """Move back what could not be replaced."""
    try:
        old.replace(target)
    except OSError:
        raise OutputError(
            f"'{target}' could not be written ({error.strerror or error}). What was "
            f"there before is kept as '{old}': check the disk, and rename it."
        ) from error


def _remove(path: Path) -> None:
    """Remove it as far as the disk lets it go: the rest is swept next time."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
