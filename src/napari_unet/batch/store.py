"""Work store of a stack's labels: sharded OME-Zarr, a whole shard for each tile.

Only this file knows how planes of an image lie in an array whose axes have the file's
order, and which files a plane consists of. Whoever computes a tile writes one whole
shard of every array, so that tiles never wait for each other.
"""

import itertools
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from napari_unet._files import DAMAGE, fsync_tree
from napari_unet.errors import OutputError
from napari_unet.io.output_stack import OutputStack
from napari_unet.io.zarr_writer import ZARR_ORDER, level_shapes, metadata
from napari_unet.tiling import Box

__all__ = [
    "Layout",
    "PlaneView",
    "clear",
    "create_store",
    "fits",
    "open_levels",
    "scratch",
]

_CHUNK = 512


@dataclass(frozen=True, slots=True)
class Layout:
    """What the labels of one image look like on the disk.

    Attributes
    ----------
    axes
        One letter per axis, in the image's order; C first if there are probabilities.
    shape, scale, units
        One per axis.
    dtype
        Name of the type of a pixel.
    side
        Rows and columns of a tile, which is a shard; multiples of 256 where they are
        more than 512.
    name, channel_names
        For the file.
    translate
        Where the first pixel lies, one per axis; none: all 0.
    """

    axes: str
    shape: tuple[int, ...]
    scale: tuple[float, ...]
    units: tuple[str, ...]
    dtype: str
    side: tuple[int, int]
    name: str
    channel_names: tuple[str, ...] = ()
    translate: tuple[float, ...] = ()

    @property
    def order(self) -> str:
        """The axes in the order of the file."""
        return "".join(axis for axis in ZARR_ORDER if axis in self.axes)

    @property
    def plane_axes(self) -> str:
        """The axes that a plane's index is of."""
        return "".join(axis for axis in self.axes if axis not in "CYX")

    @property
    def file_shape(self) -> tuple[int, ...]:
        """Lengths of the axes in the order of the file."""
        return tuple(self.shape[i] for i in self.at)

    @property
    def at(self) -> tuple[int, ...]:
        """Where in `axes` each axis of the file is."""
        return tuple(self.axes.index(axis) for axis in self.order)

    def view(self, array: Any, plane: Sequence[int]) -> "PlaneView":
        """Return one plane of an array of this layout, or of a level of its pyramid."""
        place: dict[str, int | slice] = dict(zip(self.plane_axes, plane, strict=True))
        lead = tuple(place.get(axis, slice(None)) for axis in self.order[:-2])
        return PlaneView(array, lead)

    def planes(self, array: Any) -> OutputStack:
        """Return what a file says about an array of this layout."""
        return OutputStack(
            data=array,
            axes=self.order,
            scale=tuple(self.scale[i] for i in self.at),
            units=tuple(self.units[i] for i in self.at),
            name=self.name,
            channel_names=self.channel_names,
            order=self.order,
            translate=tuple(self.translate[i] for i in self.at if self.translate),
        )


