"""Objects go on after a restart: only what was reviewed is known of them then."""

import numpy as np
import pytest
from helpers.reviewed import SHAPE, predict, review, square
from scipy import ndimage

from napari_unet.annotation.match import blank, look, recall, rejoin
from napari_unet.annotation.protect import ProtectedLabels
from napari_unet.project.corrections import IGNORE

HERE = slice(40, 100), slice(40, 140)


def gone_on(reviews, new, first=1000):
    """Return what is shown of a prediction when nothing was shown before."""
    array = np.zeros(SHAPE, np.int32)
    kept = ProtectedLabels(array, reviews)
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


def ragged(reviews):
    """Cut a square by a diagonal of background that leaves pixels over on its way."""
    labels = np.zeros(SHAPE, np.int32)
    labels[square(50, 50, 40)] = 7
    target = np.full(SHAPE, IGNORE, np.uint8)
    for i in range(-4, 44):
        y, x = 50 + i, 50 + i
        target[y - 1 : y + 2, x - 3 : x + 4] = 0
    for i in range(2, 34, 6):  # the brush missed one in the middle, and one beside it
        target[50 + i, 50 + i] = target[52 + i, 54 + i] = 1
    labels[target == 0] = 0
    edge = (target == IGNORE) & ndimage.binary_dilation(target == 0, iterations=2)
    target[edge & (labels > 0)] = 1
    reviews.write((), (slice(0, 600), slice(0, 520)), (target, labels))
    return labels


def test_what_a_brush_left_over_gets_no_number_of_its_own(reviews):
    labels = ragged(reviews)
    said, _ = reviews.read((), square(0, 0, 500))
    new = np.zeros(SHAPE, np.int32)
    new[square(50, 50, 40)] = 330
    for first in (1000, 2000, 3000):
        (before,) = look(labels, (), reviews.boxes(()))
        kept = ProtectedLabels(labels.copy(), reviews)
        predict(kept, new)
        rejoin(before, kept, first, least=30)
        labels = kept.array
        assert len(np.unique(labels)) == 3
        assert labels[80, 52] != labels[52, 80] > 0
    np.testing.assert_array_equal(reviews.read((), square(0, 0, 500))[0], said)
    seen = said != IGNORE
    assert ((labels[:500, :500] > 0) == (said == 1))[seen].all()


def test_what_background_left_of_a_prediction_becomes_background(reviews):
    review(reviews, slice(51, 89), slice(51, 89), 0)  # it was no object at all
    review(reviews, slice(300, 310), slice(200, 210), 8)
    array = np.zeros(SHAPE, np.int32)
    array[square(50, 50, 40)] = 330
    array[square(300, 200, 10)], array[304:306, 210] = 331, 332
    array[square(400, 200, 5)] = 333  # far from all strokes
    recall(array, reviews, 1000, least=200)
    assert set(np.unique(array)) == {0, 8, 333}


def test_objects_that_leave_the_view_keep_their_numbers(reviews):
    old = np.zeros(SHAPE, np.int32)
    old[50:80, 20:180], old[100:130, 60:260], old[200:210, 100:110] = 5, 6, 7
    view = slice(0, 256), slice(100, 200)
    array = old.copy()
    kept = ProtectedLabels(array, reviews)
    (before,) = look(array, (), [], view)
    new = np.zeros(SHAPE, np.int32)
    new[50:80, 100:180], new[100:130, 100:200], new[200:210, 101:110] = 301, 302, 303
    kept[view] = new[view]
    rejoin(before, kept, 1000)
    new = np.where(new == 303, 7, np.where(np.isin(old, (5, 6)), old, 0))
    np.testing.assert_array_equal(array, new)


def test_view_leaves_alone_what_was_parted_at_its_border(reviews):
    old = np.zeros(SHAPE, np.int32)
    old[square(50, 50, 40)] = 7
    old[68:72] = 0
    old[72:90, 50:90] = 8
    cut_across(reviews, 7, 8)
    array = old.copy()
    kept = ProtectedLabels(array, reviews)
    view = slice(0, 256), slice(70, 256)
    (before,) = look(array, (), reviews.boxes(()), view)
    kept[view] = np.where(old[view] > 0, 301, 0)
    kept[68:72, 70:90] = np.full((4, 20), 301, np.int32)
    rejoin(before, kept, 1000)
    np.testing.assert_array_equal(array, old)
