"""Stand-ins for what does not travel: arrays, functions and caches of the other side.

A request crosses with names in the place of them. The process has a `FarArray` for each
array and a `FarCall` for each function, and asks the viewer for what it needs of them.
"""

import pickle
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_unet.compute.call import Here, Kept
from napari_unet.compute.channel import Frame, dump, load
from napari_unet.errors import UNetError

__all__ = ["Border", "FarArray", "FarCall", "FarTable", "LocalTable", "portable"]


class Border(Protocol):
    """What asks the other side, and waits for the answer."""

    def ask(self, question: tuple[Any, ...], /) -> Any:
        """Return what came of it, or raise what it raised."""


class FarArray:
    """An array in another process: what is read and written crosses.

    Attributes
    ----------
    shape, dtype
        As in numpy.
    number
        By which the other side knows it.
    in_memory
        Whether it is a numpy array there, of which nothing is read from a file.
    """

    def __init__(
        self,
        border: Border,
        number: int,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        in_memory: bool = False,
    ) -> None:
        self._border, self.number, self.in_memory = border, number, in_memory
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        found: NDArray[Any] = self._border.ask(("get", self.number, key))
        return found

    def __setitem__(self, key: Any, values: Any) -> None:
        values = np.asarray(values, order="C")
        self._border.ask(("set", self.number, key, values))

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        return np.asarray(self[...], dtype)


class FarCall:
    """A function of another process; see `call.Here`."""

    def __init__(self, border: Border, number: int) -> None:
        self._border, self.number = border, number

    def __call__(self, *arguments: Any) -> Any:
        """Return what the function returns, there."""
        return self._border.ask(("call", self.number, arguments))


class LocalTable:
    """The viewer's side: what one job may ask for, by number."""

    def __init__(self) -> None:
        self._things: list[Any] = []
        self._numbers: dict[int, int] = {}  # by id: what is listed lives as long

    def name(self, value: Any) -> tuple[Any, ...] | None:
        """Return what crosses in the place of a value; None: it crosses itself."""
        if isinstance(value, Kept):
            return "kept", value.name
        if isinstance(value, Here):
            return "call", self._number(value)
        if _is_array(value):
            shape = tuple(int(length) for length in value.shape)
            about = shape, np.dtype(value.dtype).str, isinstance(value, np.ndarray)
            return "array", self._number(value), *about
        return None

    def find(self, name: tuple[Any, ...]) -> Any:
        """Return the thing that a stand-in stands for."""
        _, number = name
        return self._things[number]

    def answer(
        self, frame: Frame, memory: memoryview
    ) -> tuple[bytes, list[memoryview]]:
        """Do what the process asks for; return how that went, for `channel.Frame`.

        Whatever goes wrong is raised there, where it was asked for.
        """
        try:
            verb, number, *more = load(frame, memory, self.find)
            thing = self._things[number]
            if verb == "get":
                return dump(("found", np.asarray(thing[more[0]], order="C")))
            if verb == "call":
                found = thing(*more[0])
                return dump(("found", found), None if thing.copies else self.name)
            thing[more[0]] = more[1]
        except Exception as error:  # noqa: BLE001 - the border to the other process
            return dump(("raised", portable(error)))
        return dump(("found", None))

    def _number(self, value: Any) -> int:
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._things)
            self._things.append(value)
        return self._numbers[id(value)]


class FarTable:
    """The process's side: a stand-in for each number, always the same one.

    Parameters
    ----------
    exchange
        Sends a question with `name`, and loads the answer with `find`: ``"found"`` or
        ``"raised"``, and what.
    kept
        The process's own caches, by name.
    """

    def __init__(
        self, exchange: Callable[[Any, Any, Any], Any], kept: dict[str, Kept]
    ) -> None:
        self._exchange, self._kept = exchange, kept
        self._stand_ins: dict[int, Any] = {}

    def ask(self, question: tuple[Any, ...], /) -> Any:
        """Return what came of a question, or raise that."""
        how, value = self._exchange(question, self.name, self.find)
        if how == "raised":
            raise value
        return value

    def find(self, name: tuple[Any, ...]) -> Any:
        """Return the stand-in, or the cache, of a name."""
        kind, at, *more = name
        if kind == "kept":
            return self._kept.setdefault(at, Kept(at))
        if at not in self._stand_ins:
            make = FarArray if kind == "array" else FarCall
            self._stand_ins[at] = make(self, at, *more)
        return self._stand_ins[at]

    def name(self, value: Any) -> tuple[Any, ...] | None:
        """Return what crosses in the place of a stand-in; None for anything else."""
        if isinstance(value, FarArray | FarCall):
            return "there", value.number
        return ("kept", value.name) if isinstance(value, Kept) else None


def portable(error: Exception) -> Exception:
    """Return an error that can cross: as it is, or else in words."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - whatever its own way of being pickled raises
        if isinstance(error, UNetError):
            return UNetError(str(error), option=error.options)
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _is_array(value: Any) -> bool:
    """Whether a value is an array, in memory or read where it is indexed."""
    if isinstance(value, np.ndarray):
        return True
    named = all(hasattr(value, name) for name in ("shape", "dtype", "__getitem__"))
    return named and not isinstance(value, np.generic | type)
