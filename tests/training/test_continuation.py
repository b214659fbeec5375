"""Learning that goes on after a lesson: it gains, ends, and is taken up by the next."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.lessons import painted, small_model, squares

from napari_unet._steps import Verb
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
    model: Model, found: list[Correction], before: Continuation | None = None
) -> Trained:
    options = TrainOptions(device="cpu", seconds=None)
    return Verb(fine_tune(model, found, options, before=before)).finish()


def sequel_of(trained: Trained) -> Continuation:
    assert trained.sequel is not None
    return trained.sequel


def run(sequel: Continuation) -> list[Further]:
    verb = Verb(go_on(sequel))
    return [*verb, verb.result]


@pytest.fixture
def longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be so many looks that some of them find something better."""
    monkeypatch.setattr(module, "_AS_LONG", 15)
    monkeypatch.setattr(module, "_PATIENCE", 8)


def test_goes_on_to_better_models_and_ends_by_itself(longer) -> None:
    trained = lesson(small_model(), corrections())
    sequel = sequel_of(trained)
    sequel.begin()
    loss = sequel.loss
    found = run(sequel)
    better = [f for f in found if f.model is not None]
    assert better
    assert sequel.loss < loss
    assert all(f.right >= sequel.floor for f in better)
    assert [f.over for f in found] == [False] * (len(found) - 1) + [True]
    assert found[-1].steps <= module._AS_LONG * sequel.usual
    assert run(sequel) == found[-1:]  # called again, it has ended


def test_ends_early_once_nothing_more_is_gained(monkeypatch) -> None:
    monkeypatch.setattr(module, "_GAIN", 1.0)  # no loss falls as far as that
    sequel = sequel_of(lesson(small_model(), corrections()))
    assert not sequel.lacking
    assert run(sequel)[-1].steps == module._PATIENCE * module._LOOK


def test_goes_on_as_long_as_strokes_are_not_followed(monkeypatch) -> None:
    monkeypatch.setattr(module, "_GAIN", 1.0)
    monkeypatch.setattr(module, "OBEYED", 1.1)  # never
    sequel = sequel_of(lesson(small_model(), corrections()))
    assert sequel.lacking
    assert run(sequel)[-1].steps == module._AS_LONG * sequel.usual


@pytest.mark.parametrize("why", ["it is right on less", "it has learned nothing"])
def test_no_model_replaces_a_better_one(why, monkeypatch) -> None:
    trained = lesson(small_model(), corrections())
    sequel = sequel_of(trained)
    if why == "it is right on less":
        less = min(trained.score_after, OBEYED) - 0.01
        monkeypatch.setattr(module, "score", lambda *_: less)
    else:
        sequel.loss = -math.inf
    before = trained.model.checksum()
    assert {f.model for f in run(sequel)} == {None}
    assert sequel.selection.champion.checksum() == before


def test_models_that_were_given_away_are_never_changed(longer) -> None:
    model = small_model()
    start = model.checksum()
    trained = lesson(model, corrections())
    sequel, published = sequel_of(trained), trained.model.checksum()
    job = go_on(sequel)
    found = next(f.model for f in job if f.model is not None)
    better = found.checksum()
    next(job, None)
    job.close()  # at once, in the middle of a step
    run(sequel)
    assert found.checksum() == better
    assert (model.checksum(), trained.model.checksum()) == (start, published)


def test_goes_on_where_it_was_closed() -> None:
    sequel = sequel_of(lesson(small_model(), corrections()))
    job = go_on(sequel)
    steps = [next(job).steps for _ in range(3)]
    job.close()
    assert steps == [1, 2, 3]
    assert next(go_on(sequel)).steps == 4


def test_next_lesson_begins_where_it_has_led(tmp_path) -> None:
    trained = lesson(small_model(), corrections())
    save(trained.model, tmp_path / "v1.safetensors")
    kept = load(tmp_path / "v1.safetensors")  # in half precision
    sequel = sequel_of(trained)
    run(sequel)
    again = [*corrections(), *corrections(2)]
    usual = lesson(kept, again)
    taken = lesson(kept, again, sequel)
    assert taken.model.checksum() != usual.model.checksum()
    assert taken.score_before == usual.score_before  # of the model, not of where it led
    trainer = sequel_of(taken).trainer
    state = trainer.optimiser.state_dict()["state"]
    (steps,) = {int(slots["step"]) for slots in state.values()}
    assert steps > trainer.steps  # it went on with the means of others


def test_better_model_in_a_file_is_known_as_well(tmp_path) -> None:
    sequel = sequel_of(lesson(small_model(), corrections()))
    better = [f.model for f in run(sequel) if f.model is not None]
    for model in better:
        save(model, tmp_path / "v1.safetensors")
        assert sequel.fits(load(tmp_path / "v1.safetensors"))


@pytest.mark.parametrize("other", ["model", "classes", "channels", "width"])
def test_next_lesson_ignores_what_does_not_fit(other) -> None:
    sequel = sequel_of(lesson(small_model(), corrections()))
    model = {
        "model": lambda: small_model(1),
        "classes": lambda: new_model(small_model(), ("background", "a", "b")),
        "channels": lambda: new_model(
            small_model(), small_model().spec.classes, channels=2
        ),
        "width": lambda: small_model(width=8),
    }[other]()
    assert not sequel.fits(model)
    if other == "model":
        usual, ignored = (lesson(model, corrections(), s) for s in (None, sequel))
        assert usual.model.checksum() == ignored.model.checksum()


def test_labelled_images_have_no_sequel_and_take_none() -> None:
    image, truth = squares(1, (64, 64))
    sequel = sequel_of(lesson(small_model(), corrections()))
    model = sequel.selection.champion
    job = fine_tune(
        model,
        [Correction(image, truth)],
        TrainOptions(device="cpu", seconds=1),
        before=sequel,
    )
    assert Verb(job).finish().sequel is None


def test_full_graphics_card_ends_it_and_keeps_what_was_reached(monkeypatch) -> None:
    trained = lesson(small_model(), corrections())
    sequel = sequel_of(trained)

    def full(*_: object) -> float:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(sequel.trainer, "step", full)
    assert run(sequel) == [replace(run(sequel)[0], steps=0, over=True)]
    assert sequel.selection.champion is trained.model
