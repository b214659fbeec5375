"""Project: one folder of corrections, models and settings for many images.

Only this file knows what lies where in it::

    project.json                 see `index`
    corrections/<image>/*.npz    see `block_store`
    samples/<fingerprint>.npz    pixels by which an image is scaled
    models/*.safetensors
"""

import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from napari_unet._files import read_whole, set_aside, sweep, write_whole
from napari_unet._locks import turn
from napari_unet.errors import CorrectionError, OutputError
from napari_unet.io.image import Image
from napari_unet.project.block_store import BlockKey, Pixels
from napari_unet.project.correction_store import Reviews
from napari_unet.project.corrections import FOREGROUND, IGNORE, Correction
from napari_unet.project.image_record import (
    ImageRecord,
    check_shape,
    now,
    same_image,
    slug,
    unique,
)
from napari_unet.project.index import (
    INDEX,
    Index,
    ModelRecord,
    complete,
    encode,
    find_models,
    merge,
    read_index,
)
from napari_unet.project.lazy_corrections import ROOM, Drawn
from napari_unet.project.location import check_folder, project_place
from napari_unet.project.settings import StoredSettings
from napari_unet.tiling import Box, cut, whole

__all__ = ["Project", "project_place"]


class Project:
    """Corrections of many images, and the models that were made from them.

    Nothing is written before `flush`, `add_model`, `renew_model`, `activate` or
    `update`.

    Attributes
    ----------
    folder
        Where it is, or will be.
    index
        Classes, images, models, the model in use, settings.
    notes
        Sentences about pieces that could not be used, or were mended.
    """

    def __init__(self, folder: Path, index: Index, notes: list[str]) -> None:
        self.folder, self.index, self.notes = folder, index, notes
        self._saved: Index | None = None
        self._reviews = Reviews(folder, notes)
        self._saving = threading.Lock()

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Self:
        """Open a project, or begin one; of a damaged one, use the good pieces.

        Raises
        ------
        CorrectionError
            If it cannot be one, may not be read, or a newer version wrote it.
        """
        place = Path(folder).expanduser()
        check_folder(place)
        file = place / INDEX
        notes: list[str] = []
        try:
            project = cls(place, read_index(file), notes)
            project._saved = project.index
        except FileNotFoundError:
            project = cls._rebuild(place, notes)
        except ValueError as error:
            notes.append(set_aside(file, error))
            project = cls._rebuild(place, notes)
            notes.append("It was made again from the corrections and models there are.")
        project.index = complete(project.index, project._reviews.blocks)
        if project.index != Index() and not file.exists() and not notes:
            notes.append(f"'{file}' was missing and was made again.")
        sweep(place)
        return project

    @classmethod
    def _rebuild(cls, folder: Path, notes: list[str]) -> Self:
        models = find_models(folder / "models")
        active = models[-1].name if models else ""
        return cls(folder, Index(models=models, active=active), notes)

    @property
    def _origin(self) -> dict[str, Any]:
        """What every block is told of the project."""
        return {"classes": self.index.classes, "model": self.index.active}

    @property
    def unsaved(self) -> bool:
        """Whether `flush` has something to write."""
        return self._reviews.unsaved

    @property
    def squares(self) -> int:
        """How many squares of its images were painted on."""
        return len(self._reviews.blocks.block_keys())

    def add_image(self, image: Image) -> str:
        """Recognise an image, or make room for a new one, and return its key.

        It is known by its file, or by its pixels once the file was moved. It is read
        again whenever corrections of it are written.

        Raises
        ------
        CorrectionError
            If its shape is not what it was.
        ImageError
            If it cannot be read.
        """
        new = ImageRecord.of(image)
        old = next((r for r in self.index.images if same_image(r, new)), None)
        if old is not None:
            check_shape(image, new, old)
            if old.fingerprint != new.fingerprint:
                self.notes.append(
                    f"{image.title} has other pixels than when it was corrected. What "
                    "was painted stays, on the pixels that it was painted on."
                )
            new = replace(new, key=old.key)
        others = [r for r in self.index.images if r is not old]
        new = unique(new, others)
        self.index = replace(self.index, images=(*others, new))
        self._reviews.open(new, image)
        return new.key

    def read(self, key: str, plane: tuple[int, ...], box: Box) -> Pixels:
        """Return what people said about a box; see `Reviews.read`."""
        return self._reviews.read(key, plane, box)

    def write(self, key: str, plane: tuple[int, ...], box: Box, pixels: Pixels) -> None:
        """Replace what people said about a box, in memory; see `Reviews.write`."""
        self._reviews.write(key, plane, box, pixels)

    def reviewed(self, key: str) -> list[tuple[tuple[int, ...], Box]]:
        """Return plane and box of the blocks of an image that hold reviewed pixels."""
        places = self._reviews.blocks.block_keys()
        return [(place.plane, place.box) for place in places if place.image == key]

    def take_over(self, other: "Project", image: Image) -> None:
        """Take what was said about an image out of another project, into this one.

        The pixels are written here before they are removed there.

        Raises
        ------
        UNetError
            If the image cannot be read, or the disk does not take it.
        """
        theirs, ours = other.add_image(image), self.add_image(image)
        found = [
            (plane, cut(box, whole(image.label_shape)))
            for plane, box in other.reviewed(theirs)
        ]
        for plane, box in found:
            self.write(ours, plane, box, other.read(theirs, plane, box))
        self.update()  # though nothing was painted: the image belongs here now
        self.flush()
        for plane, box in found:
            target, shown = other.read(theirs, plane, box)
            nothing = np.full_like(target, IGNORE), np.zeros_like(shown)
            other.write(theirs, plane, box, nothing)
        other.flush()

    def corrections(self, room: int = ROOM) -> Sequence[Correction]:
        """Return what was said about all images, saved or not, block by block.

        Where that is too much to hold, the newest and some others, each of which is
        read whenever it is looked at; a note says so.

        Parameters
        ----------
        room
            Bytes that a lesson may hold of it.

        Raises
        ------
        CorrectionError
            If a file may not be read.
        """
        found, complete = self._reviews.corrections(self._origin, room)
        seen = {place: self._seen(c) for place, c in found.items()}
        if complete:
            return list(seen.values())
        self._note_part(len(seen))
        part = Drawn(self._read_place)
        for place, correction in seen.items():
            part.add(place, correction)
        return part

    def more(self, seed: int = 0) -> Iterator[Correction | None]:
        """Go through all that was said again and again, in an order by chance.

        None comes where a block cannot be learned from (any more).
        """
        random = np.random.default_rng(seed)
        while places := self._reviews.blocks.block_keys():
            for number in random.permutation(len(places)).tolist():
                try:
                    yield self._read_place(places[number])
                except CorrectionError:  # it may not be read: the others are
                    yield None

    def greatest(self) -> int:
        """Return the greatest class that was painted anywhere; 0 if none was."""
        found = 0
        for place in self._reviews.blocks.block_keys():
            target, _ = self.read(place.image, place.plane, place.box)
            found = max(found, int(target[target < FOREGROUND].max(initial=0)))
        return found

    def _read_place(self, place: BlockKey) -> Correction | None:
        found = self._reviews.correction(place, self._origin)
        return None if found is None else self._seen(found)

    def _seen(self, correction: Correction) -> Correction:
        return replace(correction, seen=self.index.known.seen_as(correction.key))

    def _note_part(self, count: int) -> None:
        note = (
            f"{count} of the {self.squares} squares that were "
            "painted are learned from at first: the newest, and some of the others."
        )
        if note not in self.notes:
            self.notes.append(note)

    def flush(self) -> None:
        """Write what changed; may run in another thread than the rest.

        Raises
        ------
        OutputError
            If the disk does not take it; a later call tries again.
        """
        with self._saving:
            index = self.index
            if self.unsaved and index != self._saved:
                with turn(self.folder):
                    write_whole(self.folder / INDEX, encode(self._merged(index)))
                self._saved = index
            self._reviews.flush(self._origin)

    def refresh(self) -> None:
        """Take over what another program saved of classes, models and settings.

        Raises
        ------
        OutputError
            If that was a newer version.
        """
        with self._saving:
            self.index = self._merged(self.index)

    def add_model(
        self,
        name: str,
        data: bytes | Path,
        *,
        parent: str = "",
        score: float | None = None,
        before: float | None = None,
        strokes: int = 0,
    ) -> ModelRecord:
        """Keep a model: a ``.safetensors`` file, or what is in one.

        Raises
        ------
        CorrectionError
            If there is one of this name already, or the file may not be read.
        OutputError
            If the disk does not take it.
        """
        content = data if isinstance(data, bytes) else read_whole(data)
        now_, was = (None if s is None else float(s) for s in (score, before))
        with self._saving, turn(self.folder):
            self.index = self._merged(self.index)
            if not name or any(record.name == name for record in self.index.models):
                raise CorrectionError(
                    f"The project '{self.folder}' cannot keep a model {name!r}: the "
                    f"name is {'taken' if name else 'empty'}. Choose another."
                )
            file = self._free_file(name)
            write_whole(file, content)
            record = ModelRecord(name, file.name, parent, now_, was, strokes, now())
            models = (*self.index.models, record)
            try:
                self._write(replace(self.index, models=models))
            except OutputError:
                with suppress(OSError):
                    file.unlink(missing_ok=True)
                raise
        return record

    def renew_model(self, name: str, data: Path, score: float) -> None:
        """Put a better model into the place of one; name, parent and time stay.

        Killed at any moment, it leaves the old file or the new one.

        Raises
        ------
        CorrectionError
            If there is none of this name, or the new file may not be read.
        OutputError
            If the disk does not take it.
        """
        content, file = read_whole(data), self.model_file(name)
        with self._saving, turn(self.folder):
            write_whole(file, content)
            index = self._merged(self.index)  # what is on the disk would win
            models = tuple(
                replace(record, score=float(score)) if record.name == name else record
                for record in index.models
            )
            self._write(replace(index, models=models))

    def model_file(self, name: str) -> Path:
        """Return the file of a model.

        Raises
        ------
        CorrectionError
            If there is none of this name, or its file is a link out of the project.
        """
        files = {record.name: record.file for record in self.index.models}
        if name not in files:
            raise CorrectionError(
                f"The project '{self.folder}' has no model {name!r}. It has: "
                f"{', '.join(files) or 'none yet'}."
            )
        models = self.folder / "models"
        if (models / files[name]).resolve().parent != models.resolve():
            raise CorrectionError(
                f"The model {name!r} of '{self.folder}' is a link that leads out of "
                "it, and is not followed. Put the file itself there."
            )
        return models / files[name]

    def activate(self, name: str) -> None:
        """Remember which model is in use; empty: none of the project's own.

        Raises
        ------
        CorrectionError
            If there is none of this name.
        OutputError
            If the disk does not take it.
        """
        if name:
            self.model_file(name)
        self._commit(lambda old: replace(old, active=name))

    def update(
        self,
        classes: Sequence[str] | None = None,
        settings: StoredSettings | None = None,
    ) -> None:
        """Remember other classes, or settings (fit for JSON) beside those there are.

        Raises
        ------
        OutputError
            If the disk does not take it.
        """

        def change(old: Index) -> Index:
            names = old.classes if classes is None else tuple(classes)
            merged = {**old.settings, **(settings or {})}
            return replace(old, classes=names, settings=merged)

        self._commit(change)

    def _commit(self, change: Callable[[Index], Index]) -> None:
        # By now another thread or program may have changed something, too.
        with self._saving, turn(self.folder):
            self._write(self._merged(change(self.index)))

    def _write(self, index: Index) -> None:
        write_whole(self.folder / INDEX, encode(index))
        self.index = self._saved = index

    def _merged(self, index: Index) -> Index:
        """Return the index with what another program saved since this one did."""
        try:
            theirs = read_index(self.folder / INDEX)
        except FileNotFoundError:
            return index
        except ValueError as error:
            self.notes.append(set_aside(self.folder / INDEX, error))
            return index
        except CorrectionError as error:
            raise OutputError(str(error)) from error
        return merge(self._saved or Index(), index, theirs)

    def _free_file(self, name: str) -> Path:
        """Return a file for a model that no other file is in the way of."""
        stem, folder = slug(name), self.folder / "models"
        names = (stem if n == 1 else f"{stem}-{n}" for n in itertools.count(1))
        files = (folder / f"{found}.safetensors" for found in names)
        return next(file for file in files if not file.exists())
