"""Correction store: reviewed blocks with image context and intensity samples.

Only this file knows how blocks, the images under them and the pixels that they are
scaled by come together.
"""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from napari_unet._files import DAMAGE, pack, read_whole, set_aside, unpack, write_whole
from napari_unet.errors import CorrectionError, ImageError, UNetError
from napari_unet.io.image import Image
from napari_unet.project.block_store import Block, BlockKey, Blocks, Pixels
from napari_unet.project.corrections import IGNORE, Correction
from napari_unet.project.image_record import (
    ImageRecord,
    now,
    parse,
    restore,
    surroundings,
)
from napari_unet.tiling import Box

__all__ = ["Reviews", "Samples"]

_KEPT = 16  # samples in memory: a few megabytes each


class Reviews:
    """Reviewed pixels of many images, with the images around them.

    Parameters
    ----------
    folder
        Of the project.
    notes
        Takes sentences about pieces that could not be used.
    """

    def __init__(self, folder: Path, notes: list[str]) -> None:
        self.blocks = Blocks(folder / "corrections", notes)
        self.notes = notes
        self._samples = Samples(folder / "samples", notes)
        self._images: dict[str, tuple[ImageRecord, Image]] = {}

    @property
    def unsaved(self) -> bool:
        """Whether `flush` has something to write."""
        return bool(self.blocks.dirty or self._samples.owed)

    def open(self, record: ImageRecord, image: Image) -> None:
        """Say where the pixels of an image can be had."""
        self._images[record.key] = record, image
        for place in self.blocks.block_keys():
            if place.image == record.key and not record.has(*place.where):
                self.blocks.leave_out(place)
                self._note(f"{place.file} lies outside of {image.title}; it stays.")
        self._samples.open(record.fingerprint, image)
        # A program that was killed between block and sample left them without one.
        if any(place.image == record.key for place in self.blocks.block_keys()):
            self._samples.owe(record.fingerprint)

    def read(self, key: str, plane: tuple[int, ...], box: Box) -> Pixels:
        """Return what people said about a box: target and shown, (Y, X) each.

        Where nobody looked, target is ``corrections.IGNORE`` and shown is 0.
        """
        return self.blocks.read(key, plane, box)

    def write(self, key: str, plane: tuple[int, ...], box: Box, pixels: Pixels) -> None:
        """Replace what people said about a box, in memory; `flush` writes it.

        Parameters
        ----------
        key
            Of an image that `open` was given.
        pixels
            See `read`.

        Raises
        ------
        CorrectionError
            If the image is not open, or the box does not lie in it.
        """
        if key not in self._images:
            raise CorrectionError(f"The image {key} is not open. Open it first.")
        record, image = self._images[key]
        shape = tuple(s.stop - s.start for s in box)
        ends = zip(box, image.plane_shape, strict=True)
        inside = all(0 <= s.start < s.stop <= n for s, n in ends)
        if not inside or any(array.shape != shape for array in pixels):
            raise CorrectionError(
                f"Corrections of {pixels[0].shape} pixels at row {box[0].start}, "
                f"column {box[1].start} do not fit {image.title}, which has "
                f"{image.plane_shape}. Was another image loaded into its layer?"
            )
        self.blocks.write(key, plane, box, pixels)
        self._samples.owe(record.fingerprint)

    def flush(self, origin: Mapping[str, Any]) -> None:
        """Write what changed; what fails is tried again next time.

        Parameters
        ----------
        origin
            What else is to be known about the blocks.

        Raises
        ------
        OutputError
            If the disk does not take it.
        """
        self.blocks.flush(lambda place: self._describe(place, origin))
        self._samples.flush()  # last: it takes longer

    def corrections(
        self, origin: Mapping[str, Any], room: int
    ) -> tuple[dict[BlockKey, Correction], bool]:
        """Return what was said about all images, saved or not, block by block.

        Parameters
        ----------
        origin
            As for `flush`.
        room
            Bytes that a lesson may hold of it.

        Returns
        -------
        corrections
            Of all blocks; or, where that is too much, of those that half of the room
            is enough for, the newest among them.
        complete
            Whether these are all.

        Raises
        ------
        CorrectionError
            If a file may not be read.
        """
        found: dict[BlockKey, Correction] = {}
        samples: set[int] = set()
        half, within = room // 2, 0
        for place in self.blocks.newest():
            correction = self.correction(place, origin)
            if correction is None:
                continue
            found[place] = correction
            room -= correction.nbytes + np.asarray(correction.image.data).nbytes
            if correction.sample is not None and id(correction.sample) not in samples:
                samples.add(id(correction.sample))
                room -= correction.sample.nbytes
            within += room > half
            if room < 0:
                part = itertools.islice(found.items(), max(within, 1))
                return dict(part), False
        places = [place for place in self.blocks.block_keys() if place in found]
        return {place: found[place] for place in places}, True

    def correction(
        self, place: BlockKey, origin: Mapping[str, Any]
    ) -> Correction | None:
        """Return what a block holds; None if it is nothing that can be learned from.

        Raises
        ------
        CorrectionError
            If its file may not be read.
        """
        if place in self.blocks.dirty:
            pixels = self.read(place.image, place.plane, place.box)
            block: Block | None = Block(*pixels, *self._describe(place, origin))
        else:
            block = self.blocks.stored(place)
        if block is None or (block.target == IGNORE).all():
            return None
        return self._restore(place, block)

    def _describe(
        self, place: BlockKey, origin: Mapping[str, Any]
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Return raw pixels and origin of a block that changed."""
        record, image = self._images[place.image]
        box, about = surroundings(record, place)
        try:
            raw = image.read(place.plane, *box)
        except ImageError as error:  # what was painted is saved all the same
            self._note(str(error))
            old = self.blocks.stored(place)
            raw = np.zeros((1, 0, 0), np.uint8) if old is None else old.raw
        return raw, {**about, **origin, "time": now()}

    def _restore(self, place: BlockKey, block: Block) -> Correction | None:
        """Return the correction of a block; None, and a note, if it cannot be used."""
        try:
            record = parse(ImageRecord, block.about["image"])
            return restore(record, block, self._samples.read(record.fingerprint))
        except (*DAMAGE, UNetError) as error:
            self._note(f"{place.file} cannot be learned from: {error}")
            return None

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


class Samples:
    """Raw pixels (C, N) from all over an image, by which its crops are scaled.

    They are exactly those by which the whole image is scaled when it is segmented.

    Attributes
    ----------
    owed
        Fingerprints of images whose pixels are to be written.
    """

    def __init__(self, folder: Path, notes: list[str]) -> None:
        self.folder, self.notes = folder, notes
        self.owed: set[str] = set()
        self._images: dict[str, Image] = {}
        self._found: dict[str, NDArray[Any]] = {}  # what was not used comes first
        self._shared = WeakValueDictionary[str, NDArray[Any]]()  # that others hold

    def open(self, mark: str, image: Image) -> None:
        """Say where the pixels of an image can be had."""
        self._images[mark] = image

    def owe(self, mark: str) -> None:
        """See to it that the pixels of an image are written, unless they were."""
        if not self._file(mark).exists():
            self.owed.add(mark)

    def read(self, mark: str) -> NDArray[Any]:
        """Return the pixels of an image.

        Raises
        ------
        CorrectionError
            If there are none, and the image is not open.
        ImageError
            If the image cannot be read.
        """
        found = self._found.pop(mark, None)
        if found is None:
            found = self._shared.get(mark)
        if found is None:
            found = self._stored(mark)
            if found is None and mark not in self._images:
                raise CorrectionError("the image itself is needed again. Open it once.")
            found = self._images[mark].sample() if found is None else found
        self._found[mark] = self._shared[mark] = found
        while len(self._found) > _KEPT:
            del self._found[next(iter(self._found))]
        return found

    def flush(self) -> None:
        """Write what is owed.

        Raises
        ------
        OutputError
            If the disk does not take it; it is still owed then.
        """
        for mark in tuple(self.owed):
            try:
                write_whole(self._file(mark), pack(pixels=self.read(mark)))
            except ImageError as error:
                self.notes.append(str(error))
            self.owed.discard(mark)

    def _file(self, mark: str) -> Path:
        return self.folder / f"{mark}.npz"

    def _stored(self, mark: str) -> NDArray[Any] | None:
        file = self._file(mark)
        try:
            pixels = unpack(read_whole(file))["pixels"]
            if pixels.ndim == 2 and pixels.dtype.kind in "buif":
                return pixels
            raise ValueError(f"pixels of shape {pixels.shape}")
        except FileNotFoundError:
            return None
        except DAMAGE as error:
            self.notes.append(set_aside(file, error))
            return None
