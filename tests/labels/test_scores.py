"""Scores of objects: sums of bytes, whatever the blocks; what is dropped by them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet._steps import Steps
from napari_unet.labels.scores import add_scores, drop_low, mean_scores
from napari_unet.tiling import blocks


def slow_scores(ids, scores):
    """Return the score of every object (Y, X) by its id, one object at a time."""
    found = {}
    for i in np.unique(ids[ids > 0]):
        inside = scores[(ids == i) & (scores > 0)]
        found[int(i)] = inside.mean() / 255 if inside.size else np.nan
    return found


@settings(max_examples=60, deadline=None)
@given(
    y=st.integers(1, 40),
    x=st.integers(1, 40),
    count=st.integers(0, 9),
    block=st.integers(1, 45),
    seed=st.integers(0, 99),
)
def test_a_score_is_the_mean_of_its_pixels_whatever_the_blocks(
    y, x, count, block, seed
):
    chance = np.random.default_rng(seed)
    ids = chance.integers(0, count + 1, (y, x)).astype(np.int32)
    scores = chance.integers(0, 3, (y, x)) * chance.integers(0, 128, (y, x))
    scores = scores.astype(np.uint8)
    sums = np.zeros((2, count + 1), np.int64)
    for box in blocks((y, x), block, block):
        add_scores(sums, ids[box], scores[box])
    found = mean_scores(sums)
    for i, expected in slow_scores(ids, scores).items():
        assert found[i] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_many_rows_are_added_up_some_at_a_time():
    ids = np.repeat(np.arange(700, dtype=np.int32), 3)[:, None]
    sums = np.zeros((2, 700), np.int64)
    add_scores(sums, ids, np.full(ids.shape, 200, np.uint8))
    assert (sums[0] == 600).all()
    assert (sums[1] == 3).all()


# Two planes, ids before they are linked; 1 and 3 are one object, and so are 2 and 4.
LOW = np.array([[1, 1, 0, 2]], np.int32)
HIGH = np.array([[3, 0, 5, 4]], np.int32)
LINKED = np.array([0, 1, 2, 1, 2, 3], np.int32)


def dropped(scores, least, **keywords):
    planes = [
        (ids, np.array([s], np.uint8))
        for ids, s in zip((LOW, HIGH), scores, strict=True)
    ]
    job = drop_low(planes, LINKED, 3, least, side=(1, 2), **keywords)
    table, count = Steps(job).finish()
    return table.tolist(), count


def test_the_score_of_a_linked_object_is_that_of_all_its_planes():
    bright = [255, 255, 0, 51], [102, 0, 51, 204]  # 0.8, 0.5, 0.2
    assert dropped(bright, 0.2) == ([0, 1, 2, 1, 2, 3], 3)
    assert dropped(bright, 0.21) == ([0, 1, 2, 1, 2, 0], 2)
    assert dropped(bright, 0.51) == ([0, 1, 0, 1, 0, 0], 1)
    assert dropped(bright, 0.81) == ([0] * 6, 0)


def test_numbers_that_follow_have_no_gaps():
    assert dropped(([1, 1, 0, 9], [1, 0, 9, 9]), 0.02) == ([0, 0, 1, 0, 1, 2], 2)


def test_what_people_decided_on_stays_and_no_number_changes():
    low = [1, 1, 0, 9], [1, 0, 1, 9]
    kept = np.array([1], np.int32)
    assert dropped(low, 0.02, kept=kept) == ([0, 1, 2, 1, 2, 0], 2)
    assert dropped(low, 0.02, kept=kept[:0]) == ([0, 0, 1, 0, 1, 0], 1)


def test_an_object_without_a_score_is_not_dropped():
    assert dropped(([0, 0, 0, 255], [0, 0, 255, 1]), 0.9)[0][1] == 1
