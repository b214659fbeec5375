"""Under which name something is saved, when its suffix was not typed."""

import os

from napari_unet.errors import OutputError

__all__ = ["whole_name"]


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
