"""State of U-Net: Correct: subject, project, model and classes."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_unet.annotation.models import name_of, note_draft, worked_on
from napari_unet.annotation.resegment import Request
from napari_unet.annotation.reviews import Count, ImageReviews
from napari_unet.errors import CorrectionError, UNetError
from napari_unet.io.image import Image
from napari_unet.project.index import ModelRecord
from napari_unet.project.project import Project
from napari_unet.project.rename_classes import finish_renaming
from napari_unet.ui.correct.class_names import (
    colour_classes,
    paints_objects,
    rename_learned,
    stored_names,
    table_names,
)
from napari_unet.ui.correct.class_table import ClassRow
from napari_unet.ui.correct.images import Collection
from napari_unet.ui.correct.tables import class_rows
from napari_unet.ui.correct.targets import Subject
from napari_unet.ui.correct.view_request import view_request
from napari_unet.ui.hints import CORRECT, told
from napari_unet.ui.layers import file_of, looked_at
from napari_unet.ui.recording.project_choice import ProjectChoice
from napari_unet.ui.recording.recorder import Recorder
from napari_unet.ui.recording.recording import recording_of
from napari_unet.ui.result_layer import Result
from napari_unet.ui.session import Session
from napari_unet.ui.settings import read_settings

if TYPE_CHECKING:
    from napari_unet.training.compared import Compared

__all__ = ["Comparison", "CorrectionState"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the last improvement fixed and broke.

    Attributes
    ----------
    project
        Where its corrections are kept.
    model
        File of the model that it made.
    found
        One for each correction that was looked at.
    """

    project: Project
    model: str
    found: tuple["Compared", ...]


