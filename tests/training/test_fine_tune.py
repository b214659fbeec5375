"""Learning from strokes: better where nobody painted, never at the old model's cost."""

import itertools
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.lessons import painted, small_model, squares
from torch import nn

from napari_unet._steps import Steps
from napari_unet.errors import CorrectionError, MemoryBudgetError
from napari_unet.io.image import Image
from napari_unet.network.model import Model, UNet
from napari_unet.network.predictor import engine
from napari_unet.options import SegmentOptions, TrainOptions
from napari_unet.project.corrections import FOREGROUND, IGNORE, Correction
from napari_unet.project.lazy_corrections import More
from napari_unet.project.project import Project
from napari_unet.segmentation.inputs import model_input
from napari_unet.training import features as pixels
from napari_unet.training import fine_tune as training
from napari_unet.training import fine_tune_state, schedule, training_set
from napari_unet.training.augment import PatchSampler
from napari_unet.training.examples import as_images, class_weights, read_examples
from napari_unet.training.features import read_pixels
from napari_unet.training.fine_tune import Trained, TrainStep, fine_tune, judge
from napari_unet.training.head import fit_head, obey
from napari_unet.training.readers import apart, joined
from napari_unet.training.selection import score
from napari_unet.training.standing import NEARLY_RIGHT, STROKES, Standing, standing
from napari_unet.training.trainer import Trainer
from napari_unet.training.training_set import (
    CorrectionStream,
    TrainingSet,
    read_training_set,
)


def train(model, corrections, **options) -> tuple[list[TrainStep], Trained]:
    steps: list[TrainStep] = []
    job = fine_tune(model, corrections, TrainOptions(device="cpu", **options))
    return steps, finish(job, steps)


def finish(job, steps: list[TrainStep] | None = None) -> Trained:
    """Run training to its end; append what it yields to `steps`."""
    run = Steps(job)
    seen = list(run)
    if steps is not None:
        steps += seen
    return run.result


def share_right(model: Model, image: Image, truth: np.ndarray) -> float:
    source = torch.from_numpy(
        read_examples(model, [Correction(image, truth)])[0].image.numpy()
    )
    with torch.inference_mode():
        found = model.net(source[None])[0].argmax(0).numpy()
    return float(np.mean([(found == truth)[truth == v].mean() for v in (0, 1)]))


def test_strokes_make_the_model_right_where_nobody_painted() -> None:
    image, truth = squares(1)
    model = small_model()
    steps, trained = train(model, [Correction(image, painted(truth))], seconds=None)
    assert trained.published
    assert trained.score_after > trained.score_before
    other, elsewhere = squares(2)
    assert share_right(trained.model, other, elsewhere) > 0.8
    assert share_right(trained.model, other, elsewhere) > 0.1 + share_right(
        model, other, elsewhere
    )
    assert steps[0].model is not None
    assert [s.step for s in steps] == list(range(len(steps)))
    assert steps[-1].fraction == 1


def test_training_leaves_the_model_unchanged() -> None:
    image, truth = squares(1)
    model = small_model()
    before = model.checksum()
    train(model, [Correction(image, painted(truth))], seconds=1)
    assert model.checksum() == before
    assert not model.net.training


def test_cancelled_training_leaves_the_model_unchanged() -> None:
    image, truth = squares(1)
    model = small_model()
    before = model.checksum()
    endless = TrainOptions(device="cpu", seconds=None)  # on a busy machine, too
    job = fine_tune(model, [Correction(image, painted(truth))], endless)
    next(job)
    next(job)
    job.close()
    assert model.checksum() == before


def test_same_seed_gives_the_same_model(monkeypatch) -> None:
    monkeypatch.setattr(training, "_STEPS", 5)
    image, truth = squares(1)
    corrections = [Correction(image, painted(truth))]
    one, two, other = (
        train(small_model(), corrections, seconds=None, seed=seed)[1].model.checksum()
        for seed in (3, 3, 4)
    )
    assert one == two != other


