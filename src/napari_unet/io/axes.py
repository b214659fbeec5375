"""Axes of arrays: letters T, C, Z, Y and X, their order, units, lazy transposition.

Only this file knows the rules by which a file's letters become T, C, Z, Y and X.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from napari_unet.errors import ImageError
from napari_unet.io.lazy_array import LazyArray

__all__ = [
    "ArrangedArray",
    "ArrayLike",
    "ColourChannels",
    "arrange",
    "check_axes",
    "join_colours",
    "order_axes",
    "parse_key",
    "settle_axes",
    "unit_word",
]

_KNOWN = "TCZYX"
_UNITS = {
    "micrometer": ("um", "µm", "μm", "micron", "microns", "micrometre", "micrometers"),
    "nanometer": ("nm", "nanometre", "nanometers"),
    "millimeter": ("mm", "millimetre", "millimeters"),
    "centimeter": ("cm", "centimetre", "centimeters"),
    "meter": ("m", "metre", "meters"),
    "picometer": ("pm",),
    "decimeter": ("dm",),
    "kilometer": ("km",),
    "foot": ("ft", "feet"),
    "yard": ("yd", "yards"),
    "angstrom": ("å", "Å", "a", "angstroms"),
    "inch": ("in", "inches", '"'),
    "second": ("s", "sec", "secs", "seconds"),
    "millisecond": ("ms", "msec", "milliseconds"),
    "microsecond": ("us", "µs", "μs", "microseconds"),
    "nanosecond": ("ns", "nanoseconds"),
    "picosecond": ("ps", "picoseconds"),
    "minute": ("min", "mins", "minutes"),
    "hour": ("h", "hr", "hrs", "hours"),
    "day": ("d", "days"),
    "pixel": ("", "px", "pixels", "voxel", "none", "null", "reference frame"),
}
_WORDS = {short: word for word, shorts in _UNITS.items() for short in shorts}


class ArrayLike(Protocol):
    """What image data must offer: numpy, Zarr, dask and TIFF arrays do."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis."""
        ...

    @property
    def dtype(self) -> Any:
        """Type of the pixels."""
        ...

    def __getitem__(self, key: Any, /) -> Any: ...


def unit_word(unit: str) -> str:
    """Return the one word used here for a unit, such as micrometer for um.

    What is no unit of length or time becomes pixel.
    """
    text = unit.replace(r"\u00B5", "µ").replace(r"\u00b5", "µ").strip()
    text = text.replace("Âµ", "µ")  # UTF-8 that somebody took for Latin-1
    word = _WORDS.get(text, _WORDS.get(text.lower(), text.lower()))
    return word if word in _UNITS else "pixel"


def settle_axes(found: str, shape: Sequence[int], name: str) -> str:
    """Return one of ``TCZYXS`` for every axis, ``-`` for one that can be dropped.

    An unknown axis of length 1 is dropped; exactly one longer one counts as Z, or as T
    where Z is taken.

    Raises
    ------
    ImageError
        If Y or X is missing, two axes or more are unknown, or there are both channels
        and colour samples.
    """
    letters = list(found.upper())
    both = {"S", "C"} <= set(letters)
    for i, letter in enumerate(letters):
        double = letter in "SC" and both
        if shape[i] == 1 and (letter not in _KNOWN + "S" or double):
            letters[i] = "-"
            both = both and not double
    unknown = [i for i, letter in enumerate(letters) if letter not in "TCZYXS-"]
    free = [a for a in "ZT" if a not in letters]
    if not {"Y", "X"} <= set(letters):
        raise ImageError(
            f"{name} has shape {tuple(shape)}, which is no plane of pixels. Open an "
            "image of two axes or more, or name them.",
            option="axes",
        )
    if both or len(unknown) > 1 or (unknown and not free):
        why = "channels and colour samples" if both else "axes of unknown meaning"
        raise ImageError(
            f"{name} has axes {found!r} of lengths {tuple(shape)}: {why}. Name every "
            f"axis, as in {_example(letters)}.",
            option="axes",
        )
    for i in unknown:
        letters[i] = free[0]
    return "".join(letters)


def _example(letters: Sequence[str]) -> str:
    """Return how the axes might be named, T, Z and C filling the gaps."""
    taken = [a if a in _KNOWN else "?" for a in letters]
    free = [a for a in "TZC" if a not in taken]
    count = taken.count("?")
    fill = iter(["Z"] if count == 1 and "Z" in free else free)
    return "".join(next(fill, "?") if a == "?" else a for a in taken)


