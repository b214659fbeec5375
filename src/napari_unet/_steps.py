"""Driver of a generator verb: events while it runs, its result at the end."""

from collections.abc import Generator
from typing import Generic, TypeVar

__all__ = ["Verb"]

_Event = TypeVar("_Event")
_Result = TypeVar("_Result")


class Verb(Generic[_Event, _Result]):
    """A verb that runs: a `for` loop sees its events, and then there is its result.

    Leaving the loop early closes the verb, which cancels it.

    >>> def count(n):
    ...     for i in range(n):
    ...         yield i
    ...     return "done"
    >>> verb = Verb(count(3))
    >>> list(verb), verb.result
    ([0, 1, 2], 'done')

    Attributes
    ----------
    result
        What the verb returned, once it has ended.
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
