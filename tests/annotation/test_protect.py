"""Predictions never change what people reviewed, and objects keep their numbers."""

import numpy as np
from helpers.reviewed import SHAPE, predict, review, square

from napari_unet.annotation.match import look, rejoin
from napari_unet.annotation.protect import ProtectedLabels, restore
from napari_unet.annotation.reviews import ImageReviews
from napari_unet.project.corrections import IGNORE


def test_reviewed_pixels_stay_and_the_prediction_can_be_read_again(reviews) -> None:
    review(reviews, slice(250, 262), slice(100, 110), 7)
    review(reviews, slice(10, 20), slice(10, 20), 0)
    array = np.zeros(SHAPE, np.int32)
    labels = np.random.default_rng(0).integers(1, 5, SHAPE).astype(np.int32)
    kept = ProtectedLabels(array, reviews)
    predict(kept, labels)
    assert (array[250:262, 100:110] == 7).all()
    assert (array[10:20, 10:20] == 0).all()
    seen = reviews.read((), (slice(0, 600), slice(0, 520)))[0] != IGNORE
    assert (array[~seen] == labels[~seen]).all()
    np.testing.assert_array_equal(kept[0:600, 0:520], labels)


def test_later_tiles_replace_what_earlier_ones_wrote(reviews) -> None:
    review(reviews, slice(10, 20), slice(10, 20), 7)
    kept = ProtectedLabels(np.zeros(SHAPE, np.int32), reviews)
    kept[0:100, 0:100] = np.full((100, 100), 3, np.int32)
    kept[5:15, 0:100] = np.full((10, 100), 4, np.int32)
    found = kept[0:30, 12:13][:, 0]
    assert found.tolist() == [3] * 5 + [4] * 10 + [3] * 15


def test_untouched_image_is_written_as_it_is(reviews) -> None:
    array = np.zeros(SHAPE, np.int32)
    labels = np.arange(array.size, dtype=np.int32).reshape(SHAPE)
    predict(ProtectedLabels(array, reviews), labels)
    np.testing.assert_array_equal(array, labels)


def test_restore_shows_what_was_reviewed(reviews) -> None:
    review(reviews, slice(590, 600), slice(500, 520), 9)  # at the image's corner
    array = np.ones(SHAPE, np.int32)
    restore(array, reviews, reviews.blocks())
    assert (array == 9).sum() == 200


