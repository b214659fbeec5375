"""Keyword settings of the public functions, turned into options; errors name them."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from inspect import signature
from typing import Any, TypedDict, TypeVar, get_args

from napari_unet.errors import OptionsError, UNetError
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
    "named",
    "naming",
    "settle",
]

_Event = TypeVar("_Event")
_Result = TypeVar("_Result")
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
    min_score: float | None
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


@contextmanager
def naming(verb: Callable[..., Any]) -> Iterator[None]:
    """Note on an error which keywords of `verb`, a public function, would help."""
    try:
        yield
    except UNetError as error:
        known = _keywords(verb)
        found = [f"{name}=" for name in error.options if name in known]
        note = f"Keywords that would help: {', '.join(found)}"
        if found and note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        raise


def named(
    verb: Callable[..., Any], job: Generator[_Event, None, _Result]
) -> Generator[_Event, None, _Result]:
    """Do what `job` does, under `naming`."""
    with naming(verb):
        return (yield from job)


def _keywords(verb: Callable[..., Any]) -> set[str]:
    """Return all keywords of a public function, those of its settings among them."""
    parameters = signature(verb).parameters
    settings = parameters.get("settings")
    more = () if settings is None else get_args(settings.annotation)[0].__annotations__
    return {*parameters, *more}


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