@pytest.mark.parametrize("end", ["worse", "too late", "better"])
def test_scores_at_the_end_are_of_all_that_was_painted(end, monkeypatch) -> None:
    image, truth = squares(1)
    corrections = [Correction(image, painted(truth))]
    monkeypatch.setattr(training, "_STEPS", 10)
    model = train(small_model(), corrections, seconds=None)[1].model
    if end == "worse":  # than its first answer, and than the model before
        monkeypatch.setattr(Standing, "rate", 1e3)
    limit = 1e-6 if end == "too late" else None
    steps, trained = train(model, corrections, seconds=limit)
    assert trained.published
    first = steps[0].model.checksum()
    assert (trained.model.checksum() == first) == (end != "better")
    scores = trained.score_before, trained.score_after
    assert scores[0] <= scores[1]
    examples = read_examples(model, corrections)
    for one, told in zip((model, trained.model), scores, strict=True):
        assert score(one.net, examples, 0) == pytest.approx(told, abs=1e-3)
    assert training.judge(model, trained.model, corrections) == (*scores, "right")
    assert trained.measure == "right"


def test_first_answer_is_taken_back_if_it_is_worse_on_what_was_painted(
    monkeypatch,
) -> None:
    image, truth = squares(1)
    found = iter([0.9, 0.8, 0.8])  # the model before, the whole net, the first answer
    monkeypatch.setattr(fine_tune_state, "score", lambda *_: next(found))
    monkeypatch.setattr(training, "_STEPS", 2)
    model = small_model()
    steps, trained = train(model, [Correction(image, painted(truth))], seconds=None)
    assert steps[0].model is not None
    assert trained.model is model
    assert not trained.published
    assert trained.score_before == trained.score_after == 0.9
    assert "now 80.0%, before 90.0%" in trained.rule


def test_second_round_begins_with_the_first_ones_model() -> None:
    image, truth = squares(1)
    _, first = train(small_model(), [Correction(image, painted(truth))], seconds=None)
    one = np.where(painted(truth, 1) == 1, 1, IGNORE).astype(np.uint8)
    again = [Correction(image, one)]  # one class alone, painted right
    _, second = train(first.model, again, seconds=None)
    other, elsewhere = squares(2)
    assert share_right(second.model, other, elsewhere) > 0.8
    examples = read_examples(first.model, again)  # what both scores are told of
    told = (first.model, second.score_before), (second.model, second.score_after)
    for model, value in told:
        assert score(model.net, examples, 0) == pytest.approx(value, abs=0.005)


def test_model_that_learned_from_more_strokes_is_trusted_more() -> None:
    image, truth = squares(1)
    one = train(small_model(), [Correction(image, painted(truth))], seconds=0)[1].model
    assert one.card[STROKES] == 5
    known = standing(one.card)
    assert known is not None
    assert not known.proven
    more = replace(known, strokes=50)
    assert Standing().share == 0
    assert known.share == pytest.approx(5 / 13)
    assert known.share < more.share < 1
    assert Standing().kept < known.kept < more.kept < Standing(proven=True).kept < 1


def test_model_that_agrees_with_a_first_answer_without_it_is_nearly_right() -> None:
    image, truth = squares(1)
    corrections = [Correction(image, painted(truth))]
    model = train(small_model(), corrections, seconds=None)[1].model
    assert share_right(model, image, truth) > 0.85
    stranger = replace(model, card={})  # nobody says what it has learned from
    again = train(stranger, corrections, seconds=0)[1].model
    assert again.card[NEARLY_RIGHT] is True
    assert standing(again.card) == Standing(5, proven=True)


@pytest.mark.parametrize(
    "card",
    [
        {},
        {"strokes": 8},
        {"strokes": "many", "nearly right": False},
        {"strokes": 8, "nearly right": "no"},
    ],
)
def test_card_that_does_not_say_how_far_a_model_is_trusted(card) -> None:
    assert standing(card) is None


def test_share_of_the_filters_moves_to_a_quarter() -> None:
    for first in (0.0, 0.9):
        shares = [Standing(0, False, first).mixed(n) for n in (8, 16, 64, 10**6)]
        assert shares[0] == pytest.approx(first)
        assert abs(shares[1] - 0.25) > abs(shares[2] - 0.25)
        assert shares[3] == pytest.approx(0.25, abs=1e-4)
    assert Standing(8, True, 0.9).mixed(8) == 0


