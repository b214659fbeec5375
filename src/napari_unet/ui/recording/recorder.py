"""Recorder: strokes on one result layer become corrections in a project."""

import time
from collections.abc import Generator
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_unet.annotation.match import recall
from napari_unet.annotation.models import agree, meaning, worked_on
from napari_unet.annotation.painting import Change, PaintRecorder
from napari_unet.annotation.protect import restore
from napari_unet.errors import CorrectionError
from napari_unet.io.image import Image
from napari_unet.project.corrections import IGNORE
from napari_unet.project.project import Project
from napari_unet.project.settings import StoredSettings
from napari_unet.tiling import Box, cut
from napari_unet.ui.hints import CORRECT
from napari_unet.ui.job import Job
from napari_unet.ui.recording.strokes import Passed, Strokes
from napari_unet.ui.result_layer import Result
from napari_unet.ui.session import Session

__all__ = ["Recorder", "note_model", "spent_at"]

_SAVE = 500  # ms from a stroke to the disk: a crash loses less than 2 s
_AGAIN = 5000  # ms until a disk that was full is tried again
_PAUSE = 30.0  # seconds without a stroke that still count as work
_MOST = 5_000_000  # pixels that are marked as right at once


class Recorder(QObject):
    """Strokes on the layer of one result, as reviews of its image in one project.

    What was reviewed before is shown on the layer, unless that is a file: a result is
    painted on there as it was saved.

    Attributes
    ----------
    changed
        Something was reviewed, or taken back.
    said
        A sentence for the user: something could not be kept.
    earlier
        Whether the project held anything before it began.

    Raises
    ------
    UNetError
        If the image is not the one that was corrected, its labels meant something
        else then, or napari tells of strokes in a way that is not known.
    """

    changed = Signal()
    said = Signal(str)

    def __init__(
        self,
        session: Session,
        result: Result,
        image: Image,
        project: Project,
        strokes: Strokes,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        if result.layer is None or result.array is None or result.rules is None:
            raise CorrectionError(
                f"{result.name} is not finished yet. Segment it first."
            )
        strokes.keep()  # before the labels change
        self._session, self.result, self.image = session, result, image
        self.project = project
        self._new = agree(project, result.rules)
        self.earlier = worked_on(project)
        self.key = project.add_image(image)
        self.reviews = session.reviews_of(project, self.key)
        self.reviews.count_by(objects=result.rules.kind == "objects")
        self.canvas = PaintRecorder(result.array, self.reviews, result.rules)
        self._strokes = strokes
        if result.reviews is not self.reviews and result.file is None:
            self._recall()
        result.reviews = self.reviews
        result.on_forget.append(self.forget_strokes)
        self._spent = project.index.known.annotation_s
        self._last = time.monotonic()
        self._job: Job | None = None
        self._failed = False  # the last time that it was saved
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._save)
        strokes.listen(self)

    def _recall(self) -> None:
        """Show what was reviewed on labels that were made without it."""
        result, reviews, labels = self.result, self.reviews, self.canvas.labels
        if self.canvas.rules.kind == "objects":
            result.last_id = recall(labels, reviews, result.last_id + 1) - 1
        else:
            restore(labels, reviews, reviews.blocks())
        if result.layer is not None:
            result.layer.refresh(extent=False)

    @property
    def drawing(self) -> bool:
        """Whether a stroke is being drawn."""
        return self._strokes.drawing

    @property
    def seconds(self) -> float:
        """How long people have painted in this project, pauses left out."""
        return self._spent

    def settle(self) -> None:
        """Take what was painted a moment ago, which napari has not told yet."""
        self._strokes.settle()

    def forget_strokes(self) -> None:
        """Take the labels as they are now: earlier strokes can no longer be undone."""
        self._strokes.settle()
        result = self.result
        if result.array is not None and result.rules is not None:
            self.canvas.labels, self.canvas.rules = result.array, result.rules
        self.canvas.forget()
        if self.project.unsaved and not self._timer.isActive():
            self._timer.start(_SAVE)  # objects that were reviewed have new numbers

    def new_number(self) -> int:
        """Return a number that no object has yet."""
        number = max(self.result.last_id, self.canvas.greatest, self.reviews.greatest())
        return number + 1

    def approve(self, plane: tuple[int, ...], box: Box) -> int:
        """Mark all of a box as right; return how many pixels that are.

        Raises
        ------
        CorrectionError
            If it is too large.
        """
        self.settle()
        size = (box[0].stop - box[0].start) * (box[1].stop - box[1].start)
        if size > _MOST:
            raise CorrectionError(
                f"The view shows {size / 1e6:.0f} megapixels; nobody sees at that size "
                f"whether all of it is right. Zoom in to {_MOST / 1e6:.0f} or fewer."
            )
        pixels = self.canvas.approve(plane, box)
        self._on_changed()
        return pixels

    def withdraw(self, plane: tuple[int, ...], box: Box) -> int:
        """Forget all that was reviewed in a box; return how many pixels that were."""
        self.settle()
        pixels = 0
        for block in self.reviews.boxes(plane):
            part = cut(block, box)
            if any(side.stop <= side.start for side in part):
                continue
            target, shown = self.reviews.read(plane, part)
            pixels += int((target != IGNORE).sum())
            nothing = np.full_like(target, IGNORE), np.zeros_like(shown)
            self.reviews.write(plane, part, nothing)
        self.result.forget_strokes()  # undoing one would bring back what it replaced
        self._on_changed()
        return pixels

    def close(self) -> None:
        """Stop listening, and save what is not saved yet.

        Raises
        ------
        UNetError
            If the disk does not take it.
        """
        self.result.forget_strokes()  # nobody would take their reviews back
        self._strokes.listen(None)
        self._timer.stop()
        self.result.on_forget.remove(self.forget_strokes)
        self.save()

    def save(self) -> None:
        """Save what is not saved yet.

        Raises
        ------
        UNetError
            If the disk does not take it.
        """
        self.settle()
        if self.project.unsaved:
            self._write()

    def note_seen(self) -> None:
        """Remember how the image is shown to the model, if that is news.

        Raises
        ------
        OutputError
            If the disk does not take it.
        """
        seen = self._seen()
        if seen != self.project.index.known.seen:
            self.project.update(settings={"seen": seen})

    def painted(self, changes: list[Change]) -> None:
        """Review what one stroke changed."""
        self.canvas.paint(changes)  # even while tiles arrive: it is reviewed then
        self._tell_unknown(changes)
        self._on_changed()

    def passed(self, way: Passed, painted: bool) -> None:
        """Review what a brush passed over and left as it was."""
        plane, box, passed = way
        self.canvas.confirm(plane, box, passed, painted=painted)
        self._on_changed()

    def returned(self, undone: bool) -> None:
        """Take reviews back, or do them again, with their stroke."""
        if not self.result.busy and self.canvas.look_again(undone=undone):
            self._on_changed()

    def _on_changed(self) -> None:
        now = time.monotonic()
        self._spent += min(now - self._last, _PAUSE)
        self._last = now
        if not self._timer.isActive():
            self._timer.start(_SAVE)
        self.changed.emit()

    def _tell_unknown(self, changes: list[Change]) -> None:
        rules = self.canvas.rules
        if rules.kind != "classes":
            return
        for change in changes:
            now = np.asarray(self.canvas.labels[(*change.plane, *change.box)])
            most = int(now[now != change.before].max(initial=0))
            if most >= len(rules.classes):
                self.said.emit(
                    f"Label {most} is no class of this model, so nothing learns from "
                    "it. Choose a class in the table; if you added one, click 'New "
                    "model for my classes'."
                )
                return

    def _save(self) -> None:
        if self._job is not None:  # a stroke during saving: once more afterwards
            self._timer.start(_SAVE)
            return
        job = self._job = Job(self._saving, self, CORRECT)
        job.finished.connect(self._on_saved)
        job.failed.connect(self._on_failed)
        job.ended.connect(self._on_ended)
        job.start()

    def _saving(self) -> Generator[None, None, None]:
        yield
        self._write()

    def _write(self) -> None:
        rules = self.result.rules or self.canvas.rules  # a class may have been renamed
        spent: StoredSettings = {
            "annotation_s": round(self._spent, 1),
            "seen": self._seen(),
        }
        if self._new:  # later ones are for `annotation.start.new_classes` to say
            self.project.update(rules.classes, {**spent, **meaning(rules)})
            self._new = False
        else:
            self.project.update(settings=spent)
        self.project.flush()

    def _seen(self) -> dict[str, Any]:
        """Return how the images of the project are shown to the model, by key."""
        found, options = dict(self.project.index.known.seen), self.result.options
        if options is not None:
            own = {"channel": options.channel, "diameter": options.diameter}
            found[self.key] = own
        return found

    def _on_saved(self, _: object) -> None:
        self._failed = False

    def _on_failed(self, sentence: str) -> None:
        self._timer.start(_AGAIN)
        if not self._failed:  # once is enough
            self.said.emit(sentence)
        self._failed = True

    def _on_ended(self) -> None:
        if self._job is not None:
            self._job.deleteLater()
        self._job = None


def note_model(project: Project, name: str) -> None:
    """Remember how long people had painted when a model was made.

    Raises
    ------
    OutputError
        If the disk does not take it.
    """
    spent = project.index.known.annotation_s
    times = {**spent_at(project), name: spent}
    project.update(settings={"annotation_s_at": times})


def spent_at(project: Project) -> dict[str, float]:
    """Return how many seconds people had painted when models were made, by name."""
    return dict(project.index.known.annotation_s_at)
