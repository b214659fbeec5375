"""Episodes: what tasks look like, what a ridge head does, and that training resumes."""

import io

import general_layouts
import general_tasks
import numpy as np
import pytest
import torch
import train_general
from general_head import answer, fit, maps
from helpers.nets import random_model

SIDE = 48


# --- tasks ---------------------------------------------------------------------------


def test_a_task_is_the_same_each_time_and_shows_its_classes_twice() -> None:
    first, second = general_tasks.draw_task(3, side=SIDE)
    again, _ = general_tasks.draw_task(3, side=SIDE)
    assert np.array_equal(first.image, again.image)
    assert not np.array_equal(first.image, second.image)
    assert set(np.unique(first.classes)) == set(np.unique(second.classes))
    assert first.image.dtype == np.float32
    assert first.image.shape == first.classes.shape == (SIDE, SIDE)


@pytest.mark.parametrize("kind", general_layouts.LAYOUTS)
def test_a_layout_draws_things_and_leaves_ground(kind: str) -> None:
    random = np.random.default_rng(5)
    picture = general_layouts.smooth(random, 2 * SIDE, 5, 5)
    rule = general_layouts.layout(kind, random, [picture])
    found = rule(random, SIDE)
    assert found.shape == (SIDE, SIDE)
    assert found.min() == 0 < found.max()


def test_materials_differ_in_grey_or_in_texture() -> None:
    random, found = np.random.default_rng(0), []
    for _ in range(4):
        found.append(general_tasks.material(random, found))
    greys = [m.grey for m in found]
    for number, one in enumerate(found):
        for other, grey in zip(found[:number], greys, strict=False):
            alike = abs(one.grey - grey) <= general_tasks.APART
            assert not alike or max(one.strength, other.strength) >= 0.12


# --- the head ------------------------------------------------------------------------


def test_a_head_counts_classes_alike() -> None:
    seen = torch.tensor([[-1.0]] * 99 + [[1.0]])
    target = torch.tensor([0] * 99 + [1])
    said = answer(torch.tensor([[-0.1], [0.1]]), fit(seen, target, 2, 0.3))
    assert said.argmax(1).tolist() == [0, 1]


def test_an_episode_teaches_the_first_convolution() -> None:
    net = random_model(width=4, depth=2).net.requires_grad_(True)
    scenes = general_tasks.draw_task(3, side=SIDE)
    train_general.episode(net, *scenes, np.random.default_rng(0)).backward()
    slope = net.encoder[0][0].weight.grad
    assert slope is not None
    assert slope.abs().max() > 0


def test_filters_alone_read_no_features() -> None:
    net = random_model(width=4, depth=2).net
    filters, features = maps(net, torch.zeros(1, SIDE, SIDE), 0)
    assert (len(filters), features) == (5, [])


def test_strokes_stay_where_they_are_wanted() -> None:
    wanted = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    wanted[10:20, 5:40] = True
    where = train_general.strokes(wanted, 3, np.random.default_rng(0))
    assert wanted[where].all()
    assert len(where[0]) > 10


# --- training ------------------------------------------------------------------------


def run() -> train_general.Run:
    return train_general.Run(random_model(width=4, depth=2), [], SIDE)


def test_training_that_is_resumed_comes_to_the_same_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train_general, "EPISODES", 1)
    whole, part, rest = run(), run(), run()
    for _ in range(2):
        whole.learn(10)
    part.learn(10)
    kept = io.BytesIO()
    torch.save(part.state(), kept)
    kept.seek(0)
    rest.restore(torch.load(kept, weights_only=True))
    rest.learn(10)
    for key, value in whole.net.state_dict().items():
        assert torch.equal(value, rest.net.state_dict()[key]), key
