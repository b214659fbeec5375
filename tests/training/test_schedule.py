"""Learning rates: they warm up, fall to the end, and are cut where it gains nothing."""

import math

import pytest

from napari_unet.training import schedule
from napari_unet.training.schedule import CosineSchedule, PlateauSchedule


def rates(plan: CosineSchedule | PlateauSchedule, steps: int) -> list[float]:
    """Return the rates of so many steps, or of all until it is over."""
    found = []
    for step in range(steps):
        if plan.over:
            break
        found.append(plan.rate)
        plan.advance(step + 1)
    return found


def test_rate_warms_up_and_falls_to_nothing_in_as_many_steps() -> None:
    plan = CosineSchedule(1.0, 40, math.inf, lambda: 0.0)
    found = rates(plan, 100)
    assert len(found) == 40
    assert found[:4] == sorted(found[:4])
    assert found[0] == pytest.approx(0.2)
    assert found[20] == pytest.approx(0.5)
    assert found[5:] == sorted(found[5:], reverse=True)
    assert found[-1] < 0.01
    assert not plan.hasty


def test_time_ends_it_before_the_steps_are_done() -> None:
    clock = iter([0.0, 1.0, 2.0, 3.0, 4.0])
    plan = CosineSchedule(1.0, math.inf, 4.0, lambda: next(clock))
    assert len(rates(plan, 100)) == 4
    assert plan.fraction == 1
    assert not plan.hasty  # no number of steps is wanted


@pytest.mark.parametrize(("seconds", "hasty"), [(0.9, False), (4.0, True)])
def test_slow_device_takes_smaller_steps_to_do_as_many(seconds, hasty) -> None:
    now = 0.0
    plan = CosineSchedule(1.0, 40, 40.0, lambda: now)
    now = 30.0  # the first step alone is slow: that tells nothing
    plan.advance(1)
    assert not plan.hasty
    plan = CosineSchedule(1.0, 40, 40.0, lambda: now - 30)
    for step in (1, 2, 3):
        now += seconds
        plan.advance(step)
    assert plan.hasty == hasty
    now += 0.01  # it stays so
    plan.advance(39)
    assert plan.hasty == hasty


def test_rate_is_cut_when_nothing_is_gained_until_it_is_over(monkeypatch) -> None:
    monkeypatch.setattr(schedule, "_PATIENCE", 2)
    monkeypatch.setattr(schedule, "_CUTS", 2)
    plan = PlateauSchedule(9.0, steps=5)
    assert plan.rate == 9
    plan.look(better=False)
    plan.look(better=True)
    plan.look(better=False)
    assert (plan.rate, plan.fraction) == (9, 0.25)
    plan.look(better=False)
    assert (plan.rate, plan.fraction) == (pytest.approx(3), 0.5)
    for _ in range(2):
        assert not plan.over
        plan.look(better=False)
    assert plan.over
    assert plan.fraction == 1
