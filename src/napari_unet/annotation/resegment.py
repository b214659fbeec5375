"""Segmenting for the viewer, beside it: tiles written around protected labels.

No Qt, no layers: a `Request` goes in, `Step` and `Outcome` come out.
"""

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet._steps import Steps
from napari_unet.annotation.around import Around
from napari_unet.annotation.reviews import Reviews
from napari_unet.compute.call import Here
from napari_unet.events import Joining, Segmentation, TileDone
from napari_unet.io.image import Image
from napari_unet.io.label_array import LabelArray, create_labels, memory_limit
from napari_unet.io.pyramid import LabelPyramid
from napari_unet.options import SegmentOptions
from napari_unet.segmentation.measure import Table, measuring
from napari_unet.tiling import Box, whole

if TYPE_CHECKING:
    from napari_unet.network.model import Model
    from napari_unet.segmentation.predict import Known

__all__ = ["Outcome", "Request", "Step", "load_model", "segmenting"]

# What comes after the net takes of its time, roughly: bars and times left count on it.
_LINKING, _MEASURING = 0.1, 0.06
DRAWN = 16384  # rows or columns that graphics cards draw at once at most


def _new_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> LabelArray:
    array = create_labels(shape, dtype)
    return LabelPyramid(array) if max(shape[-2:]) > DRAWN else array


_SHOWN = Here(_new_array)  # in the viewer's process, wherever it is filled from


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
    link_z
        Objects of neighbouring Z planes that overlap become one.
    make
        Makes the array of a new result, of a shape and dtype: where it is shown.
    """

    image: Image
    model: str
    options: SegmentOptions
    models: dict[Any, Any] = field(default_factory=dict)
    ready: "Model | None" = None
    array: LabelArray | None = None
    shown: LabelArray | None = None
    reviews: Reviews | None = None
    restore: bool = False
    last_id: int = 0
    view: Box | None = None
    plane: tuple[int, ...] = ()
    only: bool = False
    known: "Known | None" = None
    link_z: bool = False
    make: Callable[[tuple[int, ...], np.dtype[Any]], LabelArray] = _SHOWN

    @property
    def portable(self) -> bool:
        """Whether another process can do it: all that it needs can be named there.

        Where memory is bounded it is that of the viewer as a whole.
        """
        things = self.ready, self.known, self.options.memory
        return all(thing is None for thing in things)

    @property
    def box(self) -> Box:
        """(Y, X) slices of what is looked at."""
        return self.view or whole(self.image.plane_shape)

    @property
    def links(self) -> bool:
        """Whether there are planes to link."""
        return self.link_z and not self.only and "Z" in self.image.plane_axes


@dataclass(frozen=True, slots=True)
class Step:
    """Pixels `key` of `array` are written; None: the work goes on without any.

    Attributes
    ----------
    doing
        What is being done, as in "segmenting".
    progress
        How much of all is done, 0 to 1.
    last_id
        The greatest id in `array` so far.
    """

    array: LabelArray
    key: tuple[slice, ...] | None
    doing: str
    progress: float
    last_id: int = 0


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
    planes
        How many planes were segmented.
    linked
        Whether objects go on through them.
    starting
        Seconds that starting PyTorch took; hardly any if it was started before.
    """

    result: Segmentation
    array: LabelArray
    table: Table | None
    last_id: int
    box: tuple[slice, ...] | None
    classes: tuple[str, ...]
    boundary: int | None
    axes: str
    planes: int = 1
    linked: bool = False
    starting: float = 0.0


def segmenting(request: Request) -> Generator[Step, None, Outcome]:
    """Run `request`; tiles are in the array when their step is yielded."""
    starting = _start()
    from napari_unet.segmentation.output import output_shape

    image = request.image.watched()
    image.check_unchanged()
    request = replace(request, image=image)
    model = request.ready or load_model(request.model, request.models)
    shape, dtype, _ = output_shape(model, image, request.options)
    array, last = request.array, request.last_id
    if array is None or tuple(array.shape) != shape or array.dtype != dtype:
        array, last = request.make(shape, dtype), 0
    run = _Run(request, model, array, last)
    yield Step(array, None, "reading the image", 0.0, last)
    result = yield from run.net()
    table = None
    if result.objects is not None:
        run.rejoin(result.objects)
        if request.links:
            yield from run.link()
    run.around.restore()
    if result.objects is not None:
        table = yield from run.measure()
        image.check_unchanged()  # it was read once more
        if request.links:
            found = 0 if table is None else len(table["label"])
            result = replace(result, objects=found)
    return Outcome(
        result,
        array,
        table,
        run.last,
        _place(request),
        model.spec.classes,
        model.spec.boundary,
        image.plane_axes,
        1 if request.only else math.prod(image.stack_shape),
        request.links,
        starting,
    )


def _start() -> float:
    """Load PyTorch, if nobody has yet; return the seconds that it took."""
    began = time.monotonic()
    from napari_unet.network.threads import spare_cores

    spare_cores()  # the viewer needs one too
    return time.monotonic() - began


