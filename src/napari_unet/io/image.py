"""`Image` and `open_image`: lazily read pixels with axes, scale and units.

Only this file knows how to take a window from any array and make an `Image` of a file.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet._text import plain
from napari_unet.errors import ImageError
from napari_unet.io.axes import (
    ArrayLike,
    arrange,
    check_axes,
    join_colours,
    order_axes,
    settle_axes,
    unit_word,
)
from napari_unet.io.content import Content
from napari_unet.io.fingerprint import fingerprint
from napari_unet.io.formats import read_content
from napari_unet.io.sampling import sample_planes, sample_windows

__all__ = ["ArrayLike", "Image", "open_image"]

_LARGEST = 2**60  # pixels
_COLOURS = (3, 4)  # RGB, RGBA
# More than any microscope takes, and no more than a computer can keep count of.
_MOST = {"channels": 10_000, "planes": 1_000_000, "pixels a plane": 10**12}


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is read only where it is asked for.

    Attributes
    ----------
    name
        File stem or layer name, for titles and messages.
    data
        Level 0 of the pyramid: numpy, Zarr, dask or a lazy TIFF.
    axes
        One letter of ``TCZYX`` per axis of `data`. Y and X come last, in this order; C
        may stand anywhere among them.
    rgb
        Whether the C axis holds 3 or 4 colour samples; alpha is ignored when read.
    scale
        Size of a step along each axis in `units`; default all 1.
    units
        One word per axis, such as ``"micrometer"``; default all ``"pixel"``.
    channel_names
        One per channel, which may be "", or no names at all.
    levels
        The whole pyramid, `data` first; default `data` alone.
    source
        The file, if there is one.
    notes
        Sentences about what of the file is not here.
    translate
        Where the first pixel lies along each axis in `units`; default all 0.
    mark
        What the file was when it was opened, or is `watched`, see `fingerprint`;
        empty if it is not read any more.

    Raises
    ------
    ImageError
        If axes and data do not fit, or the pixels are no real numbers.
    """

    name: str
    data: ArrayLike
    axes: str
    rgb: bool = False
    scale: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    channel_names: tuple[str, ...] = ()
    levels: tuple[ArrayLike, ...] = ()
    source: Path | None = None
    notes: tuple[str, ...] = ()
    translate: tuple[float, ...] = ()
    mark: dict[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        shape = tuple(self.data.shape)
        named = len(set(self.axes) & set("TCZYX")) == len(self.axes) == len(shape)
        if not named or not self.label_axes.endswith("YX"):
            raise ImageError(
                f"{self.title} has shape {shape}, which axes {self.axes!r} do not fit. "
                "Name every axis, Y and X last."
            )
        if 0 in shape:
            raise ImageError(
                f"{self.title} has an axis of length 0 (shape {shape}): there is "
                "nothing to see in it."
            )
        if math.prod(shape) > _LARGEST:
            raise ImageError(
                f"{self.title} has shape {shape}: more than any disk holds. Its "
                "description is damaged; copy or export it again."
            )
        counts = self.channels, math.prod(self.stack_shape), math.prod(self.plane_shape)
        for (what, most), count in zip(_MOST.items(), counts, strict=True):
            if count > most:
                raise ImageError(
                    f"{self.title} is said to have {count} {what}; {most} can be "
                    "opened. It is damaged, or its axes are others: name them.",
                    option="axes",
                )
        if self.dtype.kind not in "buif":
            raise ImageError(
                f"{self.title} has pixels of type {self.dtype}; only real numbers can "
                "be segmented. Convert it to 8 bit, 16 bit or float."
            )
        defaults = {
            "scale": (1.0,) * len(shape),
            "units": ("pixel",) * len(shape),
            "levels": (self.data,),
            "translate": (0.0,) * len(shape),
        }
        for name, value in defaults.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)

    @property
    def title(self) -> str:
        """What a message calls it: the file's name if it has one."""
        return plain(self.name if self.source is None else self.source.name)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of `data`."""
        return tuple(self.data.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the raw pixels."""
        dtype: np.dtype[Any] = np.dtype(self.data.dtype)
        return dtype

    @property
    def channels(self) -> int:
        """Number of channels that are read: 1 without a C axis, 3 for RGBA."""
        count = self._length("C") if "C" in self.axes else 1
        return min(count, 3) if self.rgb else count

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Rows and columns of a plane."""
        return self._length("Y"), self._length("X")

    @property
    def plane_axes(self) -> str:
        """The axes that are gone through plane by plane: all but C, Y and X."""
        return "".join(a for a in self.axes if a not in "CYX")

    @property
    def stack_shape(self) -> tuple[int, ...]:
        """Lengths of `plane_axes`."""
        return tuple(self._length(a) for a in self.plane_axes)

    @property
    def label_axes(self) -> str:
        """Axes of a labels array for this image: the same without C."""
        return self.axes.replace("C", "")

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Lengths of `label_axes`."""
        return tuple(self._length(a) for a in self.label_axes)

    @property
    def label_scale(self) -> tuple[float, ...]:
        """Scale along `label_axes`."""
        return tuple(self.scale[self.axes.index(a)] for a in self.label_axes)

    @property
    def label_units(self) -> tuple[str, ...]:
        """Units along `label_axes`."""
        return tuple(self.units[self.axes.index(a)] for a in self.label_axes)

    @property
    def channel_list(self) -> str:
        """Indices and names of all channels, for sentences."""
        names = [*self.channel_names, *[""] * self.channels][: self.channels]
        return ", ".join(f"{i} {name}".strip() for i, name in enumerate(names))

    def channel_index(self, channel: int | str) -> int:
        """Return the index of a channel.

        Text is a name first, then an index: lasers are called 488.

        Raises
        ------
        ImageError
            If there is no such channel.
        """
        if isinstance(channel, str) and channel:
            if channel in self.channel_names:
                return self.channel_names.index(channel)
            channel = int(channel) if channel.isdecimal() else channel
        if isinstance(channel, int) and 0 <= channel < self.channels:
            return channel
        raise ImageError(
            f"{self.title} has no channel {channel!r}. Choose one of: "
            f"{self.channel_list}."
        )

    @property
    def pixel_size(self) -> dict[str, Any]:
        """Scale and units of Y and X, as `labels.measures.measure` takes them."""
        scale, units = self.label_scale[-2:], self.label_units[-2:]
        return {"scale": tuple(map(float, scale)), "units": units}

    @property
    def label_translate(self) -> tuple[float, ...]:
        """Place of the first pixel along `label_axes`."""
        return tuple(self.translate[self.axes.index(a)] for a in self.label_axes)

    def _length(self, axis: str) -> int:
        return int(self.data.shape[self.axes.index(axis)])

    def planes(self) -> Iterator[tuple[int, ...]]:
        """Go through the indices of all planes, one number per plane axis."""
        return iter(np.ndindex(self.stack_shape))

    def read(
        self,
        plane: tuple[int, ...],
        y: slice,
        x: slice,
        channels: Sequence[int] | None = None,
    ) -> NDArray[Any]:
        """Return a window of one plane as (C, Y, X), with its raw values.

        Parameters
        ----------
        plane
            One index per plane axis.
        y, x
            Rows and columns.
        channels
            Indices from 0, in the order wanted; None takes all but alpha.

        Raises
        ------
        ImageError
            If the file cannot be decoded there.
        """
        wanted = list(range(self.channels) if channels is None else channels)
        first = min(wanted)
        keys: dict[str, Any] = dict(zip(self.plane_axes, plane, strict=True))
        keys |= {"Y": y, "X": x, "C": slice(first, max(wanted) + 1)}
        try:
            window = np.asarray(self.data[tuple(keys[a] for a in self.axes)])
        except ImageError:
            raise
        except Exception as error:
            where = f" of plane {plane}" if plane else ""
            raise ImageError(
                f"{self.title}: rows {y.start} to {y.stop}{where} cannot be "
                f"read ({error}). The file may be damaged; copy or export it again."
            ) from error
        if "C" not in self.axes:
            return window[None]
        at = [a for a in self.axes if a in "CYX"].index("C")
        window = np.moveaxis(window, at, 0)
        picks = [c - first for c in wanted]
        return window if picks == list(range(len(window))) else window[picks]

    def watched(self) -> "Image":
        """Return the same image, whose file must not change from now on.

        Pixels in memory stay as they are, whatever becomes of their file.
        """
        if self.source is None or isinstance(self.data, np.ndarray):
            return self
        return replace(self, mark=_mark(self.source))

    def check_unchanged(self) -> None:
        """Ask whether what was read is of one image.

        Raises
        ------
        ImageError
            If the file was written to since it was opened, or is `watched`.
        """
        if self.mark and self.source and fingerprint(self.source) != self.mark:
            raise ImageError(
                f"{self.title} was changed while it was segmented. Start again when "
                "nothing writes to it any more."
            )

    def sample(
        self,
        channels: Sequence[int] | None = None,
        limit: int = 1_000_000,
        *,
        plane: tuple[int, ...] | None = None,
    ) -> NDArray[Any]:
        """Return raw pixels (C, N) from all over the stack, or over one plane.

        The same pixels every time: a grid of windows in up to 16 evenly spaced planes,
        of which every n-th row and column is kept. At most about `limit` pixels a
        channel; what is read is bounded too, whatever the size of the image.

        Parameters
        ----------
        channels
            Indices from 0; None takes all but alpha.
        limit
            Largest N.
        plane
            Take the pixels from this plane alone.
        """
        planes = [plane] if plane is not None else sample_planes(self.stack_shape)
        windows, step = sample_windows(self.plane_shape, max(limit // len(planes), 1))
        parts: list[NDArray[Any]] = []
        for where in planes:
            for y, x in windows:
                part = self.read(where, y, x, channels)[:, ::step, ::step]
                parts.append(part.reshape(len(part), -1))
        return np.concatenate(parts, axis=1)


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
        mark = _mark(file)  # first: what is changed from now on is noticed
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


def _mark(file: Path) -> dict[str, Any]:
    try:
        return fingerprint(file)
    except ImageError:
        return {}  # whoever opens it says best why it cannot be


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
