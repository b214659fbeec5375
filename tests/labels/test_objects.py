"""Objects taken block by block are the objects of the whole plane."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.measure import label

from napari_unet.errors import OutputError
from napari_unet.labels.objects import (
    instance_targets,
    label_blocks,
    label_plane,
    label_tile,
)

Array = NDArray[np.int32]


def spiral(n: int) -> NDArray[np.uint8]:
    """One path, one pixel wide, that winds from the border to the middle."""
    path = np.zeros((n, n), np.uint8)
    y, x, dy, dx = 0, 0, 0, 1
    path[0, 0] = 1
    for length in [n - 1, *(m for m in range(n - 1, 0, -2) for _ in range(2))]:
        for _ in range(length):
            y, x = y + dy, x + dx
            path[y, x] = 1
        dy, dx = dx, -dy
    return path


def comb(n: int) -> NDArray[np.uint8]:
    """Teeth that meet only in the last row, with boundary between them."""
    teeth = np.full((n, n), 2, np.uint8)
    teeth[:, ::2] = 1
    teeth[-1] = 1
    return teeth


def checkers(n: int) -> NDArray[np.uint8]:
    """Pixels that meet at their corners only."""
    return (np.indices((n, n)).sum(0) % 2).astype(np.uint8)


def discs(n: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(3)
    labels = np.zeros((n, n), np.int32)
    y, x = np.mgrid[:n, :n]
    for i, (cy, cx) in enumerate(rng.integers(0, n, (n // 3, 2)), 1):
        labels[((y - cy) ** 2 + (x - cx) ** 2 < 30) & (labels == 0)] = i
    return instance_targets(labels)


SHAPES = {"spiral": spiral, "comb": comb, "checkers": checkers, "discs": discs}


@st.composite
def class_maps(draw: st.DrawFn) -> NDArray[np.uint8]:
    """Random maps of up to five classes, in patches of one to six pixels."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    patch, count = draw(st.integers(1, 6)), draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = rng.dirichlet(np.ones(count))
    coarse = rng.choice(count, (height // patch + 1, width // patch + 1), p=share)
    fine = np.kron(coarse, np.ones((patch, patch)))[:height, :width]
    return fine.astype(np.uint8)


def slow_objects(classes: NDArray[np.uint8], boundary: int | None, reach: int) -> Array:
    """Say again, one pixel at a time, what an object is."""
    seeds = np.where(classes == (-1 if boundary is None else boundary), 0, classes)
    ids = label(seeds, connectivity=2 if boundary is None else 1).astype(np.int32)
    height, width = ids.shape
    for _ in range(0 if boundary is None else reach):
        before = ids.copy()
        for y, x in np.argwhere((classes == boundary) & (before == 0)):
            for near_y, near_x in ((y - 1, x), (y, x - 1), (y, x + 1), (y + 1, x)):
                inside = 0 <= near_y < height and 0 <= near_x < width
                if inside and before[near_y, near_x]:
                    ids[y, x] = before[near_y, near_x]
                    break
    return ids


def assert_same_partition(truth: Array, labels: Array) -> None:
    pairs = np.unique(np.stack((truth.ravel(), labels.ravel())), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
    np.testing.assert_array_equal(truth == 0, labels == 0)


def without_small(ids: Array, min_size: int) -> Array:
    return np.where(np.bincount(ids.ravel())[ids] < min_size, 0, ids)


@settings(max_examples=150, deadline=None)
@given(
    classes=class_maps(),
    boundary=st.sampled_from([None, 1, 2, 4]),
    reach=st.integers(0, 4),
    block=st.integers(1, 45),
    min_size=st.integers(0, 12),
    first=st.integers(1, 1000),
)
def test_objects_by_blocks_equal_objects_of_the_whole_plane(
    classes: NDArray[np.uint8],
    boundary: int | None,
    reach: int,
    block: int,
    min_size: int,
    first: int,
) -> None:
    labels = np.full(classes.shape, -7, np.int32)  # whatever was there goes
    count = label_plane(
        classes,
        labels,
        (),
        boundary=boundary,
        first=first,
        min_size=min_size,
        reach=reach,
        block=block,
    )
    truth = without_small(slow_objects(classes, boundary, reach), min_size)
    assert_same_partition(truth, labels)
    ids = np.unique(labels[labels > 0])
    np.testing.assert_array_equal(ids, np.arange(first, first + count))


def without_low(ids: Array, scores: NDArray[np.uint8], least: float) -> Array:
    found = ids.copy()
    for i in np.unique(ids[ids > 0]):
        if scores[(ids == i) & (scores > 0)].mean() / 255 < least:
            found[ids == i] = 0
    return found


@settings(max_examples=150, deadline=None)
@given(
    classes=class_maps(),
    boundary=st.sampled_from([None, 1, 2]),
    block=st.integers(1, 45),
    min_score=st.sampled_from([0.0, 0.3, 0.5, 0.6, 1.0]),
    first=st.integers(1, 1000),
    seed=st.integers(0, 99),
)
def test_objects_of_a_low_score_go_whatever_the_blocks(
    classes: NDArray[np.uint8],
    boundary: int | None,
    block: int,
    min_score: float,
    first: int,
    seed: int,
) -> None:
    scores = np.random.default_rng(seed).integers(1, 256, classes.shape, np.uint8)
    scores[(classes == 0) | (classes == (boundary or 0))] = 0
    labels = np.full(classes.shape, -7, np.int32)
    count = label_plane(
        classes,
        labels,
        (),
        boundary=boundary,
        first=first,
        scores=scores,
        min_score=min_score,
        block=block,
    )
    truth = without_low(slow_objects(classes, boundary, 3), scores, min_score)
    assert_same_partition(truth, labels)
    ids = np.unique(labels[labels > 0])
    np.testing.assert_array_equal(ids, np.arange(first, first + count))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("boundary", [None, 2])
@pytest.mark.parametrize("block", [1, 7, 30])
def test_winding_objects_come_out_whole(
    shape: str, boundary: int | None, block: int
) -> None:
    classes = SHAPES[shape](33)
    labels = np.zeros(classes.shape, np.int32)
    label_plane(classes, labels, (), boundary=boundary, first=1, block=block)
    assert_same_partition(slow_objects(classes, boundary, 3), labels)


def test_a_spiral_is_one_object_and_checkers_depend_on_the_boundary_class() -> None:
    assert label_tile(spiral(33), boundary=2).max() == 1
    assert label_tile(checkers(8), boundary=None).max() == 1
    assert label_tile(checkers(8), boundary=2).max() == 32


def test_touching_nuclei_come_apart_and_get_their_rims_back() -> None:
    truth = np.zeros((20, 40), np.int32)
    truth[4:16, 4:20], truth[4:16, 20:36] = 1, 2
    labels = label_tile(instance_targets(truth), boundary=2)
    np.testing.assert_array_equal(labels, truth)


def test_a_boundary_pixel_takes_the_first_of_up_left_right_down() -> None:
    classes = np.array([[0, 1, 0], [1, 2, 1], [0, 1, 0]], np.uint8)
    assert label_tile(classes, boundary=2)[1, 1] == 1  # up is found first
    classes[0, 1] = 0
    assert label_tile(classes, boundary=2)[1, 1] == 1  # now left is
    classes[1, 0] = 0
    labels = label_tile(classes, boundary=2)
    assert labels[1, 1] == labels[1, 2] != labels[2, 1]


@pytest.mark.parametrize("reach", [0, 1, 3])
def test_growth_ends_at_its_reach(reach: int) -> None:
    classes = np.full((1, 12), 2, np.uint8)
    classes[0, 0] = 1
    assert label_tile(classes, boundary=2, reach=reach).sum() == 1 + reach


def test_planes_of_a_zarr_stack_are_numbered_one_after_the_other(
    tmp_path: Path,
) -> None:
    classes = np.stack([np.stack([discs(40), comb(40)])] * 2)  # (T, Z, Y, X)
    source = zarr.create_array(tmp_path / "c", data=classes, chunks=(1, 1, 16, 16))
    target = zarr.create_array(
        tmp_path / "l", shape=classes.shape, dtype="int32", chunks=(1, 1, 16, 16)
    )
    first = 1
    for plane in np.ndindex(2, 2):
        first += label_plane(source, target, plane, boundary=2, first=first, block=16)
    labels = target[:]
    np.testing.assert_array_equal(np.unique(labels), np.arange(first))
    for plane in np.ndindex(2, 2):
        truth = label_tile(classes[plane], boundary=2)
        assert_same_partition(truth, labels[plane])


@pytest.mark.parametrize("block", [8, 64])
def test_a_plane_without_objects_is_cleared(block: int) -> None:
    classes = np.zeros((20, 30), np.uint8)
    labels = np.ones((20, 30), np.int32)
    assert label_plane(classes, labels, (), boundary=2, first=1, block=block) == 0
    assert not labels.any()


@pytest.mark.parametrize("block", [16, 64])
def test_ids_beyond_32_bits_are_refused(block: int) -> None:
    classes = discs(40)
    labels = np.zeros((40, 40), np.int32)
    with pytest.raises(OutputError, match="32-bit"):
        label_plane(classes, labels, (), boundary=2, first=2**31 - 3, block=block)


def test_progress_rises_to_one() -> None:
    labels = np.zeros((40, 40), np.int32)
    seen = list(label_blocks(discs(40), labels, (), boundary=2, first=5, block=16))
    assert seen == sorted(seen)
    assert len(seen) == 27
    assert seen[-1] == 1


# --- targets -------------------------------------------------------------------------


def slow_targets(labels: Array) -> NDArray[np.uint8]:
    """Look around every pixel: 1 pixel for anything else, 2 for another object."""
    classes = np.zeros(labels.shape, np.uint8)
    for y, x in np.argwhere(labels > 0):
        near = labels[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        far = labels[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
        other = (far != labels[y, x]) & (far > 0)
        classes[y, x] = 2 if (near != labels[y, x]).any() or other.any() else 1
    return classes


@settings(max_examples=60, deadline=None)
@given(class_maps(), st.sampled_from([np.uint8, np.int32, np.uint16, np.int64]))
def test_targets_equal_the_slow_reference(
    labels: NDArray[np.uint8], dtype: type
) -> None:
    found = instance_targets(labels.astype(dtype))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, slow_targets(labels))
