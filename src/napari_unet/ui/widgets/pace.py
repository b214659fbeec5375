"""An estimate of the time left."""

from dataclasses import dataclass

__all__ = ["Pace"]

_ENOUGH = 0.05  # share of the work that must be done before anybody can tell
_LONG = 1.0  # seconds that it must have gone on


@dataclass(slots=True)
class Pace:
    """Estimates the seconds left from how much is done.

    What was done at the first look is left out: it had to wait for imports and loading.
    """

    _first: tuple[float, float] | None = None  # seconds, and how much was done

    def left(self, seconds: float, fraction: float) -> float | None:
        """Return the seconds left; None while there is too little to judge by.

        Parameters
        ----------
        seconds
            Since the start.
        fraction
            How much is done, 0 to 1.
        """
        if self._first is None:
            self._first = seconds, fraction
        took, gained = seconds - self._first[0], fraction - self._first[1]
        if gained < _ENOUGH or took < _LONG:
            return None
        return took / gained * (1 - fraction)
