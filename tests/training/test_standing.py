"""How far a model is trusted: the more, the more it has learned from."""

import math

import pytest

from napari_unet.network.model import load
from napari_unet.network.transfer import new_model
from napari_unet.training.standing import (
    Standing,
    agrees,
    is_new,
    noted,
    standing,
)

NEW, SOME, MANY = Standing(), Standing(8), Standing(1000)
PROVEN = Standing(0, proven=True)


@pytest.mark.parametrize("name", ["share", "head_trust", "kept"])
def test_model_is_trusted_more_with_strokes_and_most_if_it_was_right(name) -> None:
    new, some, many, proven = (getattr(s, name) for s in (NEW, SOME, MANY, PROVEN))
    assert 0 <= new < some < many
    assert proven > some
    assert getattr(Standing(8, proven=True), name) > proven


def test_net_of_a_model_that_was_right_moves_less() -> None:
    assert PROVEN.net_trust > NEW.net_trust == MANY.net_trust
    assert 1 > PROVEN.steadied > NEW.steadied == MANY.steadied > 0
    assert PROVEN.rate < NEW.rate == MANY.rate
    assert max(s.kept for s in (MANY, Standing(10**6, proven=True))) < 1


@pytest.mark.parametrize("new", [True, False])
def test_answers_agree_when_nearly_all_is_the_same(new) -> None:
    assert agrees(0.8, new=new)
    assert not agrees(0.6, new=new)


def test_less_is_asked_of_a_model_that_was_trained_for_its_classes() -> None:
    trained = load("nuclei")
    made = new_model(trained, ("background", "cell"))
    found = [agrees(0.7, new=is_new(model.card)) for model in (trained, made)]
    assert found == [True, False]


def test_model_that_has_learned_from_strokes_is_not_new() -> None:
    assert not is_new(noted(SOME, 8))


@pytest.mark.parametrize("known", [SOME, PROVEN, Standing(3, filters=0.12345)])
def test_card_says_how_far_a_model_is_trusted(known) -> None:
    found = standing(noted(known, 12))
    assert found == Standing(12, known.proven, round(known.filters, 3))


@pytest.mark.parametrize("strokes", [0, -1, 2.5, None])
def test_model_without_strokes_is_to_be_found_out(strokes) -> None:
    assert standing({"strokes": strokes, "nearly right": True}) is None


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, "much", None, math.nan])
def test_share_of_filters_that_cannot_be_is_the_usual_one(share) -> None:
    found = standing({"strokes": 8, "nearly right": False, "filters": share})
    assert found == Standing(8, False, 0.25)
