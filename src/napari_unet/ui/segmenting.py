"""What the thread does when someone clicks Segment; torch is loaded there, not before.

No Qt, no layers: a `Request` goes in, `Step` and `Outcome` come out.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.events import Joining, Segmentation, TileDone
from napari_unet.imagereviews import ImageReviews
from napari_unet.images import Image
from napari_unet.levels import Levels
from napari_unet.options import SegmentOptions
from napari_unet.outputs import LabelArray, create_labels
from napari_unet.tiling import whole
from napari_unet.verbs import Verb

from .measuring import Table, measuring

if TYPE_CHECKING:
    from napari_unet.model import Model
    from napari_unet.pieces import Seen
    from napari_unet.predict import Known

__all__ = ["Box", "Outcome", "Request", "Step", "load_model", "segmenting"]

DRAWN = 16384  # rows or columns that graphics cards draw at once at most
Box = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be segmented, and how.

    Attributes
    ----------
    model
        Name of a shipped model, or the path of a file.
    models
        Models that are loaded already, and where this one is kept.
    ready
        The model itself, if it is in no file yet.
    array
        The result to go on with; None starts a new one.
    shown, reviews
        What the user sees now, and has reviewed: that stays as it is.
    restore
        Show what was reviewed outside of the view, too.
    last_id
        The greatest id in `array`; new objects are numbered after it.
    view, plane
        What the user looks at: it comes first.
    only
        Nothing but `view` of `plane`.
    known
        What was computed of that before: no net runs.
    """

    image: Image
    model: str
    options: SegmentOptions
    models: dict[Any, Any] = field(default_factory=dict)
    ready: "Model | None" = None
    array: LabelArray | None = None
    shown: LabelArray | None = None
    reviews: ImageReviews | None = None
    restore: bool = False
    last_id: int = 0
    view: Box | None = None
    plane: tuple[int, ...] = ()
    only: bool = False
    known: "Known | None" = None


