"""Training data from a folder of images and one of labels, read square by square.

Knows when a folder is read as a whole, and else in which order its images are looked
at: a square of each in turn, so that the first few say something about all.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import UNetError
from napari_unet.io.image import Image
from napari_unet.project.corrections import IGNORE, Correction, held_bytes
from napari_unet.project.label_files import (
    find_pairs,
    no_labels,
    open_pair,
    read_pair,
    targets_from_labels,
)
from napari_unet.project.lazy_corrections import More, begin
from napari_unet.tiling import Box, cut, shifted, whole

__all__ = ["LabelFolder"]

_BEGIN = 200_000_000  # bytes that learning begins with: they are read in seconds
_SIDE = 512  # pixels along the side of a square, about
_PLANE = 4096**2  # pixels of a plane whose labels are read at once
_NEAR = 1024  # pixels around a square of classes that tell what its numbers mean
_CONTEXT = 96  # pixels around a square that are read with it
_REACH = 16  # and around one of objects: as far as the boundary reaches, and more


class LabelFolder:
    """Labelled images, read piece by piece.

    Parameters
    ----------
    images, labels, classes, boundary
        As for `label_files.read_folder`.
    seed
        Of the order in which images, and squares of them, are looked at.

    Attributes
    ----------
    pairs
        The files of images and their labels.
    notes
        Sentences about what of the files is not read, or could not be.

    Raises
    ------
    CorrectionError
        If a folder is missing, or no labels belong to an image.
    """

    def __init__(
        self,
        images: str | PathLike[str],
        labels: str | PathLike[str],
        classes: Sequence[str],
        boundary: int | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.folders = Path(images), Path(labels)
        self.pairs = find_pairs(*self.folders)
        self.classes, self.boundary, self.seed = tuple(classes), boundary, seed
        self.notes: list[str] = []
        self._squares = 1
        self._sample: dict[int, NDArray[Any]] = {}

    def corrections(self, room: int) -> tuple[Sequence[Correction], More | None]:
        """Return all labelled planes; or squares to begin with, and more.

        Parameters
        ----------
        room
            Bytes that a lesson may hold of them.

        Raises
        ------
        CorrectionError
            If no pixel is labelled.
        UNetError
            If images or labels cannot be read, or do not fit, where all are read.
        """
        found: Sequence[Correction] | None = self._all(room)
        if found is not None:
            return found, None
        draws, least = self._draws(), min(room // 4, _BEGIN)
        first = begin(draws, self.read, least, lambda: self._most)
        if not first:
            raise no_labels(*self.folders)
        self.notes.append(
            f"{self.folders[0].name} cannot be held at once: it is learned from piece "
            f"by piece, {len(first)} at first. The memory that may be used bounds what "
            "is held."
        )
        return first, More(map(self.read, draws), room - least)

    def _all(self, room: int) -> list[Correction] | None:
        """Return all labelled planes, or None: they take more bytes than that."""
        if self._surely_more(room):
            return None
        found: list[Correction] = []
        for pair in self.pairs:
            if math.prod(self._open(pair)[0].plane_shape) > _PLANE:
                return None
            for correction in read_pair(*pair, self.classes, self.boundary):
                found.append(correction)
                room -= correction.nbytes
                if room < 0:
                    return None
        if not found:
            raise no_labels(*self.folders)
        return found

    def _surely_more(self, room: int) -> bool:
        """Whether it takes more, as far as that can be told without pixels.

        Of planes of objects, every pixel is labelled.
        """
        for pair in self.pairs:
            image, labels = self._open(pair)
            if labels.dtype.itemsize == 1:
                return False
            pixels = math.prod(labels.label_shape)
            room -= held_bytes(pixels, pixels, image.channels)
            if room < 0:
                return True
        return False

    def _open(self, pair: tuple[Path, Path]) -> tuple[Image, Image]:
        """Open an image and its labels; note what of them is not read."""
        image, labels = open_pair(*pair)
        for note in (*image.notes, *labels.notes):
            self._note(note)
        return image, labels

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    @property
    def _most(self) -> int:
        """After how many draws nothing is left that was not looked at."""
        return self._squares * len(self.pairs)

    def _draws(self) -> Iterator[tuple[int, int]]:
        """Go through the folder again and again: the number of an image, and a turn.

        In every turn there is another square of an image, until all were.
        """
        random = np.random.default_rng(self.seed)
        for turn in itertools.count():
            for number in random.permutation(len(self.pairs)).tolist():
                yield number, turn

    def read(self, draw: tuple[int, int]) -> Correction | None:
        """Return what is said of a square; None if it is nothing.

        What cannot be read is noted once, and left out: the rest is learned from.
        """
        try:
            return self._read(*draw)
        except UNetError as error:
            self._note(str(error))
            return None

    def _read(self, number: int, turn: int) -> Correction | None:
        image, labels = self._open(self.pairs[number])
        rows, columns = (_even(n) for n in image.plane_shape)
        shape = math.prod(image.stack_shape), len(rows), len(columns)
        count = math.prod(shape)
        self._squares = max(self._squares, count)
        order = np.random.default_rng((self.seed, number)).permutation(count)
        at, row, column = np.unravel_index(int(order[turn % count]), shape)
        square = rows[row], columns[column]
        target = self._target(labels, _index(labels, int(at)), square)
        if (target == IGNORE).all():
            return None
        plane = _index(image, int(at))
        box = cut(_wider(square, _CONTEXT), whole(image.plane_shape))
        if number not in self._sample:  # the last one alone is kept: of a large stack
            self._sample = {number: image.sample()}
        top, left = box[0].start, box[1].start
        return Correction(
            image=Image(
                name=image.name,
                data=image.read(plane, *box),
                axes="CYX",
                rgb=image.rgb,
                channel_names=image.channel_names,
                source=image.source,
            ),
            target=target,
            corner=(square[0].start - top, square[1].start - left),
            cut=(plane, (top, left)),
            sample=self._sample[number],
            source=image.name,
        )

    def _target(
        self, labels: Image, plane: tuple[int, ...], square: Box
    ) -> NDArray[np.uint8]:
        """Return what is said of a square; the pixels around it say what it means."""
        everything = whole(labels.plane_shape)
        if labels.dtype.itemsize > 1:
            box = cut(_wider(square, _REACH), everything)
        elif math.prod(labels.plane_shape) <= _PLANE:
            box = everything
        else:
            box = cut(_wider(square, _NEAR), everything)
        raw = labels.read(plane, *box)[0]
        about = self.classes, self.boundary, labels.title
        target = targets_from_labels(raw, *about)
        return target[shifted(square, -box[0].start, -box[1].start)].copy()


def _even(length: int) -> list[slice]:
    """Cut a side into near-equal parts of `_SIDE` pixels at most."""
    count = -(-length // _SIDE)
    ends = [round(i * length / count) for i in range(count + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(ends)]


def _index(image: Image, number: int) -> tuple[int, ...]:
    """Return the index of a plane along the plane axes, of its number in the stack."""
    if not image.stack_shape:
        return ()
    return tuple(int(i) for i in np.unravel_index(number, image.stack_shape))


def _wider(box: Box, by: int) -> Box:
    y, x = (slice(side.start - by, side.stop + by) for side in box)
    return y, x
