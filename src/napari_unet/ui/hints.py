"""Names of fields and buttons in the docks, for errors that say what would help."""

from collections.abc import Mapping

from napari_unet.errors import UNetError, hinted

__all__ = ["BATCH", "CORRECT", "SEGMENT", "Names", "told"]

Names = Mapping[str, str]  # of what is in `UNetError.options`

SEGMENT: Names = {
    "channel": "'Channel'",
    "link_z": "'join objects through Z'",
    "memory": "'Memory' in Advanced",
    "output": "'Output'",
    "save": "File > Save Selected Layers",
}
CORRECT: Names = {
    "approve": "'This view is right'",
    "channel": "'Channel' in U-Net: Segment",
    "edit": "'Edit' in U-Net: Batch",
    "memory": "'Memory' in U-Net: Segment",
    "new": "'New model for my classes'",
    "project": "'Open...'",
    "save": "File > Save Selected Layers",
}
BATCH: Names = {
    "axes": "'Axes' in Advanced",
    "channel": "'Channel' in Advanced",
    "edit": "'Edit'",
    "format": "'Save as' in Advanced",
    "link_z": "'join objects through Z' in Advanced",
    "measure": "'measure the objects'",
    "memory": "'Memory'",
    "output": "'Labels' in Advanced",
    "overwrite": "'replace results that are there' in Advanced",
    "save": "File > Save Selected Layers",
    "workers": "'Workers' in Advanced",
}


def told(error: UNetError, names: Names) -> str:
    """Return an error in words, with what would help as a dock calls it."""
    return hinted(str(error), error.options, names)
