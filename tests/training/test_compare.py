"""Fixed and broken: every reviewed pixel of every correction, at its place."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.nets import passing

from napari_unet._steps import Steps
from napari_unet.errors import CorrectionError, ImageError
from napari_unet.io.image import Image
from napari_unet.network.model import Model, UNet, UNetSpec
from napari_unet.network.normalization import Scaling
from napari_unet.options import SegmentOptions, TrainOptions
from napari_unet.project.corrections import FOREGROUND, IGNORE, Correction
from napari_unet.project.project import Project
from napari_unet.segmentation.predict import segment
from napari_unet.training import compare as comparison
from napari_unet.training.compare import compare
from napari_unet.training.compared import (
    BROKEN,
    FIXED,
    NOT_REVIEWED,
    RIGHT,
    WRONG,
    Compared,
    Counts,
    total,
)

CPU = TrainOptions(device="cpu")
CLASSES = ("background", "cell", "debris")


def bright(limit: float, classes=CLASSES) -> Model:
    """Return a model that calls a cell what is brighter than `limit` (0 to 1)."""
    net = passing(UNetSpec(1, classes, width=4, depth=2))
    with torch.no_grad():
        net.head.weight[1, 0] = 100
        net.head.bias[1] = -100 * limit
        net.head.bias[2:] = -1000
    return Model(net, Scaling(0, 100), name=f"brighter than {limit}")


def wild(seed: int) -> Model:
    """Return a net whose every pixel depends on all within its reach."""
    torch.manual_seed(seed)
    net = UNet(UNetSpec(1, CLASSES, width=4, depth=2, hypercolumn=4 * seed)).eval()
    with torch.no_grad():
        if seed:
            net.hypercolumn.out.weight.normal_()
        logits = net(torch.rand(1, 1, 64, 64))[0]
        net.head.bias.sub_(logits.mean((1, 2)))
    return Model(net, name=f"wild {seed}")


def run(*arguments) -> tuple[list[float], list[Compared]]:
    run = Steps(compare(*arguments))
    return [event.fraction for event in run], run.result


PLAIN = SegmentOptions(output="classes", device="cpu")


def classes_of(model: Model, image: Image, options=PLAIN) -> np.ndarray:
    return np.asarray(Steps(segment(model, image, options)).finish().labels)


def expected(old: Model, new: Model, image: Image, target: np.ndarray) -> np.ndarray:
    """Return the map of a whole image, from what segmenting it gives."""
    before, after = (classes_of(m, image) for m in (old, new))
    any_class = target == FOREGROUND
    was, now = (np.where(any_class, c > 0, c == target) for c in (before, after))
    kinds = np.select(
        [target == IGNORE, was & now, now, was],
        [NOT_REVIEWED, RIGHT, FIXED, BROKEN],
        WRONG,
    )
    return kinds.astype(np.uint8)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1000, shape).astype(np.uint16)


def scattered(shape, seed: int = 0) -> np.ndarray:
    """Return a target with pixels of every kind."""
    values = np.array([0, 1, 2, FOREGROUND, IGNORE, IGNORE], np.uint8)
    return np.random.default_rng(seed + 9).choice(values, shape)


def test_every_kind_of_pixel_is_told_apart() -> None:
    pixels = np.array([[0, 400, 600, 1000]] * 6, np.uint16)
    target = np.array(
        [
            [0, 0, 0, 0],
            [1, 1, 1, 1],
            [2, 2, 2, 2],
            [FOREGROUND] * 4,
            [IGNORE] * 4,
            [IGNORE, IGNORE, 0, 1],
        ],
        np.uint8,
    )
    correction = Correction(Image("a", pixels, "YX"), target, source="a", key="a-1")
    fractions, (found,) = run(bright(0.5), bright(0.3), [correction], CPU)
    r, f, b, w, n = RIGHT, FIXED, BROKEN, WRONG, NOT_REVIEWED
    wanted = [[r, b, w, w], [w, f, r, r], [w] * 4, [w, f, r, r], [n] * 4, [n, n, w, r]]
    assert found.map.tolist() == wanted
    assert found.map.dtype == np.uint8
    assert found.counts == Counts(right=6, fixed=2, broken=1, wrong=9)
    assert (found.index, found.source, found.key) == (0, "a", "a-1")
    assert (found.plane, found.corner) == ((), (0, 0))
    assert fractions[-1] == 1


def test_models_that_swap_swap_fixed_and_broken() -> None:
    correction = Correction(Image("a", noise(40, 50), "YX"), scattered((40, 50)))
    _, (there,) = run(bright(0.5), bright(0.3), [correction], CPU)
    _, (back,) = run(bright(0.3), bright(0.5), [correction], CPU)
    assert there.counts.fixed == back.counts.broken > 0
    assert there.counts.broken == back.counts.fixed > 0
    assert total([there, back]).right == 2 * there.counts.right
    assert total([]) == Counts(0, 0, 0, 0)


def test_pixels_are_judged_as_they_are_segmented() -> None:
    image = Image("a", noise(150, 170), "YX")
    target = scattered((150, 170))
    old, new = wild(0), wild(1)
    _, (found,) = run(old, new, [Correction(image, target)], CPU)
    wanted = expected(old, new, image, target)
    assert len(np.unique(wanted)) == 5
    assert (found.map == wanted).mean() > 0.999  # tiles differ in the last digits


def test_planes_of_a_large_image_are_judged_in_tiles() -> None:
    image = Image("stack", noise(2, 900, 1700), "ZYX")
    target = np.full((900, 1700), IGNORE, np.uint8)
    for y, x in ((5, 10), (450, 840), (890, 1690)):
        target[y - 5 : y + 5, x - 8 : x + 8] = scattered((10, 16), x)
    old, new = wild(0), wild(1)
    correction = Correction(image, target, plane=(1,))
    fractions, (found,) = run(old, new, [correction], CPU)
    plane = Image("plane", image.data[1], "YX")
    close = expected(old, new, plane, target) == found.map
    assert found.plane == (1,)
    assert len(fractions) >= 6  # several tiles, twice
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    # Alone, the plane is scaled a little differently than in its stack.
    assert close[target != IGNORE].mean() > 0.97


def test_corrections_of_a_project_are_told_where_they_lie(tmp_path) -> None:
    stack = Image("cells", noise(3, 300, 420), "ZYX")
    project = Project.open(tmp_path / "cells.unet")
    key = project.add_image(stack)
    box = slice(200, 290), slice(230, 300)  # over the corner of four blocks
    target = scattered((90, 70))
    shown = np.zeros((90, 70), np.int32)
    project.write(key, (2,), box, (target, shown))
    project.flush()
    corrections = Project.open(project.folder).corrections()
    assert len(corrections) == 4
    old, new = wild(0), wild(1)
    _, found = run(old, new, corrections, CPU)
    whole = np.zeros(stack.shape, np.uint8)
    for c in found:
        y, x = c.corner
        height, width = c.map.shape
        whole[(*c.plane, slice(y, y + height), slice(x, x + width))] = c.map
    wanted = np.zeros(stack.shape, np.uint8)
    all_planes = np.full(stack.shape, IGNORE, np.uint8)
    all_planes[(2, *box)] = target
    wanted = expected(old, new, stack, all_planes)
    assert (whole == wanted).mean() > 0.9999
    assert ((whole > 0) == (wanted > 0)).all()
    assert {(c.source, c.key) for c in found} == {("cells", key)}


def test_crop_is_scaled_as_its_whole_image() -> None:
    pixels = noise(120, 130)
    pixels[100, 100] = 4000  # by which all of it is scaled
    whole = Image("a", pixels, "YX")
    target = scattered((40, 50))
    crop = Image("a", pixels[:80, :90], "YX")
    found = []
    for sample in (whole.sample(), None):
        correction = Correction(crop, target, corner=(20, 20), sample=sample)
        _, (compared,) = run(bright(0.2), bright(0.1), [correction], CPU)
        found.append(compared.map)
    everywhere = np.full((120, 130), IGNORE, np.uint8)
    everywhere[20:60, 20:70] = target
    wanted = expected(bright(0.2), bright(0.1), whole, everywhere)[20:60, 20:70]
    np.testing.assert_array_equal(found[0], wanted)
    assert (found[1] != wanted).any()


def test_pixels_are_judged_at_the_scale_at_which_they_were_segmented() -> None:
    rng = np.random.default_rng(3)
    image = Image("large", rng.integers(0, 99, (160, 200)).astype(np.uint16), "YX")
    target = np.full((90, 110), IGNORE, np.uint8)
    target[5:80, 10:100] = rng.integers(0, 3, (75, 90))
    seen = SegmentOptions(diameter=20.0, output="classes", device="cpu")
    models = [replace(wild(seed), card={"diameter": 14.0}) for seed in (0, 1)]
    right = []
    for model in models:
        found = classes_of(model, image, seen)[40:130, 60:170]
        right.append(found == target)
    (compared,) = run(
        *models, [Correction(image, target, corner=(40, 60), seen=seen)], CPU
    )[1]
    judged = target != IGNORE
    for kind, was, now in ((FIXED, False, True), (BROKEN, True, False)):
        wanted = judged & (right[0] == was) & (right[1] == now)
        assert wanted.any()
        assert ((compared.map == kind) == wanted).mean() > 0.999


def test_images_are_scaled_each_by_its_own_pixels() -> None:
    dim, light = noise(40, 50), noise(40, 50, seed=1) * 10
    target = scattered((40, 50))
    images = [Image(name, p, "YX") for name, p in (("dim", dim), ("light", light))]
    corrections = [Correction(image, target) for image in (*images, images[0])]
    _, found = run(bright(0.5), bright(0.3), corrections, CPU)
    for compared, image in zip(found, (*images, images[0]), strict=True):
        wanted = expected(bright(0.5), bright(0.3), image, target)
        np.testing.assert_array_equal(compared.map, wanted)
    assert [c.index for c in found] == [0, 1, 2]


def test_nothing_reviewed_is_nothing_to_judge() -> None:
    nothing = np.full((40, 50), IGNORE, np.uint8)
    correction = Correction(Image("a", noise(40, 50), "YX"), nothing)
    _, (found,) = run(wild(0), wild(1), [correction], CPU)
    assert not found.map.any()
    assert run(wild(0), wild(1), [], CPU) == ([], [])


def test_closing_ends_the_comparison() -> None:
    correction = Correction(Image("a", noise(40, 50), "YX"), scattered((40, 50)))
    job = compare(wild(0), wild(1), [correction] * 3, CPU)
    assert 0 < next(job).fraction < 0.5
    job.close()
    with pytest.raises(StopIteration):
        next(job)


class Many(Sequence):
    """Corrections of which only some may be read."""

    def __init__(self, correction: Correction, some: set[int]) -> None:
        self.correction, self.some = correction, some

    def __len__(self) -> int:
        return 2000

    def __getitem__(self, index):
        assert index in self.some
        return self.correction


def test_comparison_ends_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()  # at every look at the clock a second has passed
    clock = SimpleNamespace(perf_counter=lambda: next(ticks))
    monkeypatch.setattr(comparison, "time", clock)
    correction = Correction(Image("a", noise(40, 50), "YX"), scattered((40, 50)))
    many = Many(correction, {5, 9, 2, 7})
    models = bright(0.5), bright(0.3)
    order = [5, 9, 2, 7, *range(1000)]
    run = Steps(compare(*models, many, CPU, order=order, seconds=3.5))
    fractions = [event.fraction for event in run]
    assert [c.index for c in run.result] == [2, 5, 7, 9]
    assert fractions == sorted(fractions)
    assert 0.8 < fractions[-1] <= 1
    run = Steps(compare(*models, many, CPU, order=order, seconds=0.1))
    assert [c.index for c in run.finish()] == [5]  # one is always looked at


def test_models_with_other_classes_are_refused() -> None:
    other = bright(0.5, ("background", "cell"))
    with pytest.raises(CorrectionError, match="have different classes"):
        run(wild(0), other, [], CPU)


def test_channel_is_that_of_the_training() -> None:
    two = np.stack([noise(40, 50), noise(40, 50, seed=1)])
    target = scattered((40, 50))
    correction = Correction(Image("two", two, "CYX"), target)
    with pytest.raises(ImageError, match="Choose a channel"):
        run(wild(0), wild(1), [correction], CPU)
    options = TrainOptions(device="cpu", channel=1)
    _, (found,) = run(bright(0.5), bright(0.3), [correction], options)
    wanted = expected(bright(0.5), bright(0.3), Image("b", two[1], "YX"), target)
    np.testing.assert_array_equal(found.map, wanted)
