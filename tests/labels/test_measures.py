"""Measures, block by block, are those of scikit-image on the whole plane."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.measure import regionprops_table

from napari_unet._steps import Steps
from napari_unet.labels.measures import measure, measure_stack

Array = NDArray[np.int32]

COLUMNS = {
    "label": "label",
    "area": "area",
    "centroid_y": "centroid-0",
    "centroid_x": "centroid-1",
    "bbox_y0": "bbox-0",
    "bbox_x0": "bbox-1",
    "bbox_y1": "bbox-2",
    "bbox_x1": "bbox-3",
    "diameter": "equivalent_diameter_area",
    "major_axis": "axis_major_length",
    "minor_axis": "axis_minor_length",
    "intensity_mean": "intensity_mean",
    "intensity_min": "intensity_min",
    "intensity_max": "intensity_max",
}


def some_labels() -> Array:
    """Discs of many sizes, some cut by others, with gaps in the ids."""
    rng = np.random.default_rng(3)
    labels = np.zeros((70, 70), np.int32)
    y, x = np.mgrid[:70, :70]
    for i, (cy, cx, r) in enumerate(rng.integers(1, 70, (25, 3)), 1):
        labels[np.hypot(y - cy, x - cx) < r / 10] = 10 * i
    return labels


def test_measuring_can_be_cancelled_after_every_block() -> None:
    seen = []

    def read(_, y, x):
        seen.append((y.start, x.start))
        return np.zeros((1, 10, 10))

    job = measure_stack(np.ones((30, 20), np.int32), [()], read, block=10)
    next(job)
    next(job)
    job.close()
    assert seen == [(0, 0), (0, 10)]


@pytest.mark.parametrize("block", [9, 32, 1024])
def test_measures_equal_those_of_scikit_image(block: int) -> None:
    labels = some_labels()
    image = np.random.default_rng(0).integers(0, 60_000, labels.shape, np.uint16)
    job = measure_stack(labels, [()], lambda _, y, x: image[None, y, x], block=block)
    table = Steps(job).finish()
    names = {name.split("-")[0] for name in COLUMNS.values()} | {"eccentricity"}
    truth = regionprops_table(labels, image, properties=tuple(names))
    for ours, theirs in COLUMNS.items():
        np.testing.assert_allclose(table[ours], truth[theirs], atol=1e-6, err_msg=ours)
    np.testing.assert_allclose(table["eccentricity"], truth["eccentricity"], atol=1e-4)


def test_a_stack_has_one_row_per_object_and_plane() -> None:
    labels = np.zeros((2, 3, 8, 8), np.int32)
    labels[0, 1, 2:4, 2:5] = 4
    labels[1, 2, 0, 0] = 9
    image = np.arange(2 * labels.size, dtype=np.float32).reshape(2, *labels.shape)
    job = measure_stack(
        labels,
        np.ndindex(2, 3),
        lambda plane, y, x: image[(slice(None), *plane, y, x)],
        axes="TZ",
        scale=(0.5, 0.25),
    )
    table = Steps(job).finish()
    assert table["t"].tolist() == [0, 1]
    assert table["z"].tolist() == [1, 2]
    assert table["label"].tolist() == [4, 9]
    assert table["area"].tolist() == [6, 1]
    assert table["area_physical"].tolist() == [0.75, 0.125]
    assert table["eccentricity"][1] == 0
    assert table["intensity_mean_0"][1] == image[0, 1, 2, 0, 0]
    assert table["intensity_max_1"][0] == image[1, 0, 1, 3, 4]


def test_an_object_has_the_class_of_most_of_its_inner_pixels() -> None:
    labels = np.array([[5, 5, 5, 5, 0, 8, 8]], np.int32)
    classes = np.array([[2, 2, 3, 1, 0, 2, 2]], np.uint8)
    table = measure(labels, class_map=classes, boundary=2)
    assert table["class"].tolist() == [1, 0]
    assert measure(labels, class_map=classes)["class"].tolist() == [2, 2]


def test_an_empty_plane_has_no_rows() -> None:
    table = measure(np.zeros((5, 5), np.int32), np.zeros((5, 5)))
    assert all(len(column) == 0 for column in table.values())


@pytest.mark.parametrize(
    ("size", "units", "area", "unit"),
    [
        ((1.0, 1.0), ("micrometer", "micrometer"), 1, "square micrometer"),
        ((0.5, 0.5), ("um", "µm"), 0.25, "square micrometer"),
        ((500.0, 0.5), ("nanometer", "micrometer"), 0.25, "square micrometer"),
        ((0.002, 0.001), ("millimeter", "millimeter"), 2, "square micrometer"),
        ((1.0, 1.0), ("pixel", "pixel"), 1, "pixel"),
        ((2.0, 2.0), ("pixel", "pixel"), 4, "unknown"),
        ((1.0, 0.5), ("pixel", "micrometer"), 0.5, "pixel x micrometer"),
    ],
)
def test_physical_area_is_always_there_with_its_unit(
    size: Any, units: Any, area: float, unit: str
) -> None:
    table = measure(np.eye(2, dtype=np.int32), scale=size, units=units)
    np.testing.assert_allclose(table["area_physical"], 2 * area)
    assert table["area_physical_unit"].tolist() == [unit]
