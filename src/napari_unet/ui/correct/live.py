"""Controls for Live: labels in view follow each stroke, without Improve."""

import time
from dataclasses import dataclass, replace

from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_unet.annotation.calls import far, far_reviews
from napari_unet.annotation.live_head import (
    Followed,
    LiveRequest,
    SightHandle,
    refitting,
)
from napari_unet.annotation.project_link import ProjectLink
from napari_unet.annotation.resegment import Outcome
from napari_unet.compute.call import Call, Here
from napari_unet.errors import UNetError
from napari_unet.tiling import Box, cut
from napari_unet.ui.correct.state import CorrectionState
from napari_unet.ui.correct.task import Task
from napari_unet.ui.hints import CORRECT, told
from napari_unet.ui.job import Job
from napari_unet.ui.layers import looked_at
from napari_unet.ui.outcome import about
from napari_unet.ui.recording.recorder import Recorder
from napari_unet.ui.result_layer import Result

__all__ = ["Live"]

_SOON = 40  # ms from a stroke until it is learned: one stroke tells of itself twice
_LOOK = 250  # ms between two looks at whether the view has moved
_READING = "Live: reading the view..."
_ON = "Live: paint, and the labels in view follow."


@dataclass(frozen=True, slots=True)
class _Place:
    """What is in view, of which result, and the model in use."""

    correcting: Recorder
    model: str
    plane: tuple[int, ...]
    box: Box

    def holds(self, other: "_Place") -> bool:
        """Whether another place is a part of this one."""
        same = self.correcting is other.correcting and self.model == other.model
        return (
            same and self.plane == other.plane and cut(other.box, self.box) == other.box
        )


