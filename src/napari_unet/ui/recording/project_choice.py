"""Project choice: the folder for an image's strokes, and others that might fit."""

from pathlib import Path
from typing import Any

from napari_unet.annotation.models import fits
from napari_unet.annotation.painting import LabelSchema
from napari_unet.errors import UNetError
from napari_unet.io.image import Image
from napari_unet.project.location import (
    holds_work,
    lists,
    project_place,
    projects_beside,
)
from napari_unet.project.project import Project
from napari_unet.ui.layers import file_of
from napari_unet.ui.session import Session

__all__ = ["ProjectChoice"]


class ProjectChoice:
    """The projects of the images in one viewer.

    An image stays where it is, whatever its layer is called later. One that is in a
    project already goes on there: in its own, in the one that is in use, or in one
    that lies beside the image.
    """

    def __init__(self, viewer: Any, session: Session) -> None:
        self._viewer, self._session = viewer, session

    def folder(self, layer: Any) -> Path:
        """Return the folder of an image layer's project, which may not exist yet."""
        known = self._session.folders.get(layer)
        if known is None:
            known = self._find(layer)
            self._session.folders[layer] = known
        return known

    def settle(self, layer: Any, folder: Path | None = None) -> None:
        """Remember where the user wants an image; None: where it is."""
        self._session.undecided.discard(layer)
        if folder is not None:
            self._session.folders[layer] = folder
            self._session.keys.pop(layer, None)

    def used(self, project: Project) -> None:
        """Remember in which project somebody works: other images may join it."""
        self._session.recent = project.folder

    def other(
        self, layer: Any, image: Image, own: Project, rules: LabelSchema | None
    ) -> Project | None:
        """Return the project in use, if this image may join it and nobody said no.

        Parameters
        ----------
        own
            Where its strokes go now.
        rules
            What its labels mean; None if there are none.
        """
        folder = self._session.recent
        if layer not in self._session.undecided or folder in (None, own.folder):
            return None
        if folder is None or own.index.models:
            return None
        try:
            project = self._session.open_project(folder)
        except UNetError:  # whoever opens it is told
            return None
        return project if fits(project, image, rules) else None

    def _find(self, layer: Any) -> Path:
        file = file_of(self._viewer, layer)
        own, recent = project_place(file, str(layer.name)), self._session.recent
        if holds_work(own):
            return own
        if file is not None:
            near = [] if recent is None else [recent]
            for folder in (*near, *projects_beside(file)):
                if lists(folder, file):
                    return folder
        self._session.undecided.add(layer)
        return own
