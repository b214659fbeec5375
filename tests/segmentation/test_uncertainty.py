"""Uncertain places: where they are, which are one, what was looked at, what it says."""

import time
import tracemalloc

import numpy as np
import pytest
import torch
from helpers.nets import passing

from napari_unet._steps import Steps
from napari_unet.errors import ImageError, OptionsError
from napari_unet.io.image import Image
from napari_unet.network.model import Model, UNet, UNetSpec
from napari_unet.network.normalization import Scaling
from napari_unet.options import SegmentOptions
from napari_unet.segmentation.predict import segment
from napari_unet.segmentation.uncertain_regions import Scanned, UncertainRegion
from napari_unet.segmentation.uncertainty import find_uncertain, margin

CPU = SegmentOptions(device="cpu", precision="fp32")
DARK, BRIGHT = 0, 1000
DOUBTFUL = 520  # p of a nucleus: 1 / (1 + exp(-20 * (0.52 - 0.5))) = 0.60
HALF = 508  # 0.54
REASON = "nucleus or background? 60 % against 40 %"


@pytest.fixture
def model() -> Model:
    """A net that is sure of what is dark or bright, and wavers in between."""
    net = passing(UNetSpec(1, ("background", "nucleus", "dust"), width=4, depth=2))
    with torch.no_grad():
        net.head.weight[1, 0] = 20
        net.head.bias.copy_(torch.tensor([0.0, -10.0, -30.0]))
    return Model(net, Scaling(0, 100), name="wavering")


def picture(*shape: int) -> np.ndarray:
    """Return a dark image with one bright corner, by which it is scaled."""
    pixels = np.full(shape, DARK, np.uint16)
    pixels[..., :2, :2] = BRIGHT
    return pixels


def spot(pixels: np.ndarray, *at: int, value: int = DOUBTFUL, half: int = 8) -> None:
    *plane, y, x = at
    pixels[(*plane, slice(y - half, y + half + 1), slice(x - half, x + half + 1))] = (
        value
    )


def nobody(plane, box) -> np.ndarray:
    return np.zeros([side.stop - side.start for side in box], np.bool_)


def look(model, pixels, **more) -> tuple[list[Scanned], list[UncertainRegion]]:
    image = Image("cells", pixels, "TZYX"[-pixels.ndim :])
    more = {"start": (0,) * (pixels.ndim - 2), "reviewed": nobody, **more}
    more = {"seconds": 300.0, **more}  # so that a busy machine sees all of it, too
    run = Steps(find_uncertain(model, image, more.pop("options", CPU), **more))
    return list(run), run.result


def where(places) -> list[tuple[int, ...]]:
    return [(*p.plane, p.y, p.x) for p in places]


def test_margin_is_best_less_second_probability(model) -> None:
    pixels = picture(2, 60, 70)
    spot(pixels, 1, 30, 40)
    image = Image("cells", pixels, "ZYX")
    found = margin(model, image, CPU, (1,), (slice(10, 50), slice(25, 60)))
    assert (found.shape, found.dtype) == ((40, 35), np.float32)
    assert found[20, 15] == pytest.approx(np.tanh(0.2), abs=2e-3)  # 0.6 - 0.4
    assert found[0, 0] > 0.999
    options = SegmentOptions(output="probabilities", device="cpu")
    labels = Steps(segment(model, image, options)).finish().labels
    p = np.sort(labels[:, 1, 10:50, 25:60].astype(float), 0)
    np.testing.assert_allclose(found, p[-1] - p[-2], atol=0.02)


def test_margin_is_the_same_whatever_the_tile(model) -> None:
    rng = np.random.default_rng(0)
    image = Image("noise", rng.integers(0, 1000, (150, 170)).astype(np.uint16), "YX")
    box = slice(31, 140), slice(0, 170)
    for scale in (None, 0.6):
        whole, tiled = (
            margin(
                model,
                image,
                SegmentOptions(device="cpu", precision="fp32", tile=tile, scale=scale),
                (),
                box,
            )
            for tile in (None, 64)
        )
        np.testing.assert_allclose(whole, tiled, atol=2e-3)
        assert whole.std() > 0.1


def test_uncertain_places_are_found_best_first(model) -> None:
    pixels = picture(300, 400)
    spot(pixels, 100, 80)
    spot(pixels, 200, 300, value=HALF)
    spot(pixels, 250, 50, value=900)  # the model is sure of it
    events, places = look(model, pixels)
    assert where(places) == [(200, 300), (100, 80)]
    best, second = places
    assert best.score == pytest.approx(1 - np.tanh(0.08), abs=0.01)
    assert second.score == pytest.approx(1 - np.tanh(0.2), abs=0.01)
    assert second.reason == REASON
    assert best.radius == 16
    assert events[-1].places == tuple(places)
    assert (events[0].fraction, events[-1].fraction, events[-1].looked) == (0, 1, 1)