class _Run:
    """The steps of one request, and how much of all of them is done.

    Attributes
    ----------
    last
        The greatest id in the array so far.
    """

    def __init__(
        self, request: Request, model: "Model", array: LabelArray, last: int
    ) -> None:
        from napari_unet.segmentation.output import least_score

        self._request, self._model, self._array = request, model, array
        self._objects = array.dtype == np.int32
        self.around = Around(request, array, last, self._objects)
        self.last = self.around.last
        spec = model.spec
        self._classes: LabelArray | None = None
        many = len(spec.classes) - 1 - (spec.boundary is not None) > 1
        if request.links and self._objects and many:  # of one alone nobody need know
            self._classes = self._pixels()
        self._least_score = least_score(model, request.options)
        self._scores = self._pixels() if self._least_score else None
        self._begun, self._share = 0.0, 1.0  # of the phase that runs
        self._all = 1.0 + self._objects * (_MEASURING + request.links * _LINKING)

    def _pixels(self) -> LabelArray:
        """Return an array for a byte of every pixel."""
        limit = memory_limit(self._request.options.memory)
        return create_labels(self._array.shape, np.uint8, limit=limit)

    def net(self) -> Generator[Step, None, Segmentation]:
        """Run the net, and find objects plane by plane."""
        from napari_unet.segmentation.predict import segment

        request, first = self._request, self.last
        options = request.options
        if request.links:  # the score that counts is that of the joined objects
            options = replace(options, min_score=0.0)
        steps = segment(
            self._model,
            request.image,
            options,
            out=self.around.target,
            view=request.view,
            plane=request.plane,
            only=request.only,
            known=request.known,
            classes=self._classes,
            scores=self._scores,
        )
        for step in (run := Steps(steps)):
            key, doing = None, "segmenting"
            if isinstance(step, Joining):
                doing = "joining objects"
            elif isinstance(step, TileDone) and step.labels.size:
                key = (*(slice(at, at + 1) for at in step.plane), *step.core)
                if self._objects:  # they come before they are in the array
                    self.around.target[(*step.plane, *step.core)] = step.labels
                    self.last = max(self.last, first + int(step.labels.max()))
            yield self._step(doing, step.progress, key)
        return run.result

    def rejoin(self, found: int) -> None:
        """Let the objects that were found go on in those from before."""
        from napari_unet.segmentation.inputs import model_input
        from napari_unet.segmentation.output import least_size

        request = self._request
        source = model_input(self._model, request.image, request.options)
        least = least_size(self._model, source, request.options)
        self.last = self.around.rejoin(self.around.last + found, least)

    def link(self) -> Generator[Step, None, None]:
        """Give one id to objects that go on through planes."""
        from napari_unet.labels.linking import join_planes, z_stacks

        image, kept = self._request.image, self.around.decided()
        self.last = max(self.last, int(kept.max(initial=0)))  # painted meanwhile
        job = join_planes(
            self._array,
            self._classes,
            z_stacks(image.plane_axes, image.stack_shape),
            self.last,
            boundary=self._model.spec.boundary,
            scores=self._scores,
            min_score=self._least_score,
            kept=kept,
        )
        self._begin(_LINKING)
        for fraction in job:
            yield self._step("joining objects through Z", fraction)

    def measure(self) -> Generator[Step, None, Table | None]:
        """Measure what was segmented; Cancel is answered in between."""
        request = self._request
        plane, box = (request.plane, request.view) if request.only else (None, None)
        job = measuring(
            request.image,
            self._array,
            request.options.channel,
            plane=plane,
            box=box,
            linked=request.link_z and "Z" in request.image.plane_axes,
            scores=self._scores,
        )
        self._begin(_MEASURING)
        for fraction in (run := Steps(job)):
            yield self._step("measuring", fraction)
        table = run.result
        if table is not None and "score" in table:  # the net gives it, people do not
            table["score"][np.isin(table["label"], self.around.decided())] = np.nan
        return table

    def _begin(self, share: float) -> None:
        """Note that the phase before has ended, and what the next takes."""
        self._begun, self._share = self._begun + self._share, share

    def _step(
        self, doing: str, part: float, key: tuple[slice, ...] | None = None
    ) -> Step:
        progress = (self._begun + part * self._share) / self._all
        return Step(self._array, key, doing, progress, self.last)


def _place(request: Request) -> tuple[slice, ...] | None:
    """Return what is computed: slices of the array; None for all of it."""
    if not request.only:
        return None
    return (*(slice(at, at + 1) for at in request.plane), *request.box)


def load_model(source: str, models: dict[Any, Any]) -> "Model":
    """Return a model from where it is kept, or load it and keep it."""
    from napari_unet.network.model import load

    path = Path(source)
    key = (source, path.stat().st_mtime_ns if path.is_file() else 0)
    if key not in models:
        models[key] = load(source)
    model: Model = models[key]
    return model
