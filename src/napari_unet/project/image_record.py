"""Image records: recognising an image that moved; crops around reviewed pixels.

Only this file knows how an image is found again that was renamed, and how a
`Correction` is made of a block while the image is elsewhere.
"""

import datetime as dt
import hashlib
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from numbers import Real
from pathlib import Path
from typing import Any, Self, TypeVar, get_origin

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import CorrectionError
from napari_unet.io.image import Image
from napari_unet.io.sampling import sample_planes
from napari_unet.project.block_store import SIDE, Block, BlockKey
from napari_unet.project.corrections import Correction
from napari_unet.tiling import Box

__all__ = [
    "SAFE",
    "ImageRecord",
    "check_shape",
    "now",
    "parse",
    "restore",
    "same_image",
    "slug",
    "surroundings",
    "unique",
]

SAFE = re.compile(r"[A-Za-z0-9_][\w.-]*", re.ASCII)  # no way out of a folder
_MARGIN = 96  # pixels of context: the halo of a net of depth 4
_PIXELS = 100_000  # of a plane, that a fingerprint is made of

_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image that has corrections.

    Attributes
    ----------
    key
        Names the folder of its corrections.
    path
        Where it was last seen; empty for a layer without a file.
    shape, axes
        Of the whole image.
    fingerprint
        Tells its pixels from those of other images.
    rgb, channel_names
        See `io.image.Image`.
    scale, units
        Size and unit of a pixel along Y and X.
    """

    key: str
    name: str
    path: str
    shape: tuple[int, ...]
    axes: str
    dtype: str
    fingerprint: str
    rgb: bool
    channel_names: tuple[str, ...]
    scale: tuple[float, ...]
    units: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in (self.key, self.fingerprint):
            if not SAFE.fullmatch(name):
                raise ValueError(f"{name!r:.40} names no image")
        named = len(set(self.axes) & set("TCZYX")) == len(self.axes) == len(self.shape)
        if not named or not _whole(self.shape, 1) or not {"Y", "X"} <= set(self.axes):
            raise ValueError(f"axes {self.axes!r:.40} of shape {self.shape!r:.40}")
        if not all(isinstance(n, str) for n in (*self.channel_names, *self.units)):
            raise TypeError(f"names {self.channel_names!r:.40} or {self.units!r:.40}")
        if not all(isinstance(n, Real) and math.isfinite(n) for n in self.scale):
            raise TypeError(f"pixels of {self.scale!r:.40}")
        if not len(self.scale) == len(self.units) == 2:
            raise ValueError(f"a scale of {len(self.scale)} axes")

    @classmethod
    def of(cls, image: Image) -> Self:
        """Return the record of an image that was not seen before."""
        mark = _fingerprint(image)
        path = "" if image.source is None else str(image.source.resolve())
        number = hashlib.sha256(f"{mark}{path}".encode()).hexdigest()[:8]
        return cls(
            key=f"{slug(image.name)}-{number}",
            name=image.name,
            path=path,
            shape=image.shape,
            axes=image.axes,
            dtype=image.dtype.str,
            fingerprint=mark,
            rgb=image.rgb,
            channel_names=image.channel_names,
            scale=image.label_scale[-2:],
            units=image.label_units[-2:],
        )

    @property
    def channels(self) -> int:
        """Channels that are read: 1 without a C axis, 3 for RGBA."""
        found = self.shape[self.axes.index("C")] if "C" in self.axes else 1
        return min(found, 3) if self.rgb else found

    def has(self, plane: Sequence[int], y: int, x: int) -> bool:
        """Return whether it has this plane, and in it a block that begins there."""
        lengths = dict(zip(self.axes, self.shape, strict=True))
        ends = [n for axis, n in lengths.items() if axis not in "CYX"]
        ends += self.plane_shape
        at = (*plane, y, x)
        if len(at) != len(ends) or not _whole(at, 0) or y % SIDE or x % SIDE:
            return False
        return all(i < n for i, n in zip(at, ends, strict=True))

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Rows and columns of a plane."""
        return self.shape[self.axes.index("Y")], self.shape[self.axes.index("X")]


def parse(kind: type[_Record], stored: Any) -> _Record:
    """Return a dataclass of what JSON made of it.

    Raises
    ------
    ValueError, TypeError
        If it is something else.
    """
    if not isinstance(stored, dict):
        raise TypeError(f"{stored!r:.40} is no object")
    values = {}
    for field in fields(kind):  # type: ignore[arg-type] # always a dataclass
        if field.name in stored:
            value = stored[field.name]
            value = tuple(value) if isinstance(value, list) else value
            wanted: Any = tuple if get_origin(field.type) is tuple else field.type
            if not isinstance(value, wanted):
                raise TypeError(f"{field.name} is {value!r:.40}")
            values[field.name] = value
    return kind(**values)


