"""Calls: jobs that can run in another process, and what of them stays where it is.

A call is a function of a module and one request. Whatever the request holds that is an
array, a `Here` or a `Kept` does not travel: the other side gets a stand-in for it.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["STILL", "Call", "Here", "Kept"]

STILL: Final = object()  # what a `run.Run` yields while there is nothing else to tell


@dataclass(frozen=True, slots=True)
class Call:
    """A job: what `function` makes of `request`.

    Called, it runs where it is; `process.ComputeProcess.run` runs it elsewhere.

    Attributes
    ----------
    function
        A generator function at the top of a module, which both sides can import.
    request
        Plain data, and what this module's docstring names.
    apart
        Whether it may run in another process.
    """

    function: Callable[[Any], Generator[Any, None, Any]]
    request: Any
    apart: bool = True

    def __call__(self) -> Generator[Any, None, Any]:
        """Return the generator that does it, here."""
        return self.function(self.request)


@dataclass(frozen=True, slots=True)
class Here:
    """A function that runs where it was made, whichever process calls it.

    Arguments and result cross as the events of a job do; an array that it returns
    stays, and can be read and written from the other side.
    """

    function: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        """Return what the function returns."""
        return self.function(*arguments)


class Kept(dict[Any, Any]):
    """A cache that does not travel: each process has its own of a name.

    Parameters
    ----------
    name
        By which the other side finds its own.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
