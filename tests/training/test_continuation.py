"""Learning that goes on after a lesson: it gains, ends, and is taken up by the next."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.lessons import painted, small_model, squares

from napari_unet._steps import Steps
from napari_unet.io.image import Image
from napari_unet.network.model import Model, load, save
from napari_unet.network.transfer import new_model
from napari_unet.options import TrainOptions
from napari_unet.project.corrections import Correction
from napari_unet.training import continuation as module
from napari_unet.training import fine_tune as training
from napari_unet.training.continuation import Continuation, Further, go_on
from napari_unet.training.fine_tune import Trained, fine_tune
from napari_unet.training.head import OBEYED
from napari_unet.training.selection import copied
from napari_unet.training.standing import NEARLY_RIGHT, STROKES, Standing
from napari_unet.training.trainer import Trainer


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_STEPS", 8)
    monkeypatch.setattr(module, "_LOOK", 10)
    monkeypatch.setattr(module, "_RATE", 3.0)  # there is more to gain in a few steps
    monkeypatch.setattr(training, "_PATCH", 64)


def corrections(seed: int = 1) -> list[Correction]:
    """Return strokes on an image so noisy that a first answer is not all there is."""
    image, truth = squares(seed)
    noise = np.random.default_rng(seed).normal(400, 500, truth.shape)
    pixels = (np.asarray(image.data) + noise).clip(0).astype(np.uint16)
    return [Correction(Image("noisy", pixels, "YX"), painted(truth, seed))]


def lesson(
    model: Model, found: list[Correction], previous: Continuation | None = None
) -> Trained:
    options = TrainOptions(device="cpu", seconds=None)
    return Steps(fine_tune(model, found, options, previous=previous)).finish()


def continuation_of(trained: Trained) -> Continuation:
    assert trained.continuation is not None
    return trained.continuation


def run(continuation: Continuation) -> list[Further]:
    steps = Steps(go_on(continuation))
    return [*steps, steps.result]


@pytest.fixture
def longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be so many looks that some of them find something better."""
    monkeypatch.setattr(module, "_AS_LONG", 15)
    monkeypatch.setattr(module, "_PATIENCE", 8)


def test_goes_on_to_better_models_and_ends_by_itself(tmp_path, longer) -> None:
    trained = lesson(small_model(), corrections())
    continuation = continuation_of(trained)
    continuation.begin()
    loss = continuation.loss
    found = run(continuation)
    better = [f for f in found if f.model is not None]
    assert better
    assert continuation.loss < loss
    assert all(f.right >= continuation.floor for f in better)
    models = [trained.model, *(f.model for f in better)]
    assert len({model.checksum() for model in models}) == len(models)
    assert {f.model.spec for f in better} == {
        continuation.fit.answer.spec
    }  # made to obey
    assert Model(continuation.start).checksum() == models[-1].checksum()
    for model in models:  # is known, as its file has it
        save(model, tmp_path / "v1.safetensors")
        assert continuation.fits(load(tmp_path / "v1.safetensors"))
    assert [f.over for f in found] == [False] * (len(found) - 1) + [True]
    assert found[-1].steps <= module._AS_LONG * continuation.usual
    assert run(continuation) == found[-1:]  # called again, it has ended


@pytest.mark.parametrize("gain", [False, True])
def test_ends_early_only_if_nothing_more_is_gained(gain, monkeypatch) -> None:
    # No loss falls as far as that; none rises so far that it would not be a gain.
    monkeypatch.setattr(module, "_GAIN", -1e9 if gain else 1.0)
    continuation = continuation_of(lesson(small_model(), corrections()))
    assert not continuation.lacking
    early, last = module._PATIENCE * module._LOOK, module._AS_LONG * continuation.usual
    assert early < last
    assert run(continuation)[-1].steps == (last if gain else early)


def test_goes_on_as_long_as_strokes_are_not_followed(monkeypatch) -> None:
    monkeypatch.setattr(module, "_GAIN", 1.0)
    monkeypatch.setattr(module, "OBEYED", 1.1)  # never
    continuation = continuation_of(lesson(small_model(), corrections()))
    assert continuation.lacking
    assert run(continuation)[-1].steps == module._AS_LONG * continuation.usual


def test_no_model_that_is_right_on_less_replaces_a_better_one(
    monkeypatch, longer
) -> None:
    trained = lesson(small_model(), corrections())
    continuation = continuation_of(trained)
    less = min(trained.score_after, OBEYED) - 0.01
    monkeypatch.setattr(module, "score", lambda *_: less)
    continuation.begin()
    loss = continuation.loss
    assert {f.model for f in run(continuation)} == {None}
    assert continuation.loss < loss
    assert continuation.selection.champion is trained.model


def test_no_model_that_has_learned_nothing_replaces_a_better_one() -> None:
    trained = lesson(small_model(), corrections())
    continuation = continuation_of(trained)
    continuation.loss = -math.inf
    assert {f.model for f in run(continuation)} == {None}
    assert continuation.loss == -math.inf  # the least of all
    assert continuation.selection.champion is trained.model


