"""Classes that have no stroke, and a place in the image for one."""

from typing import Any

from napari_unet.segmentation.uncertain_regions import UncertainRegion
from napari_unet.tiling import whole
from napari_unet.ui.correct.class_names import OBJECTS
from napari_unet.ui.correct.class_table import ClassRow
from napari_unet.ui.correct.state import CorrectionState
from napari_unet.ui.correct.uncertain import typical
from napari_unet.ui.layers import looked_at

__all__ = ["can_learn", "lacking", "place_of"]


def lacking(desk: CorrectionState) -> list[ClassRow]:
    """Return the classes of which the model in use has seen no stroke yet.

    There are none before the first stroke, nor once the model has learned here.
    """
    if desk.correcting is None or desk.learned:
        return []
    rules = desk.correcting.canvas.rules  # the table may have more classes by now
    known = len(OBJECTS if desk.objects else rules.classes)
    found = [row for row in desk.rows()[:known] if not row.pixels]
    return found if len(found) < known else []


def can_learn(desk: CorrectionState) -> bool:
    """Return whether more than one class of the net was painted: one says nothing."""
    return desk.collection is not None and len(desk.collection.counts()) > 1


def place_of(viewer: Any, desk: CorrectionState, value: int) -> UncertainRegion | None:
    """Return a good place for a stroke of a class; None if the labels have none.

    What is in view comes first: elsewhere nothing may have been segmented yet.
    """
    result = desk.result
    if result is None or result.array is None:
        return None
    seen = looked_at(viewer, desk.image_layer)
    everywhere = whole(result.array.shape)
    boxes = [box for box in (seen.box, everywhere) if box is not None]
    return typical(result.array, seen.plane, boxes, value, objects=desk.objects)
