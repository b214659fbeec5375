"""File names for saving: legal characters and suffix."""

import os
import re

from napari_unet.errors import OutputError

__all__ = ["file_name", "whole_name"]


def file_name(text: str) -> str:
    """Return `text` without what no file may be called on any system.

    >>> file_name("a/b: c")
    'a_b_ c'
    """
    return re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", text)


def whole_name(path: str, suffix: str) -> str:
    """Return `path` with `suffix`, which Qt's own dialog does not add.

    Raises
    ------
    OutputError
        If a file of the whole name exists: the dialog has not asked about that one.
    """
    if path.lower().endswith(suffix):
        return path
    if os.path.lexists(path + suffix):
        raise OutputError(
            f"{path}{suffix} exists already. To replace it, choose it in the list."
        )
    return path + suffix
