"""Learning-rate schedules: how large the next step is, and when training is over."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["CosineSchedule", "PlateauSchedule"]

_WARM = 5  # steps until the rate is reached
_HASTE = 1.25  # how many times too few steps there is time for, so that they shrink
_PATIENCE, _CUTS = 8, 3  # looks without a gain until a cut; cuts until the end
_CUT = 1 / 3


@dataclass
class CosineSchedule:
    """Training with a set end: the rate falls to 0 along a half cosine.

    Attributes
    ----------
    peak
        The learning rate to begin with, after a warm-up of a few steps.
    limit, seconds
        When it is over: after so many steps, or when `clock` says so many seconds.
        Infinity: that sets no end.
    steps
        Done so far.
    fraction
        How much of the steps or of the time is used up, 0 to 1.
    hasty
        Whether there is time for too few steps: they should be smaller.
    """

    peak: float
    limit: float
    seconds: float
    clock: Callable[[], float]
    steps: int = field(init=False, default=0)
    fraction: float = field(init=False)
    hasty: bool = field(init=False, default=False)
    _first: tuple[int, float] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.fraction = self._used_up()

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        falling = 0.5 + 0.5 * math.cos(math.pi * self.fraction)
        return self.peak * falling * _warm_up(self.steps)

    @property
    def over(self) -> bool:
        """Whether steps or time are used up."""
        return self.fraction >= 1

    def advance(self, steps: int) -> None:
        """Take note of how many steps are done."""
        self.steps = steps
        self.fraction = self._used_up()
        now = steps, self.fraction
        if self._first is None:  # slower than the rest: it tells nothing
            self._first = now
        else:
            self.hasty |= _lack(self._first, now, self.limit) > _HASTE

    def look(self, *, better: bool) -> None:
        """Do nothing: whatever a look at what is held out shows, the end is set."""

    def _used_up(self) -> float:
        return min(1.0, max(self.steps / self.limit, self.clock() / self.seconds))


@dataclass
class PlateauSchedule:
    """Training without a set end: the rate is cut when nothing is gained any more.

    Attributes
    ----------
    peak
        The learning rate to begin with, after a warm-up of a few steps.
    steps
        Done so far.
    stale
        Looks at what is held out since the last gain, or the last cut.
    cuts
        How often the rate was cut.
    hasty
        Never: there is time.
    """

    peak: float
    steps: int = 0
    stale: int = 0
    cuts: int = 0
    hasty: bool = field(init=False, default=False)

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.peak * _CUT**self.cuts * _warm_up(self.steps)

    @property
    def over(self) -> bool:
        """Whether smaller steps brought nothing either."""
        return self.cuts >= _CUTS

    @property
    def fraction(self) -> float:
        """How near the end is, 0 to 1; a gain takes it further away again."""
        return min(1.0, (self.cuts + self.stale / _PATIENCE) / _CUTS)

    def advance(self, steps: int) -> None:
        """Take note of how many steps are done."""
        self.steps = steps

    def look(self, *, better: bool) -> None:
        """Take note of what a look at what is held out has shown."""
        self.stale = 0 if better else self.stale + 1
        if self.stale >= _PATIENCE:
            self.stale, self.cuts = 0, self.cuts + 1


def _warm_up(steps: int) -> float:
    return min(1.0, (steps + 1) / _WARM)


def _lack(first: tuple[int, float], now: tuple[int, float], wanted: float) -> float:
    """Return how many times as many steps are wanted as there is time for.

    `first` and `now` are steps done and the fraction that had passed then. Where no
    number is wanted (infinity), there are enough.
    """
    if wanted == math.inf or now[1] >= 1:
        return 1.0
    pace = (now[0] - first[0]) / max(now[1] - first[1], 1e-9)
    return wanted / (first[0] + pace * (1 - first[1]))
