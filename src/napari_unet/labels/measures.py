"""Object measurements (area, centroid, intensity, shape), summed block by block.

Everything here follows from sums, least and largest values, which add up over blocks;
so an object that crosses blocks is measured once, and memory holds a block and a table.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_unet._steps import Steps
from napari_unet.io.axes import unit_word
from napari_unet.labels.scores import mean_scores
from napari_unet.tiling import blocks

__all__ = ["Table", "measure", "measure_stack", "micrometers"]

Table = dict[str, NDArray[Any]]
Reader = Callable[[tuple[int, ...], slice, slice], NDArray[Any]]
_Columns = dict[tuple[str, str], NDArray[Any]]  # (how, of what) -> per object


class Source(Protocol):
    """Labels that are read by slices: a numpy or zarr array (..., Y, X), or a part."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __getitem__(self, key: Any, /) -> Any: ...


_MICROMETERS = {
    "picometer": 1e-6,
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "decimeter": 1e5,
    "meter": 1e6,
    "kilometer": 1e9,
    "inch": 25_400.0,
    "foot": 304_800.0,
    "yard": 914_400.0,
}
_UFUNCS = {"sum": np.add, "min": np.minimum, "max": np.maximum}


def measure(
    labels: NDArray[Any],
    image: NDArray[Any] | None = None,
    *,
    scale: tuple[float, float] = (1.0, 1.0),
    units: tuple[str, str] = ("pixel", "pixel"),
    scores: NDArray[np.uint8] | None = None,
    class_map: NDArray[np.uint8] | None = None,
    boundary: int | None = None,
) -> Table:
    """Return one row per object of a plane, as columns of equal length.

    Columns: label, area (pixels), area_physical and area_physical_unit (square
    micrometers where the pixel size is a length), centroid_y, centroid_x, bbox_y0,
    bbox_x0, bbox_y1, bbox_x1 (half open), diameter (of the disc of equal area),
    major_axis, minor_axis and eccentricity
    (of the ellipse with equal second moments), all in pixels; then
    intensity_mean, intensity_min and intensity_max, with the channel's index added when
    there are several; score and interior (of how many pixels that is the mean), with
    `scores`; and class, with a `class_map`.

    Parameters
    ----------
    labels
        Objects (Y, X); 0 is background.
    image
        Intensities (Y, X) or (C, Y, X).
    scale, units
        Pixel size in Y and X.
    scores
        The byte of every pixel (Y, X), see `labels.scores`.
    class_map
        Classes (Y, X). An object's class is the most frequent one in it that is neither
        background nor `boundary`; 0 if there is none.
    boundary
        Index of the boundary class in `class_map`.
    """
    channels = None if image is None else image.reshape(-1, *labels.shape)
    read = None if channels is None else (lambda _, y, x: channels[:, y, x])
    job = measure_stack(labels, [()], read, scale=scale, units=units, scores=scores)
    table = Steps(job).finish()
    if class_map is not None:
        where = (labels > 0) & (class_map > 0) & (class_map != boundary)
        rows = np.searchsorted(table["label"], labels[where])
        counts = np.zeros((len(table["label"]), 256), np.int64)
        np.add.at(counts, (rows, class_map[where]), 1)
        table["class"] = counts.argmax(axis=1).astype(np.uint8)
    return table


def measure_stack(
    labels: Source,
    planes: Iterable[tuple[int, ...]],
    read: Reader | None = None,
    *,
    axes: str = "",
    scale: tuple[float, float] = (1.0, 1.0),
    units: tuple[str, str] = ("pixel", "pixel"),
    block: int = 1024,
    scores: Source | None = None,
) -> Generator[None, None, Table]:
    """Measure the objects of several planes, block by block; see `measure`.

    A generator: it yields after every block, so that closing it cancels soon, and
    returns the table.

    Parameters
    ----------
    labels
        Objects (..., Y, X), read by slices.
    planes
        Indices of the planes, one number per axis before Y and X. An object that is in
        several planes has a row in each.
    read
        Returns the intensities (C, Y, X) of a plane, and Y and X slices of it.
    axes
        A letter for each axis before Y and X; each becomes a column, in lower case.
    scale, units
        Pixel size in Y and X.
    block
        Side of the squares that are read at a time, in pixels.
    scores
        The byte of every pixel, read as `labels` are; see `labels.scores`.
    """
    height, width = labels.shape[-2:]
    pixel = _pixel_area(scale, units)
    tables = []
    for plane in planes:
        parts = []
        for y, x in blocks((height, width), block, block):
            ids = np.asarray(labels[(*plane, y, x)])
            if ids.any():
                image = None if read is None else read(plane, y, x)
                sure = None if scores is None else np.asarray(scores[(*plane, y, x)])
                parts.append(_sums(ids, image, (y.start, x.start), sure))
            yield
        if parts:
            table = _features(_merge(parts), pixel)
            where = zip(axes.lower(), plane, strict=False)
            size = len(table["label"])
            tables.append({a: np.full(size, at) for a, at in where} | table)
    if not tables:
        return {"label": np.zeros(0, np.int32), "area": np.zeros(0, np.int64)}
    return {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}