class Live(QObject):
    """Refits the last step of the model after every stroke, while it is on.

    A `Task` comes first: nothing is refitted while one runs.

    Attributes
    ----------
    on
        Whether labels follow strokes.
    failed
        It cannot go on, and is off.
    """

    failed = Signal()

    def __init__(self, state: CorrectionState, task: Task, parent: QObject) -> None:
        super().__init__(parent)
        self._state, self._task = state, task
        self.on = False
        self._job: Job | None = None
        self._sight: SightHandle | None = None
        self._image: object = None  # the pixels that `_sight` was read from
        self._read: _Place | None = None  # of `_sight`, or what was refused
        self._looked: _Place | None = None  # at the last look
        self._shown: _Place | None = None  # what followed strokes, until a task began
        self._reading: _Place | None = None  # by the job that runs, for no stroke
        self._due = False  # a stroke waits
        self._since = 0.0
        self._soon, self._looking = QTimer(self), QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SOON)
        self._soon.timeout.connect(self._go)
        self._looking.setInterval(_LOOK)
        self._looking.timeout.connect(self._look)
        state.changed.connect(self._on_stroke)
        task.changed.connect(self._on_task)

    @property
    def idle(self) -> bool:
        """Whether nothing is read or fitted, and no stroke waits."""
        return self._job is None and not self._due

    @property
    def box(self) -> Box | None:
        """The part of the image that was read and is followed; None if none is."""
        return None if self._sight is None else self._sight.box

    def forget(self) -> None:
        """Do nothing any more: the dock is gone."""
        self._soon.stop()
        self._looking.stop()
        self._drop()

    def turn(self, on: bool) -> None:
        """Let labels follow strokes, or not any more."""
        self.on = on
        if on:
            self._looking.start()
            self._on_stroke()
            return
        self.forget()
        self._due = False
        if self._task.line.startswith("Live:"):
            self._task.say("")

    def _on_stroke(self) -> None:
        if self.on:
            self._since = time.monotonic() if not self._due else self._since
            self._due = True
            self._soon.start()

    def _on_task(self) -> None:
        if self._task.doing:
            self._shown = None
            self._cancel()
        elif self._due:
            self._soon.start()

    def _look(self) -> None:
        """Read the view once it rests, so that the first stroke there is fast."""
        place, before = self._place(), self._looked
        self._looked = place
        if place is None or (self._read and self._read.correcting != place.correcting):
            self._drop()
        if place and self._reading and not self._reading.holds(place):
            self._cancel()
        if self._due:
            self._soon.start()
        elif place is None or place != before:
            return
        elif self._moved(place):
            self._on_stroke()
        elif not self._known(place):
            self._start(place, show=False)

    def _go(self) -> None:
        """Follow what was painted, unless something else has to end first."""
        place = self._place()
        if self._due and place is not None and self._free(place.correcting.result):
            self._start(place, show=True)

    def _free(self, result: Result) -> bool:
        return self._job is None and not self._task.doing and not result.taken

    def _moved(self, place: _Place) -> bool:
        """Whether other parts followed strokes than are in view now."""
        shown = self._shown
        refused = self._sight is None and self._read == place
        return shown is not None and not shown.holds(place) and not refused

    def _known(self, place: _Place) -> bool:
        """Whether a place need not be read, or cannot be now."""
        read = self._read is not None and self._read.holds(place)
        return read or not self._free(place.correcting.result)

    def _place(self) -> _Place | None:
        """Return what is in view; None if it cannot follow."""
        state, correcting = self._state, self._state.correcting
        if correcting is None or not correcting.result.shown:
            return None
        if correcting.result.file is not None:  # every stroke would be on the disk
            return None
        layer = state.image_layer
        if layer not in state.viewer.layers:
            return None
        seen = looked_at(state.viewer, layer)
        if seen.box is None:
            return None
        return _Place(correcting, state.model, seen.plane, seen.box)

    def _start(self, place: _Place, *, show: bool) -> None:
        correcting, since = place.correcting, self._since
        try:
            view = self._state.view(place.model, correcting.result)
        except UNetError as error:
            self._fail(told(error, CORRECT))
            return
        session, data = self._state.session, view.image.data
        request = LiveRequest(
            ProjectLink(correcting.project),
            far_reviews(correcting.reviews),
            far(view),
            Here(lambda: correcting.drawing),
            session.sights,
            self._sight if self._image is data else None,
            show,
        )
        self._due = self._due and not show
        self._reading = None if show else place
        work = Call(refitting, request, apart=view.portable, doing="Live", quiet=True)
        job = self._job = Job(work, self, CORRECT, session.process)
        job.yielded.connect(self._on_event)
        job.finished.connect(lambda found: self._on_followed(found, place, since))
        job.finished.connect(lambda found: self._note(found, place, data, show))
        job.failed.connect(self._fail)
        job.ended.connect(lambda: self._on_ended(job))
        job.start()

    def _on_event(self, doing: object) -> None:
        if doing == "reading":
            self._say(_READING, aside=self._reading is not None and not self._due)

    def _on_followed(self, found: Followed, place: _Place, since: float) -> None:
        result = place.correcting.result
        if found.outcome is not None:
            result.last_id = max(result.last_id, found.outcome.last_id)
            if result.shown and not result.taken:  # else there is more to come
                _show(found, found.outcome, result)
        if not self.on or self._task.doing:
            return
        if found.waits or found.outcome is not None:
            why = f"Live: {found.waits}" if found.waits else ""
            self._say(why or self._shown_line(time.monotonic() - since))
        elif self._task.line == _READING:
            self._say(_ON)

    def _note(self, found: Followed, place: _Place, data: object, show: bool) -> None:
        """Remember what was read, and shown, unless it is out of date already."""
        if not self.on or self._task.doing:
            return
        self._sight, self._read, self._image = found.sight, place, data
        if found.sight is not None:
            self._read = replace(place, box=found.sight.box)
        if not show:
            return
        self._shown = place
        if found.outcome is not None and found.outcome.box is not None:
            *_, y, x = found.outcome.box
            self._shown = replace(place, box=(y, x))

    def _shown_line(self, seconds: float) -> str:
        pieces = sum(row.strokes for row in self._state.rows())
        return (
            f"Live: shown again in {seconds:.1f} s from {pieces:,} pieces. Improve "
            "makes the whole net follow."
        )

    def _on_ended(self, job: Job) -> None:
        job.deleteLater()
        self._job = self._reading = None
        if self._due:
            self._soon.start()

    def _fail(self, sentence: str) -> None:
        self.turn(False)
        self.failed.emit()
        self._task.fail(sentence)

    def _say(self, text: str, *, aside: bool = False) -> None:
        """Show a line; `aside`: only in the place of another of ours."""
        now = self._task.line
        if not self._task.doing and (not aside or not now or now.startswith("Live:")):
            self._task.say(text)

    def _cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()

    def _drop(self) -> None:
        """Let go of what was read."""
        self._cancel()
        if self._sight is not None:
            self._state.session.empty(self._state.session.sights)
        self._sight = self._image = self._read = self._shown = None


def _show(found: Followed, outcome: Outcome, result: Result) -> None:
    """Show what follows; strokes can be undone as long as what they painted stays."""
    if outcome.result.output == "objects":
        result.complete(about(outcome), outcome)
        if found.renumbered:
            result.forget_strokes()  # undoing them would bring old numbers back
    elif outcome.box is not None:
        result.add(outcome.box)
        result.refresh()
