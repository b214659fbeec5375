"""What the thread does when someone clicks Segment; torch is loaded there, not before.

No Qt, no layers: a `Request` goes in, `Step` and `Outcome` come out.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.events import Segmentation, TileDone
from napari_unet.images import Image
from napari_unet.options import SegmentOptions
from napari_unet.outputs import LabelArray, create_labels

if TYPE_CHECKING:
    from napari_unet.model import Model

__all__ = ["Box", "Outcome", "Request", "Step", "segmenting"]

Box = tuple[slice, slice]
Table = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be segmented, and how.

    Attributes
    ----------
    model
        Name of a shipped model, or the path of a file.
    models
        Models that are loaded already, and where this one is kept.
    array
        The result to go on with; None starts a new one.
    last_id
        The greatest id in `array`; new objects are numbered after it.
    view, plane
        What the user looks at: it comes first.
    only
        Nothing but `view` of `plane`.
    """

    image: Image
    model: str
    options: SegmentOptions
    models: dict[Any, Any] = field(default_factory=dict)
    array: LabelArray | None = None
    last_id: int = 0
    view: Box | None = None
    plane: tuple[int, ...] = ()
    only: bool = False


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
    axes
        Letters of the axes before Y and X.
    """

    result: Segmentation
    array: LabelArray
    table: Table | None
    last_id: int
    box: tuple[slice, ...] | None
    classes: tuple[str, ...]
    axes: str


def segmenting(request: Request) -> Generator[Step, None, Outcome]:
    """Run `request`; tiles are in the array when their step is yielded."""
    from napari_unet.predict import output_shape, segment
    from napari_unet.threads import spare_cores

    spare_cores()  # the viewer needs one too
    image, options = request.image, request.options
    model = _load(request.model, request.models)
    shape, dtype, _ = output_shape(model, image, options)
    array, last = request.array, request.last_id
    if array is None or tuple(array.shape) != shape or array.dtype != dtype:
        array, last = create_labels(shape, dtype), 0
    target = _Renumbered(array, last) if last else array
    objects = dtype == np.int32  # their tiles come before they are in the array
    steps = segment(
        model,
        image,
        options,
        out=target,
        view=request.view,
        plane=request.plane,
        only=request.only,
    )
    done = total = 0
    last_id = last
    while True:
        try:
            step = next(steps)
        except StopIteration as stop:
            result = stop.value
            break
        if not isinstance(step, TileDone):
            yield Step(array, None, done, total, "joining objects", last_id)
            continue
        done, total = step.done, step.total
        key = None
        if step.labels.size:
            key = (*(slice(at, at + 1) for at in step.plane), *step.core)
            if objects:
                target[(*step.plane, *step.core)] = step.labels
                last_id = max(last_id, last + int(step.labels.max()))
        yield Step(array, key, done, total, "", last_id)
    table = None
    if result.objects is not None:
        last += result.objects
        measuring = Step(array, None, 1, 1, "measuring", last)
        table = yield from _measured(request, array, measuring)
    classes, axes = model.spec.classes, image.plane_axes
    return Outcome(result, array, table, last, _box(request), classes, axes)


def _box(request: Request) -> tuple[slice, ...] | None:
    if not request.only:
        return None
    whole = tuple(slice(0, size) for size in request.image.plane_shape)
    planes = (slice(at, at + 1) for at in request.plane)
    return (*planes, *(request.view or whole))


def _measured(
    request: Request, array: LabelArray, step: Step
) -> Generator[Step, None, Table | None]:
    """Measure the objects block by block; Cancel is answered in between."""
    from napari_unet.measures import measure_stack

    image, channel = request.image, request.options.channel
    channels = [channel] if isinstance(channel, int) else None
    whole = tuple(slice(0, size) for size in image.plane_shape)
    y, x = request.view if request.only and request.view is not None else whole
    part = _Window(array, y.start, x.start, (y.stop - y.start, x.stop - x.start))

    def read(plane: tuple[int, ...], rows: slice, columns: slice) -> NDArray[Any]:
        return image.read(plane, *part.moved(rows, columns), channels)

    planes = [request.plane] if request.only else image.planes()
    job = measure_stack(part, planes, read, axes=image.plane_axes, **_pixel_size(image))
    while True:
        yield step
        try:
            next(job)
        except StopIteration as stop:
            joined: Table = stop.value
            break
    if not len(joined["label"]):
        return None
    for name, start in (("y", y.start), ("x", x.start)):
        for column in (f"centroid_{name}", f"bbox_{name}0", f"bbox_{name}1"):
            joined[column] = joined[column] + start
    return joined


def _pixel_size(image: Image) -> dict[str, Any]:
    at = [image.axes.index(axis) for axis in "YX"]
    if any(image.units[i] == "pixel" for i in at):
        return {}
    return {"scale": tuple(float(image.scale[i]) for i in at)}


@dataclass(frozen=True, slots=True)
class _Window:
    """The part of every plane of an array that starts at `y`, `x`."""

    array: LabelArray
    y: int
    x: int
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.array.shape[:-2], *self.size)

    def moved(self, rows: slice, columns: slice) -> Box:
        return (
            slice(rows.start + self.y, rows.stop + self.y),
            slice(columns.start + self.x, columns.stop + self.x),
        )

    def __getitem__(self, key: Any) -> NDArray[Any]:
        *plane, rows, columns = key
        return np.asarray(self.array[(*plane, *self.moved(rows, columns))])


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


def _load(source: str, models: dict[Any, Any]) -> "Model":
    from napari_unet.model import load

    path = Path(source)
    key = (source, path.stat().st_mtime_ns if path.is_file() else 0)
    if key not in models:
        models[key] = load(source)
    model: Model = models[key]
    return model