@pytest.mark.usefixtures("usual_steps")
def test_what_was_painted_is_obeyed_and_the_rest_stays(monkeypatch) -> None:
    for name in ("_REVIEWED", "_OTHER"):  # as many as usual, to obey nearly all
        monkeypatch.setattr(pixels, name, 4000)
    image, truth = squares(1)
    model = train(small_model(), [Correction(image, painted(truth))], seconds=None)[1]
    target = painted(truth, 1)
    rows, columns = np.nonzero((truth == 0) & (target == IGNORE))
    target[rows[0] : rows[0] + 6, columns[0] : columns[0] + 12] = 1  # it is not
    examples = read_examples(model.model, [Correction(image, target)])
    torch.manual_seed(0)
    careful = Standing(10**6, proven=True)
    fit = fit_head(model.model.net, examples, 0, careful)
    both = joined(fit.net, fit.reader, fit.share)
    before = share_right(replace(model.model, net=both), image, truth)
    assert score(both, examples, 0) < 0.9
    net = obey(fit, fit.net, examples, seed=0, seconds=60)
    assert score(net, examples, 0) >= 0.95
    assert share_right(replace(model.model, net=net), image, truth) > before - 0.1
    alone = apart(net, fit.share)  # what the next lesson begins with
    torch.testing.assert_close(alone.hypercolumn.bias, fit.net.hypercolumn.bias)


@pytest.mark.gpu
def test_full_card_is_said_in_a_sentence() -> None:
    image, truth = squares(1)
    model, corrections = small_model(), [Correction(image, painted(truth))]
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-7)
    try:
        with pytest.raises(MemoryBudgetError, match="choose the CPU"):
            finish(fine_tune(model, corrections, TrainOptions(2, device="cuda")))
        with pytest.raises(MemoryBudgetError, match="choose the CPU"):
            judge(model, model, corrections, TrainOptions(2, device="cuda"))
        with pytest.raises(MemoryBudgetError, match="choose the CPU"):
            engine(model, "cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_nothing_is_loaded_late_when_it_was_loaded_before() -> None:
    code = (
        "import sys\n"
        "from helpers.lessons import painted, small_model, squares\n"
        "from napari_unet.project.corrections import Correction\n"
        "from napari_unet.training.fine_tune import fine_tune, warm_up\n"
        "assert 'torch._dynamo' not in sys.modules\n"
        "warm_up()\n"
        "before = {*sys.modules}\n"
        "image, truth = squares(1)\n"
        "next(fine_tune(small_model(), [Correction(image, painted(truth))]))\n"
        "late = {*sys.modules} - before\n"
        "sys.exit(str(late) if len(late) > 5 else 0)"
    )
    here = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=here, check=True)


def test_no_corrections_say_what_to_paint() -> None:
    image, truth = squares(1)
    nothing = np.full_like(truth, IGNORE)
    for corrections in ([], [Correction(image, nothing)]):
        with pytest.raises(CorrectionError, match="Paint over what is wrong first"):
            train(small_model(), corrections)


def test_foreground_alone_teaches_a_model_with_a_boundary() -> None:
    image, truth = squares(1)
    target = painted(truth)
    target[target == 1] = FOREGROUND
    model = small_model(classes=("background", "interior", "boundary"))
    _, trained = train(model, [Correction(image, target)], seconds=None)
    source = read_examples(model, [Correction(image, truth)])[0].image
    with torch.inference_mode():
        found = trained.model.net(source[None])[0].argmax(0).numpy() > 0
    assert (found == (truth > 0)).mean() > 0.8


def test_crop_is_scaled_as_its_whole_image() -> None:
    image, truth = squares(1)
    model = small_model()
    box = slice(32, 96), slice(32, 96)
    crop = Image("crop", np.asarray(image.data)[box], "YX")
    whole = read_examples(model, [Correction(image, truth)])[0].image
    cut = Correction(crop, truth[box], sample=image.sample())
    torch.testing.assert_close(
        read_examples(model, [cut])[0].image, whole[(slice(None), *box)]
    )


