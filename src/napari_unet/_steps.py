"""Driver of a generator: events while it runs, its result at the end."""

from collections.abc import Generator
from typing import Generic, TypeVar

__all__ = ["Steps"]

_Event = TypeVar("_Event")
_Result = TypeVar("_Result")


class Steps(Generic[_Event, _Result]):
    """Steps of a generator: a `for` loop sees its events, then there is its result.

    Leaving the loop early closes the generator, which cancels it.

    >>> def count(n):
    ...     for i in range(n):
    ...         yield i
    ...     return "done"
    >>> run = Steps(count(3))
    >>> list(run), run.result
    ([0, 1, 2], 'done')

    Attributes
    ----------
    result
        What the generator returned, once it has ended.
    """

    result: _Result

    def __init__(self, job: Generator[_Event, None, _Result]) -> None:
        self._job = job

    def __iter__(self) -> Generator[_Event, None, None]:
        if not hasattr(self, "result"):  # a second loop over it sees nothing
            self.result = yield from self._job

    def finish(self) -> _Result:
        """Run it to its end, whatever it has to say meanwhile."""
        for _ in self:
            pass
        return self.result
