"""How `nuclei` is trained and judged: what is held out, drawn, aimed at and counted."""

from pathlib import Path

import nuclei_crops
import nuclei_data
import nuclei_judge
import numpy as np
import pytest
import torch
import train_nuclei
from helpers.nets import random_model
from nuclei_data import Annotated
from widen import widened

from napari_unet.labels.metrics import Match
from napari_unet.labels.objects import instance_targets

HEIGHT, WIDTH = 64, 80


def squares(*corners: tuple[int, int], side: int = 10) -> np.ndarray:
    """Draw a square object at each corner, numbered from 1."""
    labels = np.zeros((HEIGHT, WIDTH), np.int32)
    for number, (y, x) in enumerate(corners, 1):
        labels[y : y + side, x : x + side] = number
    return labels


def annotated(name: str = "dsb2018", group: str = "a", kind: str = "k") -> Annotated:
    """Make an image with two touching nuclei."""
    labels = torch.from_numpy(squares((10, 10), (10, 20)).astype(np.float32))
    noise = np.random.default_rng(1).normal(10, 1, labels.shape).astype(np.float32)
    image = torch.from_numpy(noise) + 100 * (labels > 0)
    return Annotated(
        name, Path(f"{group}.tif"), group, kind, image[None], labels, "learn"
    )


# --- what is held out ----------------------------------------------------------------


def test_a_fifth_of_the_groups_is_held_out_and_always_the_same() -> None:
    kinds = {f"group {i}": "only" for i in range(20)}
    folds = nuclei_data.hold_out("dsb2018", kinds)
    assert list(folds.values()) == ["held out"] * 4
    backwards = dict(reversed(kinds.items()))
    assert nuclei_data.hold_out("dsb2018", backwards) == folds
    assert nuclei_data.hold_out("other", kinds) != folds


def test_of_a_kind_that_the_fifth_lacks_one_group_is_held_out_if_it_has_two() -> None:
    kinds = {f"group {i}": "usual" for i in range(18)}
    kinds |= {"one": "pair", "two": "pair", "alone": "single"}
    found = [nuclei_data.hold_out(name, kinds) for name in map(str, range(20))]
    lacking = [f for f in found if "held out" not in map(f.get, ("one", "two"))]
    assert len(lacking) > 5
    for folds in lacking:
        assert [folds.get("one"), folds.get("two")].count("rare") == 1
        assert folds.get("alone") != "rare"


def test_nuclei_on_dark_ground_are_fluorescent_and_stained_ones_are_not() -> None:
    item = annotated()
    assert item.fluorescent
    stained = (255 - item.image).expand(3, -1, -1)
    tissue = Annotated("s", item.path, "a", "k", stained, item.labels, "learn")
    assert not tissue.fluorescent


# --- how it is judged ----------------------------------------------------------------


def test_objects_found_as_one_are_counted_as_merged() -> None:
    truth = squares((10, 10), (10, 20), (40, 40))
    found = np.where(truth == 2, 1, truth)
    figures = nuclei_judge.judge(truth, found)
    assert figures.found[0] == Match(tp=1, fp=1, fn=2)
    assert (figures.merged, figures.unseen) == (2, 0)


def test_an_object_swallowed_by_a_larger_one_is_merged_and_the_larger_found() -> None:
    truth = np.zeros((HEIGHT, WIDTH), np.int32)
    truth[10:40, 10:40], truth[10:20, 40:45] = 1, 2
    figures = nuclei_judge.judge(truth, (truth > 0).astype(np.int32))
    assert figures.found[0] == Match(tp=1, fp=0, fn=1)
    assert figures.merged == 1


def test_an_object_that_nothing_covers_is_unseen_and_a_shifted_one_is_not() -> None:
    truth = squares((10, 10), (40, 40))
    found = np.roll(np.where(truth == 2, 0, truth), 4, 0)  # IoU 6 / 14
    figures = nuclei_judge.judge(truth, found)
    assert figures.found[0] == Match(tp=0, fp=1, fn=2)
    assert (figures.merged, figures.unseen) == (0, 1)


