"""Jobs share the time, whatever their steps are, and those behind wait."""

import threading
import time

import pytest

from napari_unet.compute.turns import Turns


class Worker:
    """A job of steps of so many seconds, in a thread of its own."""

    def __init__(self, turns, job, seconds, *, behind=False):
        self.turns, self.job, self.spent, self.steps = turns, job, 0.0, 0
        self.thread = threading.Thread(target=self.work, args=(seconds, behind))
        self.thread.start()

    def work(self, seconds, behind):
        with self.turns.part(self.job, behind=behind):
            while True:
                with self.turns.turn(self.job) as wanted:
                    if not wanted:
                        return
                    began = time.monotonic()
                    time.sleep(seconds)
                    self.spent += time.monotonic() - began
                    self.steps += 1


@pytest.fixture
def turns():
    turns = Turns()
    yield turns
    turns.dismiss_all()


def test_long_steps_and_short_ones_get_the_same_time(turns):
    long, short = Worker(turns, 1, 0.03), Worker(turns, 2, 0.002)
    time.sleep(0.5)
    turns.dismiss_all()
    long.thread.join(5)
    short.thread.join(5)
    assert long.spent > 0
    assert 0.6 < short.spent / long.spent < 1.6
    assert short.steps > 2 * long.steps


def test_who_comes_later_does_not_get_what_the_others_have_had(turns):
    first = Worker(turns, 1, 0.01)
    time.sleep(0.3)
    second, before = Worker(turns, 2, 0.01), first.steps
    time.sleep(0.2)
    turns.dismiss_all()
    first.thread.join(5)
    second.thread.join(5)
    assert first.steps > before + 2


def test_one_computes_at_a_time(turns):
    with turns.part(1, behind=False), turns.turn(1):
        other = Worker(turns, 2, 0.001)
        time.sleep(0.05)
        assert other.steps == 0
    turns.dismiss(2)
    other.thread.join(5)
    assert not other.thread.is_alive()


def test_who_cannot_take_its_turn_holds_nobody_up(turns):
    with turns.part(1, behind=False):
        behind = Worker(turns, 2, 0.001, behind=True)
        with turns.turn(1):
            time.sleep(0.3)
        steps = behind.steps
        time.sleep(0.05)
        assert behind.steps == steps
        with turns.aside(1):
            time.sleep(0.1)
            assert behind.steps > steps + 1
        with turns.turn(1):
            steps = behind.steps
        time.sleep(0.05)
        assert behind.steps == steps
    turns.dismiss(2)
    behind.thread.join(5)
