"""Block store: the grid of squares of reviewed pixels, in memory and on disk.

Only this file knows the grid of squares, and how those in memory and those on the disk
come together, where another program may write too.
"""

import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet._files import set_aside, write_whole
from napari_unet._locks import turn
from napari_unet.errors import CorrectionError, OutputError
from napari_unet.project.block_file import (
    SIDE,
    Block,
    BlockKey,
    Pixels,
    find_blocks,
    pack_block,
    read_block,
)
from napari_unet.project.corrections import IGNORE
from napari_unet.project.lazy_corrections import by_turns
from napari_unet.tiling import Box, cut, shifted

__all__ = ["SIDE", "Block", "BlockKey", "Blocks", "Pixels"]

_KEPT = 64  # squares in memory that are on the disk too

_Stamp = tuple[int, int, int]  # changes whenever a file is written


class Blocks:
    """Reviewed pixels of many images, in memory and in a folder.

    Nothing is written before `flush`, which may run in another thread than the rest.

    Parameters
    ----------
    folder
        Where they are, or will be: in that of a project.
    notes
        Takes sentences about files that could not be used.
    """

    def __init__(self, folder: Path, notes: list[str]) -> None:
        self.folder, self.notes = folder, notes
        self._stored = set(find_blocks(folder))
        self._cache: dict[BlockKey, Pixels] = {}  # the longest unused comes first
        self._dirty: dict[BlockKey, object] = {}  # another object after every change
        self._painted: dict[BlockKey, NDArray[np.bool_]] = {}  # which pixels changed
        self._stamps: dict[BlockKey, _Stamp | None] = {}  # of files in memory
        self._lock = threading.RLock()
        self._saving = threading.Lock()

    @property
    def dirty(self) -> frozenset[BlockKey]:
        """Where something changed since it was written."""
        with self._lock:
            return frozenset(self._dirty)

    def block_keys(self) -> list[BlockKey]:
        """Return where there are blocks, on the disk or in memory."""
        with self._lock:
            found = self._stored | self._dirty.keys()
        return sorted(found, key=lambda p: (p.image, p.plane, p.y, p.x))

    def newest(self) -> Iterator[BlockKey]:
        """Go through all blocks, those written last and others by turns, each once."""
        keys = self.block_keys()
        yield from by_turns(sorted(keys, key=self._age), keys)

    def _age(self, place: BlockKey) -> float:
        stamp = None if place in self._dirty else _stamp(self.folder / place.file)
        return -math.inf if stamp is None else -stamp[1]

    def read(self, image: str, plane: tuple[int, ...], box: Box) -> Pixels:
        """Return what is known of the pixels of a box.

        Raises
        ------
        CorrectionError
            If a file may not be read, or a newer version wrote it.
        """
        target, shown = _nothing(*(s.stop - s.start for s in box))
        with self._lock:
            for place, there, here in _overlaps(image, plane, box):
                found = self._load(place)
                if found is not None:
                    target[here], shown[here] = found[0][there], found[1][there]
        return target, shown

    def write(
        self, image: str, plane: tuple[int, ...], box: Box, pixels: Pixels
    ) -> None:
        """Replace what is known of all pixels of a box, in memory; see `read`."""
        with self._lock:
            for place, there, here in _overlaps(image, plane, box):
                found = self._load(place)
                if found is None:
                    found = self._cache[place] = _nothing(SIDE, SIDE)
                nowhere = np.zeros((SIDE, SIDE), np.bool_)
                painted = self._painted.setdefault(place, nowhere)[there]
                painted |= found[0][there] != pixels[0][here]
                painted |= found[1][there] != pixels[1][here]
                found[0][there], found[1][there] = pixels[0][here], pixels[1][here]
                self._dirty[place] = object()

    def flush(self, describe: Callable[[BlockKey], tuple[NDArray[Any], Any]]) -> None:
        """Write what changed, block by block; what fails stays dirty.

        Parameters
        ----------
        describe
            Returns `Block.raw` and `Block.about` of a place.

        Raises
        ------
        OutputError
            If the disk does not take it.
        """
        with self._saving:
            with self._lock:
                changes = dict(self._dirty)
            for place, change in changes.items():
                self._flush(place, change, describe)

    def _flush(
        self,
        place: BlockKey,
        change: object,
        describe: Callable[[BlockKey], tuple[NDArray[Any], Any]],
    ) -> None:
        about = describe(place)  # reads the image: others need not wait for that
        # Nobody else may write it after it was looked at, and before it is replaced.
        with turn(self.folder.parent):
            with self._lock:
                self._merge(place)
                target, shown = self._cache[place]
                target, shown = target.copy(), shown.copy()
            if (target == IGNORE).all():
                self._remove(place)
            else:
                self._save(place, Block(target, shown, *about))
            stamp = _stamp(self.folder / place.file)
        with self._lock:
            self._stamps[place] = stamp
            if self._dirty.get(place) is change:  # and no newer one
                del self._dirty[place], self._painted[place]

    def leave_out(self, place: BlockKey) -> None:
        """Do as if there were no file of a place; it stays where it is."""
        self._mark(place, stored=False)

    def stored(self, place: BlockKey) -> Block | None:
        """Return what is on the disk; None if nothing is, or it is damaged.

        Raises
        ------
        CorrectionError
            If the file may not be read, or a newer version wrote it.
        """
        if place not in self._stored:
            return None
        path = self.folder / place.file
        try:
            return read_block(path)
        except FileNotFoundError:  # somebody else removed it
            self._mark(place, stored=False)
        except ValueError as error:
            self.notes.append(set_aside(path, error))
            self._mark(place, stored=False)
        return None

    def _merge(self, place: BlockKey) -> None:
        """Take over what another program saved where nothing was painted here since."""
        stamp = _stamp(self.folder / place.file)
        if stamp is None or stamp == self._stamps.get(place):
            return
        self._mark(place, stored=True)
        try:
            theirs = self.stored(place)
        except CorrectionError as error:
            raise OutputError(
                f"What was painted on block {place.file} could not be saved, since "
                f"there is another file now. {error}"
            ) from error
        if theirs is not None:
            target, shown = self._cache[place]
            kept = self._painted[place]
            np.copyto(target, theirs.target, where=~kept)
            np.copyto(shown, theirs.shown, where=~kept)

    def _save(self, place: BlockKey, block: Block) -> None:
        write_whole(self.folder / place.file, pack_block(block))
        self._mark(place, stored=True)

    def _remove(self, place: BlockKey) -> None:
        """Remove a file when all of it was undone."""
        path = self.folder / place.file
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"'{path}' cannot be removed ({error.strerror or error}), though what "
                "it holds was undone. Check the disk, then save again."
            ) from error
        self._mark(place, stored=False)

    def _mark(self, place: BlockKey, *, stored: bool) -> None:
        with self._lock:
            (self._stored.add if stored else self._stored.discard)(place)

    def _load(self, place: BlockKey) -> Pixels | None:
        found = self._cache.pop(place, None)
        if found is None:
            stamp = self._stamps[place] = _stamp(self.folder / place.file)
            if stamp is not None:  # another program may have made it
                self._mark(place, stored=True)
            block = self.stored(place)
            if block is None:
                return None
            found = block.target, block.shown
            self._forget()
        self._cache[place] = found
        return found

    def _forget(self) -> None:
        """Drop from memory what is on the disk too and was not used for long."""
        clean = [place for place in self._cache if place not in self._dirty]
        for place in clean[: max(len(clean) - _KEPT + 1, 0)]:
            del self._cache[place]


def _nothing(height: int, width: int) -> Pixels:
    shape = height, width
    return np.full(shape, IGNORE, np.uint8), np.zeros(shape, np.int32)


def _overlaps(
    image: str, plane: tuple[int, ...], box: Box
) -> Iterator[tuple[BlockKey, Box, Box]]:
    """Go through the blocks under a box: the common part within each, and within it."""
    rows, columns = (range(s.start // SIDE * SIDE, s.stop, SIDE) for s in box)
    for y in rows:
        for x in columns:
            place = BlockKey(image, plane, y, x)
            common = cut(place.box, box)
            here = shifted(common, -box[0].start, -box[1].start)
            yield place, shifted(common, -y, -x), here


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
