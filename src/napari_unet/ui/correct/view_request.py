"""The segmentation request for the view at hand."""

from dataclasses import replace

from napari_unet.annotation.models import kind_of
from napari_unet.annotation.resegment import Request
from napari_unet.annotation.reviews import ImageReviews
from napari_unet.io.image import Image
from napari_unet.options import SegmentOptions
from napari_unet.tiling import Box, whole
from napari_unet.ui.layers import View
from napari_unet.ui.result_layer import Result
from napari_unet.ui.settings import read_settings

__all__ = ["view_request"]

_SIDE = 4096  # pixels of a view that are segmented at once: seconds, not minutes


def view_request(
    image: Image,
    model: str,
    reviews: ImageReviews,
    seen: View,
    *,
    into: Result | None,
    last: Result | None,
) -> Request:
    """Return the request to segment what is seen; what was reviewed stays.

    Parameters
    ----------
    into
        The result to go on with; None begins a new one.
    last
        The last result of this image: the model is shown the image as it was there.
    """
    array = None if into is None else into.array
    return Request(
        image,
        model,
        _options(reviews, into, last),
        array=array,
        shown=array,
        reviews=reviews,
        last_id=0 if into is None else into.last_id,
        view=_middle(seen.box or whole(image.plane_shape)),
        plane=seen.plane,
        only=True,
        link_z=into is not None and into.linked,
    )


def _options(
    reviews: ImageReviews, into: Result | None, last: Result | None
) -> SegmentOptions:
    kind = kind_of(reviews.project)
    if into is not None and into.rules is not None:
        kind = into.rules.kind
    if last is not None and last.options is not None:
        return replace(last.options, output=kind)
    settings = read_settings()
    stored = reviews.project.index.known
    if seen := stored.seen:
        key = reviews.key if reviews.key in seen else next(iter(seen))  # as others are
        known = stored.seen_as(key)
    else:
        known = SegmentOptions(diameter=settings.diameter or None)
    return replace(known, output=kind, device=settings.device)


def _middle(box: Box) -> Box:
    """Return what is in the middle of a view that is enormous; else all of it."""
    y, x = (_short(side) for side in box)
    return y, x


def _short(side: slice) -> slice:
    cut = max(side.stop - side.start - _SIDE, 0) // 2
    return slice(side.start + cut, min(side.start + cut + _SIDE, side.stop))
