"""What the dock remembers between sessions, and where."""

import contextlib
import json
import logging
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from qtpy.QtCore import QStandardPaths

__all__ = ["SegmentSettings", "read_settings", "write_settings"]

_RECENT = 8  # model files in the list
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SegmentSettings:
    """The fields of the dock U-Net: Segment that do not depend on the image.

    `diameter` and `min_size` are in pixels, 0 for none; `memory` is what was typed.
    """

    model: str = "nuclei"
    recent: tuple[str, ...] = ()
    output: str = "objects"
    device: str = "auto"
    memory: str = ""
    diameter: float = 0.0
    min_size: int = 0

    def used(self, model: str) -> "SegmentSettings":
        """Return these settings with the file `model` as the most recent one."""
        others = (path for path in self.recent if path != model)
        return replace(self, model=model, recent=(model, *others)[:_RECENT])


def read_settings() -> SegmentSettings:
    """Return what was remembered; what is missing or damaged takes its default."""
    try:
        stored = json.loads(_file().read_text(encoding="utf-8"))["segment"]
    except FileNotFoundError:
        return SegmentSettings()
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("The settings in %s cannot be read: %s", _file(), error)
        return SegmentSettings()
    return SegmentSettings(**_sound(stored))


def write_settings(settings: SegmentSettings) -> None:
    """Remember `settings`. A disk that is full or read-only is no reason to stop."""
    file = _file()
    part = file.with_name(file.name + ".part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({"segment": asdict(settings)}, indent=1), "utf-8")
        os.replace(part, file)
    except OSError as error:
        _log.warning("The settings cannot be written to %s: %s", file, error)
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _file() -> Path:
    place = QStandardPaths.StandardLocation.GenericConfigLocation
    folder = QStandardPaths.writableLocation(place)
    return Path(folder) / "napari-unet" / "settings.json"


def _sound(stored: Any) -> dict[str, Any]:
    """Return the fields of `stored` that have the type of their default."""
    if not isinstance(stored, dict):
        return {}
    sound: dict[str, Any] = {}
    for field in fields(SegmentSettings):
        value = stored.get(field.name)
        if isinstance(value, list):
            value = tuple(str(entry) for entry in value)
        if isinstance(value, type(field.default)):
            sound[field.name] = value
    return sound
