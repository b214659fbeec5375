"""The head that follows strokes in a view is that of a model that says the same."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from helpers.nets import passing

from napari_unet._steps import Steps
from napari_unet.io.image import Image
from napari_unet.network.model import Model, UNetSpec, load
from napari_unet.network.transfer import new_model
from napari_unet.options import SegmentOptions
from napari_unet.project.corrections import IGNORE, Correction
from napari_unet.segmentation.predict import segment
from napari_unet.training import live_head
from napari_unet.training.live_head import LiveHead
from napari_unet.training.live_strokes import Elsewhere
from napari_unet.training.live_view import LARGEST, LiveView, TooLargeError
from napari_unet.training.standing import Standing, noted

CLASSES = ("background", "cell")
EXACT = SegmentOptions(output="classes", device="cpu", precision="fp32")
BOX = (slice(20, 150), slice(37, 200))


def untrained(channels=1, classes=CLASSES, depth=3, **card):
    net = passing(UNetSpec(channels, classes, width=4, depth=depth))
    with torch.no_grad():
        net.head.bias[0] = 1.0  # background everywhere
    return Model(net, card={"diameter": 10.0, **card})


def bars(shape=(180, 240), planes=()):
    """Return an image of bright bars that are cells, and where they are."""
    truth = np.zeros(shape, bool)
    truth[10::40] = truth[11::40] = truth[12::40] = truth[13::40] = truth[14::40] = True
    noise = np.random.default_rng(0).normal(0, 5, (*planes, *shape))
    return np.clip(60 + 80 * truth + noise, 0, 255).astype(np.uint8), truth


def painted(truth, box=BOX):
    """Return a target of a box: a region of a bar, and some background."""
    target = np.full(truth.shape, IGNORE, np.uint8)
    target[90:95, 60:80] = 1
    target[105:110, 60:110] = 0
    assert truth[target == 1].all()
    assert not truth[target == 0].any()
    return target[box]


def view(image, model=None, options=EXACT, plane=(), box=BOX):
    live = LiveView(LiveHead(model or untrained()), image, options, plane, box)
    Steps(live.read()).finish()
    return live


def shown(live, model=None, box=None, **options):
    """Return what `segment` makes of the view: from what is known, or by a model."""
    known = None if model else live.within(box or live.box)
    box = box or live.box
    job = segment(
        model or live.head.model,
        live.image,
        replace(live.options, **options),
        view=box,
        plane=live.plane,
        only=True,
        known=known,
    )
    return np.asarray(Steps(job).finish().labels)[(*live.plane, *box)]


CASES = {
    "whole": ({}, {}),
    "tiles": ({"tile": 112}, {}),
    "enlarged": ({"diameter": 7.0}, {}),
    "reduced": ({"diameter": 14.0}, {}),
    "threshold": ({"threshold": 0.3}, {}),
    "trusted": ({}, noted(Standing(), 20)),
}


@pytest.mark.parametrize("case", CASES)
def test_view_is_what_a_model_with_that_head_says(case):
    options, card = CASES[case]
    pixels, truth = bars()
    image = Image("bars", pixels, "YX")
    live = view(image, untrained(**card), replace(EXACT, **options))
    for _ in range(3):
        live.refit(painted(truth))
    found = shown(live)
    assert 0 < found.mean() < 1
    np.testing.assert_array_equal(found, shown(live, live.head.learned()))


@pytest.mark.parametrize("case", ["whole", "tiles", "enlarged", "reduced"])
def test_part_of_a_view_is_the_same_as_in_the_whole(case):
    pixels, truth = bars()
    options = replace(EXACT, **CASES[case][0])
    live = view(Image("bars", pixels, "YX"), None, options)
    live.refit(painted(truth))
    part = slice(45, 101), slice(110, 163)
    within = slice(25, 81), slice(73, 126)
    np.testing.assert_array_equal(shown(live, box=part), shown(live)[within])


def test_colours_planes_and_objects_too():
    pixels, truth = bars(planes=(3, 2))  # channels, z
    image = Image("bars", pixels, "CZYX")
    model = untrained(3, ("background", "interior", "boundary"))
    live = view(image, model, replace(EXACT, output="objects"), (1,))
    target = painted(truth)
    target[target == 1] = np.where(np.arange((target == 1).sum()) % 5, 1, 2)
    live.refit(target)
    found = shown(live)
    assert found.max() > 0
    np.testing.assert_array_equal(found, shown(live, live.head.learned()))


def test_a_model_that_has_a_second_head_begins_with_it():
    pixels, truth = bars()
    image = Image("bars", pixels, "YX")
    first = view(image)
    first.refit(painted(truth))
    learned = first.head.learned()
    again = view(image, learned)
    np.testing.assert_array_equal(shown(again), shown(first))
    again.refit(painted(truth))
    assert (shown(again) == truth[BOX]).mean() > 0.94
    np.testing.assert_array_equal(shown(again), shown(again, again.head.learned()))


def test_half_precision_differs_in_next_to_nothing():
    pixels, truth = bars()
    live = view(Image("bars", pixels, "YX"), None, replace(EXACT, precision="bf16"))
    live.refit(painted(truth))
    assert (shown(live) == shown(live, live.head.learned())).mean() > 0.995


def test_strokes_are_followed_and_the_rest_of_the_view_too():
    pixels, truth = bars()
    live = view(Image("bars", pixels, "YX"))
    assert not shown(live).any()
    before = live.head.model.checksum()
    target = painted(truth)
    live.refit(target)
    seen = target != IGNORE
    assert (shown(live) == target)[seen].all()
    assert (shown(live) == truth[BOX]).mean() > 0.94
    assert live.head.model.checksum() == before


def a_stroke_of_each(truth, seed):
    """Return a target with a short horizontal stroke on each class."""
    rng = np.random.default_rng(seed)
    target = np.full(truth.shape, IGNORE, np.uint8)
    for value in (0, 1):
        rows, columns = np.nonzero(truth == value)
        at = rng.integers(len(rows), size=1)[0]
        y, x = rows[at], columns[at]
        box = slice(max(y - 4, 0), y + 5), slice(max(x - 20, 0), x + 21)
        target[box][truth[box] == value] = value
    return target


@pytest.mark.parametrize("seed", [0, 1, 4])
def test_start_that_is_useless_is_not_held_on_to_on_real_images(
    shared_data, seed, monkeypatch
):
    # A head that the model holds agrees with it: that tells nothing about the model.
    monkeypatch.setattr(live_head, "_SECONDS", 60.0)  # however busy the computer is
    box = slice(0, 256), slice(0, 256)
    pixels, truth = (
        tifffile.imread(shared_data / "isbi2012_em" / folder / "z00.tif")[box]
        for folder in ("images", "masks")
    )
    model = new_model(load("nuclei"), ("background", "membrane"))
    live = view(Image("em", pixels, "YX"), model, box=box)
    target = a_stroke_of_each((truth > 0).astype(np.uint8), seed)
    live.refit(target)
    assert (shown(live) == target)[target != IGNORE].mean() > 0.95


def test_what_is_taken_back_leaves_nothing_behind():
    pixels, truth = bars()
    live, target = view(Image("bars", pixels, "YX")), painted(truth)
    live.refit(target)
    once = shown(live)
    wrong = target.copy()
    wrong[100:120, 100:160] = 1
    live.refit(wrong)
    assert (shown(live) != once).any()
    live.refit(target)
    assert (shown(live) == once).mean() > 0.98  # a busy machine takes fewer pixels
    live.refit(np.full_like(target, IGNORE))
    assert not shown(live).any()
    assert not live.head.fitted


def test_strokes_out_of_view_count_and_are_read_once():
    pixels, truth = bars()
    image = Image("bars", pixels, "YX")
    live = view(image)
    target = np.full(truth.shape, IGNORE, np.uint8)
    target[170:175, 10:60], target[160:165, 10:60] = 1, 0
    away = Elsewhere(live.head)
    corrections = [Correction(image, target, key="a")]
    Steps(away.read(corrections, 60.0, "cpu")).finish()
    assert away.values() == {0, 1}
    live.refit(np.full((130, 163), IGNORE, np.uint8), away)
    assert (shown(live) == truth[BOX]).mean() > 0.94
    Steps(away.read(corrections, 0.0, "cpu")).finish()  # no time to read it again
    assert away.values() == {0, 1}
    Steps(away.read([], 60.0, "cpu")).finish()
    assert away.values() == set()


def test_view_with_too_many_pixels_is_refused():
    pixels = np.zeros((2048, LARGEST // 2048 + 1), np.uint8)
    box = slice(0, pixels.shape[0]), slice(0, pixels.shape[1])
    with pytest.raises(TooLargeError, match=r"4\.0 megapixels.*Zoom in"):
        view(Image("large", pixels, "YX"), box=box)
    small = slice(0, 1500), slice(0, 1500)
    options = replace(EXACT, diameter=5.0)  # the net sees four times as many
    with pytest.raises(TooLargeError, match=r"9\.0 megapixels"):
        view(Image("large", pixels, "YX"), None, options, box=small)
