"""Arrays with axes in any order as (Y, X) planes, for the TIFF and Zarr writers.

What is written to a file is described here once, for every format: the order of the
axes in the file, the pixel size, and the names. Only blocks are ever held in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import OutputError
from napari_unet.io.label_array import LabelArray
from napari_unet.tiling import blocks

__all__ = ["OutputStack"]

_BLOCK = 2048  # side of the blocks that are searched for the extrema


@dataclass(frozen=True, slots=True)
class OutputStack:
    """An array seen as a stack of (Y, X) planes, with what a file says about it.

    Parameters
    ----------
    data
        numpy, zarr or dask array; read block by block.
    axes
        Letters of "TCZYX" in the order of `data`.
    scale, units
        One per axis of `data`: pixel size and its unit, such as ``"micrometer"``.
    name
        Title of the image in the file.
    channel_names
        One per channel, or none.
    order
        The same letters in the order of the file; always ends in "YX".
    translate
        Where the first pixel lies, one per axis of `data`; none: all 0.

    Raises
    ------
    OutputError
        If axes, scale, units and names do not fit the array.
    """

    data: LabelArray
    axes: str
    scale: tuple[float, ...]
    units: tuple[str, ...]
    name: str
    channel_names: tuple[str, ...]
    order: str
    translate: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.translate:
            object.__setattr__(self, "translate", (0.0,) * len(self.axes))
        shape = tuple(self.data.shape)
        if len(set(self.axes) & set("TCZYX")) != len(self.axes) or not (
            {"Y", "X"} <= set(self.axes)
        ):
            self._refuse(f"axes {self.axes!r}", "different letters of 'TCZYX', Y and X")
        for what, values in (
            ("axes", self.axes),
            ("scale", self.scale),
            ("units", self.units),
            ("translate", self.translate),
        ):
            if len(values) != len(shape):
                self._refuse(f"{what} {values!r}", f"one for each axis of {shape}")
        if 0 in shape:
            self._refuse(f"shape {shape}", "at least one pixel")
        if sorted(self.order) != sorted(self.axes) or not self.order.endswith("YX"):
            self._refuse(f"order {self.order!r}", "the same letters with YX at the end")
        channels = self.sizes.get("C", 1)
        if self.channel_names and len(self.channel_names) != channels:
            self._refuse(f"channel names {self.channel_names}", f"{channels} of them")

    @property
    def sizes(self) -> dict[str, int]:
        """Length of every axis."""
        return dict(zip(self.axes, self.data.shape, strict=False))

    @property
    def scales(self) -> dict[str, float]:
        """Pixel size along every axis."""
        return dict(zip(self.axes, (float(step) for step in self.scale), strict=True))

    @property
    def starts(self) -> dict[str, float]:
        """Place of the first pixel along every axis."""
        starts = (float(start) for start in self.translate)
        return dict(zip(self.axes, starts, strict=True))

    @property
    def unit_names(self) -> dict[str, str]:
        """Unit of the pixel size along every axis."""
        return dict(zip(self.axes, self.units, strict=True))

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes, in the order of the file."""
        return tuple(self.sizes[axis] for axis in self.order)

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Rows and columns of a plane."""
        return self.sizes["Y"], self.sizes["X"]

    def indices(self) -> Iterator[tuple[int, ...]]:
        """Yield the index of every plane, in the order of the file."""
        yield from np.ndindex(self.shape[:-2])

    def read(self, index: tuple[int, ...], y: slice, x: slice) -> NDArray[Any]:
        """Return the block (Y, X) at `y`, `x` of the plane `index`."""
        place: dict[str, int | slice] = dict(zip(self.order, index, strict=False))
        place |= {"Y": y, "X": x}
        block = np.asarray(self.data[tuple(place[axis] for axis in self.axes)])
        return block if self.axes.index("Y") < self.axes.index("X") else block.T

    def extrema(self) -> tuple[int, int]:
        """Return the smallest and the largest label, reading all of them once."""
        low, high = 0, 0
        for index in self.indices():
            for y, x in blocks(self.plane_shape, _BLOCK, _BLOCK):
                block = self.read(index, y, x)
                low, high = min(low, int(block.min())), max(high, int(block.max()))
        return low, high

    def _refuse(self, seen: str, wanted: str) -> None:
        raise OutputError(
            f"The labels {self.name!r} cannot be written with {seen}; give {wanted}."
        )