@dataclass(frozen=True, slots=True)
class Step:
    """Pixels `key` of `array` are written; None: the work goes on without any."""

    array: LabelArray
    key: tuple[slice, ...] | None
    done: int
    total: int
    doing: str
    last_id: int = 0  # the greatest id in `array` so far


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request came to.

    Attributes
    ----------
    table
        One row per object that was found; None if there are none, or no objects at all.
    last_id
        The greatest id in `array`.
    box
        What was computed: slices of `array`; None for all of it.
    classes
        The names that the numbers of classes stand for.
    boundary
        Which of them separates touching objects, if one does.
    axes
        Letters of the axes before Y and X.
    """

    result: Segmentation
    array: LabelArray
    table: Table | None
    last_id: int
    box: tuple[slice, ...] | None
    classes: tuple[str, ...]
    boundary: int | None
    axes: str


def segmenting(request: Request) -> Generator[Step, None, Outcome]:
    """Run `request`; tiles are in the array when their step is yielded."""
    from napari_unet.inputs import model_input
    from napari_unet.predict import least_size, output_shape, segment
    from napari_unet.threads import spare_cores

    spare_cores()  # the viewer needs one too
    image, options = request.image, request.options
    model = request.ready or load_model(request.model, request.models)
    shape, dtype, _ = output_shape(model, image, options)
    array, last = request.array, request.last_id
    if array is None or tuple(array.shape) != shape or array.dtype != dtype:
        array, last = _new_array(shape, dtype), 0
    objects = dtype == np.int32  # their tiles come before they are in the array
    around = _Around(request, array, last, objects)
    last = around.last
    steps = segment(
        model,
        image,
        options,
        out=around.target,
        view=request.view,
        plane=request.plane,
        only=request.only,
        known=request.known,
    )
    done = total = 0
    last_id = last
    for step in (verb := Verb(steps)):
        if isinstance(step, Joining):
            yield Step(array, None, done, total, "joining objects", last_id)
            continue
        done, total = step.done, step.total
        key = None
        if isinstance(step, TileDone) and step.labels.size:
            key = (*(slice(at, at + 1) for at in step.plane), *step.core)
            if objects:
                around.target[(*step.plane, *step.core)] = step.labels
                last_id = max(last_id, last + int(step.labels.max()))
        yield Step(array, key, done, total, "", last_id)
    result, table = verb.result, None
    if result.objects is not None:
        least = least_size(model, model_input(model, image, options), options)
        last = around.rejoin(last + result.objects, least)
    around.restore()
    if result.objects is not None:
        table = yield from _measured(request, array, last)
    classes, axes = model.spec.classes, image.plane_axes
    boundary = model.spec.boundary
    return Outcome(result, array, table, last, _box(request), classes, boundary, axes)


class _Around:
    """What is in an array besides the objects that are being found.

    Attributes
    ----------
    last
        The greatest number that is taken.
    target
        What the net writes into.
    """

    def __init__(
        self, request: Request, array: LabelArray, last: int, objects: bool
    ) -> None:
        from napari_unet.kept import Kept

        self._request, self._array = request, array
        self.last, self.target = last, array
        self._kept: Kept | None = None
        self._seen: list[Seen] = []
        if request.reviews is not None:
            self.target = self._kept = Kept(array, request.reviews)
            if objects:
                self.last = max(last, request.reviews.greatest())
                self._look()
            if request.restore:
                self.restore(everywhere=True)
        if self.last:
            self.target = _Renumbered(self.target, self.last)

    def _look(self) -> None:
        """Remember what the user sees now, if anything: objects keep their numbers."""
        from napari_unet.pieces import blank, look

        request, reviews = self._request, self._request.reviews
        shown, shape = request.shown, self._array.shape
        if reviews is None:
            return
        known = shown is not None and shown.shape == shape
        for plane in [request.plane] if request.only else reviews.planes():
            boxes = reviews.boxes(plane)
            if not known or shown is None:
                self._seen += blank(shape, plane, boxes)
                continue
            view = _view(request) if request.only else None
            self._seen += look(shown, plane, boxes, view)

    def rejoin(self, last: int, least: int) -> int:
        """Let objects go on in those from before; return the greatest number."""
        from napari_unet.pieces import rejoin

        if self._kept is not None:
            for seen in self._seen:
                last = rejoin(seen, self._kept, last + 1, least) - 1
        return last

    def restore(self, *, everywhere: bool = False) -> None:
        """Show what was reviewed, that which was painted meanwhile, too."""
        from napari_unet.kept import restore

        request, reviews = self._request, self._request.reviews
        if reviews is None:
            return
        places = reviews.places()
        if request.only and not everywhere:
            places = [(p, box) for p, box in places if p == request.plane]
        restore(self._array, reviews, places)


def _new_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> LabelArray:
    array = create_labels(shape, dtype)
    return Levels(array) if max(shape[-2:]) > DRAWN else array


def _view(request: Request) -> Box:
    return request.view or whole(request.image.plane_shape)


def _measured(
    request: Request, array: LabelArray, last: int
) -> Generator[Step, None, Table | None]:
    """Measure what was segmented; Cancel is answered in between."""
    plane, box = (request.plane, request.view) if request.only else (None, None)
    job = measuring(request.image, array, request.options.channel, plane=plane, box=box)
    for _ in (verb := Verb(job)):
        yield Step(array, None, 1, 1, "measuring", last)
    return verb.result


def _box(request: Request) -> tuple[slice, ...] | None:
    if not request.only:
        return None
    planes = (slice(at, at + 1) for at in request.plane)
    return (*planes, *_view(request))


@dataclass(frozen=True, slots=True)
class _Renumbered:
    """An array of objects in which ids up to `last` are taken: 1 becomes last + 1."""

    array: LabelArray
    last: int

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def dtype(self) -> "np.dtype[Any]":
        return self.array.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        ids = np.asarray(self.array[key])
        return np.where(ids > self.last, ids - self.last, 0).astype(ids.dtype)

    def __setitem__(self, key: Any, ids: NDArray[Any]) -> None:
        self.array[key] = np.where(ids > 0, ids + self.last, 0).astype(self.dtype)


def load_model(source: str, models: dict[Any, Any]) -> "Model":
    """Return a model from where it is kept, or load it and keep it."""
    from napari_unet.model import load

    path = Path(source)
    key = (source, path.stat().st_mtime_ns if path.is_file() else 0)
    if key not in models:
        models[key] = load(source)
    model: Model = models[key]
    return model