@pytest.mark.parametrize("nothing", ["truth", "found"])
def test_an_image_where_one_side_has_no_objects_is_judged(nothing: str) -> None:
    labels, empty = squares((10, 10)), squares()
    truth, found = (empty, labels) if nothing == "truth" else (labels, empty)
    figures = nuclei_judge.judge(truth, found)
    half = figures.found[0]
    assert (half.tp, half.fp + half.fn) == (0, 1)
    assert figures.unseen == (nothing == "found")


def test_figures_are_pooled_over_objects_and_not_over_images() -> None:
    crowded = squares(*((y, x) for y in (0, 20, 40) for x in (0, 20, 40)))
    perfect = nuclei_judge.judge(squares((10, 10)), squares((10, 10)))
    missed = nuclei_judge.judge(crowded, np.zeros_like(crowded))
    both = perfect + missed
    assert both.f1 == pytest.approx(2 / (2 + 9))
    assert both.ap == pytest.approx(1 / 10)
    assert both.summary() == {"dice": 0.5, "f1": 0.182, "ap": 0.1, "images": 2}


def test_images_without_nuclei_differ_and_one_is_constant() -> None:
    pictures = dict(nuclei_judge.blanks(size=64))
    assert np.ptp(pictures.pop("empty")) == 0
    assert all(np.ptp(picture) > 5 for picture in pictures.values())
    assert dict(nuclei_judge.blanks(size=64))["haze, noise"].tolist() == (
        pictures["haze, noise"].tolist()
    )


# --- what the net is to say ----------------------------------------------------------


def test_targets_are_the_classes_that_every_model_with_a_boundary_learns() -> None:
    labels = squares((10, 10), (10, 20), (21, 10), (40, 40))
    classes, _ = nuclei_crops.targets(torch.from_numpy(labels)[None].float())
    np.testing.assert_array_equal(classes[0].numpy(), instance_targets(labels))


def test_what_lies_between_two_objects_weighs_more_the_nearer_they_are() -> None:
    labels = squares((10, 10), (10, 20), (30, 10), (30, 23))
    _, weights = nuclei_crops.targets(torch.from_numpy(labels)[None].float())
    touching, gap, alone = weights[0, 15, 19], weights[0, 35, 21], weights[0, 15, 10]
    far = weights[0, 55, 70]
    assert touching > gap > alone > far
    assert far == 1


def test_background_around_a_single_object_has_the_weight_of_background() -> None:
    _, weights = nuclei_crops.targets(torch.from_numpy(squares((10, 10)))[None].float())
    assert (weights[0][torch.from_numpy(squares((10, 10)) == 0)] == 1).all()


# --- what is drawn -------------------------------------------------------------------


def test_a_rare_kind_is_drawn_more_often_than_by_its_number() -> None:
    items = [annotated(group=f"{i}", kind="usual") for i in range(9)]
    items.append(annotated(group="r", kind="rare"))
    assert nuclei_crops.shares(items)[-1] == pytest.approx(1 / 4)


def test_many_images_of_one_picture_count_less_than_as_many_pictures() -> None:
    items = [annotated(group="same") for _ in range(4)]
    items.append(annotated(group="other"))
    assert nuclei_crops.shares(items)[-1] == pytest.approx(1 / 3)


def test_images_with_large_errors_come_more_often_and_sets_keep_their_share() -> None:
    items = [annotated(group=f"{i}") for i in range(3)]
    items += [annotated("bbbc039_u2os", f"{i}", "other") for i in range(3)]
    sampler = nuclei_crops.Sampler(items)
    before = sampler.weights()
    for _ in range(20):
        sampler.learn(np.array([0, -1]), np.array([9.0, 9.0]))
    after = sampler.weights()
    assert after[0] > 1.4 * before[0]
    assert after[:3].sum() == pytest.approx(before[:3].sum())
    np.testing.assert_allclose(sampler.errors[1:], 1)  # a blank crop is of no image


