"""`open_image`: an `Image` of what a reader returns, its axes named and in order."""

import math
import re
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet._text import plain
from napari_unet.errors import ImageError
from napari_unet.io.axes import (
    arrange,
    check_axes,
    join_colours,
    order_axes,
    settle_axes,
    unit_word,
)
from napari_unet.io.content import Content
from napari_unet.io.fingerprint import mark_of
from napari_unet.io.formats import read_content
from napari_unet.io.image import Image

__all__ = ["open_image"]

_COLOURS = (3, 4)  # RGB, RGBA


def open_image(path: str | PathLike[str], axes: str | None = None) -> Image:
    """Open a TIFF, PNG, JPEG or BMP file, or an OME-Zarr folder, without its pixels.

    The first bytes tell the format, not the name. PNG, JPEG and BMP are loaded.

    Parameters
    ----------
    path
        A file, or a folder: an OME-Zarr image, a labels group in it, a Zarr array.
    axes
        One letter of ``TCZYX`` (or S, colour samples) per axis, where the file does not
        say or is wrong, such as ``"TZYX"``.

    Raises
    ------
    ImageError
        If there is no image, it is damaged, or its axes cannot be told.
    """
    file = Path(path)
    try:
        mark = mark_of(file)  # first: what is changed from now on is noticed
        return _to_image(file, read_content(file), axes, mark)
    except ImageError:
        raise
    except PermissionError as error:
        raise ImageError(
            f"{file.name} may not be read by this user. Change its permissions, or "
            "copy it to a folder of yours."
        ) from error
    except Exception as error:
        raise ImageError(
            f"{file.name} cannot be opened as an image ({error}). It may be damaged or "
            "cut off; copy or export it again."
        ) from error


def _to_image(
    file: Path, content: Content, axes: str | None, mark: dict[str, Any]
) -> Image:
    """Return the image, its axes named and put into order."""
    if axes is None:
        content = _without_colours(content)
    shape = tuple(content.levels[0].shape)
    name = re.sub(r"(\.ome)?\.[^.]*$", "", file.name, flags=re.IGNORECASE) or file.name
    letters = (
        settle_axes(content.axes, shape, file.name)
        if axes is None
        else check_axes(axes, shape, file.name)
    )
    rgb = _has_colours(letters, shape, content, axes)
    letters = letters.replace("S", "C")
    order = order_axes(letters)
    ordered = "".join(letters[i] for i in order)
    steps = {
        a: step
        for a, step in content.steps.items()
        if a != "C" and 0 < step[0] < math.inf
    }
    found = [steps.get(a, (1.0, "pixel")) for a in ordered]
    levels = tuple(arrange(level, order) for level in content.levels)
    count = levels[0].shape[ordered.index("C")] if "C" in ordered else 1
    return Image(
        name=plain(name),
        data=levels[0],
        axes=ordered,
        rgb=rgb,
        scale=tuple(size for size, _ in found),
        units=tuple(unit_word(unit) for _, unit in found),
        channel_names=() if rgb else _names(content, count, axes),
        levels=levels,
        source=file,
        notes=content.notes,
        translate=tuple(content.origins.get(a, 0.0) * (a in steps) for a in ordered),
        mark={} if isinstance(content.levels[0], np.ndarray) else mark,
    )


def _without_colours(content: Content) -> Content:
    """Return what a file holds with the colours of its channels as channels, too."""
    axes, shape = content.axes, content.levels[0].shape
    if not {"C", "S"} <= set(axes) or 1 in (shape[axes.index(a)] for a in "CS"):
        return content
    colours = shape[axes.index("S")]
    if content.rgb:
        colours = min(colours, 3)
    joined = [join_colours(axes, level, colours) for level in content.levels]
    return replace(
        content,
        axes=joined[0][0],
        levels=tuple(level for _, level in joined),
        channel_names=_coloured(content.channel_names, colours),
        rgb=False,
    )


def _coloured(names: tuple[str, ...], colours: int) -> tuple[str, ...]:
    words = ("red", "green", "blue") if colours == 3 else range(colours)
    return tuple(f"{name} {word}" if name else "" for name in names for word in words)


def _has_colours(
    letters: str, shape: tuple[int, ...], content: Content, axes: str | None
) -> bool:
    """Whether the channels are colours."""
    samples = letters.find("S")
    if samples < 0 and len(content.axes) == len(letters):
        samples = content.axes.find("S")
    rgb = letters.replace("S", "C").find("C") == samples >= 0
    rgb = rgb and shape[samples] in _COLOURS
    return rgb and (content.rgb or (axes is not None and "S" in axes.upper()))


def _names(content: Content, count: int, axes: str | None) -> tuple[str, ...]:
    """Return a name, or an empty one, for every channel; none at all if none has one.

    Where somebody gave other `axes`, it takes as many names as channels to know whose
    they are.
    """
    names = content.channel_names
    other = axes is not None and axes.upper().find("C") != content.axes.find("C")
    if not any(names) or len(names) > count or (other and len(names) < max(count, 2)):
        return ()
    return (*names, *[""] * (count - len(names)))
