"""Private names of napari: all that are used, each of which may be missing one day.

Without one, something is slower or is not known; nothing fails. What `events.paint`
carries is private, too: see `recording.strokes`, which tries it out.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "count_strokes",
    "drop_strokes",
    "from_file",
    "main_window",
    "quick_colours",
    "show_part",
]

_BLOCK = 2**16  # numbers that a processor's cache holds several times


def from_file(path: Path) -> AbstractContextManager[None]:
    """Let layers that are made meanwhile be of a file, as those of readers are.

    Without it they are of none.
    """
    try:
        from napari.layers._source import layer_source
    except ImportError:
        return nullcontext()
    made: AbstractContextManager[None] = layer_source(path=str(path))
    return made


def main_window(viewer: Any) -> Any:
    """Return the window that widgets of a viewer belong to; None for none."""
    return getattr(getattr(viewer, "window", None), "_qt_window", None)


def count_strokes(layer: Any) -> tuple[int, int]:
    """Return how many strokes could be undone, and redone.

    Without it nobody hears of an undo.
    """
    try:
        return len(layer._undo_history), len(layer._redo_history)
    except AttributeError:
        return 0, 0


def drop_strokes(layer: Any) -> None:
    """Let nobody undo or redo what was painted.

    Without it they can until the layer is locked: napari does the same then.
    """
    with suppress(AttributeError):  # a stroke that is being drawn
        layer._commit_staged_history()
    with suppress(AttributeError):
        layer._reset_history()


def show_part(layer: Any, key: tuple[slice, ...]) -> bool:
    """Draw the pixels `key` of a labels layer anew; False if that cannot be done.

    A whole refresh takes seconds for a plane of 20000 x 20000. napari draws parts only
    for its own brush.
    """
    if layer.multiscale:  # what is in view is little
        return False
    with suppress(AttributeError, TypeError, ValueError, IndexError):
        where = layer._get_update_slices(key)
        if where is None:  # not on the screen
            return True
        if layer.contour or layer._slice_input.ndisplay != 2:
            return False
        region, view = (tuple(side) for side in where)
        values = np.asarray(layer.data[key])[region]
        if list(layer._slice_input.displayed) != sorted(layer._slice_input.displayed):
            values = values.T
        raw = layer._slice.image.raw
        in_memory = isinstance(layer.data, np.ndarray)
        if not (in_memory and np.may_share_memory(raw, layer.data)):
            raw[view] = values
        if not np.may_share_memory(layer._slice.image.view, raw):
            layer._slice.image.view[view] = layer.colormap._data_to_texture(values)
        layer._updated_slice = key
        layer._partial_labels_refresh()
        return True
    return False


def quick_colours() -> None:
    """Let napari find the colours of labels in blocks that the processor's cache holds.

    They are the same. Without it a plane of 4096 x 4096 takes several times as long
    whenever all of it is drawn anew, and the window waits. If numba or PartSegCore
    does it for napari that stays.
    """
    with suppress(ImportError, AttributeError):
        from napari.utils.colormaps import _accelerated_cmap as colours

        if colours.zero_preserving_modulo is colours.zero_preserving_modulo_numpy:
            slow = colours.zero_preserving_modulo_numpy
            colours.zero_preserving_modulo = partial(_modulo, slow)


def _modulo(
    slow: Callable[..., Any],
    values: NDArray[Any],
    n: int,
    dtype: np.dtype[Any],
    to_zero: int = 0,
) -> Any:
    """Return ``(values - 1) % n + 1`` in `dtype`, and 0 for the value `to_zero`."""
    if values.dtype != np.int32 or values.size <= _BLOCK or n > np.iinfo(dtype).max:
        return slow(values, n, dtype, to_zero)
    found = np.empty(values.shape, dtype)
    step = max(1, _BLOCK // values[0].size)
    for start in range(0, len(values), step):
        part = values[start : start + step]
        rest = part - 1
        rest -= rest // n * n  # numpy has no quick remainder
        rest += 1
        rest *= part != to_zero
        found[start : start + step] = rest
    return found
