"""What a stroke says: which pixels it decides, as which class, and how it is undone."""

import numpy as np
import pytest

from napari_unet.annotation.painting import Change, LabelSchema, PaintRecorder
from napari_unet.annotation.reviews import Count, ImageReviews
from napari_unet.io.image import Image
from napari_unet.project.corrections import FOREGROUND, IGNORE
from napari_unet.project.project import Project

NUCLEI = LabelSchema("objects", ("background", "interior", "boundary"), 2)
CELLS = LabelSchema("classes", ("background", "cell"))
WHOLE = slice(0, 300), slice(0, 320)


@pytest.fixture
def reviews(tmp_path) -> ImageReviews:
    project = Project.open(tmp_path / "a.unet")
    pixels = np.zeros((300, 320), np.uint8)
    return ImageReviews(project, project.add_image(Image("a", pixels, "YX")))


def stroke(canvas: PaintRecorder, rows: slice, columns: slice, value: int) -> None:
    """Paint a rectangle, as napari does: first the labels, then the news."""
    before = canvas.labels[rows, columns].copy()
    canvas.labels[rows, columns] = value
    canvas.paint([Change((), (rows, columns), before)])


def test_class_that_was_painted_is_the_target(reviews) -> None:
    canvas = PaintRecorder(np.zeros((300, 320), np.uint8), reviews, CELLS)
    stroke(canvas, slice(250, 260), slice(250, 262), 1)  # over the corner of 4 blocks
    target, shown = reviews.read((), WHOLE)
    assert (target[250:260, 250:262] == 1).all()
    assert (shown == (target == 1)).all()
    assert (target != IGNORE).sum() == 120


def test_pixels_that_were_right_already_are_not_changed_but_confirmed(reviews) -> None:
    labels = np.zeros((300, 320), np.uint8)
    labels[10:20, 10:20] = 1
    canvas = PaintRecorder(labels, reviews, CELLS)
    stroke(canvas, slice(10, 20), slice(15, 30), 1)
    target, _ = reviews.read((), WHOLE)
    assert (target == 1).sum() == 100  # the changed ones
    canvas.confirm(
        (), (slice(10, 20), slice(10, 30)), np.ones((10, 20), bool), painted=True
    )
    target, _ = reviews.read((), WHOLE)
    assert (target == 1).sum() == 200


def test_undo_takes_a_stroke_back_and_redo_brings_it_again(reviews) -> None:
    canvas = PaintRecorder(np.zeros((300, 320), np.uint8), reviews, CELLS)
    stroke(canvas, slice(5, 9), slice(5, 9), 1)
    stroke(canvas, slice(7, 12), slice(7, 12), 0)  # over a part of the first
    first, second = canvas.labels.copy(), reviews.read((), WHOLE)
    assert not canvas.look_again(undone=True)
    canvas.labels[7:9, 7:9] = 1  # as napari undoes it
    assert canvas.look_again(undone=True)
    target, _ = reviews.read((), WHOLE)
    assert (target[5:9, 5:9] == 1).all()
    assert (target != IGNORE).sum() == 16
    canvas.labels[5:9, 5:9] = 0
    assert canvas.look_again(undone=True)
    assert (reviews.read((), WHOLE)[0] == IGNORE).all()
    canvas.labels[5:9, 5:9] = 1
    assert canvas.look_again(undone=False)
    canvas.labels[...] = first
    assert canvas.look_again(undone=False)
    for was, now in zip(second, reviews.read((), WHOLE), strict=True):
        np.testing.assert_array_equal(now, was)


def test_erasing_all_of_a_stroke_can_be_undone_and_redone(reviews) -> None:
    canvas = PaintRecorder(np.zeros((300, 320), np.uint8), reviews, CELLS)
    place = slice(5, 9), slice(5, 9)
    stroke(canvas, *place, 1)
    stroke(canvas, *place, 0)  # the labels are as they were before both
    for undone, value in ((True, 1), (True, 0), (False, 1), (False, 0)):
        canvas.labels[place] = value
        assert canvas.look_again(undone=undone)
    assert (reviews.read((), place)[0] == 0).all()


