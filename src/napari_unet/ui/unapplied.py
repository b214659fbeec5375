"""The warning that a result does not show corrections that there are."""

from typing import Any

from napari_unet.errors import UNetError
from napari_unet.project.project import project_place
from napari_unet.ui.layers import file_of
from napari_unet.ui.result_layer import Result
from napari_unet.ui.session import Session

__all__ = ["unapplied"]


def unapplied(viewer: Any, session: Session, result: Result) -> str:
    """Return a sentence about corrections that are not in a result; else empty."""
    source = result.source()
    if source is None or result.reviews is not None:
        return ""
    for other in session.shown():
        if other.source() is source and other.reviews and other.reviews.blocks():
            return (
                f"What was corrected in {other.name} is not in this result of another "
                "model, nor in its table."
            )
    try:
        folder = project_place(file_of(viewer, source), str(source.name))
        project = session.open_project(folder) if folder.is_dir() else None
    except UNetError:  # U-Net: Correct says what is wrong there
        return ""
    if project is None or not any(
        project.reviewed(i.key) for i in project.index.images
    ):
        return ""
    return (
        f"What was corrected before, in {folder.name}, is not in this result: open "
        "U-Net: Correct and click 'Go on' there."
    )