def rejoined(reviews: ImageReviews, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return what is shown once `new` was predicted where `old` was shown."""
    array = old.copy()
    boxes = [*reviews.boxes(()), square(0, 0, 500)]
    before = look(array, (), boxes)
    kept = ProtectedLabels(array, reviews)
    predict(kept, new)
    first = 1000
    for part in before:
        first = rejoin(part, kept, first)
    return array


def test_object_goes_on_around_its_reviewed_pixels(reviews) -> None:
    old, new = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.int32)
    old[square(50, 50, 40)] = 7
    review(reviews, slice(50, 60), slice(50, 90), 7)  # its upper part was painted
    new[square(52, 52, 40)] = 123
    found = rejoined(reviews, old, new)
    assert set(np.unique(found)) == {0, 7}
    assert (found == 7).sum() > 1600


def test_objects_painted_into_one_stay_one(reviews) -> None:
    old, new = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.int32)
    old[50:90, 50:130] = 7
    review(reviews, slice(50, 90), slice(90, 130), 7)  # the right half was object 8
    new[square(50, 50, 40)], new[square(50, 90, 40)] = 201, 202
    assert set(np.unique(rejoined(reviews, old, new))) == {0, 7}


class Painted(ImageReviews):
    """Reviews of which somebody paints some more once they were read."""

    def read(self, plane, box):
        found = super().read(plane, box)
        waiting, self.waiting = self.waiting, ()
        for stroke in waiting:
            review(self, *stroke)
        return found

    waiting = ()


def test_stroke_that_is_painted_while_objects_go_on_is_kept(reviews) -> None:
    review(reviews, slice(50, 60), slice(50, 90), 7)
    array = np.zeros(SHAPE, np.int32)
    array[50:90, 50:90] = 7
    (before,) = look(array, (), reviews.boxes(()))
    store = Painted(reviews.project, reviews.key)
    kept = ProtectedLabels(array, store)
    predict(kept, array.copy())
    store.waiting = [(slice(100, 110), slice(100, 110), 9)]
    rejoin(before, kept, 1000)
    target, shown = reviews.read((), square(100, 100, 10))
    assert (target == 1).all()
    assert (shown == 9).all()


def test_reviews_that_were_not_shown_before_are_left_as_they_are(reviews) -> None:
    review(reviews, slice(50, 60), slice(50, 90), 0)
    review(reviews, slice(60, 62), slice(50, 90), 9)
    old = np.zeros(SHAPE, np.int32)
    old[square(40, 50, 40)] = 7  # as if nothing had been reviewed
    found = rejoined(reviews, old, old)
    target, shown = reviews.read((), (slice(50, 62), slice(50, 90)))
    assert (target == [[0]] * 10 + [[1]] * 2).all()
    assert (shown == [[0]] * 10 + [[9]] * 2).all()
    np.testing.assert_array_equal(found[50:62, 50:90], shown)


def test_object_that_was_cut_gets_a_number_for_each_piece(reviews) -> None:
    old, new = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.int32)
    old[50:90, 50:130] = 7
    old[50:90, 100:104] = 0
    review(reviews, slice(50, 90), slice(98, 106), 7)
    review(reviews, slice(50, 90), slice(100, 104), 0)
    new[50:90, 50:100], new[50:90, 104:130] = 201, 202
    found = rejoined(reviews, old, new)
    assert set(np.unique(found[50:90, 50:100])) == {7}
    assert set(np.unique(found[50:90, 104:130])) == {1000}
    _, shown = reviews.read((), (slice(50, 90), slice(98, 106)))
    assert set(shown[:, 6:].ravel()) == {1000}  # what people decided on follows


def test_untouched_objects_keep_their_numbers_unless_they_come_apart(reviews) -> None:
    old, new = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.int32)
    old[square(10, 10, 30)], old[100:130, 10:70] = 4, 5
    new[square(12, 12, 30)] = 300
    new[100:130, 10:45], new[100:130, 46:70] = 301, 302  # better than before
    new[square(200, 200, 20)] = 303
    found = rejoined(reviews, old, new)
    assert found[20, 20] == 4
    assert found[110, 20] == 5
    assert found[110, 60] == 302
    assert found[210, 210] == 303


def test_neighbour_that_a_stroke_brushed_stays_another_object(reviews) -> None:
    old, new = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.int32)
    old[square(50, 50, 40)], old[square(50, 90, 40)] = 7, 8
    old[50:90, 90:93] = 7  # painted three pixels too far
    review(reviews, slice(50, 90), slice(88, 93), 7)
    new[square(50, 50, 40)], new[square(50, 90, 40)] = 201, 202
    found = rejoined(reviews, old, new)
    assert (found[50:90, 93:130] == 8).all()
    assert (found[50:90, 50:93] == 7).all()


def test_object_that_goes_on_far_away_takes_the_new_number(reviews) -> None:
    old, new = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.int32)
    old[100:110, 100:140] = 7
    review(reviews, slice(100, 110), slice(100, 140), 7)
    new[100:110, :] = 201  # beyond the blocks that are looked at
    array = old.copy()
    (before,) = look(array, (), reviews.boxes(()))
    assert before.box[1].stop == 512
    kept = ProtectedLabels(array, reviews)
    predict(kept, new)
    rejoin(before, kept, 1000)
    assert set(np.unique(array[100:110])) == {201}


def test_regions_far_apart_are_remembered_apart() -> None:
    array = np.zeros((5000, 5000), np.uint8)
    found = look(array, (), [square(0, 0, 256), square(4096, 4096, 256)])
    assert [part.labels.shape for part in found] == [(512, 512), (768, 768)]
