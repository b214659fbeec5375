"""Label files: which belongs to an image, and the targets that its numbers mean."""

import re
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.errors import CorrectionError
from napari_unet.io.image import Image
from napari_unet.io.open import open_image
from napari_unet.io.suffixes import PICTURES, TIFFS
from napari_unet.labels.objects import instance_targets
from napari_unet.project.corrections import FOREGROUND, IGNORE, Correction

__all__ = [
    "apart",
    "find_pairs",
    "lone_number",
    "no_labels",
    "open_pair",
    "read_folder",
    "read_pair",
    "targets_from_labels",
]

_SUFFIXES = (".tif", ".tiff", ".png")
_IMAGES = (*TIFFS, *PICTURES, ".zarr")


def lone_number(planes: Iterable[NDArray[Any]]) -> int:
    """Return n if labels hold 0 and n alone, as a mask does; else 0.

    No more planes are read than it takes to know.
    """
    found: set[int] = set()
    for labels in planes:
        found |= set(np.unique(labels).tolist()) - {0}
        if len(found) > 1:
            break
    return int(found.pop()) if len(found) == 1 else 0


def apart(mask: NDArray[np.bool_], last: int) -> tuple[NDArray[np.int64], int]:
    """Give a number above `last` to all pixels (Y, X) that hang together by edges.

    Returns
    -------
    numbers
        (Y, X); 0 outside the mask.
    last
        The greatest number now.
    """
    numbers, count = ndimage.label(mask)
    return np.where(mask, numbers.astype(np.int64) + last, 0), last + count


def targets_from_labels(
    labels: NDArray[Any], classes: Sequence[str], boundary: int | None, name: str
) -> NDArray[np.uint8]:
    """Return what a model with these classes should say, (Y, X) uint8.

    Parameters
    ----------
    labels
        (Y, X). uint8 holds classes, with 255 where nobody looked; a wider type holds
        instances, 0 being background.
    classes, boundary
        The model's classes, and which of them separates touching objects.
    name
        What messages call the labels.

    Raises
    ------
    CorrectionError
        If there is a class that the model does not have, or other numbers than
        0, 1, 2, ...
    """
    if labels.dtype.kind not in ("b", "u", "i"):
        raise CorrectionError(
            f"{name} has pixels of type {labels.dtype}; labels are whole numbers: "
            "uint8 for classes, uint16 for objects."
        )
    if labels.dtype.kind == "i" and (least := int(labels.min(initial=0))) < 0:
        raise CorrectionError(
            f"{name} has a pixel of {least}; labels are 0 or more. Save them as uint8 "
            "with 255 where nobody looked, or as uint16 objects."
        )
    if labels.dtype.itemsize > 1:  # instances
        if boundary in (1, 2) and len(classes) == 3:
            order = np.array([0, 3 - boundary, boundary], np.uint8)
            return order[instance_targets(labels)]
        found = 1 if len(classes) == 2 else FOREGROUND
        return np.where(labels > 0, found, 0).astype(np.uint8)
    target = labels.astype(np.uint8)
    most = int(target[target != IGNORE].max(initial=0))
    if most <= 1 and boundary is not None:
        return np.where(target == 1, FOREGROUND, target).astype(np.uint8)
    if most >= len(classes):
        raise CorrectionError(
            f"{name} has a pixel of class {most}; the model has {len(classes)} classes "
            f"({', '.join(classes)}), counted from 0. Use 255 for pixels that nobody "
            "looked at, save objects that have numbers of their own with 16 bits, or "
            "begin a new model and name a class for each.",
            option="new",
        )
    return target


def read_folder(
    images: str | PathLike[str],
    labels: str | PathLike[str],
    classes: Sequence[str],
    boundary: int | None = None,
) -> list[Correction]:
    """Return the labelled planes of a folder of images, the images read lazily.

    A label file has the name of its image, ends in ``.tif``, ``.tiff`` or ``.png``, and
    has the image's shape less the channels. Images without one, and planes of which
    nobody looked at a pixel, are left out.

    Raises
    ------
    CorrectionError
        If a folder is missing, no labels belong to an image, or labels do not fit.
    """
    pairs = find_pairs(images, labels)
    found = [c for pair in pairs for c in read_pair(*pair, classes, boundary)]
    if not found:
        raise no_labels(images, labels)
    return found


def find_pairs(
    images: str | PathLike[str], labels: str | PathLike[str]
) -> list[tuple[Path, Path]]:
    """Return the images of a folder that have labels, and these; none is opened.

    Raises
    ------
    CorrectionError
        If a folder is missing, or no labels belong to an image.
    """
    folders = Path(images), Path(labels)
    for folder in folders:
        if not folder.is_dir():
            raise CorrectionError(f"There is no folder {folder}. Check the path.")
    if folders[0].samefile(folders[1]):
        raise CorrectionError(
            f"Images and labels are both looked for in {folders[0]}. Keep the labels "
            "in a folder of their own, under the images' names."
        )
    found = list(_pairs(*folders))
    if not found:
        raise no_labels(*folders)
    return found


def no_labels(
    images: str | PathLike[str], labels: str | PathLike[str]
) -> CorrectionError:
    """Return what to say where nobody has labelled a pixel."""
    return CorrectionError(
        f"No image in {images} has labels in {labels}. A label file has the image's "
        "name and ends in .tif, .tiff or .png; 255 means unlabelled."
    )


def _pairs(images: Path, labels: Path) -> Iterator[tuple[Path, Path]]:
    by_stem = {
        _stem(path): path
        for path in sorted(labels.iterdir())
        if path.suffix.lower() in _SUFFIXES
    }
    found: dict[str, list[Path]] = {}
    for path in sorted(images.iterdir()):
        if _stem(path) in by_stem and not path.name.startswith("."):
            found.setdefault(_stem(path), []).append(path)
    for stem, paths in found.items():
        # Microscopes put files of text beside an image, under the same name.
        known = [path for path in paths if path.suffix.lower() in _IMAGES]
        yield from ((path, by_stem[stem]) for path in known or paths)


def _stem(path: Path) -> str:
    """Return what an image and its labels are both called."""
    return re.sub(r"(\.ome)?\.[^.]*$", "", path.name, flags=re.IGNORECASE)


def open_pair(image_path: Path, label_path: Path) -> tuple[Image, Image]:
    """Open an image and its labels.

    Raises
    ------
    CorrectionError
        If they do not fit each other.
    ImageError
        If one of them cannot be opened.
    """
    image, labels = open_image(image_path), open_image(label_path)
    if labels.channels > 1:
        raise CorrectionError(
            f"The labels {label_path.name} have {labels.channels} channels or colours; "
            "labels have one number for each pixel. Save them as a grey image."
        )
    if labels.label_shape != image.label_shape:
        raise CorrectionError(
            f"The labels {label_path.name} have shape {labels.shape}; the image "
            f"{image_path.name} needs {image.label_shape}. Save them in the same size."
        )
    return image, labels


def read_pair(
    image_path: Path, label_path: Path, classes: Sequence[str], boundary: int | None
) -> Iterator[Correction]:
    """Yield the labelled planes of an image, as `read_folder` returns them."""
    image, labels = open_pair(image_path, label_path)
    whole = slice(None)
    for at, plane in zip(labels.planes(), image.planes(), strict=True):
        raw = labels.read(at, whole, whole)[0]
        target = targets_from_labels(raw, classes, boundary, label_path.name)
        if (target != IGNORE).any():
            yield Correction(image, target, plane, source=image.name)
