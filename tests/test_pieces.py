"""Objects go on after a restart: only what was reviewed is known of them then."""

import numpy as np
import pytest
from reviewed import SHAPE, predict, review, square

from napari_unet.kept import Kept
from napari_unet.pieces import blank, recall, rejoin

HERE = slice(40, 100), slice(40, 140)


def gone_on(reviews, new, first=1000):
    """Return what is shown of a prediction when nothing was shown before."""
    array = np.zeros(SHAPE, np.int32)
    kept = Kept(array, reviews)
    predict(kept, new)
    for part in blank(SHAPE, (), reviews.boxes(())):
        first = rejoin(part, kept, first)
    return array


def cut_across(reviews, upper, lower):
    """Review a gap of four pixels, and two pixels above and below it."""
    review(reviews, slice(68, 72), slice(46, 94), 0)
    review(reviews, slice(66, 68), slice(50, 90), upper)
    review(reviews, slice(72, 74), slice(50, 90), lower)


@pytest.mark.parametrize("numbers", [(195, 49), (195, 195)])
def test_gap_parts_what_is_predicted_as_one(reviews, numbers):
    cut_across(reviews, *numbers)
    new = np.zeros(SHAPE, np.int32)
    new[square(50, 50, 40)] = 330
    found = gone_on(reviews, new)
    assert set(np.unique(found[50:68, 50:90])) == {195}
    assert not found[68:72].any()
    (lower,) = np.unique(found[72:90, 50:90])
    assert lower == (49 if numbers[1] == 49 else 1000)
    assert len(np.unique(found)) == 3


def test_stroke_that_goes_on_outside_takes_its_object_along(reviews):
    review(reviews, slice(60, 66), slice(88, 130), 9)  # two pixels of it are inside
    new = np.zeros(SHAPE, np.int32)
    new[square(50, 50, 40)], new[square(50, 200, 40)] = 330, 331
    found = gone_on(reviews, new)
    assert set(np.unique(found[HERE])) == {0, 9}
    assert set(np.unique(found)) == {0, 9, 331}


def test_two_strokes_in_one_object_leave_it_one(reviews):
    review(reviews, slice(50, 55), slice(50, 60), 9)
    review(reviews, slice(85, 90), slice(80, 90), 9)
    new = np.zeros(SHAPE, np.int32)
    new[square(50, 50, 40)] = 330
    assert set(np.unique(gone_on(reviews, new))) == {0, 9}


def test_background_alone_parts_an_object(reviews):
    review(reviews, slice(68, 72), slice(46, 94), 0)
    new = np.zeros(SHAPE, np.int32)
    new[50:95, 50:90] = 330
    found = gone_on(reviews, new)
    assert (found[72:95, 50:90] == 330).all()  # the larger part
    assert (found[50:68, 50:90] == 1000).all()


def test_labels_made_without_reviews_show_them_and_no_number_twice(reviews):
    cut_across(reviews, 7, 8)
    array = np.zeros(SHAPE, np.int32)
    array[square(50, 50, 40)], array[square(200, 200, 40)] = 2, 7
    first = recall(array, reviews, 10)
    assert first == 11
    assert (array[50:68, 50:90] == 7).all()
    assert not array[68:72].any()
    assert (array[72:90, 50:90] == 8).all()
    assert (array[square(200, 200, 40)] == 10).all()
