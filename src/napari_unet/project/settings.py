"""Settings in `project.json`: their keys and types, read whoever wrote them.

What makes no sense, since a hand or another program wrote it, is as if it were not
there. Keys that are not named here stay in the file as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from napari_unet.errors import OptionsError
from napari_unet.options import SegmentOptions

__all__ = ["ProjectSettings", "StoredSettings", "read_settings"]

_Names = tuple[str, ...]
_YEARS = 1e9  # seconds: nobody paints as long


class _SeenAs(TypedDict):
    channel: int | str | None
    diameter: float | None


class StoredSettings(TypedDict, total=False):
    """Settings as ``project.json`` has them; see `ProjectSettings`."""

    labels: str
    draft: list[str]
    seen: dict[str, _SeenAs]
    annotation_s: float
    annotation_s_at: dict[str, float]
    renaming: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """What a project remembers beside images, models and classes.

    Attributes
    ----------
    labels
        What the labels stand for; None if nobody said it yet.
    draft
        Names of the classes for the next new model; empty: those that there are.
    seen
        In which channel, and at which diameter, an image was segmented, by its key.
    annotation_s
        How long people have painted, in seconds.
    annotation_s_at
        How long they had when a model was made, by its name.
    renaming
        Names that classes had, and have, until all models know it; None then.
    """

    labels: Literal["objects", "classes"] | None = None
    draft: _Names = ()
    seen: Mapping[str, Any] = field(default_factory=dict)
    annotation_s: float = 0.0
    annotation_s_at: Mapping[str, float] = field(default_factory=dict)
    renaming: tuple[_Names, _Names] | None = None

    def seen_as(self, key: str) -> SegmentOptions:
        """Return in which channel, and at which scale, an image was segmented."""
        own = _mapping(self.seen.get(key))
        channel, diameter = own.get("channel"), own.get("diameter")
        try:
            return SegmentOptions(
                channel=channel if isinstance(channel, int | str) else None,
                diameter=diameter if isinstance(diameter, int | float) else None,
            )
        except OptionsError:
            return SegmentOptions()


def read_settings(stored: Mapping[str, Any]) -> ProjectSettings:
    """Return what the settings of a ``project.json`` say."""
    labels, draft = stored.get("labels"), _names(stored.get("draft"))
    times = _mapping(stored.get("annotation_s_at"))
    return ProjectSettings(
        labels=labels if labels in ("objects", "classes") else None,
        draft=draft if len(draft) > 1 else (),
        seen=_mapping(stored.get("seen")),
        annotation_s=_seconds(stored.get("annotation_s")),
        annotation_s_at={name: _seconds(time) for name, time in times.items()},
        renaming=_renaming(_mapping(stored.get("renaming"))),
    )


def _mapping(stored: Any) -> dict[str, Any]:
    return stored if isinstance(stored, dict) else {}


def _names(stored: Any) -> _Names:
    """Return names that the classes of a model can have; none if it is no such list."""
    names = tuple(stored) if isinstance(stored, list) else ()
    text = all(isinstance(name, str) and name for name in names)
    return names if text and len(set(names)) == len(names) else ()


def _seconds(stored: Any) -> float:
    known = isinstance(stored, int | float) and 0 <= stored < _YEARS
    return float(stored) if known else 0.0


def _renaming(stored: dict[str, Any]) -> tuple[_Names, _Names] | None:
    old, new = (_names(stored.get(key)) for key in ("from", "to"))
    return (old, new) if old and len(old) == len(new) else None
