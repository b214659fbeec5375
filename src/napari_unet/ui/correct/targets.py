"""A combo box of what can be corrected: results, labels, bare images."""

from dataclasses import dataclass
from typing import Any, Literal

from napari.layers import Image as ImageLayer
from napari.layers import Labels
from qtpy.QtCore import QSignalBlocker, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QWidget

from napari_unet.errors import ImageError
from napari_unet.ui.choosers import Chooser
from napari_unet.ui.layers import OVERLAY, axes_of
from napari_unet.ui.result_layer import Result
from napari_unet.ui.session import Session

__all__ = ["Subject", "SubjectChooser"]

_TIP = (
    "What to correct: the result of a model, labels that you have already, or an image "
    "on which nothing is painted yet."
)


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One entry of the list.

    Attributes
    ----------
    kind
        ``"result"`` of a model; ``"labels"`` of the user's own; ``"image"``: none yet.
    image
        The image layer.
    layer
        The labels layer; the image's own for a bare image.
    result
        The result, if it is one.
    several
        Whether the labels fit other images, too.
    """

    kind: Literal["result", "labels", "image"]
    image: Any
    layer: Any
    result: Result | None = None
    several: bool = False

    @property
    def title(self) -> str:
        """What the list says."""
        if self.kind == "result":
            return str(self.layer.name)
        what = "your labels" if self.kind == "labels" else "no labels yet"
        whose = f", of {self.image.name}" if self.several else ""
        return f"{self.layer.name}: {what}{whose}"

    def same(self, other: "Subject | None") -> bool:
        """Whether it is about the same layer in the same way."""
        return other is not None and (self.kind, self.layer, self.image) == (
            other.kind,
            other.layer,
            other.image,
        )


class SubjectChooser(Chooser):
    """The subjects in a viewer; follows the layer that the user makes active."""

    changed = Signal()

    def __init__(
        self, viewer: Any, session: Session, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer, self._session = viewer, session
        self.setToolTip(_TIP)
        self.currentIndexChanged.connect(self.changed)
        events = viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered):
            emitter.connect(self.fill)
        viewer.layers.selection.events.active.connect(self._follow)
        self.fill()
        self._follow()

    def subject(self) -> Subject | None:
        """Return the chosen one."""
        subject: Subject | None = self.currentData()
        return subject

    def choose(self, layer: Any) -> None:
        """Choose what is about a layer; nothing happens if there is none.

        Of an image that is what there is of it already, results first; of labels that
        fit several images, those of the image that was chosen last.
        """
        now = self.subject()
        if now is not None and layer in (now.layer, now.image):
            return
        subjects: list[Subject] = [self.itemData(i) for i in range(self.count())]
        fit = [s for s in subjects if layer in (s.layer, s.image)]
        last = [s for s in fit if now is not None and s.image is now.image]
        if fit:
            self.setCurrentIndex(subjects.index((last or fit)[0]))

    def forget(self) -> None:
        """Listen to the viewer no more."""
        events = self._viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered):
            emitter.disconnect(self.fill)
        self._viewer.layers.selection.events.active.disconnect(self._follow)
        for layer in self._viewer.layers:
            layer.events.name.disconnect(self.fill)

    def fill(self, event: Any = None) -> None:
        """Make the list anew; what was chosen stays chosen while it is there."""
        before = self.subject()
        with QSignalBlocker(self):
            self.clear()
            for subject in self._subjects():
                self.addItem(subject.title, subject)
                for layer in (subject.layer, subject.image):
                    layer.events.name.connect(self.fill)
            self.setCurrentIndex(self._again(before))
        now = self.subject()
        if not (now is before is None or (now is not None and now.same(before))):
            self.changed.emit()

    def _again(self, before: Subject | None) -> int:
        """Return where the subject from before is now; -1 if there is none at all."""
        found: list[Subject] = [self.itemData(i) for i in range(self.count())]
        for index, subject in enumerate(found):  # a result takes the place of its image
            bare = before is not None and before.kind == "image"
            newer = bare and before is not None and subject.image is before.image
            if subject.same(before) or (newer and subject.kind == "result"):
                return index
        return 0 if found else -1

    def _subjects(self) -> list[Subject]:
        layers = list(reversed(self._viewer.layers))  # as in the layer list
        results = [r for r in self._session.results if r.shown and r.source() in layers]
        found = [Subject("result", r.source(), r.layer, r) for r in results]
        taken = [subject.layer for subject in found]
        images = [x for x in layers if isinstance(x, ImageLayer) and _usable(x)]
        for layer in layers:
            if (
                isinstance(layer, Labels)
                and layer not in taken
                and not layer.multiscale
            ):
                fit = [image for image in images if _fits(layer, image)]
                several = len(fit) > 1
                found += [Subject("labels", i, layer, None, several) for i in fit]
        found += [Subject("image", image, image) for image in images]
        return found

    def _follow(self, event: Any = None) -> None:
        self.choose(self._viewer.layers.selection.active)


def _usable(layer: Any) -> bool:
    if layer.metadata.get(OVERLAY):
        return False
    try:
        axes_of(layer)
    except ImageError:
        return False
    return True


def _fits(labels: Any, image: Any) -> bool:
    axes = axes_of(image)
    shape = image.data[0].shape if image.multiscale else image.data.shape
    wanted = tuple(n for n, a in zip(shape, axes, strict=True) if a != "C")
    return tuple(labels.data.shape) == wanted and not labels.metadata.get(OVERLAY)
