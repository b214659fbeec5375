"""A stroke is one piece, whatever it went over."""

import numpy as np
import pytest
from helpers.reviewed import SHAPE
from scipy import ndimage

from napari_unet.annotation.painting import Change, LabelSchema, PaintRecorder
from napari_unet.annotation.reviews import Count
from napari_unet.project.block_store import SIDE
from napari_unet.project.corrections import IGNORE
from napari_unet.project.piece_count import Pieces

OBJECTS = LabelSchema("objects", ("background", "interior", "boundary"), 2)
EIGHT = np.ones((3, 3))


def blobs(seed, classes=3):
    """Return random patches of classes, and nothing between, in 3 x 3 blocks."""
    noise = np.random.default_rng(seed).normal(size=(classes + 1, 3 * SIDE, 3 * SIDE))
    smooth = ndimage.gaussian_filter(noise, (0, 9, 9))
    found = smooth.argmax(0).astype(np.uint8)
    return np.where(found == classes, IGNORE, found).astype(np.uint8)


def take(pieces, target):
    """Look at all blocks, in an order of no meaning."""
    corners = [
        (y, x) for y in range(0, len(target), SIDE) for x in range(0, len(target), SIDE)
    ]
    for at in np.random.default_rng(1).permutation(len(corners)):
        y, x = corners[at]
        pieces.take(((), y, x), target[y : y + SIDE, x : x + SIDE])


@pytest.mark.parametrize("seed", range(3))
def test_pieces_that_cross_blocks_are_counted_once(seed):
    pieces, target = Pieces(), blobs(seed)
    take(pieces, blobs(seed + 9))
    take(pieces, target)  # another was there before
    whole = {
        value: Count(
            ndimage.label(target == value, EIGHT)[1], int((target == value).sum())
        )
        for value in range(3)
    }
    assert pieces.counts() == whole


def test_pieces_that_touch_at_the_corner_of_blocks_are_one():
    for turn in (False, True):
        target = np.full((2 * SIDE, 2 * SIDE), IGNORE, np.uint8)
        target[SIDE - 1, SIDE - 1] = target[SIDE, SIDE] = 1
        pieces = Pieces()
        take(pieces, target[:, ::-1] if turn else target)
        assert pieces.counts() == {1: Count(1, 2)}


def paint(reviews, labels, number, rows, columns):
    """Paint over a rectangle of a plane, as a stroke of napari's brush does."""
    box = slice(*rows), slice(*columns)
    before = labels[box].copy()
    labels[box] = number
    PaintRecorder(labels, reviews, OBJECTS).paint([Change((), box, before)])


def test_stroke_of_an_object_is_one_piece(reviews):
    reviews.count_by(objects=True)
    labels = np.zeros(SHAPE, np.int32)
    paint(reviews, labels, 7, (10, 30), (10, SHAPE[1] - 10))
    assert sum(count.strokes for count in reviews.counts().values()) == 1
    assert {1, 2} <= reviews.counts().keys()  # pixels of both


def test_eraser_through_an_object_leaves_one_piece(reviews):
    reviews.count_by(objects=True)
    labels = np.zeros(SHAPE, np.int32)
    labels[10:50, 10:50] = 3
    paint(reviews, labels, 0, (28, 32), (5, 60))
    counts = reviews.counts()
    assert counts[1].pixels  # of the rims of what is left
    assert {value: c.strokes for value, c in counts.items()} == {0: 1, 1: 0, 2: 0}


def test_thin_object_on_background_that_was_reviewed_is_a_piece(reviews):
    reviews.count_by(objects=True)
    labels = np.zeros(SHAPE, np.int32)
    PaintRecorder(labels, reviews, OBJECTS).approve((), (slice(0, 200), slice(0, 200)))
    paint(reviews, labels, 4, (50, 52), (50, 90))
    strokes = sum(c.strokes for value, c in reviews.counts().items() if value)
    assert strokes == 1
