"""Objects of planes become those of a stack; what people decided on stays."""

from contextlib import closing

import numpy as np
import pytest

from napari_unet._steps import Steps
from napari_unet.labels.linking import join_planes, z_stacks


def joined(labels, kept=None, classes=None, boundary=None, scores=None, least=0.0):
    """Return a stack of planes (Z, X) of one row each, joined, and what was counted."""
    array = np.array(labels, np.int32)[:, None]
    if classes is not None:
        classes = np.array(classes, np.uint8)[:, None]
    if scores is not None:
        scores = np.array(scores, np.uint8)[:, None]
    job = join_planes(
        array,
        classes,
        z_stacks("Z", array.shape[:1]),
        int(array.max()),
        boundary=boundary,
        scores=scores,
        min_score=least,
        kept=None if kept is None else np.array(kept, np.int32),
    )
    count = Steps(job).finish()
    return array[:, 0].tolist(), count


def test_what_overlaps_is_one_and_numbers_have_no_gaps():
    labels = [[1, 1, 0, 2], [3, 0, 4, 4], [0, 5, 5, 0]]
    assert joined(labels) == ([[1, 1, 0, 2], [1, 0, 2, 2], [0, 2, 2, 0]], 2)


def test_classes_part_what_overlaps_and_the_boundary_goes_with_any():
    labels = [[1, 1, 0, 2], [3, 0, 0, 4]]
    classes = [[1, 1, 0, 1], [2, 0, 0, 3]]
    expected = [[1, 1, 0, 2], [3, 0, 0, 2]]
    assert joined(labels, classes=classes, boundary=3) == (expected, 3)


def test_a_joined_object_of_a_low_score_is_background_in_all_planes():
    labels = [[1, 1, 0, 2], [3, 0, 4, 4], [0, 5, 5, 0]]
    scores = [[9, 9, 0, 255], [9, 0, 1, 255], [0, 0, 1, 0]]
    found = joined(labels, scores=scores, least=0.5)
    assert found == ([[0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 1, 0]], 1)
    assert joined(labels, scores=scores, least=0.01)[1] == 2
    found = joined(labels, [3], scores=scores, least=0.5)
    assert found == ([[3, 3, 0, 2], [3, 0, 2, 2], [0, 2, 2, 0]], 2)


@pytest.mark.parametrize(
    ("labels", "kept", "expected"),
    [
        ([[7, 7], [3, 3], [9, 9]], [9], [[9, 9], [9, 9], [9, 9]]),
        ([[5, 5, 5], [2, 0, 4], [6, 6, 6]], [2, 4], [[5, 5, 5], [2, 0, 4], [6, 6, 6]]),
        ([[1, 0], [0, 2], [3, 3]], [3], [[1, 0], [0, 3], [3, 3]]),
        ([[8, 0], [8, 1], [8, 2]], [8], [[8, 0], [8, 1], [8, 1]]),
    ],
    ids=["takes its id", "joined with none of several", "apart", "one id in planes"],
)
def test_an_id_that_people_decided_on_stays(labels, kept, expected):
    assert joined(labels, kept)[0] == expected


def test_cancelled_halfway_no_id_stands_for_two_objects():
    labels = np.zeros((6, 1, 3), np.int32)
    labels[:, 0, 0], labels[:, 0, 2] = range(1, 12, 2), range(2, 13, 2)
    whole, cut = labels.copy(), labels.copy()

    def job(array):
        return join_planes(array, None, z_stacks("Z", (6,)), 12, boundary=None)

    assert Steps(job(whole)).finish() == 2
    with closing(job(cut)) as steps:
        while next(steps) <= 0.5:
            pass
    np.testing.assert_array_equal(cut, whole)


def test_time_points_are_stacks_of_their_own():
    assert z_stacks("ZT", (2, 2)) == [[(0, 0), (1, 0)], [(0, 1), (1, 1)]]