def test_places_do_not_depend_on_tiles(model) -> None:
    pixels = picture(300, 400)
    for at, value in (((100, 80), 505), ((128, 200), 510), ((200, 300), 515)):
        spot(pixels, *at, value=value)
    options = SegmentOptions(device="cpu", precision="fp32", tile=96)
    events, places = look(model, pixels, options=options)
    assert where(places)[0] == (100, 80)
    assert len(places) == 3
    assert len(events) > 10
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions)


def test_reviewed_pixels_are_no_place(model) -> None:
    pixels = picture(300, 400)
    spot(pixels, 100, 80)
    spot(pixels, 200, 300)
    seen = np.zeros((300, 400), np.bool_)
    seen[180:220, 280:320] = True
    _, places = look(model, pixels, reviewed=lambda plane, box: seen[box])
    assert where(places) == [(100, 80)]
    seen[:] = True
    assert look(model, pixels, reviewed=lambda plane, box: seen[box])[1] == []


def test_middle_of_a_place_was_not_reviewed(model) -> None:
    pixels = picture(300, 400)
    spot(pixels, 100, 80)
    seen = np.zeros((300, 400), np.bool_)
    seen[100] = True  # a thin stroke through the middle
    _, places = look(model, pixels, reviewed=lambda plane, box: seen[box])
    assert places
    assert not any(seen[place.y, place.x] for place in places)


def test_reviewed_pixels_count_as_sure(model) -> None:
    pixels = picture(300, 400)
    spot(pixels, 100, 80, value=HALF)
    spot(pixels, 200, 300)
    seen = np.zeros((300, 400), np.bool_)
    seen[92:104] = True  # most of the first spot
    _, places = look(model, pixels, reviewed=lambda plane, box: seen[box])
    assert where(places)[0] == (200, 300)
    assert places[1].y > 103
    assert places[1].score < 0.5


def test_what_was_visited_is_not_found_again(model) -> None:
    pixels = picture(5, 120, 160)
    for z in range(5):
        spot(pixels, z, 40, 40)
    spot(pixels, 2, 90, 120, value=560)
    _, first = look(model, pixels)
    assert where(first) == [(0, 40, 40), (4, 40, 40), (2, 90, 120)]
    _, rest = look(model, pixels, found=[UncertainRegion((1,), 42, 38, 16, 0.5, "")])
    assert where(rest) == [(2, 90, 120)]


def test_same_place_in_the_next_planes_is_not_a_new_one(model) -> None:
    pixels = picture(4, 100, 120)
    for z in range(4):
        spot(pixels, z, 50, 60 + 2 * z, value=(DOUBTFUL, HALF, DOUBTFUL, DOUBTFUL)[z])
    _, places = look(model, pixels)
    assert where(places) == [(1, 50, 62)]


def test_places_are_at_least_a_radius_apart(model) -> None:
    pixels = np.full((150, 170), DOUBTFUL, np.uint16)  # one wide doubt
    pixels[0, 0], pixels[0, 1] = DARK, BRIGHT
    _, places = look(model, pixels, most=200)
    at = np.array([(p.y, p.x) for p in places])
    distance = np.abs(at[:, None] - at[None]).max(-1)
    distance[np.diag_indices(len(at))] = 99
    assert len(places) > 20
    assert distance.min() > places[0].radius


def test_most_is_how_many_there_are(model) -> None:
    pixels = picture(200, 300)
    for x in range(30, 280, 40):
        spot(pixels, 100, x)
    assert len(look(model, pixels, most=3)[1]) == 3


def test_radius_is_that_of_an_object_in_this_image(model) -> None:
    pixels = picture(200, 300)
    spot(pixels, 100, 150, half=30)
    large = Model(model.net, model.scaling, {"diameter": 60}, "large")
    options = {"device": "cpu", "precision": "fp32"}
    for fields, radius in (({}, 30), ({"scale": 0.5}, 60), ({"diameter": 90}, 45)):
        _, places = look(large, pixels, options=SegmentOptions(**options, **fields))
        assert places[0].radius == radius
        assert np.hypot(places[0].y - 100, places[0].x - 150) < radius


def test_nearest_planes_and_the_centre_come_first(model) -> None:
    pixels = picture(5, 200, 300)
    for z in range(5):
        spot(pixels, z, 20 + 30 * z, 20 + 50 * z)
    options = SegmentOptions(device="cpu", precision="fp32", tile=64)
    events, _ = look(model, pixels, options=options, start=(3,), centre=(112, 172))
    first = next(event for event in events if event.places)
    (place,) = first.places
    assert place.plane == (3,)
    assert np.hypot(place.y - 110, place.x - 170) < place.radius
    assert first.looked < 0.05
    planes = []
    for event in events:
        planes += [p.plane[0] for p in event.places if p.plane[0] not in planes]
    assert planes[0] == 3
    assert planes.index(2) < planes.index(0)
    assert planes.index(4) < planes.index(1)


