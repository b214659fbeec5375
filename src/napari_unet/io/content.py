"""`Content`: what every reader returns, levels, axes, scale, channel names."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Content", "Steps"]

Steps = dict[str, tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Content:
    """What a file or folder holds.

    Attributes
    ----------
    levels
        The pyramid, full resolution first.
    axes
        One letter per axis; S is colour samples, Q and I are unknown.
    rgb
        Whether the samples, if any, are colours.
    steps
        Axis letter to (size of a step, its unit as written).
    channel_names
        In the order of the channels; there may be fewer, and some may be "".
    notes
        Sentences about what was left out.
    origins
        Axis letter to the place of the first pixel, in the unit of its step.
    """

    levels: tuple[Any, ...]
    axes: str
    rgb: bool
    steps: Steps
    channel_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    origins: dict[str, float] = field(default_factory=dict)