def check_axes(given: str, shape: Sequence[int], name: str) -> str:
    """Return the axes that a person gave, in capitals.

    Raises
    ------
    ImageError
        If they do not fit the array.
    """
    letters = given.strip().upper()
    if len(letters) != len(shape):
        raise ImageError(
            f"{name} has {len(shape)} axes (shape {tuple(shape)}), but {given!r} names "
            f"{len(letters)}. Give one letter for each."
        )
    wrong = set(letters) - set(_KNOWN + "S")
    twice = len(set(letters.replace("S", "C"))) < len(letters)
    if wrong or twice or not {"Y", "X"} <= set(letters):
        raise ImageError(
            f"Axes {given!r} of {name} cannot be used: take each of T, C, Z, Y, X at "
            "most once, Y and X always (S in place of C for colour samples)."
        )
    return letters


def order_axes(letters: str) -> tuple[int, ...]:
    """Return which axes stay, in the order in which they are shown: Y and X last.

    Axes that are in a good order already keep it, with C wherever it stands.
    """
    kept = [i for i, letter in enumerate(letters) if letter != "-"]
    if "".join(letters[i] for i in kept if letters[i] not in "CS").endswith("YX"):
        return tuple(kept)
    front = [i for i in kept if letters[i] not in "YX"]
    return (*front, letters.index("Y"), letters.index("X"))


def arrange(data: Any, order: tuple[int, ...]) -> Any:
    """Return `data` with only the axes `order`, in that order, still lazily read."""
    shape = data.shape
    return data if order == tuple(range(len(shape))) else ArrangedArray(data, order)


class ArrangedArray(LazyArray):
    """An array seen with its axes in another order; axes left out are read at 0."""

    def __init__(self, data: Any, order: tuple[int, ...]) -> None:
        self.shape = tuple(int(data.shape[i]) for i in order)
        self.dtype = data.dtype
        self.piece: int = getattr(data, "piece", 0)  # see `chunks`
        self.slab: int = getattr(data, "slab", 0)
        self._data = data
        self._order = order

    def keeping(self, room: int) -> "ArrangedArray":
        """Return the same array, with `room` bytes for decoded chunks."""
        return ArrangedArray(self._data.keeping(room), self._order)

    def __getitem__(self, key: Any) -> Any:
        keys: list[int | slice] = [0] * len(self._data.shape)
        for axis, k in zip(self._order, parse_key(key, self.shape), strict=True):
            keys[axis] = k
        window = np.asarray(self._data[tuple(keys)])
        kept = [i for i, k in enumerate(keys) if isinstance(k, slice)]
        return window.transpose([kept.index(i) for i in self._order if i in kept])


def join_colours(letters: str, data: Any, colours: int) -> tuple[str, Any]:
    """Return axes and array where the colours of channels are channels, too.

    Parameters
    ----------
    colours
        How many of the samples of a pixel are colours; alpha comes behind them.
    """
    return letters.replace("S", ""), ColourChannels(data, letters, colours)


class ColourChannels(LazyArray):
    """Channels that have colours, as one axis: all colours of a channel, then the next.

    There is no axis of samples any more.
    """

    def __init__(self, data: Any, letters: str, colours: int) -> None:
        self._channel, self._sample = letters.index("C"), letters.index("S")
        self._data = data
        self._colours = colours
        shape = [int(n) for n in data.shape]
        shape[self._channel] *= colours
        del shape[self._sample]
        self.shape = tuple(shape)
        self.dtype = data.dtype
        self.piece: int = getattr(data, "piece", 0)  # see `chunks`
        self.slab: int = getattr(data, "slab", 0)

    def __getitem__(self, key: Any) -> Any:
        keys = list(parse_key(key, self.shape))
        keys.insert(self._sample, 0)
        wanted = keys[self._channel]
        at = self._channel - (self._sample < self._channel)
        numbers = range(self.shape[at])[wanted]
        if isinstance(numbers, int):
            return self._one(keys, numbers)
        place = sum(isinstance(k, slice) for k in keys[: self._channel])
        return np.stack([self._one(keys, n) for n in numbers], place)

    def _one(self, keys: list[int | slice], number: int) -> Any:
        """Return one colour of one channel."""
        keys[self._channel], keys[self._sample] = divmod(number, self._colours)
        return np.asarray(self._data[tuple(keys)])


def parse_key(key: Any, shape: tuple[int, ...]) -> tuple[int | slice, ...]:
    """Return one integer or slice for every axis."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if not all(isinstance(k, int | np.integer | slice) or k is ... for k in keys):
        raise TypeError(f"{key!r} is no index: take integers, slices and '...'.")
    at = next((i for i, k in enumerate(keys) if k is ...), None)
    if at is None:
        at = len(keys)
        keys.append(...)
    missing = len(shape) - len(keys) + 1
    if missing < 0:
        raise IndexError(f"{len(keys) - 1} indices for {len(shape)} axes.")
    keys[at : at + 1] = [slice(None)] * missing
    return tuple(k if isinstance(k, slice) else int(k) for k in keys)
