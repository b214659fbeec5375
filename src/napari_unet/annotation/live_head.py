"""The Live job: the head is fitted again after each stroke.

No Qt, no layers: a `LiveRequest` goes in, and what may be shown comes out.
"""

import math
import secrets
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unet._steps import Steps
from napari_unet.annotation.project_link import ProjectLink
from napari_unet.annotation.resegment import Outcome, Request, load_model, segmenting
from napari_unet.annotation.reviews import Reviews
from napari_unet.compute.call import Kept
from napari_unet.project.corrections import IGNORE, Correction
from napari_unet.tiling import Box, cut, shifted, whole

if TYPE_CHECKING:
    from napari_unet.training.live_strokes import Elsewhere
    from napari_unet.training.live_view import LiveView

__all__ = ["Followed", "LiveRequest", "SightHandle", "refitting"]

_AWAY = 2.0  # seconds to read strokes that are out of view
_CORES = 4
_WORTH = 2  # times fewer pixels in view than were read: then no others are shown
_NAP = 0.02  # seconds between two looks at whether a stroke is still being drawn


@dataclass(frozen=True, slots=True)
class SightHandle:
    """A view that was read, wherever its features are not: by name, and its box."""

    name: str
    box: Box


@dataclass(frozen=True, slots=True)
class _Sight:
    """A view that was read, and the strokes elsewhere."""

    view: "LiveView"
    away: "Elsewhere"

    def holds(self, request: Request) -> bool:
        """Whether a request is about a part of this view of the same image."""
        own = self.view
        return (
            own.plane == request.plane
            and own.options == request.options
            and cut(_box(request), own.box) == _box(request)
        )


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """What follows strokes, and how.

    Attributes
    ----------
    project, reviews
        Whose strokes count, and those of this image.
    view
        What is in view; its ``model`` is the one in use.
    drawing
        Tells whether a stroke is being drawn: nothing is shown until it ends.
    sights
        Where what was read is kept.
    sight
        What was read of this image before; None if nothing was.
    show
        Follow the strokes; else the view is only read.
    """

    project: ProjectLink
    reviews: Reviews
    view: Request
    drawing: Callable[[], bool]
    sights: Kept
    sight: SightHandle | None = None
    show: bool = True


@dataclass(frozen=True, slots=True)
class Followed:
    """What came of a request.

    Attributes
    ----------
    sight
        For the next request.
    outcome
        What is shown now; None if that did not change.
    waits
        Why nothing follows yet; empty if there is no reason.
    renumbered
        Whether objects that somebody painted have other numbers now.
    """

    sight: SightHandle | None
    outcome: Outcome | None = None
    waits: str = ""
    renumbered: bool = False


def refitting(request: LiveRequest) -> Generator[str, None, Followed]:
    """Follow the strokes in view; yield what is being done."""
    from napari_unet.network.threads import spare_cores
    from napari_unet.training.live_view import TooLargeError

    spare_cores(most=_CORES)  # the viewer needs one too
    before = _known(request)
    head = None if before is None else before.view.head
    fitted = head is not None and head.fitted
    try:
        sight = yield from _seen(request, before)
    except TooLargeError as error:
        return Followed(None, None, str(error))
    handle = _keep(request, sight)
    if not request.show:
        return Followed(handle)
    live = sight.view
    target, _ = request.reviews.read(live.plane, live.box)
    yield from _look_elsewhere(request, sight, target)
    lone = _lone(sight, target)
    if lone and not (fitted and live.head is head):
        return Followed(handle, None, lone)
    if lone:
        live.forget()  # all else was taken back
    else:
        live.refit(target, sight.away)
    yield "showing"
    while request.drawing():
        time.sleep(_NAP)
        yield "showing"
    box = _box(request.view)
    box = box if _WORTH * _size(box) < _size(live.box) else live.box
    view = replace(
        request.view, view=box, ready=live.head.model, known=live.within(box)
    )
    numbers = _Numbers(request)
    outcome = Steps(segmenting(view)).finish()  # at once: labels are never half new
    return Followed(handle, outcome, lone, numbers.changed())