def test_image_is_learned_at_the_scale_at_which_it_was_segmented() -> None:
    image, truth = squares(1)
    model = replace(small_model(), card={"diameter": 10.0})
    target = np.full((40, 60), IGNORE, np.uint8)
    target[...] = truth[60:100, 50:110]
    seen = SegmentOptions(diameter=20.0)
    (found,) = read_examples(
        model, [Correction(image, target, corner=(60, 50), seen=seen)]
    )
    source = model_input(model, image, seen)
    assert found.image.shape == (1, *source.shape) == (1, 64, 80)
    whole, _ = source.read((), (slice(0, 64), slice(0, 80)), source.intensities())
    np.testing.assert_array_equal(found.image, whole)
    inside = np.full((64, 80), IGNORE, np.uint8)
    inside[30:50, 25:55] = truth[61:100:2, 51:110:2]
    np.testing.assert_array_equal(found.target, inside)
    unknown = replace(model, card={})  # it was never shown an image of another scale
    (found,) = read_examples(
        unknown, [Correction(image, target, corner=(60, 50), seen=seen)]
    )
    assert found.image.shape == (1, 128, 160)


def test_each_image_is_learned_in_the_channel_in_which_it_was_segmented() -> None:
    image, truth = squares(1)
    pixels = np.stack([np.zeros_like(image.data), image.data])
    both = Image("both", pixels, "CYX")
    corrections = [
        Correction(image, truth),
        Correction(both, truth, seen=SegmentOptions(channel=1)),
    ]
    one, other = read_examples(small_model(), corrections)
    np.testing.assert_array_equal(one.image, other.image)
    (first,) = read_examples(small_model(), corrections[1:], 0)  # whoever says so
    assert not first.image.any()


def test_weights_sum_to_one_and_grow_with_the_root_of_a_stroke() -> None:
    image, truth = squares(1)
    target = np.full(truth.shape, IGNORE, np.uint8)
    target[10, 10:26] = 0
    target[50, 10:14] = 1
    found = read_examples(small_model(), [Correction(image, target)] * 2)
    long, short = (
        sum(float(e.weight[e.target == v].sum()) for e in found) for v in (0, 1)
    )
    assert long + short == pytest.approx(1, rel=1e-4)
    assert long == pytest.approx(2 * short, rel=1e-4)
    assert all(float(e.weight[e.target == IGNORE].sum()) == 0 for e in found)


def test_large_plane_is_cut_where_somebody_looked() -> None:
    image = Image("large", np.zeros((3000, 100), np.uint8), "YX")
    target = np.full((3000, 100), IGNORE, np.uint8)
    target[2500:2503, 50] = 1
    (found,) = read_examples(small_model(), [Correction(image, target)])
    assert found.target.shape[0] < 1200
    assert int((found.target == 1).sum()) == 3


def test_every_pixel_of_a_large_plane_is_in_one_example() -> None:
    image = Image("large", np.zeros((2100, 100), np.uint8), "YX")
    found = read_examples(
        small_model(), [Correction(image, np.ones((2100, 100), np.uint8))]
    )
    assert len(found) == 3
    assert sum(int((e.target == 1).sum()) for e in found) == 2100 * 100
    assert found[1].target.shape[0] > 700  # with context on both sides


def test_patches_copy_pixels_and_keep_targets_on_them() -> None:
    image, truth = squares(1, (60, 200))
    example = read_examples(small_model(), [Correction(image, painted(truth))])[0]
    images, targets, weights = PatchSampler([example], 64, 0, (6, 2)).batch()
    assert images.shape == (8, 1, 64, 64)
    assert ((weights > 0) <= (targets != IGNORE)).all()
    assert all(bool((t != IGNORE).any()) for t in targets[:6])
    dark = images[targets.unsqueeze(1) == 1].mean()
    assert dark < images[targets.unsqueeze(1) == 0].mean()


# --- whole images, and long training ------------------------------------------


def labelled(count: int = 5, shape=(64, 64)) -> list[Correction]:
    """Return small images of which every pixel is labelled."""
    pairs = [squares(seed, shape) for seed in range(count)]
    return [Correction(image, truth) for image, truth in pairs]


def test_labelled_pixels_of_a_class_weigh_alike_and_classes_by_their_root() -> None:
    corrections = labelled(2)
    corrections[0].target[:8] = IGNORE
    found = as_images(read_examples(small_model(), corrections))
    target = torch.cat([e.target.flatten() for e in found])
    weight = torch.cat([e.weight.flatten() for e in found])
    assert float(weight.sum()) == pytest.approx(1, abs=1e-5)
    assert not weight[target == IGNORE].any()
    sums, roots = {}, {}
    for value in (0, 1):
        own = weight[target == value]
        assert len(own.unique()) == 1
        sums[value], roots[value] = float(own.sum()), math.sqrt(len(own))
    assert sums[1] / sums[0] == pytest.approx(roots[1] / roots[0], rel=1e-4)