def same_image(old: ImageRecord, new: ImageRecord) -> bool:
    """Return whether it is the same image, at its old place or moved to another."""
    pixels = old.fingerprint == new.fingerprint
    if old.path == new.path:
        return bool(new.path) or (pixels and old.name == new.name)
    return pixels and bool(old.path) and not _exists(Path(old.path))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # in the folder of somebody else, or on a drive that is gone
        return False


def check_shape(image: Image, new: ImageRecord, old: ImageRecord) -> None:
    """Ask whether an image that is known has the shape that it had.

    Raises
    ------
    CorrectionError
        If it has not.
    """
    if (new.shape, new.axes) != (old.shape, old.axes):
        raise CorrectionError(
            f"{image.title} has shape {new.shape} ({new.axes}); when it was corrected, "
            f"it had {old.shape} ({old.axes}). Restore that image, or choose another "
            "project folder for this one."
        )


def unique(record: ImageRecord, others: Sequence[ImageRecord]) -> ImageRecord:
    """Return the record under a key that no other image has.

    It would have one if an image lies where another lay before that was moved.
    """
    taken = {other.key for other in others}
    names = (f"{record.key}-{n}" if n > 1 else record.key for n in itertools.count(1))
    return replace(record, key=next(name for name in names if name not in taken))


def slug(name: str) -> str:
    """Return what a file can be called on every system, made of a name."""
    return re.sub(r"[^\w-]+", "_", name, flags=re.ASCII).lstrip("-")[:40] or "_"


def now() -> str:
    """Return the time, ISO 8601 in UTC."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def surroundings(record: ImageRecord, place: BlockKey) -> tuple[Box, dict[str, Any]]:
    """Return a block with context around it as (Y, X) slices, and `Block.about`."""
    height, width = record.plane_shape
    y = slice(max(place.y - _MARGIN, 0), min(place.y + SIDE + _MARGIN, height))
    x = slice(max(place.x - _MARGIN, 0), min(place.x + SIDE + _MARGIN, width))
    about = {
        "image": asdict(record),
        "plane": place.plane,
        "corner": (place.y, place.x),
        "origin": (y.start, x.start),
    }
    return (y, x), about


def restore(record: ImageRecord, block: Block, sample: NDArray[Any]) -> Correction:
    """Return the correction that a block of an image holds; `sample`: see `Samples`.

    Raises
    ------
    ValueError, TypeError, KeyError, UNetError
        If the pieces of the block do not fit together.
    """
    about = block.about
    (y, x), (top, left) = about["corner"], about["origin"]
    height, width = record.plane_shape
    if not record.has(about["plane"], y, x) or not _whole((top, left), 0):
        raise ValueError(f"there is no plane {about['plane']!r:.40}, row {y!r:.40}")
    if not len(block.raw) == len(sample) == record.channels or not sample.size:
        raise ValueError(f"it has {len(block.raw)} of {record.channels} channels")
    image = Image(
        name=record.name,
        data=block.raw,
        axes="CYX",
        rgb=record.rgb,
        scale=(1.0, *record.scale),
        units=("pixel", *record.units),
        channel_names=record.channel_names,
    )
    return Correction(
        image=image,
        target=block.target[: height - y, : width - x],
        corner=(y - top, x - left),
        cut=(tuple(about["plane"]), (top, left)),
        sample=sample,
        source=record.name,
        key=record.key,
        model=about.get("model", ""),
        time=about.get("time", ""),
    )


def _whole(numbers: Sequence[Any], least: int) -> bool:
    """Return whether all are whole numbers, and not below the least."""
    return all(type(n) is int and n >= least for n in numbers)


def _fingerprint(image: Image) -> str:
    """Return a number that stands for an image, from pixels all over three planes.

    Fewer would do for noise; in a picture that is mostly black, there may be nothing
    where one looks.
    """
    planes = sample_planes(image.stack_shape)
    found = hashlib.sha256(repr((image.shape, image.dtype.str)).encode())
    for plane in (planes[0], planes[len(planes) // 2], planes[-1]):
        pixels = image.sample(limit=_PIXELS, plane=plane)
        found.update(np.ascontiguousarray(pixels).tobytes())
    return found.hexdigest()[:32]
