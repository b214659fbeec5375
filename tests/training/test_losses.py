"""The masked loss: what nobody looked at counts for nothing at all."""

import math

import pytest
import torch

from napari_unet.project.corrections import FOREGROUND, IGNORE
from napari_unet.training.losses import (
    class_balanced_weights,
    distillation_loss,
    masked_cross_entropy,
)


def test_gradient_is_exactly_zero_where_nobody_looked() -> None:
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    target = torch.full((2, 8, 8), IGNORE, dtype=torch.uint8)
    target[0, 2, 3] = 1
    target[1, 5, 5] = FOREGROUND
    masked_cross_entropy(logits, target).sum().backward()
    assert logits.grad is not None
    seen = (logits.grad != 0).any(1)
    assert seen.nonzero().tolist() == [[0, 2, 3], [1, 5, 5]]


def test_all_unseen_is_zero_and_not_nan() -> None:
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    target = torch.full((1, 4, 4), IGNORE, dtype=torch.uint8)
    loss = masked_cross_entropy(logits, target).sum()
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_known_class_is_smoothed_cross_entropy() -> None:
    p = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    smoothed = [
        [0.95 + 0.05 / 3, 0.05 / 3, 0.05 / 3],
        [0.05 / 3, 0.95 + 0.05 / 3, 0.05 / 3],
    ]
    expected = -(torch.tensor(smoothed) * p.log()).sum(1)
    found = masked_cross_entropy(p.log(), torch.tensor([0, 1], dtype=torch.uint8))
    torch.testing.assert_close(found, expected)


def test_class_that_a_model_lacks_is_no_error() -> None:
    target = torch.tensor([3, IGNORE, 0], dtype=torch.uint8)
    found = masked_cross_entropy(torch.tensor([[2.0, 0.0]] * 3), target)
    assert found[0] == found[2] > 0
    assert found[1] == 0


def test_foreground_is_the_summed_probability_of_the_others() -> None:
    p = torch.tensor([[0.2, 0.5, 0.3]])
    target = torch.tensor([FOREGROUND], dtype=torch.uint8)
    expected = -0.975 * math.log(0.8) - 0.025 * math.log(0.2)
    found = masked_cross_entropy(p.log(), target).item()
    assert found == pytest.approx(expected, rel=1e-5)


def test_distance_from_the_teacher_is_zero_only_at_its_own_answer() -> None:
    logits = torch.randn(3, 4, 5, 5)
    p = logits.softmax(1)
    assert distillation_loss(logits, p).abs().max() < 1e-5
    assert (distillation_loss(logits + torch.randn_like(logits), p) > 0).all()


def test_distance_is_defined_where_the_teacher_is_certain() -> None:
    teacher = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    logits = torch.tensor([[0.5, 0.5], [0.5, 0.5]]).log().requires_grad_()
    found = distillation_loss(logits, teacher)
    sure, unsure = math.log(2), 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert found.tolist() == pytest.approx([sure, unsure], rel=1e-5)
    found.sum().backward()
    torch.testing.assert_close(logits.grad, 0.5 - teacher)


def test_a_rare_class_of_the_teacher_counts_as_much_as_a_common_one() -> None:
    teacher = torch.tensor([[4.0, 0.0]] * 9 + [[0.0, 4.0]])
    weights = class_balanced_weights(teacher, torch.ones(10, dtype=torch.bool))
    assert weights[:9].tolist() == pytest.approx([1 / 18] * 9)
    assert weights[9].item() == pytest.approx(0.5)
