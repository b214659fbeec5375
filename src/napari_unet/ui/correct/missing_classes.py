"""A good place in the image for a stroke of a class that has none."""

from typing import Any

from napari_unet.segmentation.uncertain_regions import UncertainRegion
from napari_unet.tiling import whole
from napari_unet.ui.correct.state import CorrectionState
from napari_unet.ui.correct.uncertain import typical
from napari_unet.ui.layers import looked_at

__all__ = ["place_of"]


def place_of(viewer: Any, state: CorrectionState, value: int) -> UncertainRegion | None:
    """Return a good place for a stroke of a class; None if the labels have none.

    What is in view comes first: elsewhere nothing may have been segmented yet.
    """
    result = state.result
    if result is None or result.array is None:
        return None
    seen = looked_at(viewer, state.image_layer)
    everywhere = whole(result.array.shape)
    boxes = [box for box in (seen.box, everywhere) if box is not None]
    return typical(result.array, seen.plane, boxes, value, objects=state.objects)
