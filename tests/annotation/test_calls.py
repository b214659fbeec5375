"""Segmenting around strokes in another process does what it does here."""

import numpy as np
import pytest

from napari_unet.annotation.calls import calling, far
from napari_unet.annotation.resegment import Request, segmenting
from napari_unet.annotation.reviews import ImageReviews
from napari_unet.annotation.start import going_on
from napari_unet.compute.call import STILL, Call, Kept
from napari_unet.compute.process import ComputeProcess
from napari_unet.io.image import Image
from napari_unet.options import SegmentOptions
from napari_unet.project.corrections import IGNORE
from napari_unet.project.project import Project
from napari_unet.ui.correct.uncertain import looking, seeing

SHAPE = 2, 96, 128
IMAGE = Image(
    "cells", np.random.default_rng(3).integers(0, 100, SHAPE).astype(np.uint16), "ZYX"
)
BOX = slice(0, 96), slice(0, 128)


@pytest.fixture(scope="module")
def process():
    process = ComputeProcess()
    yield process
    process.stop()


def finish(steps):
    """Return what a job returns, and how many events it told."""
    count = 0
    while True:
        try:
            count += next(steps) is not STILL
        except StopIteration as end:
            assert count
            return end.value


def reviewed(folder):
    """Return strokes: an object where there is none, and a line through others."""
    project = Project.open(folder / "cells.unet")
    reviews = ImageReviews(project, project.add_image(IMAGE))
    project.update(("background", "interior", "boundary"), {"labels": "objects"})
    square = slice(40, 60), slice(20, 40)
    reviews.write((0,), square, (np.ones((20, 20), np.uint8), np.full((20, 20), 9)))
    line = slice(4, 8), slice(0, 128)
    reviews.write((0,), line, (np.zeros((4, 128), np.uint8), np.zeros((4, 128), int)))
    return reviews


def request(reviews, nets):
    """Return a request that has loaded no model yet."""
    net = str(nets / "bright.safetensors")
    shown = np.zeros(SHAPE, np.int32)
    models = Kept("models")
    return Request(
        IMAGE, net, SegmentOptions(), models, shown=shown, reviews=reviews, plane=(0,)
    )


def test_labels_and_strokes_are_those_of_a_thread(process, nets, tmp_path):
    found = []
    for name, run in (("there", process.run), ("here", lambda call: call())):
        reviews = reviewed(tmp_path / name)
        view = request(reviews, nets)
        outcome = finish(run(calling(segmenting, view)))
        assert not view.models or name == "here"  # the net was run elsewhere
        target, shown = reviews.read((0,), BOX)
        found.append((outcome.array, target, shown, outcome.table["label"]))
    for there, here in zip(*found, strict=True):
        np.testing.assert_array_equal(there, here)
    labels, target, shown, _ = found[0]
    assert (labels[0][target != IGNORE] == shown[target != IGNORE]).all()
    assert (labels[0, 40:60, 20:40] == 9).all()
    assert (labels[0, 4:8] == 0).all()
    assert labels[1].any()


def test_going_on_and_looking_for_doubt_know_the_strokes(process, nets, tmp_path):
    view = request(reviewed(tmp_path), nets)
    begun = finish(process.run(calling(going_on, view, None)))
    assert (begun.array[0, 40:60, 20:40] == 9).all()
    here, there = (
        finish(run(calling(seeing, view))) for run in (lambda call: call(), process.run)
    )
    np.testing.assert_array_equal(here, there)
    call = Call(looking, [(far(view), ())])
    assert finish(process.run(call)) == finish(call())


def test_what_was_painted_meanwhile_keeps_its_number(nets, tmp_path):
    reviews = reviewed(tmp_path)
    there = far(request(reviews, nets)).reviews
    before = there.read((0,), BOX)
    spot = slice(50, 52), slice(30, 32)
    reviews.write((0,), spot, (np.ones((2, 2), np.uint8), np.full((2, 2), 77)))
    there.renumber((0,), BOX, before, np.full((96, 128), 5))
    _, shown = reviews.read((0,), BOX)
    assert (shown[50:52, 30:32] == 77).all()
    assert shown[45, 25] == 5
