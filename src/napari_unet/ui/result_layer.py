"""Result layer: the Labels layer that a model fills, and its provenance."""

import os
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Labels

from napari_unet.annotation.painting import LabelSchema
from napari_unet.annotation.resegment import Outcome
from napari_unet.annotation.reviews import ImageReviews
from napari_unet.errors import OutputError
from napari_unet.io.pyramid import LabelPyramid
from napari_unet.io.save import LabelArray
from napari_unet.io.tiff_labels import TiffLabels
from napari_unet.options import SegmentOptions
from napari_unet.segmentation.measure import Table
from napari_unet.ui.layers import free_name, geometry, move
from napari_unet.ui.private import drop_strokes, show_part

__all__ = ["Result"]

Key = tuple[slice, ...]


class Result:
    """The result of one model on one image layer.

    The layer is made when the first tile arrives, so that a run that fails leaves
    nothing behind; a rerun fills the same layer, unless the user painted on it and
    nobody keeps what was painted.

    Attributes
    ----------
    rules
        What its numbers mean to the model; None until a run was finished.
    reviews
        What was painted, once somebody did, or the dock U-Net: Correct had it.
    options
        How it was segmented last; None before that.
    taken, busy
        Whether a job has it, and whether tiles arrive in it now.
    linked
        Whether its objects go on through Z planes.
    file
        What is painted goes into this file, which no run may fill; None for none.
    on_forget
        Called when strokes can no longer be undone.
    """

    def __init__(self, source: Any, model: str) -> None:
        self.source = weakref.ref(source)
        self.model = model  # its name, or its file: two files may be called the same
        self.name = f"{source.name} [{Path(model).stem}]"
        self.output: str | None = None
        self.rules: LabelSchema | None = None
        self.reviews: ImageReviews | None = None
        self.options: SegmentOptions | None = None
        self.file: Path | None = None
        self.on_forget: list[Callable[[], None]] = []
        self.painted = self.taken = self.busy = self.linked = False
        self._mode = "pan_zoom"  # the tool that the user had before `lock`
        self.last_id = 0  # the greatest one that was given to an object
        self._array: LabelArray | None = None
        self._data: Any = None  # as the layer has it
        self._layers: weakref.ref[Any] | None = None
        self.layer: Labels | None = None
        self._waiting: list[Key] = []

    @property
    def usable(self) -> bool:
        """Whether a rerun may go into it."""
        if self.source() is None or self.file is not None:
            return False
        if self.layer is None:
            return True
        own = self.shown and self.layer.data is self._data
        return own and (self.reviews is not None or not self.painted)

    @property
    def unsaved(self) -> bool:
        """Whether its file lacks something that was painted a moment ago."""
        return isinstance(self._array, TiffLabels) and self._array.unsaved

    def settle(self) -> None:
        """Wait until its file has what was painted.

        Raises
        ------
        OutputError
            If the disk does not take it.
        """
        if isinstance(self._array, TiffLabels):
            self._array.settle()

    @property
    def shown(self) -> bool:
        """Whether its layer is in the viewer still."""
        layers = self._layers() if self._layers is not None else None
        return layers is not None and self.layer in layers

    @property
    def array(self) -> LabelArray | None:
        """What the layer shows."""
        return self._array

    @property
    def paintable(self) -> bool:
        """Whether its planes are small enough for napari to paint on."""
        return not isinstance(self._array, LabelPyramid)

    def show(self, viewer: Any, array: LabelArray) -> None:
        """Let the layer show `array`; the layer is made if there is none.

        An image that was closed meanwhile gets no new layer.
        """
        if array is self._array:
            return
        self._array = array
        source = self.source()
        where = {} if source not in viewer.layers else geometry(source)
        if self.layer is None:
            if not where:
                return
            # Only the first array makes a layer: one that was removed stays away.
            name = free_name(viewer, self.name)
            several = isinstance(array, LabelPyramid)
            self.layer = Labels(_drawn(array), name=name, multiscale=several, **where)
            self._layers = weakref.ref(viewer.layers)
            _append(viewer.layers, self.layer)
            self.layer.events.paint.connect(self._on_paint)
        else:
            self.layer.data = _drawn(array)
            move(self.layer, where)
            self.forget_strokes()
        self._data = self.layer.data
        self.layer.features = {}

    def rename(self, model: str) -> None:
        """Go on as the result of another model; a name that the user gave stays."""
        source, old = self.source(), self.name
        self.model = model
        if source is not None:
            self.name = f"{source.name} [{Path(model).stem}]"
        if self.layer is not None and self.layer.name == old:
            self.layer.name = self.name

    def name_classes(self, names: tuple[str, ...]) -> None:
        """Call its classes otherwise."""
        if self.rules is not None:
            self.rules = replace(self.rules, classes=names)
        if self.layer is not None and "napari_unet" in self.layer.metadata:
            self.layer.metadata["napari_unet"]["classes"] = names

    def forget_strokes(self) -> None:
        """Let nobody undo strokes that were made on other labels than there are now."""
        if self.layer is None:
            return
        drop_strokes(self.layer)
        for told in tuple(self.on_forget):
            told()

    def lock(self, locked: bool) -> None:
        """Keep the user from painting while tiles that would hide it arrive."""
        if self.layer is None or self.layer.editable != locked or not self.paintable:
            return
        if locked:
            self.forget_strokes()  # before napari does, which would not tell of them
            self._mode = str(self.layer.mode)
            self.layer.editable = False
        else:
            self.layer.editable = True
            self.layer.mode = self._mode  # napari puts the brush away when it locks

    def add(self, key: Key) -> None:
        """Note that the pixels `key` of the array changed."""
        self._waiting.append(key)

    def refresh(self) -> None:
        """Show what was noted since the last time, and no more than that."""
        waiting, self._waiting = self._waiting, []
        if self.layer is None or not self.shown or not self.layer.visible:
            return
        for key in waiting:
            if not show_part(self.layer, key):
                self.layer.refresh(extent=False)
                return

    def stopped(self, last_id: int) -> None:
        """Show what there is of a run that did not come to its end."""
        self.last_id = max(self.last_id, last_id)
        self._describe({"complete": False})

    def complete(self, about: dict[str, Any], outcome: Outcome) -> None:
        """Show everything, and what is known about it."""
        self.last_id, self.output = outcome.last_id, outcome.result.output
        self.rules = LabelSchema(
            outcome.result.output, outcome.classes, outcome.boundary
        )
        self.linked = outcome.linked or (self.linked and outcome.box is not None)
        if self.layer is not None:
            self.layer.features = _merged(self.layer.features, outcome)
        self._describe(about)

    def _describe(self, about: dict[str, Any]) -> None:
        self._waiting = []
        if self.layer is None or not self.shown:
            return
        self.layer.metadata["napari_unet"] = about
        self.layer.refresh(extent=False)

    @property
    def table(self) -> Any:
        """The measurements, a row per object; None if there are none."""
        if self.layer is None or not self.shown or not len(self.layer.features):
            return None
        return self.layer.features.drop(columns="index")

    @property
    def countable(self) -> bool:
        """Whether its labels are objects that could be measured now."""
        array = self._array
        return self.shown and array is not None and array.dtype == np.int32

    def take_table(self, table: Table | None) -> None:
        """Take the measurements of all objects that there are now."""
        if self.layer is not None:
            self.layer.features = _features(table)

    def save_table(self, path: str) -> None:
        """Write the measurements as CSV.

        Raises
        ------
        OutputError
            If there are none, or the file cannot be written.
        """
        if self.table is None:
            raise OutputError(f"{self.name} has no table any more. Segment it again.")
        part = Path(f"{path}.part")
        try:
            self.table.to_csv(part, index=False)
            os.replace(part, path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise OutputError(
                f"The table cannot be written to {path}: {error.strerror}. Choose "
                "another place."
            ) from error

    def _on_paint(self) -> None:
        self.painted = True


def _merged(old: Any, outcome: Outcome) -> Any:
    """Return the features of a layer after a run; rows outside its box are kept."""
    new = _features(outcome.table)
    if outcome.box is None or not len(old):
        return new
    y, x = outcome.box[-2:]
    touched = (old["bbox_y0"] < y.stop) & (old["bbox_y1"] > y.start)
    touched &= (old["bbox_x0"] < x.stop) & (old["bbox_x1"] > x.start)
    for axis, plane in zip(outcome.axes.lower(), outcome.box[:-2], strict=True):
        first, end = old.get(f"bbox_{axis}0", old[axis]), old.get(f"bbox_{axis}1")
        touched &= first <= plane.start
        touched &= (old[axis] + 1 if end is None else end) > plane.start
    return pd.concat([old[~touched], new], ignore_index=True)


def _features(table: Table | None) -> Any:
    return pd.DataFrame({"index": table["label"], **table} if table else {})


def _drawn(array: LabelArray) -> Any:
    """Return what a layer is given: an array, or all of its levels."""
    return array.arrays if isinstance(array, LabelPyramid) else array


def _append(layers: Any, layer: Labels) -> None:
    """Add a layer; the one that is worked on stays, and nobody hears of a change."""
    selection = layers.selection
    if selection.active is None:
        layers.append(layer)
        return
    active = selection.active
    with selection.events.active.blocker():  # image choosers would follow
        layers.append(layer)
        selection.active = active
