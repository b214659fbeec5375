"""What a fit is measured by, and on which pixels its steps are."""

import pytest
import torch
from torch.nn import functional as F

from napari_unet.project.corrections import FOREGROUND, IGNORE
from napari_unet.training.head_fit import Aim, _part, agreement, score

NO = IGNORE


def logits(*classes: int) -> torch.Tensor:
    return F.one_hot(torch.tensor(classes), 3).float()


def painted(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("now", "target", "least"),
    [
        ((0, 0, 1, 1, 2, 2), (NO, NO, NO, NO, NO, NO), 1),
        ((0, 0, 1, 2, 2, 2), (NO, NO, NO, NO, NO, NO), 1),  # some class or other
        ((0, 0, 1, 2, 2, 2), (NO, NO, 1, NO, NO, NO), 0),  # no 1 is left elsewhere
        ((0, 0, 1, 2, 2, 2), (NO, NO, NO, NO, NO, 2), 2 / 3),
        ((0, 0, 1, 2, 2, 2), (NO, NO, NO, 1, NO, NO), 1),  # where somebody painted
        ((0, 1, 1, 1, 2, 2), (NO, NO, NO, NO, NO, NO), 2 / 3),  # background
        ((0, 0, 0, 0, 0, 2), (NO, NO, NO, NO, NO, NO), 2 / 5),  # all others
        ((0, 0, 1, 2, 2, 2), (NO, NO, NO, NO, NO, FOREGROUND), 1),
    ],
)
def test_agreement_is_that_of_the_class_that_agrees_least(now, target, least) -> None:
    found = agreement(logits(0, 0, 1, 1, 2, 2), logits(*now), painted(*target))
    assert found == pytest.approx(least)


def test_score_is_the_weight_of_what_is_right() -> None:
    target = painted(0, 1, 2, FOREGROUND, FOREGROUND, IGNORE)
    weight = torch.tensor([0.1, 0.2, 0.3, 0.05, 0.35, 0.0])
    aim = Aim(target, weight, *(torch.zeros(6, 3),) * 2, torch.zeros(6))
    assert score(logits(0, 2, 2, 1, 0, 0), aim) == pytest.approx(0.1 + 0.3 + 0.05)


@pytest.mark.parametrize("count", [1, 7, 1000])
@pytest.mark.parametrize("share", [0.1, 0.37, 1.0])
def test_steps_are_on_as_many_pixels_each_and_on_all_in_time(count, share) -> None:
    seen = torch.zeros(count)
    for step in range(200):
        part = _part(count, share, step)
        assert 0 <= part.start < part.stop <= count
        assert part.stop - part.start == max(1, round(share * count))
        seen[part] = 1
    assert seen.mean() > 0.95
