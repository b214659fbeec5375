"""Measuring a result's objects, block by block, for the table in the viewer."""

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet._steps import Steps
from napari_unet.io.image import Image
from napari_unet.io.save import LabelArray
from napari_unet.tiling import Box

__all__ = ["Table", "measuring"]

_BLOCK = 1024**2  # pixels that are measured at a time
Table = dict[str, NDArray[Any]]


def measuring(
    image: Image,
    array: LabelArray,
    channel: int | str | None,
    *,
    plane: tuple[int, ...] | None = None,
    box: Box | None = None,
    linked: bool = False,
    scores: LabelArray | None = None,
) -> Generator[float, None, Table | None]:
    """Measure the objects in `array`, and yield how much is done, 0 to 1.

    Parameters
    ----------
    channel
        Whose intensities are measured; all if it is no index.
    plane, box
        Where, if not everywhere; rows and columns stay those of the whole plane.
    linked
        Whether objects go on through Z: then each has one row.
    scores
        The byte of every pixel, as `array` is, see `labels.scores`: then there is a
        column score.

    Returns
    -------
    table
        As `labels.measures.measure_stack` returns it, or `solids.one_row_each`; None if
        there are no objects.
    """
    from napari_unet.labels.measures import measure_stack
    from napari_unet.labels.solids import one_row_each, step_in_z

    channels = [channel] if isinstance(channel, int) else None
    y, x = box or tuple(slice(0, size) for size in image.plane_shape)
    part = _Window(array, y.start, x.start, (y.stop - y.start, x.stop - x.start))
    sure = None if scores is None else replace(part, array=scores)

    def read(plane: tuple[int, ...], rows: slice, columns: slice) -> NDArray[Any]:
        return image.read(plane, *part.moved(rows, columns), channels)

    planes = list(image.planes()) if plane is None else [plane]
    job = measure_stack(
        part, planes, read, axes=image.plane_axes, scores=sure, **image.pixel_size
    )
    yield 0.0
    for i, _ in enumerate(run := Steps(job)):
        yield min((i + 1) * _BLOCK / (len(planes) * math.prod(part.size)), 1.0)
    joined = run.result
    if not len(joined["label"]):
        return None
    for name, start in (("y", y.start), ("x", x.start)):
        for column in (f"centroid_{name}", f"bbox_{name}0", f"bbox_{name}1"):
            joined[column] = joined[column] + start
    table = one_row_each(joined, step_in_z(image)) if linked else joined
    table.pop("interior", None)
    return table


@dataclass(frozen=True, slots=True)
class _Window:
    """The part of every plane of an array that starts at `y`, `x`."""

    array: LabelArray
    y: int
    x: int
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.array.shape[:-2], *self.size)

    def moved(self, rows: slice, columns: slice) -> Box:
        return (
            slice(rows.start + self.y, rows.stop + self.y),
            slice(columns.start + self.x, columns.stop + self.x),
        )

    def __getitem__(self, key: Any) -> NDArray[Any]:
        *plane, rows, columns = key
        return np.asarray(self.array[(*plane, *self.moved(rows, columns))])