def test_a_step_draws_the_same_crops_every_time() -> None:
    sampler = nuclei_crops.Sampler([annotated(), annotated(group="b")])
    first = sampler.batch(7, sampler.weights(), 1.0)
    again = sampler.batch(7, sampler.weights(), 1.0)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[1], sampler.batch(8, sampler.weights(), 1.0)[1])


def test_a_crop_without_objects_is_scaled_as_an_empty_image_would_be() -> None:
    noise = np.random.default_rng(1).normal(10, 1, (1, 600, 600)).astype(np.float32)
    noise[:, :, :30] += 1000  # a bright margin, which few crops show
    image, labels = torch.from_numpy(noise), torch.zeros(600, 600)
    item = Annotated("dsb2018", Path("a.tif"), "a", "k", image, labels, "learn")
    rng = np.random.default_rng(3)
    spread = [float(nuclei_crops.crop(item, rng, 0.0)[0].std()) for _ in range(8)]
    assert min(spread) > 0.1


# --- the loop ------------------------------------------------------------------------


def test_a_resumed_run_ends_with_the_weights_of_one_that_was_not_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_nuclei, "PERIOD", 2)
    items = [annotated(group=f"{i}") for i in range(4)]
    whole = train_nuclei.Run(items, 2, "cpu")
    train_nuclei.train(whole, tmp_path / "whole.pt", 4)
    train_nuclei.train(train_nuclei.Run(items, 2, "cpu"), tmp_path / "part.pt", 2)
    resumed = train_nuclei.Run(items, 2, "cpu")
    resumed.restore(train_nuclei.read(tmp_path / "part.pt"))
    train_nuclei.train(resumed, tmp_path / "part.pt", 4)
    for name, value in whole.mean.items():
        assert torch.equal(value, resumed.mean[name]), name
    np.testing.assert_array_equal(whole.sampler.errors, resumed.sampler.errors)


def test_a_run_can_begin_with_the_weights_of_a_model() -> None:
    model = random_model(classes=nuclei_crops.CLASSES, depth=4)
    run = train_nuclei.Run([annotated()], model.spec.width, "cpu")
    run.take(model)
    for name, value in model.net.state_dict().items():
        assert torch.equal(run.net.state_dict()[name], value)
        assert torch.equal(run.mean[name], value)


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    peak = train_nuclei.PEAK
    rates = [train_nuclei.rate(step, -1, 10**6) for step in (0, 100, 10**5)]
    assert 0 < rates[0] < rates[1] < rates[2] == peak
    slope = [train_nuclei.rate(step, 1000, 1400) for step in (1000, 1200, 1399)]
    assert slope == [peak, peak / 2, peak / 400]


def test_what_is_made_ahead_comes_in_order_and_so_does_its_failure() -> None:
    assert list(train_nuclei.ahead(lambda n: n * n, range(4))) == [0, 1, 4, 9]
    broken = train_nuclei.ahead(lambda n: 1 // (2 - n), range(4))
    assert (next(broken), next(broken)) == (0, 1)
    with pytest.raises(ZeroDivisionError):
        next(broken)


# --- wider nets ----------------------------------------------------------------------


@pytest.mark.parametrize("width", [4, 6, 8])
def test_wider_net_says_the_same_and_its_channels_part_ways(width) -> None:
    net = random_model(width=4, depth=2).net.eval()
    wide = widened(net, width).eval()
    image = torch.rand(1, 1, 32, 48)
    assert wide.spec.width == width
    torch.testing.assert_close(wide(image), net(image), rtol=1e-3, atol=1e-4)
    wide(image).square().mean().backward()
    gradient = wide.encoder[0][0].weight.grad
    for channel in range(4, width):  # it repeats one, and learns otherwise
        assert not torch.allclose(gradient[channel], gradient[channel - 4], rtol=0.01)
