"""`Image`: lazily read pixels with axes, scale and units.

Only this file knows how to take a window from any array.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet._text import plain
from napari_unet.errors import ImageError
from napari_unet.io.axes import ArrayLike
from napari_unet.io.fingerprint import fingerprint, mark_of
from napari_unet.io.image_checks import check_image
from napari_unet.io.sampling import sample_planes, sample_windows

__all__ = ["ArrayLike", "Image"]


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
        check_image(self)
        shape = self.shape
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
        """Return the same image, whose file must not change any more.

        What it was when it was opened counts; what it is now, where that is not known.
        Pixels in memory stay as they are, whatever becomes of their file.
        """
        known = isinstance(self.data, np.ndarray)
        known = known or getattr(self.data, "in_memory", False)  # of another process
        if self.source is None or known:
            return replace(self, mark={})
        return self if self.mark else replace(self, mark=mark_of(self.source))

    def check_unchanged(self) -> None:
        """Ask whether what was read is of one image.

        Raises
        ------
        ImageError
            If the file was written to since it was opened, or is `watched`.
        """
        if self.mark and self.source and fingerprint(self.source) != self.mark:
            raise ImageError(
                f"{self.title} was changed after it was opened: pixels of two images "
                "would be mixed. When nothing writes to it any more, open it and start "
                "again."
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
