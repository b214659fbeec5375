"""Tour of uncertain regions, by moving the camera; the search, in the thread."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.annotation.resegment import Request, load_model
from napari_unet.annotation.reviews import ImageReviews
from napari_unet.labels.middles import middle_of
from napari_unet.segmentation.uncertain_regions import Scanned, UncertainRegion
from napari_unet.tiling import Box

__all__ = ["Stop", "Tour", "go_to", "looking", "seeing", "show_all_of", "typical"]

_CANVAS = 600  # pixels across, about: napari does not say
_ACROSS = 12  # radii of a place that are in view when the camera is there
_NEAR, _FAR = 8, 40  # pixels: least and greatest radius of a typical place


@dataclass(slots=True)
class Tour:
    """The places that one model is least sure of, and which of them were visited.

    Attributes
    ----------
    model
        Whose places they are: another model is unsure of others.
    waiting
        Best first.
    """

    model: str = ""
    waiting: list[UncertainRegion] = field(default_factory=list)
    visited: list[UncertainRegion] = field(default_factory=list)

    def begin(self, model: str, places: list[UncertainRegion]) -> None:
        """Take the places that were found."""
        if model != self.model:
            self.visited = []
        self.model, self.waiting = model, list(places)

    def next(self, model: str, reviews: ImageReviews) -> UncertainRegion | None:
        """Return the next place that nobody reviewed since; None if there is none."""
        while model == self.model and self.waiting:
            place = self.waiting.pop(0)
            self.visited.append(place)
            y, x = slice(place.y, place.y + 1), slice(place.x, place.x + 1)
            if not reviews.reviewed(place.plane, (y, x)).any():
                return place
        return None


@dataclass(frozen=True, slots=True)
class Stop:
    """An image in which uncertain places are looked for.

    Attributes
    ----------
    layer
        The image layer.
    visited
        Places that need not be told again.
    """

    layer: Any
    view: Request
    reviews: ImageReviews
    visited: tuple[UncertainRegion, ...] = ()


def looking(
    views: Sequence[tuple[Request, Sequence[UncertainRegion]]],
) -> Generator[Scanned, None, tuple[int, list[UncertainRegion]]]:
    """Look for uncertain places in one image after the other.

    Parameters
    ----------
    views
        Of each image, and the places there that need not be told again.

    Returns
    -------
    number, places
        The first image that has any, counted from 0, and those; else the last image,
        and none.
    """
    from napari_unet.network.threads import spare_cores

    spare_cores()
    places: list[UncertainRegion] = []
    for number, (view, visited) in enumerate(views):
        places = yield from _scanning(view, visited)
        if places:
            return number, places
    return len(views) - 1, []


def _scanning(
    view: Request, visited: Sequence[UncertainRegion]
) -> Generator[Scanned, None, list[UncertainRegion]]:
    """Look for uncertain places in an image, those near the view first."""
    from napari_unet.segmentation.uncertainty import find_uncertain

    centre = None
    if view.view is not None:
        y, x = view.view
        centre = ((y.start + y.stop) // 2, (x.start + x.stop) // 2)
    return (
        yield from find_uncertain(
            load_model(view.model, view.models),
            view.image,
            view.options,
            start=view.plane,
            reviewed=_nowhere if view.reviews is None else view.reviews.reviewed,
            found=visited,
            centre=centre,
        )
    )


def _nowhere(plane: tuple[int, ...], box: Box) -> NDArray[np.bool_]:
    return np.zeros([side.stop - side.start for side in box], bool)


def seeing(view: Request) -> Generator[None, None, NDArray[np.float32]]:
    """Return how undecided the model is in view, 0 to 1 (Y, X)."""
    from napari_unet.network.threads import spare_cores
    from napari_unet.segmentation.uncertainty import margin

    spare_cores()
    yield
    model = load_model(view.model, view.models)
    whole = tuple(slice(0, n) for n in view.image.plane_shape)
    box: Any = view.view or whole
    return 1 - margin(model, view.image, view.options, view.plane, box)


def typical(
    labels: Any,
    plane: tuple[int, ...],
    boxes: Sequence[Box],
    value: int,
    *,
    objects: bool,
) -> UncertainRegion | None:
    """Return where labels show most of a class, in the first box that has any.

    Parameters
    ----------
    objects
        Whether the labels are numbers of objects, of which `value` 1 means any.
    """
    for y, x in boxes:
        part = np.asarray(labels[(*plane, y, x)])
        found = middle_of(part > 0 if objects and value else part == value)
        if found is not None:
            row, column, radius = found
            near = min(max(radius // 3, _NEAR), _FAR)
            return UncertainRegion(
                plane, y.start + row, x.start + column, near, 0.0, ""
            )
    return None


def go_to(viewer: Any, layer: Any, place: UncertainRegion) -> None:
    """Bring a place of an image or labels layer into the middle of the canvas."""
    at = (*place.plane, place.y, place.x)
    lead = (0,) * (layer.ndim - len(at))  # the channels of an image
    point = np.asarray(layer.data_to_world((*lead, *at)))
    step = np.asarray(viewer.dims.point)
    step[-len(point) :] = point
    viewer.dims.point = tuple(step)
    across = _ACROSS * place.radius * float(np.abs(np.asarray(layer.scale))[-1])
    _aim(viewer, point[-2:], across)


def show_all_of(viewer: Any, layer: Any) -> None:
    """Bring a layer into view, unless the middle of the canvas shows it already."""
    low, high = np.asarray(layer.extent.world)[:, -2:]
    centre = np.asarray(_camera(viewer).center)[-2:]
    if not ((low <= centre) & (centre <= high)).all():
        _aim(viewer, (low + high) / 2, float((high - low).max()))


def _aim(viewer: Any, middle: Any, across: float) -> None:
    """Show a square of the world, `across` wide, around a point (y, x)."""
    camera = _camera(viewer)
    camera.center = (0.0, *middle)
    camera.zoom = min(max(_CANVAS / max(across, 1e-9), 1e-6), 1e6)


def _camera(viewer: Any) -> Any:
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
