"""Opening an image and its labels as layers, in the thread; no Qt."""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet.io.open import open_image
from napari_unet.ui.reader_writer import LayerData, layers_of

__all__ = ["opening"]


def opening(
    source: Path, target: Path | None, name: str, *, bare: bool
) -> Generator[None, None, tuple[list[LayerData], list[LayerData]]]:
    """Return the layers of an image and of its result, lazy if they are large.

    Parameters
    ----------
    target
        The result; None if there is none.
    name
        Of the result's layer.
    bare
        Whether the image is wanted, too.

    Raises
    ------
    ImageError
        If one of them cannot be opened.
    """
    images = layers_of(source) if bare else []
    yield
    if target is None:
        return images, []
    axes = open_image(source).label_axes.lower()
    results = [_over(layer, axes) for layer in layers_of(target)]
    return images, [_named(layer, name) for layer in results]


def _named(layer: LayerData, name: str) -> LayerData:
    data, meta, kind = layer
    return data, {**meta, "name": name} if kind == "labels" else meta, kind


def _over(layer: LayerData, axes: str) -> LayerData:
    """Return labels with the axes in the order that their image has."""
    data, meta, kind = layer
    own = "".join(meta["axis_labels"])
    if kind != "labels" or own == axes or set(own) != set(axes):
        return layer
    order = [own.index(axis) for axis in axes]
    moved = {key: _sorted(meta[key], order) for key in ("scale", "translate", "units")}
    levels = data if meta.get("multiscale") else [data]
    turned = [np.transpose(level, order) for level in levels]
    meta = {**meta, **moved, "axis_labels": tuple(axes)}
    return turned if meta.get("multiscale") else turned[0], meta, kind


def _sorted(values: Sequence[Any], order: Sequence[int]) -> tuple[Any, ...]:
    return tuple(values[i] for i in order)