def test_models_that_were_given_away_are_never_changed(longer) -> None:
    model = small_model()
    start = model.checksum()
    trained = lesson(model, corrections())
    continuation, published = continuation_of(trained), trained.model.checksum()
    job = go_on(continuation)
    found = next(f.model for f in job if f.model is not None)
    better = found.checksum()
    next(job, None)
    job.close()  # at once, in the middle of a step
    run(continuation)
    assert found.checksum() == better
    assert (model.checksum(), trained.model.checksum()) == (start, published)


def test_goes_on_where_it_was_closed() -> None:
    continuation = continuation_of(lesson(small_model(), corrections()))
    job = go_on(continuation)
    steps = [next(job).steps for _ in range(3)]
    job.close()
    assert steps == [1, 2, 3]
    assert next(go_on(continuation)).steps == 4


def test_look_changes_nothing_of_what_learns() -> None:
    card = {STROKES: 50, NEARLY_RIGHT: False}  # so that a part of it is kept
    continuation = continuation_of(
        lesson(replace(small_model(), card=card), corrections())
    )
    assert continuation.fit.standing.kept > 0
    continuation.advance()
    before = copy.deepcopy(continuation.trainer.state())
    continuation.begin()
    continuation.look()
    after = continuation.trainer.state()
    assert before.keys() == after.keys()
    assert all(bool((before[name] == after[name]).all()) for name in before)


def test_net_is_judged_when_it_is_moved_back_by_what_is_kept(monkeypatch) -> None:
    continuation = continuation_of(lesson(small_model(), corrections()))
    monkeypatch.setattr(Standing, "kept", 1.0)  # all the way to the first answer
    losses = []
    for _ in range(2):
        continuation.advance()
        continuation.loss = math.nan  # as if nobody had looked yet
        continuation.begin()
        losses.append(continuation.loss)
    assert losses[0] == losses[1]


def test_steps_have_a_share_of_the_lessons_rate_and_begin_smaller() -> None:
    continuation = continuation_of(lesson(small_model(), corrections()))
    (group,) = continuation.trainer.optimiser.param_groups
    rates, done = [], continuation.trainer.steps
    for _ in range(3):
        continuation.advance()
        rates.append(group["lr"] / (module._RATE * continuation.rate))
    assert done == 8
    assert rates == pytest.approx([0.9, 1, 1])


def test_what_the_next_lesson_takes_is_not_changed_by_going_on() -> None:
    continuation = continuation_of(lesson(small_model(), corrections()))
    done, start = continuation.trainer.steps, Model(continuation.start).checksum()
    for _ in range(3):
        continuation.advance()
        trainer = Trainer(copied(continuation.fit.net), continuation.fit.net, 0.0)
        continuation.lend(trainer)
        slots = trainer.optimiser.state_dict()["state"].values()
        assert {int(values["step"]) for values in slots} == {done}
        trainer.step(continuation.sampler.batch(), 1.0)  # nor by that lesson
    assert Model(continuation.start).checksum() == start


def test_next_lesson_begins_where_it_has_led(tmp_path) -> None:
    trained = lesson(small_model(), corrections())
    save(trained.model, tmp_path / "v1.safetensors")
    kept = load(tmp_path / "v1.safetensors")  # in half precision
    continuation = continuation_of(trained)
    run(continuation)
    again = [*corrections(), *corrections(2)]
    usual = lesson(kept, again)
    taken = lesson(kept, again, continuation)
    assert taken.model.checksum() != usual.model.checksum()
    assert taken.score_before == usual.score_before  # of the model, not of where it led
    first = continuation_of(taken).fit.net.encoder, continuation.start.encoder
    pairs = zip(*(net.parameters() for net in first), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    trainer = continuation_of(taken).trainer
    state = trainer.optimiser.state_dict()["state"]
    (steps,) = {int(slots["step"]) for slots in state.values()}
    assert steps > trainer.steps  # it went on with the means of others


@pytest.mark.parametrize("other", ["model", "classes", "channels", "width"])
def test_next_lesson_ignores_what_does_not_fit(other) -> None:
    continuation = continuation_of(lesson(small_model(), corrections()))
    model = {
        "model": lambda: small_model(1),
        "classes": lambda: new_model(small_model(), ("background", "a", "b")),
        "channels": lambda: new_model(
            small_model(), small_model().spec.classes, channels=2
        ),
        "width": lambda: small_model(width=8),
    }[other]()
    assert not continuation.fits(model)
    if other == "model":
        usual, ignored = (lesson(model, corrections(), s) for s in (None, continuation))
        assert usual.model.checksum() == ignored.model.checksum()


def test_labelled_images_have_no_sequel_and_take_none() -> None:
    image, truth = squares(1, (64, 64))
    continuation = continuation_of(lesson(small_model(), corrections()))
    model = continuation.selection.champion
    job = fine_tune(
        model,
        [Correction(image, truth)],
        TrainOptions(device="cpu", seconds=1),
        previous=continuation,
    )
    assert Steps(job).finish().continuation is None


def test_full_graphics_card_ends_it_and_keeps_what_was_reached(monkeypatch) -> None:
    trained = lesson(small_model(), corrections())
    continuation = continuation_of(trained)

    def full(*_: object) -> float:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(continuation.trainer, "step", full)
    assert run(continuation) == [replace(run(continuation)[0], steps=0, over=True)]
    assert continuation.selection.champion is trained.model