class CorrectionState(QObject):
    """The subject at hand, its project, and its strokes; no widgets.

    Attributes
    ----------
    viewer, session
        Where that is, and what it has in common with other docks.
    changed
        Something was reviewed, or taken back.
    said, refused
        A sentence for the user about something that went wrong, or about why the
        subject cannot be corrected.
    names
        The classes in the table.
    collection
        The images of the project; None if there is none.
    other
        The project in use, which this image may join; None if there is no such.
    earlier
        Whether the project holds what is from an earlier session, and not shown.
    learned_in
        The project of the last training; None before that.
    comparison
        Of the last improvement; None before that.
    """

    changed = Signal()
    said = Signal(str)
    refused = Signal(str)

    def __init__(self, viewer: Any, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self.viewer, self.session = viewer, session
        self._homes = ProjectChoice(viewer, session)
        self._recording = recording_of(viewer)
        self.subject: Subject | None = None
        self.project: Project | None = None
        self.correcting: Recorder | None = None
        self.names = table_names(None, None)
        self.earlier = False
        self._counts: dict[int, Count] = {}  # of what was reviewed earlier
        self.collection: Collection | None = None
        self.other: Project | None = None
        self.learned_in: Project | None = None
        self.comparison: Comparison | None = None

    @property
    def result(self) -> Result | None:
        """The result that is corrected, if it is one."""
        return None if self.subject is None else self.subject.result

    @property
    def image_layer(self) -> Any:
        """The image layer of the subject; None if there is none."""
        return None if self.subject is None else self.subject.image

    @property
    def title(self) -> str:
        """What people call the image: its file, or its layer."""
        layer = self.image_layer
        file = None if layer is None else file_of(self.viewer, layer)
        return file.name if file is not None else "" if layer is None else layer.name

    @property
    def known_as(self) -> str:
        """How the project calls the model in use."""
        return "" if self.project is None else name_of(self.project, self.model)

    @property
    def model(self) -> str:
        """Name or file of the model in use; that of the project for all its images."""
        project = self.project
        active = "" if project is None else project.index.active
        if self.result is not None and not self.behind:
            return self.result.model
        if project is not None and active:
            return str(project.model_file(active))
        return read_settings().model

    @property
    def behind(self) -> bool:
        """Whether another image of the project has led to a newer model since."""
        result, project = self.result, self.project
        if self.correcting is None or result is None or project is None:
            return False
        active = project.index.active
        several = len(project.index.images) > 1
        return several and active not in ("", name_of(project, result.model))

    def take(self, subject: Subject | None) -> None:
        """Turn to another subject; what was corrected before is saved."""
        # What was counted is known still; a bare image's project is read anew, which
        # tells what is odd about it once more.
        before = None if self.correcting is None else self.collection
        self.clear()
        self.subject = subject
        if subject is None:
            return
        try:
            self._open(subject, before)
            self.bind()
        except UNetError as error:
            self.refused.emit(told(error, CORRECT))
        self.tell()

    def tell(self) -> None:
        """Say what the project has to say about its pieces, once."""
        if self.project is not None and self.project.notes:
            notes = " ".join(self.project.notes)
            self.project.notes.clear()
            self.said.emit(notes)

    def move(self, folder: Path) -> None:
        """Keep the corrections of this image in another project from now on.

        If the folder cannot be one, those stay where they are.
        """
        subject = self.subject
        if subject is None:
            return
        try:
            self._recording.part()  # other results of this image move, too
        except UNetError as error:
            self.said.emit(told(error, CORRECT))
            return
        before = self.session.folders.get(subject.image)
        self._homes.settle(subject.image, folder)
        self.take(subject)
        if self.project is None and before is not None:
            self._homes.settle(subject.image, before)
            self.take(subject)

    def join(self) -> None:
        """Keep the corrections of this image in the project in use from now on.

        Raises
        ------
        UNetError
            If the image cannot be read, or the disk does not take it.
        """
        subject, own, other = self.subject, self.project, self.other
        if subject is None or own is None or other is None:
            return
        image = self.image()
        self.clear()
        try:
            self._recording.part()
            other.take_over(own, image)
            self._homes.settle(subject.image, other.folder)
        finally:
            self.take(subject)
        if self.correcting is not None and not self.behind:
            self.went_on()

    def stay(self) -> None:
        """Let this image have a project of its own."""
        if self.subject is not None:
            self._homes.settle(self.subject.image)
        self.other = None

    def clear(self) -> None:
        """Save what is being corrected, and leave it."""
        correcting, self.correcting = self.correcting, None
        self.project = self.other = None
        self.names, self._counts, self.collection = table_names(None, None), {}, None
        if correcting is None:
            return
        try:
            self._recording.give_back(correcting)
        except UNetError as error:
            self.said.emit(told(error, CORRECT))

    def bind(self) -> None:
        """Listen to strokes from now on, if the labels can be painted.

        Raises
        ------
        UNetError
            If these labels are not those that were corrected before.
        """
        result, project = self.result, self.project
        if self.correcting is not None or result is None or project is None:
            return
        correcting = self._recording.lend(result)
        if correcting is None or result.rules is None:
            return
        correcting.changed.connect(self.changed)
        correcting.changed.connect(self._on_reviewed)
        correcting.said.connect(self.said)
        self.correcting = correcting
        self.names = table_names(self.project, self.result)
        self.colour()

    def rename(self, value: int, name: str) -> None:
        """Call a class otherwise, wherever it has a name.

        One that no model of the project has is kept for the next new model.

        Raises
        ------
        UNetError
            If it cannot be called so, something runs that uses a model, or the disk
            does not take it.
        """
        names = self.names
        if self.project is not None and self._is_ours(value):
            rename_learned(self.session, self.project, names, value, name)
            self.names = table_names(self.project, self.result)
        else:
            self.draft((*names[:value], name, *names[value + 1 :]))

    def draft(self, names: tuple[str, ...]) -> None:
        """Keep the classes that the next new model shall have.

        Raises
        ------
        OutputError
            If the disk does not take it.
        """
        if self.project is not None:
            known = stored_names(self.project, self.result)
            note_draft(self.project, () if names == known else names)
        self.names = names

    def _is_ours(self, value: int) -> bool:
        """Whether a class is one that the models of the project learn."""
        project = self.project
        if project is None or self.record is None or self.objects:
            return False
        return value < len(project.index.classes)

    def colour(self) -> None:
        """Let the layer show the classes in the colours of the table."""
        result = self.result
        if result is not None and result.layer is not None and not self.objects:
            colour_classes(result.layer, len(self.names))

    def image(self) -> Image:
        """Return the image of the subject.

        Raises
        ------
        ImageError
            If its layer cannot be segmented.
        """
        return self._recording.image(self.image_layer)

    def open_project(self) -> Project:
        """Return the project.

        Raises
        ------
        CorrectionError
            If there is none.
        """
        if self.project is None:
            raise CorrectionError("There is no project. Choose an image first.")
        return self.project

    def reviews(self) -> ImageReviews:
        """Return what was reviewed of the image, though it has no labels yet.

        Raises
        ------
        UNetError
            If there is no project, or the image cannot be read.
        """
        if self.correcting is not None:
            return self.correcting.reviews
        project = self.open_project()
        key = project.add_image(self.image())
        self.session.keys[self.image_layer] = key
        return self.session.reviews_of(project, key)

    def view(self, model: str, result: Result | None = None) -> Request:
        """Return the request to segment what is in view, into a result or a new one.

        Raises
        ------
        UNetError
            If the image cannot be read, or is not the one that was corrected.
        """
        request = view_request(
            self.image(),
            model,
            self.reviews(),
            looked_at(self.viewer, self.image_layer),
            into=result,
            last=result or self.result,
        )
        return replace(request, models=self.session.models)

    def counts(self) -> dict[int, Count]:
        """Return what was reviewed of every class, in all images of the project."""
        if self.correcting is not None and self.collection is not None:
            return self.collection.counts()
        return self._counts

    def rows(self) -> list[ClassRow]:
        """Return what the table of classes shows."""
        return class_rows(self.names, self.counts(), objects=self.objects)

    @property
    def objects(self) -> bool:
        """Whether objects are painted, rather than classes."""
        return paints_objects(self.project, self.result)

    @property
    def resumable(self) -> bool:
        """Whether the project holds what the labels do not show."""
        return self.project is not None and (self.earlier or self.behind)

    @property
    def compared(self) -> list["Compared"]:
        """What the model in use has changed on what is reviewed of this image."""
        correcting, last = self.correcting, self.comparison
        if correcting is None or last is None or self.model != last.model:
            return []
        if correcting.project is not last.project:
            return []
        return [one for one in last.found if one.key == correcting.key]

    def went_on(self) -> None:
        """Note that the corrections from an earlier session are shown now."""
        self.earlier = False
        if self.project is not None:
            self.session.begun.add(self.image_layer)
            self._homes.settle(self.image_layer)
            self._homes.used(self.project)

    @property
    def record(self) -> ModelRecord | None:
        """The model in use, if it is one of the project's."""
        models = () if self.project is None else self.project.index.models
        name = self.known_as
        return next((m for m in models if m.name == name), None)

    def _on_reviewed(self) -> None:
        if self.project is None or self.earlier:
            return
        self.session.begun.add(self.image_layer)
        if self.other is None:  # else nobody has decided yet where it belongs
            self._homes.settle(self.image_layer)
            self._homes.used(self.project)

    def _open(self, subject: Subject, before: Collection | None) -> None:
        folder = self._homes.folder(subject.image)
        self.project = self.session.open_project(folder)
        project = self.project
        finish_renaming(project)
        if before is None or before.project is not project:
            before = Collection(self.viewer, self.session, project)
        self.collection = before
        if not any(r.source() is subject.image for r in self.session.shown()):
            self.session.begun.discard(subject.image)  # closed: they are from before
        begun = subject.image in self.session.begun
        self.earlier = worked_on(project) and not begun
        self.names = table_names(self.project, self.result)
        if self.earlier:
            self.reviews()  # which may have another name now
            self._counts = self.collection.counts()
        rules = None if subject.result is None else subject.result.rules
        self.other = self._homes.other(subject.image, self.image(), project, rules)
