"""Output of a model for an image: kind, shape, least size and score, and growth."""

import math
from typing import Any

import numpy as np

from napari_unet.io.image import Image
from napari_unet.network.model import Model
from napari_unet.options import Output, SegmentOptions
from napari_unet.segmentation.inputs import ModelInput

__all__ = ["growth", "least_score", "least_size", "output_kind", "output_shape"]

_REACH = 3  # pixels, in the net's scale, that an object grows into its boundary


def output_kind(model: Model, options: SegmentOptions) -> Output:
    """Return the output in force: objects by default if the model has a boundary."""
    if options.output is not None:
        return options.output
    return "classes" if model.spec.boundary is None else "objects"


def output_shape(
    model: Model, image: Image, options: SegmentOptions
) -> tuple[tuple[int, ...], np.dtype[Any], str]:
    """Return shape, dtype and axes of what `segment` writes."""
    kind = output_kind(model, options)
    if kind == "probabilities":
        shape = (len(model.spec.classes), *image.label_shape)
        return shape, np.dtype(np.float16), "C" + image.label_axes
    dtype = np.dtype(np.int32 if kind == "objects" else np.uint8)
    return image.label_shape, dtype, image.label_axes


def least_size(model: Model, source: ModelInput, options: SegmentOptions) -> int:
    """Return how many of the image's pixels an object has at least."""
    if options.min_size is not None:
        return options.min_size
    area = math.prod(a.source / a.target for a in source.axes)
    return round(model.min_size * area)


def least_score(model: Model, options: SegmentOptions) -> float:
    """Return the score that an object has at least, see `labels.scores`; 0: any."""
    if output_kind(model, options) != "objects":
        return 0.0
    return model.min_score if options.min_score is None else options.min_score


def growth(source: ModelInput) -> int:
    """Return how far objects grow into the boundary, in the image's pixels."""
    return max(-(-_REACH * a.source // a.target) for a in source.axes)
