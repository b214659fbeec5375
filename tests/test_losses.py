"""The masked loss: what nobody looked at counts for nothing at all."""

import math

import pytest
import torch
from torch.nn import functional as F

from napari_unet.corrections import FOREGROUND, IGNORE
from napari_unet.losses import believe, distance, pixel_loss


def test_gradient_is_exactly_zero_where_nobody_looked() -> None:
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    target = torch.full((2, 8, 8), IGNORE, dtype=torch.uint8)
    target[0, 2, 3] = 1
    target[1, 5, 5] = FOREGROUND
    pixel_loss(logits, target).sum().backward()
    assert logits.grad is not None
    seen = (logits.grad != 0).any(1)
    assert seen.nonzero().tolist() == [[0, 2, 3], [1, 5, 5]]


def test_all_unseen_is_zero_and_not_nan() -> None:
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    target = torch.full((1, 4, 4), IGNORE, dtype=torch.uint8)
    loss = pixel_loss(logits, target).sum()
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_known_class_is_smoothed_cross_entropy() -> None:
    logits, target = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 1])
    expected = F.cross_entropy(logits, target, reduction="none", label_smoothing=0.05)
    torch.testing.assert_close(pixel_loss(logits, target.to(torch.uint8)), expected)


def test_foreground_is_the_summed_probability_of_the_others() -> None:
    p = torch.tensor([[0.2, 0.5, 0.3]])
    target = torch.tensor([FOREGROUND], dtype=torch.uint8)
    expected = -0.975 * math.log(0.8) - 0.025 * math.log(0.2)
    assert pixel_loss(p.log(), target).item() == pytest.approx(expected, rel=1e-5)


def test_distance_from_the_teacher_is_zero_only_at_its_own_answer() -> None:
    logits = torch.randn(3, 4, 5, 5)
    p = logits.softmax(1)
    assert distance(logits, p).abs().max() < 1e-5
    assert (distance(logits + torch.randn_like(logits), p) > 0).all()


# --- how far a model is to be believed --------------------------------------------


def sure_of(wrong: float) -> tuple[torch.Tensor, ...]:
    """Return logits, target and weight of 1000 pixels that a model calls 0 or 1.

    Its margins go up to 12, and are `wrong` where it errs; people painted over ten of
    its errors in each class.
    """
    margin = torch.linspace(0.1, 12, 1000)
    missed = torch.arange(1000) < 40
    margin[missed] = wrong
    margin[::2] *= -1
    logits = torch.stack([-margin / 2, margin / 2], 1)
    target = torch.full((1000,), IGNORE, dtype=torch.uint8)
    painted = missed & (torch.arange(1000) < 20)
    target[painted] = 1 - logits.argmax(1)[painted].to(torch.uint8)
    return logits, target, painted.float() / 20


def test_wavering_errors_say_that_a_model_is_as_good_as_it_thinks() -> None:
    found = believe(*sure_of(0.4), reviewed=0.02)
    assert found.temperature == 1
    assert float(found.wrong.sum()) < 0.08
    assert found.agreement > 0.9


def test_errors_that_it_was_sure_of_say_that_it_is_not() -> None:
    modest = believe(*sure_of(0.4), reviewed=0.02)
    found = believe(*sure_of(6.0), reviewed=0.02)
    assert found.temperature > 5
    assert found.agreement < 0.8 < modest.agreement
    assert found.trust < modest.trust


def test_where_all_was_reviewed_the_errors_are_counted() -> None:
    logits, _, _ = sure_of(6.0)
    truth = logits.argmax(1).to(torch.uint8)
    truth[:100] = 1 - truth[:100]
    found = believe(logits, truth, torch.full((1000,), 1e-3), reviewed=1.0)
    assert found.wrong.tolist() == pytest.approx([0.05, 0.05])
    assert found.agreement == pytest.approx(0.9)


def test_painted_errors_weigh_as_much_as_those_they_stand_for() -> None:
    logits, target, weight = sure_of(6.0)
    weight = torch.where(logits.argmax(1) == 0, weight * 5, weight)
    found = believe(logits, target, weight, reviewed=0.02)
    seen = target != IGNORE
    weighed = found.weigh(logits, target, weight)
    for value in (0, 1):
        total = float(weighed[seen & (target == value)].sum())
        share = found.wrong[1 - value] / found.wrong.sum()
        assert total == pytest.approx(float(share), rel=1e-4)


def test_without_an_error_everything_weighs_what_it_weighed() -> None:
    logits, target, weight = sure_of(6.0)
    target[:20] = logits.argmax(1)[:20].to(torch.uint8)
    found = believe(logits, target, weight, reviewed=0.02)
    torch.testing.assert_close(found.weigh(logits, target, weight), weight)
