"""Recording in one viewer: a recorder for each result, whichever docks are open."""

import logging
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject

from napari_unet.errors import UNetError
from napari_unet.io.image import Image
from napari_unet.ui.hints import CORRECT, told
from napari_unet.ui.layers import as_image, file_of
from napari_unet.ui.private import main_window
from napari_unet.ui.recording.project_choice import ProjectChoice
from napari_unet.ui.recording.recorder import Recorder
from napari_unet.ui.recording.strokes import Strokes
from napari_unet.ui.result_layer import Result
from napari_unet.ui.session import Session, session_of

__all__ = ["Recording", "recording_of"]

_log = logging.getLogger(__name__)


class Recording(QObject):
    """Listens to the results of one viewer, and lends them to U-Net: Correct.

    A result that is in no dock is in no project either, until somebody paints on it:
    then it goes where the strokes on its image go. What cannot be kept yet waits; why,
    is told once.
    """

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__(main_window(viewer))
        self._viewer, self._session = weakref.ref(viewer), session
        self._strokes: dict[Any, Strokes] = {}  # by layer
        self._own: Recorder | None = None  # of a result that is in no dock
        self._told: weakref.WeakSet[Result] = weakref.WeakSet()
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        for result in session.shown():
            self._attend(result)
        self.destroyed.connect(self._leaving())

    def image(self, layer: Any) -> Image:
        """Return what an image layer shows.

        Raises
        ------
        UNetError
            If it was closed, or cannot be segmented.
        """
        viewer: Any = self._viewer()
        if layer is None or layer not in viewer.layers:
            raise UNetError("The image was closed. Open it again to go on.")
        image = as_image(layer, file_of(viewer, layer))
        name = self._session.names.setdefault(layer, image.name)  # its first one
        return replace(image, name=name) if image.source is None else image

    def lend(self, result: Result) -> Recorder | None:
        """Return what takes the strokes on a result, for a dock; None if nothing can.

        Raises
        ------
        UNetError
            If these labels are not those that were corrected before.
        """
        own = self._own
        if own is not None and own.result is result:
            self._own = None
            own.said.disconnect(show_error)  # the dock says it
        else:
            own = self._correcting(result)
        return own

    def give_back(self, correcting: Recorder) -> None:
        """Take back what was lent: what is painted from now on opens it anew.

        Raises
        ------
        UNetError
            If the disk does not take what is not saved yet.
        """
        try:
            correcting.close()
        finally:
            correcting.deleteLater()

    def part(self) -> None:
        """Save what is in no dock, and leave it: it may belong elsewhere now.

        Raises
        ------
        UNetError
            If the disk does not take it.
        """
        own, self._own = self._own, None
        if own is not None:
            self.give_back(own)

    def _correcting(self, result: Result) -> Recorder | None:
        able = result.rules is not None and result.shown and result.paintable
        if result.busy or not able:
            return None
        layer = result.source()
        image = self.image(layer)
        project = self._session.open_project(self._homes.folder(layer))
        strokes = self._strokes.get(result.layer) or self._listen(result)
        found = Recorder(self._session, result, image, project, strokes, self)
        self._session.keys[layer] = found.key
        return found

    @property
    def _homes(self) -> ProjectChoice:
        return ProjectChoice(self._viewer(), self._session)

    def _on_wanted(self, result: Result) -> None:
        """Let a project take what was painted on a result that is in no dock."""
        try:
            self.part()
            self._own = self._begin(result)
        except UNetError as error:
            self._tell(result, told(error, CORRECT))

    def _begin(self, result: Result) -> Recorder | None:
        layer = result.source()
        found = self._correcting(result)
        if found is None:
            return None
        found.said.connect(show_error)
        project = found.project
        if not found.earlier:
            self._session.begun.add(layer)
        other = self._homes.other(layer, found.image, project, result.rules)
        if other is None:  # else nobody has decided yet where it belongs
            self._homes.settle(layer)
            self._homes.used(project)
        return found

    def _tell(self, result: Result, why: str) -> None:
        if result not in self._told:
            self._told.add(result)
            show_error(f"What you paint on {result.name} is not kept yet. {why}")

    def _listen(self, result: Result) -> Strokes:
        layer: Any = result.layer
        strokes = self._strokes[layer] = Strokes(layer, lambda: self._on_wanted(result))
        return strokes

    def _attend(self, result: Result) -> None:
        if result.layer in self._strokes or not result.paintable:
            return
        try:
            self._listen(result)
        except UNetError as error:  # a napari that is not known
            self._tell(result, told(error, CORRECT))

    def _on_inserted(self, event: Any) -> None:
        for result in self._session.results:
            if result.layer is event.value:
                self._attend(result)

    def _on_removed(self, event: Any) -> None:
        strokes = self._strokes.pop(event.value, None)
        if strokes is None:
            return
        strokes.forget()
        own = self._own
        if own is not None and own.result.layer is event.value:
            try:
                self.part()
            except UNetError as error:
                show_error(told(error, CORRECT))

    def _leaving(self) -> Callable[[], None]:
        """Return what saves when the window is closed."""
        session = self._session

        def leave() -> None:  # a method would be disconnected by then
            session.recording = None
            own, self._own = self._own, None
            try:
                if own is not None:
                    own.close()
            except UNetError:  # there is no window to say it in
                _log.exception("What was painted last could not be saved.")

        return leave


def recording_of(viewer: Any) -> Recording:
    """Return what listens to the results of a viewer, as long as its window is open."""
    session = session_of(viewer)
    if session.recording is None:
        session.recording = Recording(viewer, session)
    found: Recording = session.recording
    return found