def test_slow_device_reads_less_before_its_first_answer() -> None:
    image, truth = squares(1, (900, 900))
    target = np.full(truth.shape, IGNORE, np.uint8)
    target[10:15, 10:15], target[890:895, 890:895] = 0, 1  # not in one window
    model = small_model(hypercolumn=4)
    examples = read_examples(model, [Correction(image, target)])
    all_of_it = read_pixels(model.net, examples, seed=0)
    in_no_time = read_pixels(model.net, examples, seed=0, seconds=1e-9)
    assert set(all_of_it.target.tolist()) == {0, 1, IGNORE}
    assert set(in_no_time.target.tolist()) in ({0, IGNORE}, {1, IGNORE})
    assert float(in_no_time.weight.sum()) == pytest.approx(1)


WHOLE = {"five images": (5, (64, 64)), "four": (4, (60, 60)), "one": (1, (90, 64))}


@pytest.mark.parametrize(("count", "shape"), WHOLE.values(), ids=WHOLE)
def test_whole_labels_are_judged_by_places_held_out(count, shape) -> None:
    steps, trained = train(small_model(), labelled(count, shape), seconds=3)
    assert "no pixel of which was learned" in trained.rule
    assert trained.measure == "Dice"
    assert trained.score_before <= 0.5  # of two classes, if it says the same everywhere
    assert trained.published
    assert trained.score_after > trained.score_before
    assert [s.score for s in steps] == sorted(s.score for s in steps)
    better = [s.model for s in steps if s.model is not None]
    assert better[-1].checksum() == trained.model.checksum()


@pytest.mark.parametrize("seconds", [3, None])
def test_labels_too_small_to_hold_some_out_are_all_learned(
    seconds, monkeypatch
) -> None:
    monkeypatch.setattr(training, "_ALONE", 60)
    truth = np.zeros((24, 24), np.uint8)
    truth[6:18, 6:18] = 1
    pixels = np.random.default_rng(0).normal(1000 - 250.0 * truth, 30)
    correction = Correction(Image("tiny", pixels.astype(np.uint16), "YX"), truth)
    model = small_model()
    steps, trained = train(model, [correction], seconds=seconds)
    assert "all was learned" in trained.rule
    assert trained.measure == "Dice"
    assert trained.published
    assert trained.score_after > trained.score_before
    assert trained.score_after > 0.8
    assert steps[-1].fraction == 1
    assert seconds or trained.steps == 60
    scores = trained.score_before, trained.score_after
    assert judge(model, trained.model, [correction]) == (*scores, "Dice")


def test_whole_labels_of_what_is_no_background_teach_a_model_with_a_boundary() -> None:
    corrections = labelled(4)
    for correction in corrections:
        correction.target[correction.target == 1] = FOREGROUND
    model = small_model(classes=("background", "interior", "boundary"))
    _, trained = train(model, corrections, seconds=8)
    assert trained.score_before < 0.7 < trained.score_after


def test_what_is_held_out_is_not_learned_from_the_model_so_far() -> None:
    unlike = torch.nn.Conv2d(4, 2, 1)
    data = read_training_set(small_model(), labelled(4), TrainOptions())
    assert data.unseen == 0  # all that is not held out is labelled
    nets = []
    for head in (None, unlike):
        teacher = small_model().net
        if head is not None:
            teacher.head = head
        trust = Standing(64).share * data.unseen
        trainer = Trainer(small_model().net, teacher, trust, statistics=True)
        trainer.step(PatchSampler(data.examples, 64, 0, (2, 6)).batch(), 1e-3)
        nets.append(trainer.net.state_dict())
    for name, tensor in nets[0].items():
        torch.testing.assert_close(tensor, nets[1][name])


def test_share_that_nobody_looked_at_counts_no_pixel_twice() -> None:
    model = small_model(width=1, depth=1)
    truth = np.zeros((2100, 60), np.uint8)  # cut in three, with context
    truth[::50] = 1
    image = Image("large", np.zeros((2100, 60), np.uint8), "YX")
    for rows, unseen in ((2100, 0.0), (1400, 1 / 3)):
        target = np.full_like(truth, IGNORE)
        target[:rows] = truth[:rows]
        data = read_training_set(model, [Correction(image, target)], TrainOptions())
        assert data.dense
        assert data.unseen == pytest.approx(unseen)


