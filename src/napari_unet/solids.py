"""The table of objects that go on through planes: one row each, not one a plane.

All that is needed is what was measured of an object in every plane.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .measures import Table

__all__ = ["one_row_each"]


def one_row_each(table: Table, step: float | None = None) -> Table:
    """Return one row for each object of a table that has one for each of its planes.

    The row is that of the plane, told by the column z, in which the object is largest:
    area, diameter, axes and all that is not named here are of this cut. Centroid,
    bounding box and intensities are those of the whole object. New columns: volume
    (pixels of all planes), volume_physical (as area_physical, times `step`), planes
    (how many), centroid_z, bbox_z0 and bbox_z1 (half open).

    Parameters
    ----------
    table
        As `measures.measure_stack` returns it, with the columns label, z and area.
    step
        Distance of neighbouring planes; None: nobody knows.
    """
    order = np.lexsort((-table["area"], table["label"]))  # the largest cut comes first
    sorted_ = {name: column[order] for name, column in table.items()}
    labels, area = sorted_["label"], sorted_["area"]
    starts = np.flatnonzero(np.diff(labels, prepend=labels[:1] - 1))
    volume = np.add.reduceat(area, starts)

    def mean(column: NDArray[Any]) -> NDArray[np.float64]:
        return np.add.reduceat(column * area, starts) / volume

    rows: Table = {}
    for name, column in sorted_.items():
        if name.startswith(("centroid_", "intensity_mean")):
            rows[name] = mean(column)
        elif name in ("bbox_y0", "bbox_x0") or name.startswith("intensity_min"):
            rows[name] = np.minimum.reduceat(column, starts)
        elif name in ("bbox_y1", "bbox_x1") or name.startswith("intensity_max"):
            rows[name] = np.maximum.reduceat(column, starts)
        else:
            rows[name] = column[starts]
    rows["volume"] = volume
    if step is not None and "area_physical" in sorted_:
        rows["volume_physical"] = step * np.add.reduceat(
            sorted_["area_physical"], starts
        )
    rows["planes"] = np.diff(np.append(starts, len(labels)))
    rows["centroid_z"] = mean(sorted_["z"])
    rows["bbox_z0"] = np.minimum.reduceat(sorted_["z"], starts)
    rows["bbox_z1"] = np.maximum.reduceat(sorted_["z"], starts) + 1
    return rows
