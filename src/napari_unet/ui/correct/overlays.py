"""Overlay layers: reviewed pixels, uncertainty, and pixels fixed or broken."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Points
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_unet.annotation.reviews import ImageReviews
from napari_unet.project.corrections import IGNORE
from napari_unet.segmentation.uncertain_regions import UncertainRegion
from napari_unet.ui.layers import OVERLAY, geometry

if TYPE_CHECKING:
    from napari_unet.training.compared import Compared

__all__ = ["Overlays", "changed_legend"]

_REVIEWED = {None: "transparent", 0: "transparent", 1: (0.0, 0.62, 0.45, 1.0)}
_CHANGED = {  # Okabe-Ito: told apart by colour-blind eyes too
    None: "transparent",
    0: "transparent",
    1: (0.6, 0.6, 0.6, 0.4),
    2: (0.34, 0.71, 0.91, 1.0),
    3: (0.84, 0.37, 0.0, 1.0),
    4: (0.94, 0.89, 0.26, 1.0),
}
_LEAST = 9  # pixels across of a ring around a place
_KINDS = ("not reviewed", "right", "fixed", "broken", "still wrong")


def changed_legend() -> str:
    """Return which colour of "fixed, broken" means what, as rich text."""
    return " &nbsp; ".join(
        f"<font color='{_hex(_CHANGED[i])}'>■</font> {_KINDS[i]}" for i in (2, 3, 4, 1)
    )


def _hex(colour: Any) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])


class Overlays:
    """The overlays of one viewer; each is there only while it is wanted."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layers: dict[str, Any] = {}

    def has(self, name: str) -> bool:
        """Whether an overlay is there."""
        return self._layers.get(name) in self._viewer.layers

    def name_of(self, layer: Any) -> str | None:
        """Return which overlay a layer is; None if it is none, or was dropped."""
        names = (name for name, own in self._layers.items() if own is layer)
        return next(names, None)

    def drop(self, name: str) -> None:
        """Remove an overlay, if it is there."""
        layer = self._layers.pop(name, None)
        if layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def refresh(self, name: str) -> None:
        """Show what an overlay shows as it is now."""
        if self.has(name):
            self._layers[name].refresh(extent=False)

    def show_reviewed(self, image: Any, reviews: ImageReviews, shape: Any) -> None:
        """Show which pixels of an image layer somebody looked at."""
        labels = Labels(
            _Reviewed(reviews, tuple(shape)),
            name="reviewed",
            opacity=0.35,
            colormap=DirectLabelColormap(color_dict=_REVIEWED),
            **geometry(image),
        )
        self._put("reviewed", labels)

    def show_changed(self, image: Any, found: Sequence["Compared"], shape: Any) -> None:
        """Show what an improvement fixed and broke on reviewed pixels of an image."""
        labels = Labels(
            _Changed(found, tuple(shape)),
            name="fixed, broken",
            opacity=0.6,
            colormap=DirectLabelColormap(color_dict=_CHANGED),
            features={"index": range(5), "on reviewed pixels": _KINDS},
            **geometry(image),
        )
        self._put("changed", labels)

    def show_uncertain(
        self, image: Any, place: Any, unsure: NDArray[np.float32]
    ) -> None:
        """Show how undecided the model is, 0 to 1 (Y, X), at a place (plane, box)."""
        plane, (y, x) = place
        where = geometry(image)
        start = np.array([*plane, y.start, x.start], float)
        scale = np.asarray(where["scale"], float)
        where["translate"] = np.asarray(where["translate"], float) + start * scale
        layer = Image(
            unsure[(np.newaxis,) * len(plane)],
            name="uncertainty",
            colormap="magma",
            blending="additive",
            contrast_limits=(0, 1),
            opacity=0.7,
            **where,
        )
        self._put("uncertain", layer)

    def show_place(self, layer: Any, place: UncertainRegion) -> None:
        """Draw a ring around a place of an image or labels layer."""
        points = Points(
            [(*place.plane, place.y, place.x)],
            name="uncertain place",
            size=max(2 * place.radius, _LEAST),
            face_color="transparent",
            border_color="yellow",
            border_width=0.06,
            **geometry(layer),
        )
        self._put("place", points)

    def _put(self, name: str, layer: Any) -> None:
        self.drop(name)
        layer.metadata[OVERLAY] = True
        active = self._viewer.layers.selection.active
        self._viewer.layers.append(layer)
        if isinstance(layer, Labels):
            layer.editable = False
        self._layers[name] = layer
        self._viewer.layers.selection.active = active  # the brush stays where it was


class _Shown:
    """What napari needs of an array; a part is made when it is looked at."""

    dtype = np.dtype(np.uint8)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        return np.asarray(self[(slice(None),) * self.ndim], dtype)

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        key = key if isinstance(key, tuple) else (key,)
        key = (*key, *[slice(None)] * (self.ndim - len(key)))
        slices, drop = [], []
        for axis, (part, size) in enumerate(zip(key, self.shape, strict=True)):
            if isinstance(part, slice):
                slices.append(slice(*part.indices(size)))
            else:
                slices.append(slice(int(part), int(part) + 1))
                drop.append(axis)
        planes = np.ndindex(*(s.stop - s.start for s in slices[:-2]))
        found = np.zeros([s.stop - s.start for s in slices], np.uint8)
        for at in planes:
            plane = tuple(s.start + i for s, i in zip(slices, at, strict=False))
            self._fill(found[at], plane, (slices[-2], slices[-1]))
        return found.squeeze(tuple(drop)) if drop else found

    def _fill(self, found: NDArray[np.uint8], plane: Any, box: Any) -> None:
        raise NotImplementedError


class _Reviewed(_Shown):
    """1 where somebody looked."""

    def __init__(self, reviews: ImageReviews, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self._reviews = reviews

    def _fill(self, found: NDArray[np.uint8], plane: Any, box: Any) -> None:
        found[...] = self._reviews.read(plane, box)[0] != IGNORE


class _Changed(_Shown):
    """The maps of `training.compared.Compared`, each where it belongs."""

    def __init__(self, maps: Sequence["Compared"], shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self._maps = maps

    def _fill(self, found: NDArray[np.uint8], plane: Any, box: Any) -> None:
        y, x = box
        for one in self._maps:
            if one.plane != plane:
                continue
            top, left = one.corner
            height, width = one.map.shape
            a, b = max(top, y.start), min(top + height, y.stop)
            c, d = max(left, x.start), min(left + width, x.stop)
            if a < b and c < d:
                part = one.map[a - top : b - top, c - left : d - left]
                found[a - y.start : b - y.start, c - x.start : d - x.start] = part
