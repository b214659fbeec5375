"""Table rows of Z-linked objects, one each, from their rows per plane.

All that is needed is what was measured of an object in every plane.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.io.image import Image
from napari_unet.labels.measures import Table, micrometers

__all__ = ["one_row_each", "step_in_z"]

_SUMS = "volume", "volume_physical", "planes", "interior"


def one_row_each(
    table: Table, step: float | None = None, before: Table | None = None
) -> Table:
    """Return one row for each object of a table that has one for each of its planes.

    The row is that of the plane, told by the column z, in which the object is largest:
    area, diameter, axes and all that is not named here are of this cut. Centroid,
    bounding box, intensities and score are those of the whole object. New columns:
    volume (pixels of all planes), volume_physical (area_physical, times `step`) and
    volume_physical_unit, planes (how many), centroid_z, bbox_z0 and bbox_z1 (half
    open).

    Parameters
    ----------
    table
        As `labels.measures.measure_stack` returns it: with columns label, z and area.
    step
        As `step_in_z` returns it; None: there is no volume_physical.
    before
        What this returned for the planes before, if `table` has only the next ones:
        then the rows are those of all.
    """
    rows = _own_rows(table, step)
    if before is not None:
        rows = {name: np.concatenate((before[name], rows[name])) for name in rows}
    # The largest cut of an object comes first.
    order = np.lexsort((-rows["area"], rows["label"]))
    rows = {name: column[order] for name, column in rows.items()}
    labels, volume = rows["label"], rows["volume"]
    starts = np.flatnonzero(np.diff(labels, prepend=labels[:1] - 1))

    def whole(name: str, column: NDArray[Any]) -> NDArray[Any]:
        if name in _SUMS:
            return np.add.reduceat(column, starts)
        if name == "score":
            pixels = rows["interior"]
            total = np.add.reduceat(np.nan_to_num(column) * pixels, starts)
            pixels = np.add.reduceat(pixels, starts)
            score = np.full(len(starts), np.nan)
            np.divide(total, pixels, out=score, where=pixels > 0)
            return score
        if name.startswith(("centroid_", "intensity_mean")):
            total = np.add.reduceat(column * volume, starts)
            return np.asarray(total / np.add.reduceat(volume, starts))
        if name.startswith(("bbox_y0", "bbox_x0", "bbox_z0", "intensity_min")):
            return np.minimum.reduceat(column, starts)
        if name.startswith(("bbox_y1", "bbox_x1", "bbox_z1", "intensity_max")):
            return np.maximum.reduceat(column, starts)
        return column[starts]

    return {name: whole(name, column) for name, column in rows.items()}


def _own_rows(table: Table, step: float | None) -> Table:
    """Return the rows of objects in single planes, with all columns."""
    rows = table | {"volume": table["area"]}
    if step is not None and "area_physical" in table:
        unit = table["area_physical_unit"]
        rows["volume_physical"] = step * table["area_physical"]
        rows["volume_physical_unit"] = np.where(
            unit == "square micrometer",
            "cubic micrometer",
            np.char.add(unit, " x micrometer"),
        )
    rows["planes"] = np.ones(len(table["label"]), np.int64)
    rows["centroid_z"] = table["z"].astype(np.float64)
    return rows | {"bbox_z0": table["z"], "bbox_z1": table["z"] + 1}


def step_in_z(image: Image) -> float | None:
    """Return the distance of neighbouring planes in micrometers; None: not known."""
    at = image.axes.index("Z")
    unit = micrometers(image.units[at])
    return None if unit is None else float(image.scale[at]) * unit
