"""The CC0 images that `nuclei` learns from, and which of them are held out."""

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.network.normalization import LUMA

__all__ = ["HELD_OUT", "SETS", "Annotated", "Fold", "hold_out", "read_set", "read_sets"]

SETS = ("dsb2018", "dsb2018_histology", "bbbc039_u2os")
HELD_OUT = 0.2  # of the groups of every set

Fold = Literal["learn", "held out", "rare"]


@dataclass(frozen=True)
class Annotated:
    """One image (C, Y, X) float32, raw, and its instance labels (Y, X) float32.

    Attributes
    ----------
    kind
        What images of one source have in common: the set, and the size.
    fold
        ``"learn"``, or why it is held out: see `hold_out`.
    """

    set: str
    path: Path
    group: str
    kind: str
    image: Tensor
    labels: Tensor
    fold: Fold

    @property
    def truth(self) -> NDArray[np.int32]:
        """Its labels as they are compared."""
        return self.labels.numpy().astype(np.int32)

    @property
    def fluorescent(self) -> bool:
        """Whether it shows bright nuclei on dark ground: half its pixels are dark.

        Dark is below half of what the brightest pixel has; stained tissue and cytology
        in transmitted light have a bright ground.
        """
        if self.image.shape[0] == 1:
            plane = self.image[0]
        else:
            plane = torch.einsum("c,cyx->yx", torch.tensor(LUMA), self.image)
        return bool(plane.median() < plane.max() / 2)


def read_sets(root: Path) -> list[Annotated]:
    """Return all images of all sets."""
    return [item for name in SETS for item in read_set(root, name)]


def read_set(root: Path, name: str) -> list[Annotated]:
    """Return the images of one set, in the order of their names.

    The folder has images/ and masks/, and groups.csv where several images were cut
    from one picture; otherwise each image is a group of its own.
    """
    folder = root / name
    groups: dict[str, str] = {}
    if (folder / "groups.csv").exists():
        with (folder / "groups.csv").open(newline="") as file:
            groups = {row["stem"]: row["group"] for row in csv.DictReader(file)}
    paths = sorted((folder / "images").glob("*.tif"))
    images = [tifffile.imread(path).astype(np.float32) for path in paths]
    named = [groups.get(path.stem, path.stem) for path in paths]
    kinds = ["{} {}x{}".format(name, *image.shape[:2]) for image in images]
    folds = hold_out(name, dict(zip(named, kinds, strict=True)))
    found = []
    for path, image, group, kind in zip(paths, images, named, kinds, strict=True):
        planes = image[None] if image.ndim == 2 else np.moveaxis(image[..., :3], -1, 0)
        labels = tifffile.imread(folder / "masks" / path.name).astype(np.float32)
        found.append(
            Annotated(
                name,
                path,
                group,
                kind,
                torch.from_numpy(np.ascontiguousarray(planes)),
                torch.from_numpy(labels),
                folds.get(group, "learn"),
            )
        )
    return found


def hold_out(name: str, kinds: Mapping[str, str]) -> dict[str, Fold]:
    """Return the groups of a set to hold out, the same ones every time, and why.

    ``"held out"`` is a fifth of them, chosen by hash. Of a kind of image that is not
    among these, and has two groups or more, one is ``"rare"``: otherwise nothing would
    tell how well it is done.

    Parameters
    ----------
    name
        Of the set.
    kinds
        Kind of image by group.
    """
    ranked = sorted(
        kinds, key=lambda g: hashlib.sha256(f"{name}/{g}".encode()).hexdigest()
    )
    found: dict[str, Fold] = dict.fromkeys(
        ranked[: round(HELD_OUT * len(ranked))], "held out"
    )
    seen = {kinds[group] for group in found}
    for kind in sorted(set(kinds.values()) - seen):
        own = [group for group in ranked if kinds[group] == kind]
        if len(own) > 1:
            found[own[0]] = "rare"
    return found
