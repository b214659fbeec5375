"""Fingerprint of a file or Zarr: size and time, to tell whether it has changed."""

import hashlib
from pathlib import Path
from typing import Any

from napari_unet.errors import ImageError
from napari_unet.io.zarr_groups import DESCRIPTIONS

__all__ = ["fingerprint", "mark_of"]


def fingerprint(path: Path) -> dict[str, Any]:
    """Return what tells whether a file, or the description of a Zarr, was changed.

    Raises
    ------
    ImageError
        If it is not there any more.
    """
    try:
        if not path.is_dir():
            stat = path.stat()
            return {"bytes": stat.st_size, "changed": stat.st_mtime_ns}
        digest = hashlib.sha256()
        found = (m for n in DESCRIPTIONS for m in (path / n, *path.glob(f"*/{n}")))
        for mark in sorted(found):
            if mark.is_file() and mark.parent.name != "labels":  # may be ours
                digest.update(str(mark.relative_to(path)).encode() + mark.read_bytes())
        return {"description": digest.hexdigest()}
    except OSError as error:
        raise ImageError(
            f"{path.name} is not there any more ({error.strerror or error}). Put it "
            "back, and start again."
        ) from error


def mark_of(path: Path) -> dict[str, Any]:
    """Return the fingerprint of what is about to be opened; empty if it is not there.

    Whoever opens it says best why it cannot be.
    """
    try:
        return fingerprint(path)
    except ImageError:
        return {}
