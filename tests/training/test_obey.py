"""A head that follows what people said, and otherwise stays what it was."""

import copy
import math

import pytest
import torch

from napari_unet.network.hypercolumn import Hypercolumn
from napari_unet.project.corrections import IGNORE
from napari_unet.training import obey
from napari_unet.training.features import Pixels
from napari_unet.training.head_fit import Aim, agreement, read, score
from napari_unet.training.obey import obedient

COUNT, PAINTED = 600, 120


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obey, "_STEPS", 100)
    monkeypatch.setattr(obey, "_SOME", 600)
    monkeypatch.setattr(obey, "AGAIN", 3e-2)  # this head knows nothing yet


def case(says: float = 1.0) -> tuple[Hypercolumn, torch.Tensor, Pixels, torch.Tensor]:
    """Return a head that adds nothing, features, strokes, and first logits.

    `says` what weight the first feature has in these: with 1, all strokes are right;
    with -1, next to none is.
    """
    torch.manual_seed(0)
    head = Hypercolumn([0], 1, 8, 2)
    features = torch.randn(COUNT, 5)
    target = torch.full((COUNT,), IGNORE, dtype=torch.uint8)
    target[:PAINTED] = (features[:PAINTED, 0] > 0).to(torch.uint8)
    weight = (target != IGNORE) / PAINTED
    first = torch.stack([torch.zeros(COUNT), 2 * says * features[:, 0]], 1)
    return head, features, Pixels([], target, weight, first), first


def said(
    head: Hypercolumn, features: torch.Tensor, first: torch.Tensor
) -> torch.Tensor:
    with torch.no_grad():
        return first + read(head, features)


def same(one: Hypercolumn, other: Hypercolumn) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(bool((a == b).all()) for a, b in pairs)


def test_what_is_wrong_is_followed_then() -> None:
    head, features, pixels, first = case(says=-1)
    assert score(first, pixels) < 0.05
    obedient(head, features, pixels, first, 0.0, math.inf)
    assert score(said(head, features, first), pixels) >= 0.95


@pytest.mark.parametrize("why", ["all is right", "no time"])
def test_nothing_is_changed_where_that_is_not_needed_or_cannot_be(why: str) -> None:
    right = why == "all is right"
    head, features, pixels, first = case(says=1 if right else -1)
    with torch.no_grad():
        head.out.weight.normal_(0, 1e-3)
    before = copy.deepcopy(head)
    obedient(head, features, pixels, first, 1.0, math.inf if right else 0)
    assert same(head, before)


def test_what_was_said_before_is_kept_where_nobody_painted() -> None:
    found = []
    for trust in (0.0, 10.0):
        head, features, pixels, _ = case()
        first = torch.stack([torch.zeros(COUNT), 2 * features[:, 1]], 1)
        obedient(head, features, pixels, first, trust, math.inf)
        now = said(head, features, first)
        found.append(agreement(first, now, pixels.target))
    free, careful = found
    assert careful > free + 0.1


def test_it_moves_back_as_far_as_strokes_are_still_followed() -> None:
    head, features, pixels, first = case(says=-1)
    old = copy.deepcopy(head)
    obedient(head, features, pixels, first, 0.0, math.inf)  # follows nearly all
    new, nobody = copy.deepcopy(head), torch.zeros(COUNT)
    aim = Aim(pixels.target, pixels.weight, first, first.softmax(1), nobody)
    with torch.no_grad():  # much farther than is needed
        new.out.weight.mul_(5)
    moved = copy.deepcopy(new)
    obey._move_back(moved, old, features, aim)
    assert score(said(moved, features, first), pixels) >= obey._ENOUGH
    whole, rest = (float((a.out.weight - old.out.weight).norm()) for a in (new, moved))
    assert 0 < rest < 0.8 * whole
    less = copy.deepcopy(moved)  # a tenth less of the way
    share = rest / whole
    with torch.no_grad():
        for a, b in zip(less.parameters(), old.parameters(), strict=True):
            a.copy_(b + (a - b) * (share - 0.1) / share)
    assert score(said(less, features, first), pixels) < obey._ENOUGH


def test_no_more_is_changed_than_strokes_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obey, "_GOAL", 1.1)  # it goes on through all steps
    sizes = []
    for enough in (obey._ENOUGH, 1.1):
        monkeypatch.setattr(obey, "_ENOUGH", enough)
        head, features, pixels, first = case(says=-1)
        before = head.out.weight.detach().clone()
        obedient(head, features, pixels, first, 0.0, math.inf)
        sizes.append(float((head.out.weight - before).norm()))
    assert sizes[0] < 0.95 * sizes[1]
