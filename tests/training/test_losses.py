"""The masked loss: what nobody looked at counts for nothing at all."""

import math

import pytest
import torch
from torch.nn import functional as F

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
    logits, target = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 1])
    expected = F.cross_entropy(logits, target, reduction="none", label_smoothing=0.05)
    found = masked_cross_entropy(logits, target.to(torch.uint8))
    torch.testing.assert_close(found, expected)


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


def test_a_rare_class_of_the_teacher_counts_as_much_as_a_common_one() -> None:
    teacher = torch.tensor([[4.0, 0.0]] * 9 + [[0.0, 4.0]])
    weights = class_balanced_weights(teacher, torch.ones(10, dtype=torch.bool))
    assert weights[:9].tolist() == pytest.approx([1 / 18] * 9)
    assert weights[9].item() == pytest.approx(0.5)
