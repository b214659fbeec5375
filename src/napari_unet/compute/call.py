"""Calls: jobs that can run in another process, and what of them stays where it is.

A call is a function of a module and its arguments. Whatever these hold that is an
array, a `Here` or a `Kept` does not travel: the other side gets a stand-in for it.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["STILL", "Call", "Here", "Kept", "emptying"]

STILL: Final = object()  # what a `run.Run` yields while there is nothing else to tell


class Call:
    """A job: what `function` makes of its arguments.

    Called, it runs where it is; `process.ComputeProcess.run` runs it elsewhere.

    Parameters
    ----------
    function
        A generator function at the top of a module, which both sides can import.
    arguments
        Plain data, and what this module's docstring names.
    apart
        Whether it may run in another process.
    behind
        Whether it waits there while others compute.
    doing
        What it does, for people, as in "segmenting"; empty: not worth telling.
    quiet
        Whether nobody waits for its end: if it does not stop in time when it is
        cancelled, the process is not ended for that.
    """

    def __init__(
        self,
        function: Callable[..., Generator[Any, None, Any]],
        *arguments: Any,
        apart: bool = True,
        behind: bool = False,
        doing: str = "",
        quiet: bool = False,
    ) -> None:
        self.function, self.arguments = function, arguments
        self.apart, self.behind, self.quiet = apart, behind, quiet
        self.doing = doing

    def __call__(self) -> Generator[Any, None, Any]:
        """Return the generator that does it, here."""
        return self.function(*self.arguments)


@dataclass(frozen=True, slots=True)
class Here:
    """A function that runs where it was made, whichever process calls it.

    Arguments and result cross as the events of a job do.

    Attributes
    ----------
    copies
        Whether arrays of the result cross, too; else they stay, and can be read and
        written from the other side.
    """

    function: Callable[..., Any]
    copies: bool = False

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


def emptying(kept: Kept) -> Generator[None, None, None]:
    """Let go of all that a cache of the process holds; the function of a call."""
    kept.clear()
    yield
