"""Results of a batch in the viewer: opened as lazy layers, or to be painted on."""

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari.layers import Image as ImageLayer
from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_unet.batch.inputs import as_zarr, find_inputs, name_outputs
from napari_unet.errors import UNetError
from napari_unet.io.tiff_labels import TiffLabels
from napari_unet.ui.batch.open_result import Editable, editing
from napari_unet.ui.batch.rows import BatchRow
from napari_unet.ui.batch.worker import BatchRequest
from napari_unet.ui.hints import BATCH, told
from napari_unet.ui.job import Job, Work
from napari_unet.ui.layers import OVERLAY, add_layers, layers_from
from napari_unet.ui.open_image import opening
from napari_unet.ui.reader_writer import LayerData
from napari_unet.ui.result_layer import Result
from napari_unet.ui.session import Session
from napari_unet.ui.widgets.dock_tabs import bring

__all__ = ["BatchResults"]

_Found = tuple[list[LayerData], list[LayerData]]


class BatchResults(QObject):
    """Opens what the rows of a batch are about.

    Attributes
    ----------
    said, failed
        A sentence for the user.
    job
        What reads files now, if anything does.
    """

    said = Signal(str)
    failed = Signal(str)

    def __init__(self, viewer: Any, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._session = viewer, session
        self.job: Job | None = None

    def open(self, row: BatchRow, request: BatchRequest) -> None:
        """Show the image of a row and its labels, if there are any yet."""
        target = _target_of(row, request)
        source, name = row.source, _name(row, request)
        if (edited := self.edited(target)) is not None:
            self._viewer.layers.selection.active = edited.layer
            self._reveal([*layers_from(self._viewer, source), edited.layer])
            return
        bare = not layers_from(self._viewer, source)
        shown = target is not None and bool(layers_from(self._viewer, target))
        wanted = None if shown else target

        def done(found: _Found) -> None:
            self._show(source, found[0])
            if wanted is not None:
                self._show(wanted, found[1])
            self._say(row, target)

        work = self.settled(
            source if target is None else target,
            lambda: opening(source, wanted, name, bare=bare),
        )
        self._start(work, done)

    def edit(self, row: BatchRow, request: BatchRequest) -> None:
        """Let the user paint on the labels of a row, in their file."""
        target, source = _target_of(row, request), row.source
        models = self._session.models
        if target is None:
            self.failed.emit(f"{source.name} has no labels yet. Click Start first.")
            return
        if self.edited(target) is not None:
            self._correct(source, target)
            return
        bare = not layers_from(self._viewer, source)

        def done(found: Editable) -> None:
            self._show(source, found.images)
            shown = layers_from(self._viewer, source)
            images = [layer for layer in shown if isinstance(layer, ImageLayer)]
            if not images:
                self.failed.emit(f"{source.name} was closed. Click Edit again.")
                return
            self._swap(found, images, target, request)
            self._correct(source, target)

        work = self.settled(
            target, lambda: editing(source, target, request, models, bare=bare)
        )
        self._start(work, done)

    def edited(self, target: Path | None) -> Result | None:
        """Return the result that is painted on in this file, if it is in view."""
        place = None if target is None else target.resolve()
        found = (r for r in self._session.results if r.file is not None and r.shown)
        return next((r for r in found if r.file == place), None)

    @property
    def edits(self) -> list[Path]:
        """Files that somebody can paint on now."""
        return [r.file for r in self._session.results if r.file is not None and r.shown]

    def settled(self, place: Path, work: Work) -> Work:
        """Return a work that waits first for what was painted; see `settling`."""
        settle = self.settling(place)

        def both() -> Generator[Any, None, Any]:
            settle()
            return (yield from work())

        return both

    def settling(self, place: Path) -> Callable[[], None]:
        """Return what waits for what was painted by now on the files of `place`.

        A TIFF has it a moment later, also when its layer is closed by then.
        """
        where = place.resolve()
        behind = [
            r
            for r in self._session.results
            if r.unsaved and r.file is not None and where in (r.file, r.file.parent)
        ]

        def settle() -> None:
            for result in behind:
                result.settle()

        return settle

    def _swap(
        self, found: Editable, images: list[Any], target: Path, request: BatchRequest
    ) -> None:
        """Show labels to paint on in the place of those that can only be looked at."""
        for layer in layers_from(self._viewer, target):
            self._viewer.layers.remove(layer)
        image = images[min(found.channel, len(images) - 1)]
        result = self._session.new_result(image, found.begun.model)
        result.file, result.rules = target.resolve(), found.begun.rules
        result.output, result.last_id = found.begun.rules.kind, found.last_id
        segment = request.options.segment
        if len(images) > 1:  # each channel has a layer, without channels
            segment = replace(segment, channel=None)
        result.options = segment
        array = found.begun.array
        if isinstance(array, TiffLabels):
            array.on_failure = _tell
        result.show(self._viewer, array)

    def _correct(self, source: Path, target: Path) -> None:
        """Let U-Net: Correct listen to the strokes."""
        result = self.edited(target)
        bring(self._viewer, "U-Net: Correct")
        self._session.tell()  # there is a result that no job of theirs made
        if result is not None:
            self._viewer.layers.selection.active = result.layer
            self._reveal([*layers_from(self._viewer, source), result.layer])
        self.said.emit(
            "Paint with napari's brush: every stroke goes into the file, and U-Net: "
            "Correct learns from it."
        )

    def _show(self, path: Path, found: list[LayerData]) -> None:
        if found and not layers_from(self._viewer, path):
            add_layers(self._viewer, found, path)

    def _reveal(self, layers: list[Any]) -> None:
        """Show these layers and no others: one would not see which image it is."""
        for layer in self._viewer.layers:
            if not layer.metadata.get(OVERLAY):
                layer.visible = layer in layers
        self._viewer.reset_view(layers=layers)

    def _say(self, row: BatchRow, target: Path | None) -> None:
        layers = layers_from(self._viewer, row.source)
        layers += [] if target is None else layers_from(self._viewer, target)
        if layers:
            self._viewer.layers.selection.active = layers[-1]
            self._reveal(layers)
        if target is None:
            self.said.emit("This is the image; there are no labels yet.")
        else:
            self.said.emit("Image and labels are open. To paint on them, click Edit.")

    def _start(self, work: Work, done: Any) -> None:
        if self.job is not None:
            return  # a second double click
        job = self.job = Job(work, self, BATCH)
        job.finished.connect(done)
        job.failed.connect(self.failed)
        job.ended.connect(self._on_ended)
        self._session.start(job)

    def _on_ended(self) -> None:
        if self.job is not None:
            self.job.deleteLater()
        self.job = None


def _tell(error: UNetError) -> None:
    """Say in a thread, with the dock or without, that a file was not written."""
    show_error(told(error, BATCH))


def _target_of(row: BatchRow, request: BatchRequest) -> Path | None:
    """Return the result of a row; None if there is none yet."""
    if row.target is not None:
        return row.target if row.target.exists() else None
    try:
        sources = find_inputs(request.inputs)
    except UNetError:  # they were all removed meanwhile
        return None
    form = request.options.format
    targets = name_outputs(sources, request.folder, form)
    found = dict(zip(sources, targets, strict=True)).get(row.source)
    if found is None:
        return None
    names = (as_zarr(found), found) if form == "auto" else (found,)
    return next((name for name in names if name.exists()), None)


def _name(row: BatchRow, request: BatchRequest) -> str:
    stem = row.source.name.removesuffix(row.source.suffix).removesuffix(".ome")
    return f"{stem} [{Path(request.model).stem}]"
