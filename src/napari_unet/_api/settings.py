"""Keyword settings of the public functions, turned into options."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, TypedDict, TypeVar

from napari_unet.errors import OptionsError
from napari_unet.options import (
    BatchOptions,
    Output,
    Precision,
    SegmentOptions,
    StackFormat,
    TrainOptions,
)

__all__ = [
    "BatchSettings",
    "SegmentSettings",
    "TrainSettings",
    "batch_options",
    "settle",
]

_Options = TypeVar("_Options", SegmentOptions, TrainOptions, BatchOptions)


class SegmentSettings(TypedDict, total=False):
    """Keywords of `segment`; see `SegmentOptions`."""

    output: Output | None
    channel: int | str | None
    device: str
    precision: Precision
    tile: int | None
    memory: int | None
    min_size: int | None
    threshold: float | None
    diameter: float | None
    scale: float | None
    per_plane: bool


class TrainSettings(TypedDict, total=False):
    """Keywords of `train`; see `TrainOptions`."""

    seconds: float | None
    device: str
    channel: int | str | None
    seed: int
    memory: int | None


class BatchSettings(SegmentSettings, total=False):
    """Keywords of `batch`; see `BatchOptions` and `SegmentOptions`."""

    format: StackFormat
    measure: bool
    link_z: bool
    workers: int | None
    scheduler: str | None
    axes: str | None
    overwrite: bool


def settle(
    kind: type[_Options], options: _Options | None, settings: Mapping[str, Any]
) -> _Options:
    """Return the options, or those that the settings say.

    Raises
    ------
    OptionsError
        If both were given, a setting does not exist, or a value cannot work.
    """
    _check(kind, options, settings, _names(kind))
    with _right_kinds():
        return options or kind(**settings)


def batch_options(
    options: BatchOptions | None, settings: Mapping[str, Any]
) -> BatchOptions:
    """Return the options of a batch, settings of the segmentation among them.

    Raises
    ------
    OptionsError
        As `settle`.
    """
    inner = _names(SegmentOptions)
    outer = _names(BatchOptions) - {"segment"}
    _check(BatchOptions, options, settings, inner | outer)
    segment = {name: value for name, value in settings.items() if name in inner}
    own = {name: value for name, value in settings.items() if name in outer}
    with _right_kinds():
        return options or BatchOptions(segment=SegmentOptions(**segment), **own)


@contextmanager
def _right_kinds() -> Iterator[None]:
    """Tell in a sentence that a value is no number, or no text."""
    try:
        yield
    except TypeError as error:
        raise OptionsError(
            f"A setting has a value of the wrong kind ({error}). Give numbers as such."
        ) from error


def _check(
    kind: type, options: object, settings: Mapping[str, Any], known: set[str]
) -> None:
    if options is not None and settings:
        raise OptionsError(
            f"Options and the settings {', '.join(settings)} were both given. Give one "
            f"of the two: settings make {kind.__name__} of their own."
        )
    if options is not None and not isinstance(options, kind):
        raise OptionsError(
            f"The options are {type(options).__name__}; this takes {kind.__name__}."
        )
    unknown = sorted(set(settings) - known)
    if unknown:
        raise OptionsError(
            f"There is no setting {unknown[0]!r}. Choose among: "
            f"{', '.join(sorted(known))}."
        )


def _names(kind: type[Any]) -> set[str]:
    return {field.name for field in fields(kind)}
