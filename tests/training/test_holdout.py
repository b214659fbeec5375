"""What is held out: even places, every class on both sides, and their score."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.nets import random_model

from napari_unet.io.image import Image
from napari_unet.network.model import Model, UNet, UNetSpec
from napari_unet.project.corrections import FOREGROUND, IGNORE, Correction
from napari_unet.training.examples import Example, read_examples
from napari_unet.training.holdout import ImagePart, image_parts, mean_dice, set_apart

SPEC = UNetSpec(classes=("background", "cell", "nucleus"), width=4, depth=2)


def cells(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """Return classes (Y, X): here and there a cell, each with a nucleus in it."""
    rng = np.random.default_rng(seed)
    truth = np.zeros(shape, np.uint8)
    for _ in range(max(4, truth.size // 1500)):
        y, x = (int(rng.integers(0, max(n - 16, 1))) for n in shape)
        truth[y : y + 16, x : x + 16] = 1
        truth[y + 5 : y + 11, x + 5 : x + 11] = 2
    return truth


def read(truths: list[np.ndarray], spec: UNetSpec = SPEC) -> list[Example]:
    model = Model(UNet(spec).eval())
    return read_examples(
        model,
        [
            Correction(Image(f"image {i}", np.zeros_like(truth), "YX"), truth)
            for i, truth in enumerate(truths)
        ],
    )


def counts(targets: list[torch.Tensor]) -> np.ndarray:
    found = (np.bincount(t.numpy().ravel(), minlength=256) for t in targets)
    return sum(found, np.zeros(256, int))[:IGNORE]


def sides(place: ImagePart) -> tuple[int, int]:
    """Return height and width of what is labelled of a place."""
    rows, columns = np.nonzero(place.target.numpy() != IGNORE)
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


CASES = {
    "one of 300": [(300, 300)],
    "four of 300": [(300, 300)] * 4,
    "five of 300": [(300, 300)] * 5,
    "twelve of 300": [(300, 300)] * 12,
    "one of 64": [(64, 64)],
    "four of 60": [(60, 60)] * 4,
    "five of 60": [(60, 60)] * 5,
    "twelve of 60": [(60, 60)] * 12,
    "one oblong": [(30, 900)],
    "two oblong": [(700, 24)] * 2,
    "unlike": [(300, 300), (64, 80), (120, 500)],
    "one large": [(1500, 1400)],
}


@pytest.mark.parametrize("shapes", CASES.values(), ids=CASES)
def test_about_a_fifth_of_each_class_is_held_out_in_even_places(shapes) -> None:
    truths = [cells(seed, shape) for seed, shape in enumerate(shapes)]
    examples = read(truths)
    learn, held = set_apart(examples, SPEC, 0)
    total = counts([e.target for e in examples])
    out = counts([p.target for p in held])
    assert (out + counts([e.target for e in learn]) == total).all()
    shares = out[:3] / total[:3]
    assert (shares > 0.08).all(), shares
    assert (shares < 0.4).all(), shares
    if len(shapes) >= 5:
        assert {sides(p) for p in held} == {shapes[0]}
        assert len(learn) + len(held) == len(shapes)
    least = min(min(shape) for shape in shapes)
    for place in held:  # no slivers
        assert min(sides(place)) >= min(least, 20), sides(place)
    if len(set(shapes)) == 1 and len(shapes) < 5:
        assert max(max(sides(p)) for p in held) <= 2.5 * min(
            min(sides(p)) for p in held
        )


@pytest.mark.parametrize("count", [1, 4, 5])
def test_three_hundred_pixels_are_cut_in_halves_or_quarters(count) -> None:
    examples = read([cells(seed, (300, 300)) for seed in range(count)])
    found = {sides(p) for seed in range(5) for p in set_apart(examples, SPEC, seed)[1]}
    assert found == {1: {(75, 75)}, 4: {(150, 150)}, 5: {(300, 300)}}[count]


def test_same_seed_holds_out_the_same() -> None:
    examples = read([cells(seed, (32, 32)) for seed in range(60)])  # many choices

    def held(seed: int) -> list[bytes]:
        return [p.target.numpy().tobytes() for p in set_apart(examples, SPEC, seed)[1]]

    assert held(3) == held(3) != held(4)


def test_class_in_one_corner_is_learned() -> None:
    truths = [cells(seed, (120, 120)) for seed in range(4)]
    for truth in truths:
        truth[truth == 2] = 1
    truths[0][3:9, 3:9] = 2
    examples = read(truths)
    for seed in range(10):
        learn, held = set_apart(examples, SPEC, seed)
        assert counts([p.target for p in held])[:3].astype(bool).tolist() == [1, 1, 0]
        assert counts([e.target for e in learn])[2] == 36


@pytest.mark.parametrize("count", [6, 30])
def test_class_in_one_image_is_held_out_in_part(count) -> None:
    truths = [cells(seed, (120, 120)) for seed in range(count)]
    for truth in truths[1:]:
        truth[truth == 2] = 1
    learn, held = set_apart(read(truths), SPEC, 0)
    for part in (learn, held):
        assert (counts([e.target for e in part])[:3] > 0).all()


def test_class_of_two_images_among_many_is_learned_and_held_out() -> None:
    truths = [cells(seed, (32, 32)) for seed in range(60)]
    for truth in truths[2:]:
        truth[truth == 2] = 1
    learn, held = set_apart(read(truths), SPEC, 0)
    assert len(held) == 12
    for part in (learn, held):
        assert (counts([e.target for e in part])[:3] > 0).all()


def test_pixels_that_nobody_looked_at_are_in_no_place() -> None:
    truth = cells(0, (400, 400))
    truth[:, 150:] = IGNORE
    truth[150:] = IGNORE
    truth[20:60, 20:60] = IGNORE
    examples = read([truth])
    learn, held = set_apart(examples, SPEC, 0)
    assert 2 <= len(held) <= 4
    assert all(max(sides(p)) <= 40 for p in held)  # parts of what is labelled
    both = counts([e.target for e in learn]) + counts([p.target for p in held])
    assert (both == counts([e.target for e in examples])).all()


@pytest.mark.parametrize(
    "truths",
    [
        [cells(0, (24, 24))],
        [cells(seed, (24, 24)) for seed in range(3)],
        [np.zeros((200, 200), np.uint8)],
        [np.zeros((60, 60), np.uint8) for _ in range(12)],
    ],
    ids=["a tiny one", "three tiny ones", "background", "background of many"],
)
def test_nothing_is_held_out_that_could_not_be_judged(truths) -> None:
    examples = read(truths)
    learn, held = set_apart(examples, SPEC, 0)
    assert not held
    assert all(a is b for a, b in zip(learn, examples, strict=True))
    judged = counts([p.target for p in image_parts(examples, SPEC)])
    assert (judged == counts([e.target for e in examples])).all()


def test_class_is_not_held_out_altogether_though_all_else_would_be_even() -> None:
    even, ones, none = (np.zeros((24, 24), np.uint8) for _ in range(3))
    even[12:], even[0, 0] = 1, 2  # the only one with as much of 0 as of 1
    ones[:], ones[0, 0] = 1, 0
    none[0, 0] = 1
    examples = read([even, ones, ones, none])
    for seed in range(5):
        learn, held = set_apart(examples, SPEC, seed)
        assert len(held) == 1
        assert counts([e.target for e in learn])[2] == 1


def test_image_with_most_of_a_rare_class_is_learned() -> None:
    truths = [np.zeros((100, 100), np.uint8) for _ in range(5)]
    for number, truth in enumerate(truths):
        truth[10:20] = 1
        truth.ravel()[: 840 if number == 2 else 40] = 2  # both far from a fifth
    examples = read(truths)
    for seed in range(5):
        learn, held = set_apart(examples, SPEC, seed)
        assert len(held) == 1
        assert counts([e.target for e in learn])[2] >= 840


def test_rare_class_is_shared_as_evenly_as_large_ones() -> None:
    truths = [np.zeros((100, 100), np.uint8) for _ in range(10)]
    for number, truth in enumerate(truths):
        truth.ravel()[: 1000 + 100 * number] = 1  # 2900 in two of them would be even
        truth.ravel()[-9 if number in (0, 1, 8, 9) else -1 :] = 2  # and 8.4 of these
    examples = read(truths)
    for seed in range(3):
        _, held = set_apart(examples, SPEC, seed)
        assert counts([p.target for p in held])[2] == 10


def test_objects_of_unknown_class_are_a_class_beside_background_alone() -> None:
    truths = [cells(seed, (120, 120)) for seed in range(4)]
    for truth in truths:
        truth[truth > 0] = FOREGROUND
    learn, held = set_apart(read(truths), SPEC, 0)
    for part in ([e.target for e in learn], [p.target for p in held]):
        assert (counts(part)[[0, FOREGROUND]] > 0).all()
    for truth in truths:
        truth[truth == 0] = 1
    assert not set_apart(read(truths), SPEC, 0)[1]  # an object may be of class 1


def test_net_sees_all_around_what_is_held_out() -> None:
    net = random_model(classes=SPEC.classes).net
    image = torch.rand(1, 304, 304, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        truth = net(image[None])[0].argmax(0).numpy().astype(np.uint8)
    assert (np.bincount(truth.ravel(), minlength=3) > 500).all()
    _, held = set_apart([replace(read([truth])[0], image=image)], net.spec, 0)
    assert held
    for part in held:
        with torch.no_grad():
            found = net(part.image[None])[0].argmax(0)
        labelled = part.target != IGNORE
        assert (found == part.target)[labelled].float().mean() > 0.9999  # ties


def test_not_more_is_held_out_than_can_be_judged_in_time() -> None:
    examples = read([cells(seed, (1000, 1000)) for seed in range(3)]) * 30
    _, held = set_apart(examples, SPEC, 0)
    assert 2**21 < counts([p.target for p in held]).sum() <= 2**22


# --- the score ---------------------------------------------------------------------


def saying(value: int | None, seed: int = 0) -> UNet:
    """Return a net that says one class everywhere, or, if None, has learned nothing."""
    torch.manual_seed(seed)
    net = UNet(SPEC).eval()
    if value is not None:
        with torch.no_grad():
            net.head.weight.zero_()
            net.head.bias.zero_()
            net.head.bias[value] = 1
    return net


@pytest.mark.parametrize("value", [0, 1, 2, None])
def test_model_that_knows_nothing_has_a_low_score(value) -> None:
    truths = [cells(seed, (120, 120)) for seed in range(4)]
    for truth in truths:
        truth[:, 16:] = 0  # mostly background, as at the edge of an image
    examples = read(truths)
    rights = [float((e.target == 0).float().mean()) for e in examples]
    assert min(rights) > 0.9  # of the pixels
    _, held = set_apart(examples, SPEC, 0)
    assert 0 <= mean_dice(saying(value), held) <= 1 / 3


def place(target: np.ndarray) -> ImagePart:
    return ImagePart(torch.zeros(1, *target.shape), torch.from_numpy(target))


def test_score_is_the_mean_dice_of_all_labelled_classes() -> None:
    target = np.full((8, 8), IGNORE, np.uint8)
    target[:2], target[2:4] = 0, 1  # 16 pixels each
    assert mean_dice(saying(1), [place(target)]) == pytest.approx((0 + 32 / 48) / 2)
    both = [place(target), place(np.full((8, 8), 1, np.uint8))]
    assert mean_dice(saying(1), both) == pytest.approx((0 + 160 / 176) / 2)


def test_objects_of_unknown_class_count_as_what_is_not_background() -> None:
    target = np.full((8, 8), IGNORE, np.uint8)
    target[:2], target[2:4] = 0, FOREGROUND
    found = {value: mean_dice(saying(value), [place(target)]) for value in range(3)}
    assert found[1] == found[2] == pytest.approx((0 + 32 / 48) / 2)
    assert found[0] == pytest.approx((32 / 48 + 0) / 2)
    target[4:6] = 1
    assert mean_dice(saying(1), [place(target)]) == pytest.approx(
        (0 + 32 / 48 + 64 / 80) / 3
    )


def test_score_is_that_of_one_pass_over_the_whole_image() -> None:
    truths = [cells(seed, (900, 90)) for seed in range(2)]
    examples = read(truths)
    images = [
        torch.rand(1, 900, 90, generator=torch.Generator().manual_seed(i))
        for i in range(2)
    ]
    examples = [
        Example(image, e.target, e.weight, e.regions)
        for image, e in zip(images, examples, strict=True)
    ]
    net = saying(None)
    judged = image_parts(examples, SPEC)
    assert len(judged) == 4  # each in two
    with torch.no_grad():
        padded = [
            torch.nn.functional.pad(i[None], (0, 2, 0, 0), "reflect") for i in images
        ]
        found = torch.cat([net(i)[0, :, :, :90].argmax(0) for i in padded])
    truth = torch.cat([e.target for e in examples])
    values = [
        2
        * ((found == c) & (truth == c)).sum()
        / ((found == c).sum() + (truth == c).sum())
        for c in range(3)
    ]
    expected = float(torch.stack(values).mean())
    assert mean_dice(net, judged) == pytest.approx(expected, abs=2e-3)  # bfloat16
    assert mean_dice(net, judged) == mean_dice(net, judged)
