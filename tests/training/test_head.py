"""A head that is fitted to strokes: what changes, how far, and what is followed."""

import numpy as np
import pytest
import torch
from helpers.lessons import painted, small_model, squares

from napari_unet.network.unet import UNet
from napari_unet.project.corrections import IGNORE, Correction
from napari_unet.training import head, stacking, standing
from napari_unet.training.examples import Example, read_examples
from napari_unet.training.head import OBEYED, Fit, fit_head, obey
from napari_unet.training.readers import apart, joined
from napari_unet.training.selection import score
from napari_unet.training.standing import Standing

CAREFUL = Standing(10**6, proven=True)

pytestmark = pytest.mark.usefixtures("usual_steps")


def strokes(flipped: bool = False, wrong: bool = False) -> list[Example]:
    """Return strokes on squares.

    `flipped`: each class is painted where the other one is. `wrong`: background is
    painted along the edge, as if it was none.
    """
    image, truth = squares(1)
    target = painted(truth)
    if flipped:
        target = np.where(target == IGNORE, IGNORE, 1 - target).astype(np.uint8)
    if wrong:
        target[:8][truth[:8] == 0] = 1
    return read_examples(small_model(), [Correction(image, target)])


def first_fit(known: Standing | None = None, **keywords: bool) -> Fit:
    return fit_head(small_model().net, strokes(), 0, known, **keywords)


@pytest.fixture(scope="module")
def nearly_right() -> UNet:
    """Return a net that finds nearly all of the squares."""
    torch.manual_seed(0)
    return first_fit().net


@torch.no_grad()
def classes(net: UNet) -> torch.Tensor:
    (example,) = strokes()
    return net(example.image[None])[0].argmax(0)


def same_heads(one: UNet, other: UNet) -> bool:
    heads = (net.hypercolumn.parameters() for net in (one, other))
    return all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*heads, strict=True))


def test_nothing_but_the_head_is_fitted() -> None:
    before = small_model().net
    fit = fit_head(before, strokes(), 0, None)
    old, new = before.state_dict(), fit.net.state_dict()
    assert all(torch.equal(old[name], new[name]) for name in old)
    assert all(name.startswith("hypercolumn") for name in new.keys() - old.keys())
    assert fit.before == pytest.approx(score(before, strokes(), 0), abs=0.02)
    assert fit.before < 0.7 < 0.9 < fit.after


def test_answer_follows_what_the_net_beside_it_does_not(nearly_right) -> None:
    found = strokes(wrong=True)
    torch.manual_seed(0)
    fit = fit_head(nearly_right, found, 0, CAREFUL)
    assert score(fit.net, found, 0) < 0.9
    assert score(fit.answer, found, 0) >= OBEYED
    assert fit.after >= OBEYED
    assert (classes(fit.net) == classes(nearly_right)).float().mean() > 0.95


@pytest.mark.parametrize("kept", [0.0, 1.0])
def test_head_moves_back_by_what_is_kept(nearly_right, kept, monkeypatch) -> None:
    monkeypatch.setattr(Standing, "kept", kept)
    fit = fit_head(nearly_right, strokes(flipped=True), 0, Standing(8))
    assert same_heads(fit.net, nearly_right) == (kept == 1)


def test_trusted_model_stays_what_it_was_where_nobody_painted(
    nearly_right, monkeypatch
) -> None:
    monkeypatch.setattr(Standing, "kept", 0.0)
    was = classes(nearly_right)
    changed = []
    for known in (Standing(), CAREFUL):
        torch.manual_seed(0)
        fit = fit_head(nearly_right, strokes(flipped=True), 0, known)
        changed.append(float((classes(fit.net) != was).float().mean()))
    assert changed[0] > changed[1] + 0.2


@pytest.mark.parametrize("new", [False, True])
def test_model_of_which_nothing_is_known_is_found_out(nearly_right, new) -> None:
    torch.manual_seed(0)
    agreeing = fit_head(nearly_right, strokes(), 0, None, new=new)
    assert agreeing.standing == Standing(proven=True)
    for fit in (
        first_fit(new=new),
        fit_head(nearly_right, strokes(flipped=True), 0, None, new=new),
    ):
        assert not fit.standing.proven
        assert fit.agreement < agreeing.agreement


@pytest.mark.parametrize("why", ["it is new", "too few are right"])
def test_model_that_agrees_less_than_it_must_is_not_nearly_right(
    nearly_right, why, monkeypatch
) -> None:
    new = why == "it is new"
    where, name = (standing, "_AGREES_NEW") if new else (head, "FITTED")
    monkeypatch.setattr(where, name, 1.1)
    fit = fit_head(nearly_right, strokes(), 0, None, new=new)
    assert not fit.standing.proven


def test_model_that_is_found_to_be_nearly_right_is_kept_to(
    nearly_right, monkeypatch
) -> None:
    monkeypatch.setattr(Standing, "kept", 0.0)
    image, moved = strokes()[0].image[None], []
    for known in (Standing(), None):
        torch.manual_seed(0)
        net = fit_head(nearly_right, strokes(), 0, known).net
        with torch.no_grad():
            moved.append(float((net(image) - nearly_right(image)).abs().mean()))
    assert moved[1] < 0.8 * moved[0]


def test_model_that_is_not_nearly_right_has_the_best_share_of_filters(
    monkeypatch,
) -> None:
    monkeypatch.setattr(stacking, "_SHARES", (0.5,))  # whatever is best
    fit = first_fit()
    assert fit.standing == Standing(filters=0.5)
    assert fit.share == 0.5


def test_net_obeys_together_with_the_reader_of_filters(
    nearly_right, monkeypatch
) -> None:
    found = strokes(wrong=True)
    torch.manual_seed(0)
    fit = fit_head(nearly_right, found, 0, Standing(8, filters=0.9))
    both = joined(fit.net, fit.reader, fit.share)
    assert score(both, found, 0) < OBEYED - 0.02
    changed = []
    for trust in (30.0, 0.0):
        monkeypatch.setattr(Standing, "net_trust", trust)
        torch.manual_seed(0)
        net = obey(fit, fit.net, found, 0, seconds=60)
        assert same_heads(apart(net, fit.share), fit.net)
        changed.append(float((classes(net) != classes(both)).float().mean()))
        if not trust:
            assert score(net, found, 0) >= OBEYED
    assert changed[0] < changed[1]


def test_next_lesson_begins_without_the_reader_beside_the_net(monkeypatch) -> None:
    known = Standing(8, filters=0.5)
    first = first_fit(known)
    assert first.share == 0.5
    assert first.answer.spec.hypercolumn > first.net.spec.hypercolumn
    monkeypatch.setattr(Standing, "kept", 1.0)  # so that it ends where it begins
    second = fit_head(first.answer, strokes(), 0, known)
    assert second.net.spec == first.net.spec
    assert same_heads(second.net, first.net)


def test_reader_of_filters_counts_by_its_share() -> None:
    sizes = []
    for share in (0.25, 0.75):
        torch.manual_seed(0)
        reader = first_fit(Standing(8, filters=share)).reader
        sizes.append(float(reader.out.weight.detach().norm()))
    assert sizes[1] == pytest.approx(3 * sizes[0], rel=1e-3)


def test_whole_images_are_learned_from_and_not_obeyed(nearly_right) -> None:
    found = 2 * strokes(wrong=True)  # so many that filters would count
    fit = fit_head(nearly_right, found, 0, None, free=True)
    assert fit.answer is fit.net
    assert fit.share == 0
    assert fit.standing == Standing()
    assert fit.agreement > 0.6
