"""Scores of tiny cases that were worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.errors import ImageError
from napari_unet.labels.metrics import (
    THRESHOLDS,
    Match,
    average_precision,
    dice,
    f1,
    match,
)

EMPTY = np.zeros((2, 6), np.int32)
TRUTH = np.array([[1, 1, 1, 0, 2, 2], [1, 1, 1, 0, 2, 2]])  # 6 and 4 pixels
FOUND = np.array([[7, 7, 0, 0, 5, 5], [7, 7, 0, 3, 5, 5]])  # IoU 4/6 and 1; 3 is wrong
HALVES = np.array([[1, 1, 1, 2, 2, 2], [0] * 6])
WHOLE = np.array([[1, 1, 1, 1, 1, 1], [0] * 6])

CASES = {
    "the same": (TRUTH, TRUTH, Match(2, 0, 0), 1.0),
    "one cut, one right, one wrong": (TRUTH, FOUND, Match(2, 1, 0), 16 / 19),
    "merged": (HALVES, WHOLE, Match(0, 1, 2), 1.0),  # IoU is 0.5, not above it
    "nothing found": (TRUTH, EMPTY, Match(0, 0, 2), 0.0),
    "nothing there": (EMPTY, TRUTH, Match(0, 2, 0), 0.0),
    "both empty": (EMPTY, EMPTY, Match(0, 0, 0), 1.0),
}


@pytest.mark.parametrize("case", CASES)
def test_worked_cases(case: str) -> None:
    truth, labels, found, overlap = CASES[case]
    assert match(truth, labels) == found
    assert f1(truth, labels) == found.f1
    assert dice(truth, labels) == pytest.approx(overlap)


def test_average_precision_is_the_mean_over_the_thresholds() -> None:
    # IoU 2/3 passes 0.5, 0.55, 0.6 and 0.65: 2 of 3 right; else 1 right, 2 wrong, 1 not
    # found: 1/4.
    expected = (4 * 2 / 3 + 6 * 1 / 4) / 10
    assert average_precision(TRUTH, FOUND) == pytest.approx(expected)
    assert average_precision(TRUTH, FOUND, (0.7,)) == pytest.approx(1 / 4)
    assert average_precision(EMPTY, EMPTY) == 1
    np.testing.assert_allclose(THRESHOLDS, np.arange(0.5, 1, 0.05))


def test_shares_follow_from_the_counts() -> None:
    total = Match(2, 1, 0) + Match(1, 1, 2)
    assert total == Match(3, 2, 2)
    assert total.precision == 3 / 5
    assert total.recall == 3 / 5
    assert total.f1 == 6 / 10
    assert total.average_precision == 3 / 7
    assert Match(0, 0, 0).f1 == 1


def test_below_a_half_every_object_has_one_partner_at_most() -> None:
    assert match(HALVES, WHOLE, 0.4) == Match(1, 0, 1)
    assert match(WHOLE, HALVES, 0.4) == Match(1, 1, 0)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_matches_equal_a_look_at_every_pair(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    truth, labels = rng.integers(0, count + 1, (2, 2, 3, 4))  # any number of axes
    hits = [
        (t, p)
        for t in set(truth[truth > 0].tolist())
        for p in set(labels[labels > 0].tolist())
        if ((truth == t) & (labels == p)).sum() * 2
        > ((truth == t) | (labels == p)).sum()
    ]
    there, found = (len(np.unique(a[a > 0])) for a in (truth, labels))
    tp = len(hits)
    assert match(truth, labels) == Match(tp, found - tp, there - tp)


def test_large_ids_cost_no_memory() -> None:
    labels = np.where(TRUTH == 1, 2**31 - 1, TRUTH)
    assert match(TRUTH, labels) == Match(2, 0, 0)


@pytest.mark.parametrize("score", [dice, match, f1, average_precision])
def test_different_shapes_are_refused(score: object) -> None:
    assert callable(score)
    with pytest.raises(ImageError, match=r"\(2, 5\).*\(2, 6\)"):
        score(TRUTH, TRUTH[:, :5])