def test_undo_leaves_alone_what_was_approved_around_the_stroke(reviews) -> None:
    canvas = PaintRecorder(np.zeros((300, 320), np.uint8), reviews, CELLS)
    place = slice(0, 40), slice(0, 40)
    before, diagonal = canvas.labels[place].copy(), np.arange(40)
    canvas.labels[diagonal, diagonal] = 1
    canvas.paint([Change((), place, before)])
    canvas.approve((), place)
    canvas.labels[diagonal, diagonal] = 0
    assert canvas.look_again(undone=True)
    assert reviews.counts()[0].pixels == 40 * 40 - 40
    assert (reviews.read((), place)[0][diagonal, diagonal] == IGNORE).all()
    canvas.labels[diagonal, diagonal] = 1
    assert canvas.look_again(undone=False)
    assert reviews.counts()[0].pixels == 40 * 40 - 40
    assert reviews.counts()[1].pixels == 40


def test_brush_over_what_is_only_known_to_be_something_says_what(reviews) -> None:
    rules = LabelSchema("classes", ("background", "cell", "debris"))
    canvas = PaintRecorder(np.ones((300, 320), np.uint8), reviews, rules)
    place, shape = (slice(5, 9), slice(5, 9)), (4, 4)
    pixels = np.full(shape, FOREGROUND, np.uint8), np.ones(shape, np.int32)
    reviews.write((), place, pixels)
    canvas.confirm((), place, np.ones(shape, bool), painted=False)
    assert (reviews.read((), place)[0] == 1).all()


def test_confirmed_pixels_are_taken_back_with_their_stroke(reviews) -> None:
    canvas = PaintRecorder(np.zeros((300, 320), np.uint8), reviews, CELLS)
    stroke(canvas, slice(5, 9), slice(5, 9), 1)
    passed = np.zeros((300, 320), bool)
    passed[40:50] = True
    canvas.confirm((), WHOLE, passed, painted=True)
    assert reviews.counts()[0].pixels == 3200
    canvas.labels[5:9, 5:9] = 0
    canvas.look_again(undone=True)
    assert reviews.counts() == {}


def test_strokes_from_before_a_prediction_are_not_undone(reviews) -> None:
    canvas = PaintRecorder(np.zeros((300, 320), np.uint8), reviews, CELLS)
    stroke(canvas, slice(5, 9), slice(5, 9), 1)
    canvas.forget()
    canvas.labels[5:9, 5:9] = 0
    assert not canvas.look_again(undone=True)
    assert reviews.counts()[1].pixels == 16


def test_new_object_gets_an_interior_and_a_boundary(reviews) -> None:
    canvas = PaintRecorder(np.zeros((300, 320), np.int32), reviews, NUCLEI)
    stroke(canvas, slice(20, 30), slice(20, 30), 7)
    target, shown = reviews.read((), WHOLE)
    assert (target[21:29, 21:29] == 1).all()
    assert (target[20, 20:30] == 2).all()
    assert (target != IGNORE).sum() == 100  # nothing is said about what surrounds it
    assert (shown[20:30, 20:30] == 7).all()


def test_erased_line_through_an_object_becomes_background_between_boundaries(
    reviews,
) -> None:
    labels = np.zeros((300, 320), np.int32)
    labels[20:60, 20:60] = 3
    canvas = PaintRecorder(labels, reviews, NUCLEI)
    stroke(canvas, slice(15, 65), slice(40, 42), 0)
    target, _ = reviews.read((), WHOLE)
    assert (target[20:60, 40:42] == 0).all()
    assert (target[25:55, 39] == 2).all()
    assert (target[25:55, 42] == 2).all()
    assert (target[25:55, 30] == IGNORE).all()  # far from the line
    assert (target[15:20, 40:42] == IGNORE).all()  # was background before


