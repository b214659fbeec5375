"""Training data from a folder of images and one of their labels."""

import os
from collections.abc import Sequence

import numpy as np

from napari_unet.network.model import Model, UNetSpec, load
from napari_unet.network.transfer import new_model
from napari_unet.options import DEFAULT_MODEL, START_MODEL, TrainOptions
from napari_unet.project.corrections import FOREGROUND, IGNORE, Correction
from napari_unet.project.label_folder import LabelFolder
from napari_unet.project.lazy_corrections import room_for
from napari_unet.training.run import TrainingData

__all__ = ["read_labels"]

_MASKS = (
    "The labels say nothing but background: 255 means that nobody looked. Write the "
    "objects of a mask as 1 (8 bit), or give each its own number (16 bit)."
)
_OBJECTS = (
    "The labels hold numbers of objects (16 bit or more), which do not say of what "
    "class they are: {classes} cannot be told apart. Save classes as 8 bit."
)


def read_labels(
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    model: Model | str | None,
    classes: Sequence[str] | None,
    options: TrainOptions,
) -> tuple[Model, TrainingData]:
    """Return the model that learns from labelled images, and what it learns from.

    Parameters
    ----------
    images, labels
        Folders; see `project.label_folder.LabelFolder`.
    model
        A model, or name or file of one; None: a shipped one, `START_MODEL` for other
        classes.
    classes
        What the numbers in the labels mean; None: the classes of the model.

    Raises
    ------
    UNetError
        If there is nothing to learn from, it cannot be read, or does not fit.
    """
    shipped = START_MODEL if classes else DEFAULT_MODEL
    parent = model if isinstance(model, Model) else load(model or shipped)
    spec = parent.spec if classes is None else new_model(parent, classes).spec
    room = room_for(options.memory, spec.width)
    about = spec.classes, spec.boundary
    folder = LabelFolder(images, labels, *about, seed=options.seed)
    corrections, more = folder.corrections(room)
    folder.notes += _doubts(corrections, spec)
    return parent, TrainingData(corrections, more, folder.notes)


def _doubts(corrections: Sequence[Correction], spec: UNetSpec) -> tuple[str, ...]:
    """Return what may not be meant as it is written."""
    values = {int(v) for c in corrections for v in np.unique(c.target)}
    if values == {0, IGNORE}:
        return (_MASKS,)
    if spec.boundary is None and FOREGROUND in values <= {0, FOREGROUND, IGNORE}:
        return (_OBJECTS.format(classes=", ".join(spec.classes[1:])),)
    return ()