@pytest.mark.parametrize(("rows", "dense"), [(600, True), (20, False)])
def test_images_of_a_project_that_are_labelled_throughout_are_whole_masks(
    tmp_path, rows, dense
) -> None:
    project = Project.open(tmp_path / "cells.unet")
    image, truth = squares(0, (600, 520))  # four squares of 256, and what lies around
    box, truth = (slice(0, rows), slice(0, 520)), truth[:rows]
    project.write(
        project.add_image(image), (), box, (truth, np.zeros(truth.shape, np.int32))
    )
    corrections = project.corrections()
    assert len(corrections) > 2
    data = read_training_set(small_model(width=1), corrections, TrainOptions())
    assert data.dense == dense


def test_strokes_on_a_third_of_small_images_are_not_taken_for_whole_masks() -> None:
    corrections = labelled(2)
    for correction in corrections:
        correction.target[22:] = IGNORE
    data = read_training_set(small_model(), corrections, TrainOptions())
    assert data.reviewed / sum(c.target.size for c in corrections) > 0.3
    assert not data.dense


def statistics(net: UNet) -> torch.Tensor:
    means = (m.running_mean for m in net.modules() if isinstance(m, nn.BatchNorm2d))
    return torch.cat(list(means))


def test_model_that_is_nearly_right_moves_little() -> None:
    model = small_model()
    found = []
    for _ in range(2):
        job = fine_tune(model, labelled(), TrainOptions(device="cpu"))
        for _ in range(3):
            next(job)
        inside = job.gi_yieldfrom.gi_frame.f_locals
        moved = statistics(inside["trainer"].net) - statistics(model.net)
        before, plan = inside["selection"].before, inside["schedule"]
        found.append((before, plan.peak, bool(moved.any())))
        job.close()
        model = train(model, labelled(), seconds=4)[1].model
    (poor, fast, changed), (good, slow, kept) = found
    assert poor < 0.7 < 0.9 < good
    assert fast == 1e-3
    assert slow == pytest.approx(max(4 * (1 - good), 0.1) * 1e-3)
    assert changed
    assert not kept