def test_objects_that_are_painted_into_one_have_no_boundary_between_them(
    reviews,
) -> None:
    labels = np.zeros((300, 320), np.int32)
    labels[20:40, 20:40], labels[20:40, 40:60] = 1, 2
    canvas = PaintRecorder(labels, reviews, NUCLEI)
    stroke(canvas, slice(20, 40), slice(40, 60), 1)
    target, _ = reviews.read((), WHOLE)
    assert (target[22:38, 38:58] == 1).all()


def test_objects_without_a_boundary_class_are_foreground(reviews) -> None:
    labels = np.zeros((300, 320), np.int32)
    rules = LabelSchema("objects", ("background", "a", "b"))
    stroke(PaintRecorder(labels, reviews, rules), slice(5, 9), slice(5, 9), 4)
    assert set(np.unique(reviews.read((), WHOLE)[0])) == {FOREGROUND, IGNORE}


def test_label_that_is_no_class_says_nothing(reviews) -> None:
    canvas = PaintRecorder(np.zeros((300, 320), np.uint8), reviews, CELLS)
    stroke(canvas, slice(5, 9), slice(5, 9), 2)
    assert canvas.greatest == 2
    assert reviews.counts() == {}


def test_approved_view_is_reviewed_as_it_is(reviews) -> None:
    labels = np.zeros((300, 320), np.int32)
    labels[20:30, 20:30] = 5
    canvas = PaintRecorder(labels, reviews, NUCLEI)
    assert canvas.approve((), (slice(10, 290), slice(0, 320))) == 280 * 320
    target, shown = reviews.read((), WHOLE)
    assert (target[:10] == IGNORE).all()
    assert np.bincount(target[10:290].ravel()).tolist() == [280 * 320 - 100, 64, 36]
    assert (shown == labels).all()
    only = np.zeros((300, 320), bool)
    only[295:] = True
    assert canvas.approve((), WHOLE, only) == 5 * 320


def test_stroke_touches_its_own_plane_only(tmp_path) -> None:
    project = Project.open(tmp_path / "a.unet")
    image = Image("a", np.zeros((3, 64, 64), np.uint8), "ZYX")
    reviews = ImageReviews(project, project.add_image(image))
    labels = np.zeros((3, 64, 64), np.uint8)
    canvas = PaintRecorder(labels, reviews, CELLS)
    box = slice(5, 9), slice(5, 9)
    labels[1, 5:9, 5:9] = labels[2, 5:9, 5:9] = 1
    canvas.paint([Change((z,), box, np.zeros((4, 4), np.uint8)) for z in (1, 2)])
    assert reviews.planes() == {(1,), (2,)}
    labels[1:] = 0  # one stroke in three dimensions is undone as one
    assert canvas.look_again(undone=True)
    assert reviews.planes() == set()


def test_counts_follow_what_was_reviewed_and_survive_reopening(tmp_path) -> None:
    project = Project.open(tmp_path / "a.unet")
    image = Image("a", np.zeros((300, 320), np.uint8), "YX")
    reviews = ImageReviews(project, project.add_image(image))
    canvas = PaintRecorder(np.zeros((300, 320), np.int32), reviews, NUCLEI)
    stroke(canvas, slice(20, 30), slice(20, 30), 7)
    stroke(canvas, slice(100, 110), slice(20, 30), 9)
    assert reviews.counts() == {1: Count(2, 128), 2: Count(2, 72)}
    assert reviews.greatest() == 9
    assert reviews.boxes(()) == [(slice(0, 256), slice(0, 256))]
    project.flush()
    again = Project.open(tmp_path / "a.unet")
    found = ImageReviews(again, again.add_image(image))
    assert found.counts() == reviews.counts()
    assert found.blocks() == [((), (slice(0, 256), slice(0, 256)))]
    assert found.reviewed((), (slice(25, 26), slice(15, 25))).sum() == 5
