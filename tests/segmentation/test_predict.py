"""Tiled equals whole, whatever the shape, the net, the tile, the scale, the output."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.nets import random_model
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet._steps import Steps
from napari_unet.errors import ImageError, MemoryBudgetError, OptionsError
from napari_unet.io.image import Image
from napari_unet.io.open import open_image
from napari_unet.labels.objects import label_tile
from napari_unet.network.model import Model, load
from napari_unet.network.predictor import engine
from napari_unet.options import SegmentOptions
from napari_unet.sample_data import sample_path
from napari_unet.segmentation.decode import ReadOut
from napari_unet.segmentation.inputs import model_input
from napari_unet.segmentation.predict import (
    Computing,
    Segmentation,
    TileDone,
    predict_tile,
    segment,
)
from napari_unet.tiling import Tile, best_window, plan_tiles, region


def random_image(shape, seed=0, axes=None, **fields):
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 4000, shape).astype(np.uint16)
    return Image("noise", data, axes or "TZYX"[-len(shape) :], **fields)


def run(model, image, options=None, **keywords) -> tuple[list[TileDone], Segmentation]:
    options = options or SegmentOptions(device="cpu")
    run = Steps(segment(model, image, options, **keywords))
    tiles = [event for event in run if isinstance(event, TileDone)]
    return tiles, run.result


def whole_logits(model, image, plane=()):
    """One forward pass of the unfolded net over the whole plane."""
    source = model_input(model, image, SegmentOptions())
    y, x = image.plane_shape
    window, _ = source.read(plane, (slice(0, y), slice(0, x)), source.intensities())
    stride = model.spec.stride
    window = np.pad(window, ((0, 0), (0, -y % stride), (0, -x % stride)), "reflect")
    with torch.inference_mode():
        return model.net(torch.from_numpy(window)[None])[0, :, :y, :x]


def same_partition(a, b):
    """Whether two label images differ in nothing but the names of their labels."""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs)


@settings(max_examples=25)
@given(
    y=st.integers(3, 150),
    x=st.integers(3, 150),
    depth=st.integers(1, 3),
    up=st.sampled_from(["transpose", "upsample"]),
    convs=st.integers(1, 2),
    extra=st.integers(1, 4),
    head=st.sampled_from([0, 8]),
    seed=st.integers(0, 99),
)
def test_tiled_logits_equal_one_forward_pass(y, x, depth, up, convs, extra, head, seed):
    model = random_model(
        seed, depth=depth, up=up, convs_per_block=convs, hypercolumn=head
    )
    spec = model.spec
    image = random_image((y, x), seed)
    whole = whole_logits(model, image)
    source = model_input(model, image, SegmentOptions())
    cpu = engine(model, "cpu", "fp32")
    tiled = torch.full_like(whole, torch.nan)
    window = 2 * spec.halo + extra * spec.stride
    for tile in plan_tiles((y, x), window, spec.halo, spec.stride).tiles:
        logits, _ = predict_tile(cpu, source, (), tile, source.intensities())
        tiled[(slice(None), *tile.core)] = logits[(slice(None), *tile.inner)]
    torch.testing.assert_close(tiled, whole, atol=1e-4, rtol=0)
    clear = whole.topk(2, dim=0).values.diff(dim=0)[0].abs() > 2e-4
    assert torch.equal(tiled.argmax(0)[clear], whole.argmax(0)[clear])


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((90, 130), "YX"), ((3, 70, 75), "ZYX"), ((2, 2, 65, 70), "TZYX")],
    ids=["plane", "z-stack", "t-z-stack"],
)
@pytest.mark.parametrize("output", ["objects", "classes", "probabilities"])
@pytest.mark.parametrize("factor", [None, 0.7, 1.6])
def test_every_tile_size_gives_the_same_result(shape, axes, output, factor):
    model = random_model(depth=1)
    image = random_image(shape, 1, axes)
    whole, tiled = (
        run(
            model,
            image,
            SegmentOptions(output=output, device="cpu", tile=tile, scale=factor),
        )[1]
        for tile in (1000, 32)
    )
    assert (
        whole.axes == tiled.axes == ("C" + axes if output == "probabilities" else axes)
    )
    if output == "objects":
        picky = SegmentOptions(output="classes", device="cpu", tile=32, scale=factor)
        classes = run(model, image, picky)[1].labels
        reach = math.ceil(3 / (factor or 1))
        for plane in image.planes():
            expected = label_tile(classes[plane], boundary=2, reach=reach)
            assert same_partition(expected, tiled.labels[plane])
        assert abs(whole.objects - tiled.objects) <= 0.01 * whole.objects
        ids = np.unique(tiled.labels[tiled.labels > 0])
        np.testing.assert_array_equal(ids, 1 + np.arange(tiled.objects))
    elif output == "classes":
        assert (whole.labels != tiled.labels).mean() < 1e-3
        assert len(np.unique(whole.labels)) > 1
    else:
        assert whole.labels.dtype == np.float16
        np.testing.assert_allclose(whole.labels, tiled.labels, atol=1e-3)
        np.testing.assert_allclose(whole.labels.sum(0, np.float32), 1, atol=3e-3)


def test_tiles_that_arrive_add_up_to_the_result():
    model = random_model(classes=("background", "a", "b"))
    image = random_image((2, 100, 90))
    tiles, result = run(model, image, SegmentOptions(tile=64, device="cpu"))
    seen = np.full(image.shape, 99, np.uint8)
    for tile in tiles:
        assert (seen[(*tile.plane, *tile.core)] == 99).all()
        seen[(*tile.plane, *tile.core)] = tile.labels
    np.testing.assert_array_equal(seen, result.labels)
    assert [t.done for t in tiles] == list(range(1, tiles[0].total + 1))


def test_classes_are_the_most_probable_and_threshold_moves_them():
    model = random_model(classes=("background", "a", "b"))
    image = random_image((40, 50))
    p = run(model, image, SegmentOptions(output="probabilities", device="cpu"))[
        1
    ].labels
    classes = run(model, image)[1].labels
    assert (classes == p.argmax(0)).mean() > 0.99
    picky = SegmentOptions(threshold=0.9, device="cpu")
    foreground = run(model, image, picky)[1].labels > 0
    assert (foreground == (1 - p[0].astype(np.float32) >= 0.9)).mean() > 0.99


def test_view_comes_first_and_only_computes_that_view():
    model = random_model(classes=("background", "a", "b"))
    image = random_image((3, 200, 220))
    view = (slice(90, 130), slice(150, 200))
    options = SegmentOptions(tile=64, device="cpu")
    tiles, whole = run(model, image, options, view=view, plane=(1,))
    first = tiles[0]
    assert first.plane == (1,)
    assert abs((first.core[0].start + first.core[0].stop) / 2 - 110) <= 32
    out = np.full(image.shape, 77, np.uint8)
    few, part = run(model, image, options, view=view, plane=(1,), only=True, out=out)
    assert len(few) < len(tiles) / 3
    inside = (1, *view)
    np.testing.assert_array_equal(part.labels[inside], whole.labels[inside])
    out[inside] = 77
    assert (out == 77).all()


def test_a_small_tile_in_view_comes_before_a_large_one():
    model = random_model(classes=("background", "a", "b"))
    image = random_image((2000, 1700))
    view = (slice(900, 1000), slice(1500, 1600))
    options = SegmentOptions(tile=1024, device="cpu", precision="fp32")
    tiles, whole = run(model, image, options, view=view)
    assert tiles[0].core == view
    assert [t.done for t in tiles] == list(range(tiles[0].total + 1))
    assert tiles[0].progress < 0.1  # it is none of the others, and small
    assert [t.progress for t in tiles] == sorted({t.progress for t in tiles})
    np.testing.assert_array_equal(tiles[0].labels, whole.labels[view])


def test_what_is_shown_first_of_a_large_view_is_small():
    model = random_model(classes=("background", "a", "b"))
    image = random_image((2000, 1700))
    view = (slice(0, 2000), slice(0, 1700))
    tiles, _ = run(model, image, SegmentOptions(tile=2048, device="cpu"), view=view)
    assert [t.core for t in tiles] == [(slice(744, 1256), slice(594, 1106)), view]


def test_the_objects_of_a_plane_that_is_one_tile_come_with_it():
    model, image = random_model(), random_image((2, 120, 120))
    tiles, result = run(model, image)
    for tile in tiles:
        np.testing.assert_array_equal(tile.labels, result.labels[tile.plane])
    assert len(tiles) == tiles[0].total == 2


def test_objects_of_tiles_are_found_when_asked_for_and_have_ids_of_their_own():
    tiles, _ = run(random_model(), random_image((100, 90)), SegmentOptions(tile=64))
    found = [tile.labels for tile in reversed(tiles)]
    ids = [set(np.unique(labels[labels > 0])) for labels in found]
    assert all(ids)
    assert len(set.union(*ids)) == sum(map(len, ids))
    for tile, labels in zip(reversed(tiles), found, strict=True):
        np.testing.assert_array_equal(tile.labels, labels)


class Counted:
    """An array that is not in memory as far as anybody knows; counts pixels."""

    def __init__(self, shape):
        self.array, self.shape, self.dtype = np.zeros(shape, np.int32), shape, np.int32
        self.read = self.written = 0

    def __getitem__(self, key):
        self.read += self.array[key].size
        return self.array[key].copy()

    def __setitem__(self, key, values):
        self.written += values.size
        self.array[key] = values


@pytest.mark.parametrize(("tile", "times"), [(4096, 1), (32, 3)])
def test_a_large_plane_is_joined_in_memory_where_the_net_has_left_enough(tile, times):
    model, image = random_model(depth=1), random_image((2100, 40))
    out = Counted((2100, 40))
    options = SegmentOptions(device="cpu", tile=tile)
    segmented = run(model, image, options, out=out)[1]
    assert (out.written // 84000, out.read // 84000) == (times, times - 1)
    ids = np.unique(out.array[out.array > 0])
    np.testing.assert_array_equal(ids, 1 + np.arange(segmented.objects))


def test_a_large_tile_gives_signs_of_life():
    model = random_model(width=32, depth=3)
    options = SegmentOptions(device="cpu", precision="fp32", tile=4096)
    job = segment(model, random_image((2500, 2500)), options)
    first, second = next(job), next(job)
    job.close()
    for sign in (first, second):
        assert isinstance(sign, Computing)
        assert (sign.plane, sign.done, sign.total) == ((), 0, 1)
    assert 0 < first.progress < second.progress < 1


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_view_of_a_resampled_image_is_exact(factor):
    model = random_model(classes=("background", "a", "b"), depth=1)
    image = random_image((120, 140))
    options = SegmentOptions(scale=factor, device="cpu")
    view = (slice(33, 71), slice(50, 99))
    whole = run(model, image, options)[1].labels[view]
    part = run(model, image, options, view=view, plane=(), only=True)[1].labels[view]
    assert (whole == part).mean() > 0.999


def test_closing_the_generator_cancels():
    model = random_model(classes=("background", "a"))
    out = np.full((100, 100), 9, np.uint8)
    job = segment(
        model, random_image((100, 100)), SegmentOptions(tile=64, device="cpu"), out=out
    )
    done = next(job)
    job.close()
    assert (out[done.core] != 9).all()
    assert (out == 9).any()


def test_rgb_is_turned_grey_and_grey_is_repeated():
    rng = np.random.default_rng(0)
    rgb = Image("stain", rng.integers(0, 255, (50, 60, 3), np.uint8), "YXC", rgb=True)
    result = run(random_model(), rgb)[1]
    assert result.labels.shape == (50, 60)
    assert "grey" in result.notes[0]
    result = run(random_model(in_channels=3), random_image((50, 60)))[1]
    assert "repeated" in result.notes[0]
    assert run(random_model(in_channels=3), rgb)[1].notes == ()


@pytest.mark.parametrize(
    ("names", "given", "index"),
    [
        (("405", "488"), "488", 1),  # lasers are called so
        (("405", "488"), "1", 1),
        (("405", "488"), 0, 0),
        (("1", "0"), "0", 1),
        (("1", "0"), 0, 0),
        (("DAPI", ""), "1", 1),
        ((), "1", 1),
    ],
)
def test_text_is_the_name_of_a_channel_before_it_is_an_index(names, given, index):
    image = Image("c.tif", np.zeros((2, 40, 50)), "CYX", channel_names=names)
    source = model_input(random_model(), image, SegmentOptions(channel=given))
    assert source.channels == (index,)


@pytest.mark.parametrize("given", ["", "2", "-1", "561"])
def test_what_is_neither_name_nor_index_is_no_channel(given):
    names = ("405", "")
    image = Image("c.tif", np.zeros((2, 40, 50)), "CYX", channel_names=names)
    with pytest.raises(ImageError, match=r"no channel .*0 405, 1"):
        model_input(random_model(), image, SegmentOptions(channel=given))


def test_channel_must_be_chosen_and_is_used():
    data = random_image((3, 40, 50)).data
    image = Image("c.tif", data, "CYX", channel_names=("DAPI", "GFP", "RFP"))
    with pytest.raises(ImageError, match=r"c.tif.*3 channels.*1 GFP"):
        run(random_model(), image)
    with pytest.raises(ImageError, match="no channel 'Cy5'"):
        run(random_model(), image, SegmentOptions(channel="Cy5"))
    alone = run(random_model(), Image("c", data[1], "YX"))[1].labels
    for channel in (1, "GFP"):
        options = SegmentOptions(channel=channel, device="cpu")
        np.testing.assert_array_equal(
            run(random_model(), image, options)[1].labels, alone
        )
    assert run(random_model(in_channels=3), image)[1].labels.shape == (40, 50)


def test_nan_and_infinity_are_background_and_said_once():
    data = np.random.default_rng(0).normal(0, 1, (2, 64, 64)).astype(np.float32)
    data[0, :8] = np.nan
    data[1, 30, 30] = np.inf
    result = run(random_model(), Image("nan", data, "ZYX"))[1]
    assert [note for note in result.notes if "NaN" in note] == list(result.notes)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1, 40), (65, 3)])
def test_tiny_images_are_segmented(shape):
    assert run(random_model(depth=3), random_image(shape))[1].labels.shape == shape


def test_min_size_drops_small_objects():
    model, image = random_model(), random_image((120, 120))
    sizes = np.bincount(run(model, image)[1].labels.ravel())[1:]
    assert (sizes < 5).any()
    kept = run(model, image, SegmentOptions(min_size=5, device="cpu"))[1]
    assert kept.objects == (sizes >= 5).sum()


def test_the_models_own_least_size_holds_unless_another_is_given():
    bare, image = random_model(), random_image((120, 120))
    model = replace(bare, card={"min_size": 5})
    sizes = np.bincount(run(bare, image)[1].labels.ravel())[1:]
    assert run(model, image)[1].objects == (sizes >= 5).sum() < len(sizes)
    everything = SegmentOptions(min_size=0, device="cpu")
    assert run(model, image, everything)[1].objects == len(sizes)
    double = SegmentOptions(scale=2.0, device="cpu")  # 5 pixels of the net: 1 of these
    assert run(model, image, double)[1].objects == run(bare, image, double)[1].objects


@pytest.mark.parametrize(
    "how",
    [{}, {"scale": 0.7}, {"scale": 1.6}, {"threshold": 0.6}],
    ids=["as it is", "reduced", "enlarged", "threshold"],
)
@pytest.mark.parametrize("tile", [1000, 64])
def test_score_of_a_pixel_is_the_probability_of_its_class(how, tile):
    model, image = random_model(), random_image((90, 130))
    options = SegmentOptions(device="cpu", tile=tile, **how)
    classes, scores = np.zeros((2, *image.shape), np.uint8)
    plain = run(model, image, options)[1]
    found = run(model, image, options, classes=classes, scores=scores)[1]
    np.testing.assert_array_equal(found.labels, plain.labels)  # nothing is dropped
    p = run(model, image, replace(options, output="probabilities"))[1].labels
    own = np.take_along_axis(p, classes[None], 0)[0].astype(np.float32)
    expected = np.where(classes == 1, np.maximum(own * 255, 1), 0)
    np.testing.assert_allclose(scores, expected, atol=0.5 + 0.2)  # p is float16
    assert (scores[classes == 1] > 0).all()


def test_pixel_that_is_labelled_has_a_score_however_improbable():
    source = model_input(random_model(), random_image((1, 3)), SegmentOptions())
    box = slice(0, 1), slice(0, 3)
    read_out = ReadOut(source, box, "objects", threshold=1e-4, boundary=2)
    logits = torch.tensor([[9.0, 0, 0], [0, 9, 0], [0, 0, 9]])[:, None]  # (K, Y, X)
    _, classes, scores = read_out.with_scores(logits, Tile(box, box, (0, 0)))
    assert classes.tolist() == [[1, 1, 2]]
    assert scores.tolist() == [[1, 255, 0]]


@pytest.mark.parametrize("classes", [("background", "a", "b"), None])
@pytest.mark.parametrize("tile", [1000, 64])
def test_min_score_drops_what_the_net_is_less_sure_of(classes, tile):
    model = random_model(**({"classes": classes} if classes else {}))
    image = random_image((2, 100, 120))
    options = SegmentOptions(output="objects", device="cpu", tile=tile)
    scores = np.zeros(image.shape, np.uint8)
    every = run(model, image, options, scores=scores)[1].labels
    own = np.array(
        [scores[(every == i) & (scores > 0)].mean() for i in range(1, every.max() + 1)]
    )
    least = float(np.median(own)) / 255
    low = np.concatenate(([True], own / 255 < least))
    found = run(model, image, replace(options, min_score=least))[1]
    assert 0 < found.objects == (~low).sum() < every.max()
    numbers = np.cumsum(~low)
    np.testing.assert_array_equal(found.labels, np.where(low, 0, numbers)[every])


def test_the_models_own_least_score_holds_unless_another_is_given():
    bare, image = random_model(), random_image((120, 120))
    model = replace(bare, card={"min_score": 0.7})
    options = SegmentOptions(device="cpu")
    every = run(bare, image, options)[1].objects
    fewer = run(bare, image, replace(options, min_score=0.7))[1].objects
    assert run(model, image, options)[1].objects == fewer < every
    assert run(model, image, replace(options, min_score=0))[1].objects == every
    classes = replace(options, output="classes")
    np.testing.assert_array_equal(
        run(model, image, classes)[1].labels, run(bare, image, classes)[1].labels
    )


def test_an_absurd_scale_is_refused():
    with pytest.raises(OptionsError, match="scaled by 1e-09"):
        run(random_model(), random_image((64, 64)), SegmentOptions(scale=1e-9))


def test_diameter_is_brought_to_the_models_own():
    source = model_input(
        random_model(), random_image((100, 60)), SegmentOptions(diameter=40)
    )
    assert source.shape == (50, 30)
    blind = Model(random_model().net)
    with pytest.raises(OptionsError, match="does not state the diameter"):
        model_input(blind, random_image((100, 60)), SegmentOptions(diameter=40))


def test_memory_that_is_too_small_says_how_much_is_needed():
    with pytest.raises(MemoryBudgetError, match=r"1 MB.*needs \d+ MB"):
        run(random_model(), random_image((64, 64)), SegmentOptions(memory=10**6))


def test_absent_device_is_an_error():
    with pytest.raises(OptionsError, match="cuda:7"):
        run(random_model(), random_image((64, 64)), SegmentOptions(device="cuda:7"))


def test_per_plane_intensities_undo_bleaching():
    model = random_model(classes=("background", "a", "b"))
    plane = random_image((64, 64)).data
    movie = Image("bleach", np.stack([plane, plane // 4]), "TYX")
    together = run(model, movie)[1].labels
    apart = run(model, movie, SegmentOptions(per_plane=True, device="cpu"))[1].labels
    same = [(labels[0] == labels[1]).mean() for labels in (apart, together)]
    assert same[0] > 0.97 > same[1]


@settings(max_examples=60)
@given(
    y=st.integers(1, 3000),
    x=st.integers(1, 3000),
    pixels=st.integers(48**2, 2000**2),
)
def test_best_window_obeys_the_limit_and_beats_squares(y, x, pixels):
    halo, stride = 16, 16
    window = best_window((y, x), pixels, halo, stride)
    plan = plan_tiles((y, x), window, halo, stride)
    assert plan.window[0] * plan.window[1] <= pixels
    side = int(pixels**0.5)
    square = plan_tiles((y, x), side, halo, stride)
    cost, naive = (len(p.tiles) * p.window[0] * p.window[1] for p in (plan, square))
    fits = square.window[0] * square.window[1] <= pixels
    assert cost <= naive or not fits


def test_region_is_aligned_and_reaches_a_halo_further():
    box = region((100, 300), (slice(40, 50), slice(290, 300)), 16, 8)
    assert box == (slice(24, 72), slice(272, 300))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_gpu_and_processor_agree(precision):
    """As far as the shipped model can be: a random one wavers everywhere."""
    model, image = load("nuclei"), open_image(sample_path("nuclei"))
    cpu, gpu = (
        run(model, image, SegmentOptions("classes", device=device, precision=how))[1]
        for device, how in (("cpu", "fp32"), ("cuda", precision))
    )
    assert gpu.device.startswith("cuda")
    assert (gpu.labels == cpu.labels).mean() >= 0.999
