"""Images of the project in use: open layers, and reviewed pixels of each."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from napari.layers import Image as ImageLayer

from napari_unet.annotation.resegment import Request
from napari_unet.annotation.reviews import Count, ImageReviews
from napari_unet.project.project import Project
from napari_unet.ui.correct.image_list import ImageRow
from napari_unet.ui.correct.view_request import view_request
from napari_unet.ui.layers import file_of, looked_at
from napari_unet.ui.recording.recording import recording_of
from napari_unet.ui.result_layer import Result
from napari_unet.ui.session import Session

__all__ = ["Collection"]


class Collection:
    """The images of a project, and how much was said of each.

    Counting is done once for each image, and anew where somebody painted.
    """

    def __init__(self, viewer: Any, session: Session, project: Project) -> None:
        self._viewer, self._session, self.project = viewer, session, project
        self._reviews: dict[str, ImageReviews] = {}  # else they would be counted anew

    def reviews(self, key: str) -> ImageReviews:
        """Return what was reviewed of an image."""
        found = self._session.reviews_of(self.project, key)
        self._reviews[key] = found
        return found

    def counts(self) -> dict[int, Count]:
        """Return what was said of every class, in all images."""
        found: dict[int, Count] = {}
        for record in self.project.index.images:
            for value, count in self.reviews(record.key).counts().items():
                found[value] = found.get(value, Count()) + count
        return found

    def rows(self, here: Any) -> list[ImageRow]:
        """Return what the list shows of each image; `here` is the current layer."""
        layers, found = self._open(), []
        for record in self.project.index.images:
            count = sum(self.reviews(record.key).counts().values(), Count())
            layer = layers.get(record.key)
            found.append(
                ImageRow(
                    record.key,
                    Path(record.path).name or record.name,
                    record.path,
                    count.strokes,
                    count.pixels,
                    here=layer is not None and layer is here,
                    shown=layer is not None,
                )
            )
        return sorted(found, key=lambda row: row.name)

    def layers(self) -> list[Any]:
        """Return the image layers in the viewer that were corrected in this project."""
        return [x for x in self._session.keys if self._has(x)]

    def layer_of(self, key: str) -> Any:
        """Return the layer of an image; None if it is not open."""
        return self._open().get(key)

    def _open(self) -> dict[str, Any]:
        """Return the layers of the images that are open, by key."""
        folders, own = self._session.folders, self.project.folder
        keys = {record.path: record.key for record in self.project.index.images}
        found = {}
        for layer in self._viewer.layers:
            if isinstance(layer, ImageLayer) and folders.get(layer, own) == own:
                key = keys.get(str(file_of(self._viewer, layer)))
                if key is not None:
                    found[key] = layer
        return {**found, **{self._session.keys[x]: x for x in self.layers()}}

    def result_on(self, layer: Any, model: str) -> Result | None:
        """Return the result on an image layer, of this model if there is one."""
        found = [r for r in self._session.shown() if r.source() is layer]
        found.sort(key=lambda result: result.model != model)
        return found[0] if found else None

    def reviews_on(self, layer: Any) -> ImageReviews:
        """Return what was reviewed of an image that is open."""
        return self.reviews(self._session.keys[layer])

    def view(self, layer: Any, model: str) -> Request:
        """Return the request to segment what would be in view of an image.

        Raises
        ------
        ImageError
            If its layer cannot be segmented.
        """
        image = recording_of(self._viewer).image(layer)
        seen, last = looked_at(self._viewer, layer), self.result_on(layer, model)
        reviews = self.reviews_on(layer)
        view = view_request(image, model, reviews, seen, into=None, last=last)
        return replace(view, models=self._session.models)

    def _has(self, layer: Any) -> bool:
        own = self._session.folders.get(layer) == self.project.folder
        return own and layer in self._viewer.layers