def test_search_ends_when_the_time_is_up(model) -> None:
    pixels = picture(400, 300, 400)
    spot(pixels, 200, 150, 200)
    events, places = look(model, pixels, start=(200,), seconds=0.1)
    assert where(places) == [(200, 150, 200)]
    assert events[-1].fraction == 1
    assert 0 < events[-1].looked < 1


def test_even_without_time_something_is_looked_at(model) -> None:
    pixels = picture(9, 100, 120)
    spot(pixels, 0, 50, 60)
    events, places = look(model, pixels, seconds=0)
    assert where(places) == [(0, 50, 60)]
    assert events[-1].looked == pytest.approx(1 / 9)


def test_closing_ends_the_search_at_once(model) -> None:
    pixels = picture(300, 300, 300)
    image = Image("cells", pixels, "ZYX")
    planes = []

    def reviewed(plane, box) -> np.ndarray:
        planes.append(plane)
        return nobody(plane, box)

    job = find_uncertain(model, image, CPU, start=(0,), reviewed=reviewed)
    for _ in range(3):
        next(job)
    job.close()
    assert len(planes) == 2
    with pytest.raises(StopIteration):
        next(job)


def test_probabilities_of_a_large_stack_are_never_all_in_memory(model) -> None:
    class Planes:
        """A stack of 2,000 planes that is nowhere."""

        shape, dtype = (2000, 512, 512), np.dtype(np.uint16)

        def __getitem__(self, key):
            found = picture(512, 512)
            spot(found, 200, 200)
            return found[key[1:]]

    image = Image("huge", Planes(), "ZYX")
    tracemalloc.start()
    job = find_uncertain(model, image, CPU, start=(1000,), reviewed=nobody, seconds=2.0)
    events = list(job)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert events[-1].places
    assert peak < 100e6  # the probabilities of all planes are 3 GB


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((64, 64), 7, np.uint8),
        np.zeros((1, 1), np.uint16),
        np.full((3, 5), np.nan, np.float32),
        np.array([[0, np.inf], [np.nan, 1]], np.float32),
    ],
    ids=["constant", "one pixel", "nan", "not finite"],
)
def test_odd_images_are_no_errors(model, pixels) -> None:
    events, places = look(model, pixels)
    assert events[-1].looked == 1
    assert all(np.isfinite(p.score) and "nan" not in p.reason for p in places)
    image = Image("odd", pixels, "YX")
    found = margin(model, image, CPU, (), tuple(slice(0, n) for n in pixels.shape))
    assert np.isfinite(found).all()
    undecided = Model(UNet(model.spec).eval(), name="undecided")
    with torch.no_grad():
        for weights in undecided.net.head.parameters():
            weights.zero_()
    _, places = look(undecided, pixels)
    assert places[0].score == pytest.approx(1, abs=1e-3)
    assert "33 % against 33 %" in places[0].reason


def test_reasons_are_in_the_words_of_who_corrects_objects(tiny_model) -> None:
    with torch.no_grad():
        for weights in tiny_model.net.head.parameters():
            weights.zero_()
    _, (place, *_) = look(tiny_model, picture(64, 64))
    assert place.reason == "edge of an object or object? 33 % against 33 %"


def test_colours_are_seen_as_the_model_sees_them(model) -> None:
    pixels = picture(80, 90)
    spot(pixels, 40, 50)
    image = Image("rgb", np.stack([pixels] * 3, -1), "YXC", rgb=True)
    job = find_uncertain(model, image, CPU, start=(), reviewed=nobody)
    assert where(list(job)[-1].places) == [(40, 50)]


def test_wrong_places_are_named(model) -> None:
    image = Image("cells", picture(4, 50, 60), "ZYX")
    for plane in ((), (4,), (-1,), (0, 0)):
        with pytest.raises(OptionsError, match="cells has no plane"):
            next(find_uncertain(model, image, CPU, start=plane, reviewed=nobody))
    for box in ((slice(0, 51), slice(0, 9)), (slice(5, 5), slice(0, 9))):
        with pytest.raises(OptionsError, match="do not lie in cells"):
            margin(model, image, CPU, (0,), box)
    two = Image("two", picture(2, 50, 60), "CYX")
    with pytest.raises(ImageError, match="Choose a channel"):
        list(find_uncertain(model, two, CPU, start=(), reviewed=nobody))


def test_little_is_done_between_two_events(model) -> None:
    """However large the plane, and however fast the net."""
    rng = np.random.default_rng(0)
    image = Image("large", rng.integers(0, 999, (3000, 3000)).astype(np.uint16), "YX")
    job = find_uncertain(model, image, CPU, start=(), reviewed=nobody, seconds=4)
    next(job)
    gaps, began = [], time.thread_time()  # others do not make it slower
    tracemalloc.start()
    for event in job:
        now = time.thread_time()
        gaps.append(now - began)
        began = now
        assert event.looked < 0.15 * len(gaps)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(gaps) > 3
    assert max(gaps) < 2
    assert peak < 60e6  # a tile and its features; those of the plane are ten times more
