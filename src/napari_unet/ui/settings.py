"""Dock settings remembered between sessions, in settings.json.

It lies where Qt says that settings do. platformdirs, by which projects find their
folder, says otherwise on macOS, where settings are in ~/Library/Preferences.
"""

import contextlib
import json
import logging
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from qtpy.QtCore import QStandardPaths

__all__ = [
    "BatchSettings",
    "CorrectSettings",
    "SegmentSettings",
    "read_batch_settings",
    "read_correct_settings",
    "read_settings",
    "write_settings",
]

_RECENT = 8  # model files in the list
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SegmentSettings:
    """The fields of the dock U-Net: Segment that do not depend on the image.

    `diameter` and `min_size` are in pixels, 0 for none, as for `min_score`; `memory` is
    what was typed.
    """

    model: str = "nuclei"
    recent: tuple[str, ...] = ()
    output: str = "objects"
    device: str = "auto"
    memory: str = ""
    diameter: float = 0.0
    min_size: int = 0
    min_score: float = 0.0
    link_z: bool = True

    def used(self, model: str) -> "SegmentSettings":
        """Return these settings with the file `model` as the most recent one."""
        return replace(self.listing(model), model=model)

    def listing(self, model: str) -> "SegmentSettings":
        """Return these settings with the file `model` in the list, not chosen."""
        others = (path for path in self.recent if path != model)
        return replace(self, recent=(model, *others)[:_RECENT])


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """The fields of the dock U-Net: Batch that do not depend on the files.

    What the two have in common means the same as in `SegmentSettings`; `workers` is 0
    for none. Whether results may be replaced is asked for every time.
    """

    model: str = "nuclei"
    output: str = "objects"
    device: str = "auto"
    memory: str = ""
    diameter: float = 0.0
    min_size: int = 0
    min_score: float = 0.0
    measure: bool = True
    save_as: str = "auto"
    link_z: bool = True
    workers: int = 0


@dataclass(frozen=True, slots=True)
class CorrectSettings:
    """The fields of the dock U-Net: Correct that do not depend on the image."""

    go_on: bool = True


_Settings = TypeVar("_Settings", SegmentSettings, BatchSettings, CorrectSettings)
_NAMES = {
    SegmentSettings: "segment",
    BatchSettings: "batch",
    CorrectSettings: "correct",
}


def read_settings() -> SegmentSettings:
    """Return what was remembered; what is missing or damaged takes its default."""
    return _sound(SegmentSettings, _stored())


def read_batch_settings() -> BatchSettings:
    """Return what was remembered of U-Net: Batch, in the same way."""
    return _sound(BatchSettings, _stored())


def read_correct_settings() -> CorrectSettings:
    """Return what was remembered of U-Net: Correct, in the same way."""
    return _sound(CorrectSettings, _stored())


def write_settings(settings: SegmentSettings | BatchSettings | CorrectSettings) -> None:
    """Remember `settings`. A disk that is full or read-only is no reason to stop."""
    file = _file()
    part = file.with_name(file.name + ".part")
    stored = {**_stored(), _NAMES[type(settings)]: asdict(settings)}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(stored, indent=1), "utf-8")
        os.replace(part, file)
    except OSError as error:
        _log.warning("The settings cannot be written to %s: %s", file, error)
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _file() -> Path:
    place = QStandardPaths.StandardLocation.GenericConfigLocation
    folder = QStandardPaths.writableLocation(place)
    return Path(folder) / "napari-unet" / "settings.json"


def _stored() -> dict[str, Any]:
    try:
        stored = json.loads(_file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        _log.warning("The settings in %s cannot be read: %s", _file(), error)
        return {}
    return stored if isinstance(stored, dict) else {}


def _sound(kind: type[_Settings], stored: dict[str, Any]) -> _Settings:
    """Return settings with the stored values that have the type of their default."""
    values = stored.get(_NAMES[kind])
    if not isinstance(values, dict):
        return kind()
    sound: dict[str, Any] = {}
    for field in fields(kind):
        value = values.get(field.name)
        if isinstance(value, list):
            value = tuple(str(entry) for entry in value)
        if type(value) is type(field.default):
            sound[field.name] = value
    return kind(**sound)