def micrometers(unit: str) -> float | None:
    """Return how many micrometers a unit of length is; None if it is none."""
    return _MICROMETERS.get(unit_word(unit))


def _sums(
    ids: NDArray[Any],
    image: NDArray[Any] | None,
    origin: tuple[int, int],
    scores: NDArray[np.uint8] | None,
) -> _Columns:
    """Return what adds up over blocks, for each object in one block."""
    rows, cols = np.nonzero(ids)

    def columns() -> Iterator[tuple[str, str, NDArray[Any]]]:
        y, x = rows + origin[0], cols + origin[1]
        yield "sum", "area", np.ones(len(y), np.int64)
        yield "sum", "yx", y * x
        for name, at in (("y", y), ("x", x)):
            yield "sum", name, at
            yield "sum", name * 2, at * at
            yield "min", name, at
            yield "max", name, at
        for c, channel in enumerate(() if image is None else image):
            values = channel[rows, cols].astype(np.float64)
            for how in _UFUNCS:
                yield how, f"channel {c}", values
        if scores is not None:
            sure = scores[rows, cols].astype(np.int64)
            yield "sum", "score", sure
            yield "sum", "interior", (sure > 0).astype(np.int64)

    return _reduce(ids[rows, cols], columns())


def _reduce(
    ids: NDArray[Any], columns: Iterable[tuple[str, str, NDArray[Any]]]
) -> _Columns:
    """Return one entry per id of every column, summed or the least or the largest."""
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    starts = np.flatnonzero(np.diff(ids, prepend=0))
    reduced: _Columns = {("id", "label"): ids[starts]}
    for how, name, values in columns:
        reduced[how, name] = _UFUNCS[how].reduceat(values[order], starts)
    return reduced


def _merge(parts: list[_Columns]) -> _Columns:
    """Return the sums of a whole plane from those of its blocks."""
    if len(parts) == 1:
        return parts[0]
    whole = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    ids = whole.pop(("id", "label"))
    return _reduce(ids, ((how, name, v) for (how, name), v in whole.items()))


def _pixel_area(
    scale: tuple[float, float], units: tuple[str, str]
) -> tuple[float, str]:
    """Return how large a pixel is, and in which unit.

    That is always square micrometers if the unit is a length, so that tables of images
    with several units can be put together.
    """
    y, x = map(unit_word, units)
    area = scale[0] * scale[1]
    if y in _MICROMETERS and x in _MICROMETERS:
        return area * (_MICROMETERS[y] * _MICROMETERS[x]), "square micrometer"
    if y != x:
        return area, f"{y} x {x}"
    return area, y if area == 1 else "unknown"


def _features(sums: _Columns, pixel: tuple[float, str]) -> Table:
    """Return the columns of `measure` from a plane's sums."""
    area = sums["sum", "area"]
    y, x = sums["sum", "y"] / area, sums["sum", "x"] / area
    yy, xx = sums["sum", "yy"] / area - y * y, sums["sum", "xx"] / area - x * x
    yx = sums["sum", "yx"] / area - y * x
    root = np.hypot((yy - xx) / 2, yx)
    major = np.maximum((yy + xx) / 2 + root, 0)
    minor = np.clip((yy + xx) / 2 - root, 0, major)
    table: Table = {"label": sums["id", "label"], "area": area}
    table["area_physical"] = area * pixel[0]
    table["area_physical_unit"] = np.full(len(area), pixel[1])
    table |= {"centroid_y": y, "centroid_x": x}
    table |= {"bbox_y0": sums["min", "y"], "bbox_x0": sums["min", "x"]}
    table |= {"bbox_y1": sums["max", "y"] + 1, "bbox_x1": sums["max", "x"] + 1}
    table["diameter"] = np.sqrt(area * (4 / np.pi))
    table |= {"major_axis": 4 * np.sqrt(major), "minor_axis": 4 * np.sqrt(minor)}
    table["eccentricity"] = np.sqrt(1 - minor / np.where(major > 0, major, np.inf))
    table["eccentricity"][major == 0] = 0
    channels = [name for how, name in sums if how == "sum" and name[:7] == "channel"]
    for c, name in enumerate(channels):
        suffix = f"_{c}" if len(channels) > 1 else ""
        table[f"intensity_mean{suffix}"] = sums["sum", name] / area
        table[f"intensity_min{suffix}"] = sums["min", name]
        table[f"intensity_max{suffix}"] = sums["max", name]
    if ("sum", "score") in sums:
        pixels = sums["sum", "interior"]
        table["score"] = mean_scores(np.stack((sums["sum", "score"], pixels)))
        table["interior"] = pixels
    return table
