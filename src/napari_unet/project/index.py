"""`project.json`: format, reading, merging and repair.

How it is made again when it is lost is known to this file alone, and what it looks
like, but for its images (`image_record`) and settings (`settings`).
"""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from napari_unet._files import DAMAGE, read_whole
from napari_unet.errors import CorrectionError
from napari_unet.project.block_store import Blocks
from napari_unet.project.image_record import SAFE, ImageRecord, parse
from napari_unet.project.settings import ProjectSettings, read_settings

__all__ = [
    "INDEX",
    "Index",
    "ModelRecord",
    "complete",
    "encode",
    "find_models",
    "merge",
    "read_index",
]

INDEX = "project.json"
_VERSION = 1
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model that was made from corrections.

    Attributes
    ----------
    name
        What people call it.
    file
        Name of its file in the project's folder of models.
    parent
        Name of the model that was corrected.
    score, before
        Share of the pixels it was judged by that it, and the model that was corrected,
        are right about. Those of different models are of different strokes.
    strokes
        How many there were to learn from.
    time
        When it was made, ISO 8601 in UTC.
    """

    name: str
    file: str
    parent: str = ""
    score: float | None = None
    before: float | None = None
    strokes: int = 0
    time: str = ""

    def __post_init__(self) -> None:
        if not SAFE.fullmatch(self.file):
            raise ValueError(f"{self.file!r:.40} names no model")


@dataclass(frozen=True, slots=True)
class Index:
    """The whole of ``project.json``.

    Attributes
    ----------
    classes
        Names, background first.
    active
        Name of the model in use; empty while it is none of the project's own.
    settings
        Whatever else is to be remembered, fit for JSON; `known` is what we know of it.
    """

    classes: tuple[str, ...] = ()
    images: tuple[ImageRecord, ...] = ()
    models: tuple[ModelRecord, ...] = ()
    active: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def known(self) -> ProjectSettings:
        """The settings that have a meaning here."""
        return read_settings(self.settings)


def encode(index: Index) -> bytes:
    """Return the content of ``project.json``."""
    return json.dumps({"version": _VERSION, **asdict(index)}, indent=1).encode()


def read_index(path: Path) -> Index:
    """Read ``project.json``.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is damaged.
    CorrectionError
        If it may not be read, or a newer version wrote it.
    """
    data = read_whole(path)
    try:
        stored = json.loads(data)
        version = stored["version"]
        if type(version) is not int:
            raise TypeError(f"version {version!r:.40}")
        index = _index(stored) if version <= _VERSION else None
    except DAMAGE as error:
        raise ValueError(f"no project: {error!r:.200}") from error
    if index is None:
        raise CorrectionError(
            f"The project '{path.parent}' was saved by a newer version of napari-unet "
            f"(format {version}; this one knows {_VERSION}). Update napari-unet, or "
            "choose another folder; nothing was changed."
        )
    return index


def _index(stored: dict[str, Any]) -> Index:
    classes, settings = stored["classes"], stored["settings"]
    if not isinstance(classes, list) or not all(type(n) is str for n in classes):
        raise TypeError(f"classes are {classes!r:.40}")
    if not isinstance(settings, dict):
        raise TypeError(f"settings are {settings!r:.40}")
    models = tuple(parse(ModelRecord, record) for record in stored["models"])
    return Index(
        classes=tuple(classes),
        images=tuple(parse(ImageRecord, record) for record in stored["images"]),
        models=models,
        active=stored["active"] if stored["active"] in {m.name for m in models} else "",
        settings=settings,
    )


def merge(base: Index, ours: Index, theirs: Index) -> Index:
    """Return an index with what two programs changed in the same one.

    Parameters
    ----------
    base
        What both began with, as far as we know.
    ours, theirs
        What became of it; where both changed the same thing, ours is taken.
    """
    known = {model.file for model in theirs.models}
    added = (model for model in ours.models if model.file not in known)
    images = (_by_key(index.images) for index in (base, ours, theirs))
    return Index(
        classes=ours.classes if ours.classes != base.classes else theirs.classes,
        images=tuple(_newer(*images).values()),
        models=(*theirs.models, *added),
        active=ours.active if ours.active != base.active else theirs.active,
        settings=_newer(base.settings, ours.settings, theirs.settings),
    )


def _by_key(images: tuple[ImageRecord, ...]) -> dict[str, ImageRecord]:
    return {record.key: record for record in images}


def _newer(
    base: dict[str, _Value], ours: dict[str, _Value], theirs: dict[str, _Value]
) -> dict[str, _Value]:
    changed = {k: v for k, v in ours.items() if k not in base or base[k] != v}
    return {**ours, **theirs, **changed}


def find_models(folder: Path) -> tuple[ModelRecord, ...]:
    """Return the models in a folder, the oldest first, as far as their files tell."""
    return tuple(sorted(_models(folder), key=lambda record: record.time))


def _models(folder: Path) -> Iterator[ModelRecord]:
    for file in folder.glob("*.safetensors"):
        if SAFE.fullmatch(file.name):
            made = dt.datetime.fromtimestamp(file.stat().st_mtime, dt.UTC)
            yield ModelRecord(file.stem, file.name, time=made.isoformat())


def complete(index: Index, blocks: Blocks) -> Index:
    """Return the index with the images that only their blocks know."""
    images = {record.key: record for record in index.images}
    classes = index.classes
    for place in blocks.block_keys():
        if place.image in images:
            continue
        block = blocks.stored(place)
        if block is None:
            continue
        try:
            record = parse(ImageRecord, {**block.about["image"], "key": place.image})
            classes = classes or tuple(str(c) for c in block.about["classes"])
        except DAMAGE:
            continue
        images[place.image] = record
    return replace(index, images=tuple(images.values()), classes=classes)