@dataclass(frozen=True, slots=True)
class PlaneView:
    """One plane (Y, X), or (C, Y, X) of probabilities, of an array on the disk."""

    array: Any
    lead: tuple[int | slice, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        channels = (
            n
            for n, at in zip(self.array.shape, self.lead, strict=False)
            if isinstance(at, slice)
        )
        return (*channels, *self.array.shape[-2:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a pixel."""
        dtype: np.dtype[Any] = self.array.dtype
        return dtype

    def __getitem__(self, box: Box) -> NDArray[Any]:
        return np.asarray(self.array[(*self.lead, *box)])

    def __setitem__(self, box: Box, values: NDArray[Any]) -> None:
        self.array[(*self.lead, *box)] = values

    def settle(self, box: Box | None = None) -> None:
        """Wait until the plane, or the shard that is `box`, is on the disk itself.

        Raises
        ------
        OutputError
            If the disk does not take it.
        """
        folder = Path(self.array.store.root, self.array.path, "c")
        sides = self.array.shards or self.array.chunks
        ranges = [
            [at] if isinstance(at, int) else range(-(-n // side))
            for at, n, side in zip(self.lead, self.array.shape, sides, strict=False)
        ]
        for lead in itertools.product(*ranges):
            place = folder.joinpath(*map(str, lead))
            if box is not None:
                y, x = (b.start // n for b, n in zip(box, sides[-2:], strict=True))
                place = place / str(y) / str(x)
            try:
                fsync_tree(place)
            except OSError as error:
                raise _refusal(place, error) from error


def create_store(path: Path, layout: Layout) -> None:
    """Make an OME-Zarr 0.5 of empty arrays, with all that is to be said about them.

    Raises
    ------
    OutputError
        If the disk does not take it.
    """
    shapes = level_shapes(layout.file_shape)
    like = np.broadcast_to(np.zeros((), layout.dtype), layout.shape)  # takes no memory
    about = metadata(layout.planes(like.transpose(layout.at)), len(shapes), like.dtype)
    try:
        zarr.create_group(path, attributes={"ome": about})
        for level, shape in enumerate(shapes):
            _create(path, str(level), shape, layout, layout.dtype, "zstd")
    except OSError as error:
        raise _refusal(path, error) from error


def open_levels(path: Path, layout: Layout) -> list[Any]:
    """Return the arrays of a store that `create_store` made, full resolution first."""
    count = len(level_shapes(layout.file_shape))
    return [zarr.open_array(path / str(i), mode="r+") for i in range(count)]


def clear(path: Path) -> None:
    """Remove what zarr did not finish writing to a store when it was interrupted."""
    for part in path.rglob("*.partial"):
        with suppress(OSError):
            part.unlink()


def fits(path: Path, layout: Layout) -> bool:
    """Return whether a store is what `create_store` makes for this layout."""
    try:
        finest, *_ = open_levels(path, layout)
    except DAMAGE:
        return False
    _, side = _cut(layout, layout.file_shape)
    there = (finest.shards or finest.chunks)[-2:]
    return (finest.shape, there) == (layout.file_shape, tuple(side))


def scratch(path: Path, layout: Layout, dtype: str) -> Any:
    """Return an array beside the store, cut as it is: opened, or made if missing.

    Raises
    ------
    OutputError
        If the disk does not take it.
    """
    try:
        if (path / "zarr.json").exists():
            return zarr.open_array(path, mode="r+")
        return _create(path.parent, path.name, layout.file_shape, layout, dtype, "lz4")
    except OSError as error:
        raise _refusal(path, error) from error


def _create(
    parent: Any, name: str, shape: tuple[int, ...], layout: Layout, dtype: str, how: Any
) -> Any:
    lead = (1,) * (len(shape) - 2)
    chunk, side = _cut(layout, shape)
    shards = (*lead, *side)
    return zarr.create_array(
        parent,
        name=name,
        shape=shape,
        dtype=dtype,
        chunks=(*lead, *chunk),
        shards=None if side == chunk else shards,
        compressors=BloscCodec(cname=how, clevel=3, shuffle="shuffle"),
        dimension_names=tuple(layout.order.lower()),
        fill_value=0,
    )


def _cut(layout: Layout, shape: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Return rows and columns of a chunk, and of a shard, of a level of this shape."""
    chunk = [n if n <= _CHUNK else math.gcd(_CHUNK, n) for n in layout.side]
    # A level that has shrunk to one shard is not padded to the size of a large one.
    side = [
        min(side, -(-length // n) * n)
        for side, length, n in zip(layout.side, shape[-2:], chunk, strict=True)
    ]
    return chunk, side


def _refusal(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"The labels cannot be kept in '{path}' ({error.strerror or error}). Make room "
        "there, or choose another output folder."
    )