class _Numbers:
    """The numbers of objects that somebody painted, to see whether they change."""

    def __init__(self, request: LiveRequest) -> None:
        self._reviews, self._plane = request.reviews, request.view.plane
        objects = request.view.options.output == "objects"
        boxes = self._reviews.boxes(self._plane) if objects else []
        self._before = [(box, self._reviews.read(self._plane, box)) for box in boxes]

    def changed(self) -> bool:
        for box, (target, shown) in self._before:
            now = self._reviews.read(self._plane, box)[1]
            if (now != shown)[target != IGNORE].any():
                return True
        return False


def _known(request: LiveRequest) -> _Sight | None:
    """Return what was read before; None if that is gone with its process."""
    handle = request.sight
    found: _Sight | None = None if handle is None else request.sights.get(handle.name)
    return found


def _keep(request: LiveRequest, sight: _Sight) -> SightHandle:
    """Keep what was read, in the place of all else; return its handle."""
    old = request.sight
    if old is not None and request.sights.get(old.name) is sight:
        return old
    request.sights.clear()  # features take far more than an image
    name = secrets.token_hex(8)  # never that of a process that is gone
    request.sights[name] = sight
    return SightHandle(name, sight.view.box)


def _seen(request: LiveRequest, before: _Sight | None) -> Generator[str, None, _Sight]:
    """Return the view, read now if it was not read before."""
    from napari_unet.training.live_head import LiveHead
    from napari_unet.training.live_strokes import Elsewhere
    from napari_unet.training.live_view import LiveView

    view = request.view
    model = load_model(view.model, view.models)
    if before is not None and before.view.head.model is not model:
        before = None
    if before is not None and before.holds(view):
        return before
    yield "reading"
    head = LiveHead(model) if before is None else before.view.head
    away = Elsewhere(head) if before is None else before.away
    live = LiveView(head, view.image, view.options, view.plane, _box(view))
    for _ in live.read():
        yield "reading"
    sight = _Sight(live, away)
    target, _ = request.reviews.read(live.plane, live.box)
    yield from _look_elsewhere(request, sight, target)
    return sight


def _look_elsewhere(
    request: LiveRequest, sight: _Sight, target: NDArray[np.uint8]
) -> Generator[str, None, None]:
    """Read strokes out of view, unless they were: one may have been undone since."""
    live, away, key = sight.view, sight.away, request.reviews.key
    mark = live.plane, live.box, _outside(request.reviews, target)
    if away.mark == mark:
        return
    live.forget()  # what it learned from may be no more
    found = [_without(c, key, live) for c in request.project.open().corrections()]
    painted = [c for c in found if c.reviewed.any()]
    for _ in away.read(painted, _AWAY, live.options.device):
        yield "reading"
    away.mark = mark


def _without(correction: Correction, key: str, live: "LiveView") -> Correction:
    """Return a correction less what is in view."""
    plane, (top, left) = correction.place
    if correction.key != key or plane != live.plane:
        return correction
    target = correction.target.copy()
    box = cut(shifted(live.box, -top, -left), whole(target.shape))
    target[box] = IGNORE
    return replace(correction, target=target)


def _outside(reviews: Reviews, target: NDArray[np.uint8]) -> tuple[int, ...]:
    """Return how many reviewed pixels of every class are not in a target."""
    here = np.bincount(target.ravel(), minlength=IGNORE + 1)
    for value, count in reviews.counts().items():
        here[value] -= count.pixels
    return tuple(here[:IGNORE].tolist())


def _lone(sight: _Sight, target: NDArray[np.uint8]) -> str:
    """Return why what was painted says too little; empty if it does not."""
    said = {int(value) for value in np.unique(target)} - {IGNORE}
    said |= sight.away.values()
    if len(said) > 1:
        return ""
    if not said:
        return "Paint a stroke of each class, and the labels in view follow."
    value, names = said.pop(), sight.view.head.model.spec.classes
    name = names[value] if value < len(names) else "object"
    return (
        f"All that was painted so far is {name!r}. Paint a stroke of another class, "
        "and the labels in view follow."
    )


def _size(box: Box) -> int:
    return math.prod(side.stop - side.start for side in box)


def _box(view: Request) -> Box:
    return view.view or whole(view.image.plane_shape)