def test_what_takes_longer_to_judge_is_judged_more_rarely(monkeypatch) -> None:
    held = read_training_set(small_model(), labelled(), TrainOptions()).held
    assert training._steps_between_looks(held) == 50
    monkeypatch.setattr(training, "_LOOK", 64 * 64 // 3)  # one image is held out
    assert training._steps_between_looks(held) == 150


@pytest.fixture
def _hasty(monkeypatch) -> None:
    """Let long training look at the held-out part often, and give up soon."""
    monkeypatch.setattr(training, "_CHECK", 2)
    monkeypatch.setattr(schedule, "_PATIENCE", 2)
    monkeypatch.setattr(schedule, "_CUTS", 2)


@pytest.mark.usefixtures("_hasty")
def test_training_without_a_limit_ends_when_it_gains_no_more() -> None:
    steps, trained = train(small_model(), labelled(), seconds=None)
    assert trained.steps >= 8
    assert steps[-1].fraction == 1


@pytest.mark.usefixtures("_hasty")
def test_training_that_was_broken_off_ends_as_if_it_had_not_been(tmp_path) -> None:
    options = TrainOptions(seconds=None, device="cpu")
    kept = tmp_path / "kept"

    def job(file):
        return fine_tune(small_model(), labelled(), options, file)

    whole = finish(job(tmp_path / "whole"))
    broken = job(kept)
    while next(broken).step < 5:
        pass
    broken.close()
    assert kept.exists()
    again = job(kept)
    next(again)
    assert next(again).step == 5
    trained = finish(again)
    assert trained.model.checksum() == whole.model.checksum()
    assert trained.steps == whole.steps
    assert kept.exists()  # until whoever wanted the model has saved it


@pytest.mark.usefixtures("_hasty")
def test_what_other_training_left_is_not_used(tmp_path) -> None:
    kept = tmp_path / "kept"
    broken = fine_tune(
        small_model(), labelled(), TrainOptions(seconds=None, device="cpu"), kept
    )
    while next(broken).step < 5:
        pass
    broken.close()
    other = TrainOptions(seconds=None, device="cpu", seed=7)
    job = fine_tune(small_model(), labelled(), other, kept)
    next(job)
    assert next(job).step == 1
    kept.write_bytes(b"no such file")
    job = fine_tune(small_model(), labelled(), other, kept)
    next(job)
    assert next(job).step == 1


# --- more than can be held ------------------------------------------------------


def beside(first: list[Correction], count: int = 12) -> tuple[list[Correction], More]:
    """Return what learning begins with, and more images, among them the first again."""
    named = [replace(c, key=f"first {i}") for i, c in enumerate(first)]
    later = [replace(c, key=f"later {i}") for i, c in enumerate(labelled(count))]
    draws = itertools.cycle([None, *named, *later])
    room = 3 * sum(e.nbytes for e in read_examples(small_model(), named[:1]))
    return named, More(draws, room)


@pytest.fixture
def _at_each_step(monkeypatch) -> None:
    monkeypatch.setattr(training_set, "_EVERY", 1)


def streamed(
    first: list[Correction],
) -> tuple[TrainingSet, CorrectionStream, PatchSampler]:
    """Return what learning begins with, what comes later, and what draws from both."""
    named, more = beside(first)
    model, options = small_model(), TrainOptions(device="cpu", seconds=None)
    data = read_training_set(model, named, options)
    stream = CorrectionStream(model, data, more, options)
    return data, stream, PatchSampler(data.examples, 64, 0, (2, 2))


@pytest.mark.usefixtures("_at_each_step")
@pytest.mark.parametrize("first", ["images", "strokes"])
def test_steps_move_on_to_what_cannot_be_held(first) -> None:
    found = labelled()
    if first == "strokes":
        found = [Correction(c.image, painted(c.target)) for c in found]
    data, stream, sampler = streamed(found)
    assert data.dense == (first == "images")
    held = {spot[0] for spot in data.spots}
    assert bool(held) == data.dense
    seen = set()
    for step in range(18):  # once through all
        stream.feed(sampler, step)
        sampler.batch()
        seen |= {e.spot[0] for e in sampler.examples}
        taken = sum(e.nbytes for e in sampler.examples)
        assert {id(e) for e, _ in sampler.strokes} == {id(e) for e in sampler.examples}
    assert {f"later {i}" for i in range(12)} <= seen
    assert not held & seen
    assert taken <= stream.more.room


def test_more_is_read_every_few_steps_of_training(monkeypatch) -> None:
    monkeypatch.setattr(training, "_STEPS", 10)
    strokes = [Correction(c.image, painted(c.target)) for c in labelled()]
    named, more = beside(strokes)
    read = []
    draws = (read.append(found) or found for found in more.draws)
    options = TrainOptions(device="cpu", seconds=None)
    job = fine_tune(small_model(), named, options, more=More(draws, more.room))
    steps = finish(job).steps
    assert len(read) == steps // 4 > 1


@pytest.mark.usefixtures("_at_each_step")
def test_later_images_are_weighed_as_the_first_ones() -> None:
    data, stream, sampler = streamed(labelled())
    for step in range(10):
        stream.feed(sampler, step)
    old = {(int(t), float(w)) for e in data.examples for t, w in _pairs(e)}
    new = {(int(t), float(w)) for e in sampler.examples for t, w in _pairs(e)}
    assert {e.spot[0] for e in sampler.examples} != {e.spot[0] for e in data.examples}
    assert new <= old | {(IGNORE, 0.0)}


def _pairs(example):
    found = torch.stack([example.target.double().flatten(), example.weight.flatten()])
    return torch.unique(found, dim=1).T


@pytest.mark.usefixtures("_at_each_step")
def test_image_that_cannot_be_read_later_does_not_end_training() -> None:
    _, stream, sampler = streamed(labelled())
    two = Image("two channels", np.zeros((2, 64, 64), np.uint8), "CYX")
    bad = Correction(two, np.ones((64, 64), np.uint8))
    stream.more = More(iter([bad]), 10**9)
    before = list(sampler.examples)
    for step in range(3):
        stream.feed(sampler, step)
    assert sampler.examples == before
    assert next(stream.more.draws, None) is None  # it was tried


def test_class_that_only_comes_later_weighs_as_the_rarest() -> None:
    weights = class_weights(read_examples(small_model(), labelled()))
    assert weights[7] == weights[:2].max()
    assert weights[IGNORE] == 0
