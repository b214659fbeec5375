"""Result filler: steps of a segmentation job drawn into a result layer."""

from collections.abc import Callable
from typing import Any

from napari_unet.annotation.resegment import Outcome, Step
from napari_unet.annotation.start import schema_of
from napari_unet.network.header import class_names
from napari_unet.ui.outcome import about
from napari_unet.ui.result_layer import Result

__all__ = ["Filler"]


class Filler:
    """Shows the steps of one run in one result, which is locked while tiles arrive.

    Attributes
    ----------
    step
        The latest one; None before the first, and after an outcome.
    on_gone
        Called when nobody can see any more what is filled: its labels were removed.
    gone
        Whether they were.
    """

    def __init__(self, viewer: Any, result: Result, *, later: bool = False) -> None:
        """Take the result; lock it at once, or `later`, when the first step comes."""
        self._viewer, self.result = viewer, result
        self.step: Step | None = None
        self.on_gone: Callable[[], None] = _nothing
        self.gone, self._watching = False, True
        viewer.layers.events.removed.connect(self._on_removed)
        result.taken = True
        if not later:
            self._lock()

    def take(self, step: Step) -> None:
        """Take a step; `refresh` shows it. Before anything is done there is nothing."""
        if not step.progress:
            return
        self.step = step
        self.result.show(self._viewer, step.array)
        self._lock()
        if step.key is not None:
            self.result.add(step.key)

    def refresh(self) -> None:
        """Show what was taken since the last time."""
        self.result.refresh()

    def finish(self, outcome: Outcome) -> None:
        """Show the whole result of the run, and let the user paint again."""
        self.result.complete(about(outcome), outcome)
        self.step = None
        self._unlock()

    def stop(self) -> None:
        """Show what there is of a run that did not come to its end."""
        if self.step is not None:
            self.result.stopped(self.step.last_id)
            if self.result.rules is None:
                self._mean()

    def _mean(self) -> None:
        """Find out what the labels mean to their model: they can be corrected, too."""
        result, classes = self.result, class_names(self.result.model)
        if result.array is None or not classes:  # its file is gone
            return
        result.rules = schema_of(classes, result.array)
        result.output = result.rules.kind

    def release(self) -> None:
        """Let go of the result, however the run ended."""
        if self._watching:
            self._viewer.layers.events.removed.disconnect(self._on_removed)
            self._watching = False
        self.result.taken = False
        if self.result.busy:
            self._unlock()

    def _on_removed(self, event: Any) -> None:
        result = self.result
        if event.value is (result.source() if result.layer is None else result.layer):
            self.gone = True
            self.on_gone()

    def _lock(self) -> None:
        self.result.busy = True
        self.result.lock(True)  # strokes would be painted over

    def _unlock(self) -> None:
        self.result.forget_strokes()  # undoing them would bring old labels back
        self.result.busy = False
        self.result.lock(False)


def _nothing() -> None:
    """Nobody is to be told."""
