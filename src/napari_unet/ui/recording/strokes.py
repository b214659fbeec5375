"""Stroke events of napari Labels layers: paint, undo, redo, and their quirks.

`Labels.events.paint` is emitted once for every step that can be undone, at times before
the labels change, with a payload that is private and has had two forms: boxes with
masks (0.9), and lists of indices. Undo and redo emit `set_data`, as many other things
do; only the lengths of the layer's histories tell which it was. A brush that changes
nothing emits nothing: only the mouse tells where it went.
"""

import functools
import itertools
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.QtCore import QTimer

from napari_unet.annotation.painting import Change
from napari_unet.errors import UNetError
from napari_unet.ui.private import count_strokes

__all__ = ["Listener", "Strokes", "changes"]

Passed = tuple[tuple[int, ...], tuple[slice, slice], NDArray[np.bool_]]
_BRUSHES = "paint", "erase"


class Listener(Protocol):
    """Who is told of strokes."""

    def painted(self, changes: list[Change]) -> None:
        """Take the changes of one stroke."""

    def passed(self, way: Passed, painted: bool) -> None:
        """Take where a brush that was lifted has been.

        That is plane, box, and the pixels (Y, X) that it passed over and that have its
        label now; `painted`: it changed some.
        """

    def returned(self, undone: bool) -> None:
        """Take that a stroke was undone, or done again."""


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """A stroke that nobody was told of: its changes, the labels after it, its ways."""

    changes: list[Change]
    after: list[NDArray[Any]]
    ways: list[Passed]


class Strokes:
    """Knows what is painted on a layer until `forget` is called.

    What is painted while nobody listens waits. Whoever listens next is told, after it
    was put on the labels again: those may have been made anew meanwhile.

    Parameters
    ----------
    layer
        Whose strokes are told.
    wanted
        Called when something waits, so that somebody may listen.

    Attributes
    ----------
    drawing
        Whether a brush is down.

    Raises
    ------
    UNetError
        If this napari tells of strokes in a way that is not known here.
    """

    def __init__(self, layer: Labels, wanted: Callable[[], None]) -> None:
        _try_out()
        self.layer, self.drawing = layer, False
        self._wanted = wanted
        self._listener: Listener | None = None
        self._waiting: list[list[Change]] = []
        self._ways: list[tuple[NDArray[Any], int]] = []
        self._untold: list[_Kept] = []
        self._undone: list[_Kept] = []  # of those
        self._steps = count_strokes(layer)
        layer.events.paint.connect(self._on_paint)
        layer.events.set_data.connect(self._on_data)
        layer.mouse_drag_callbacks.insert(0, self._on_drag)

    def listen(self, listener: Listener | None) -> None:
        """Tell somebody from now on, of what waits first; None: nobody."""
        if self._listener is not None:
            self.settle()
        self._listener = listener
        if listener is None:
            return
        self.keep()
        untold, self._untold, self._undone = self._untold, [], []
        for kept in untold:
            self._put(kept)
            _tell(listener, [kept.changes] if kept.changes else [], kept.ways)
        if untold:
            self.layer.refresh(extent=False)

    def forget(self) -> None:
        """Tell what waits, and then no more."""
        self.settle()
        self.layer.events.paint.disconnect(self._on_paint)
        self.layer.events.set_data.disconnect(self._on_data)
        if self._on_drag in self.layer.mouse_drag_callbacks:
            self.layer.mouse_drag_callbacks.remove(self._on_drag)

    def settle(self) -> None:
        """Tell what waits until napari has done its part of a stroke."""
        if self._listener is not None:
            _tell(self._listener, *self._take())
        elif self.keep():
            self._wanted()

    def keep(self) -> bool:
        """Keep what waits, as it is on the labels now; say whether there was any."""
        strokes, ways = self._take()
        labels = self.layer.data
        for stroke in strokes:
            after = [np.array(labels[(*c.plane, *c.box)]) for c in stroke]
            self._untold.append(_Kept(stroke, after, []))
        if ways and strokes:
            self._untold[-1].ways.extend(ways)
        elif ways:
            self._untold.append(_Kept([], [], ways))
        if strokes:
            self._undone.clear()
        return bool(strokes or ways)

    def _take(self) -> tuple[list[list[Change]], list[Passed]]:
        """Return the strokes that wait, and where brushes went."""
        strokes, self._waiting = self._waiting, []
        paths, self._ways = self._ways, []
        found = (_way(self.layer, path, value) for path, value in paths)
        return strokes, [way for way in found if way is not None]

    def _put(self, kept: _Kept) -> None:
        """Paint once more what was painted."""
        labels = self.layer.data
        for change, after in zip(kept.changes, kept.after, strict=True):
            place = (*change.plane, *change.box)
            labels[place] = np.where(after != change.before, after, labels[place])

    def _on_paint(self, event: Any) -> None:
        _put_back(event.value, self.layer.data)
        self._waiting.append(changes(event.value, self.layer.data))
        self._steps = count_strokes(self.layer)
        QTimer.singleShot(0, self.settle)

    def _on_data(self, event: Any) -> None:
        (done, undone), self._steps = self._steps, count_strokes(self.layer)
        back, forth = done - self._steps[0], undone - self._steps[1]
        if back * forth < 0:  # one became less by what the other became more
            self.settle()
            for _ in range(abs(back)):
                self._return(back > 0)

    def _return(self, undone: bool) -> None:
        """Tell that a stroke was taken back, or done again."""
        if self._listener is not None:
            self._listener.returned(undone)
            return
        source, there = self._untold, self._undone
        if not undone:
            source, there = there, source
        last = next((kept for kept in reversed(source) if kept.changes), None)
        if last is not None:
            source.remove(last)
            there.append(last)

    def _on_drag(self, layer: Labels, event: Any) -> Generator[None, None, None]:
        last = len(event.position)  # a brush is a disk in Y and X, or not for us
        flat = list(event.dims_displayed) == [last - 2, last - 1]
        if str(layer.mode) not in _BRUSHES or layer.n_edit_dimensions != 2 or not flat:
            return
        value = 0 if str(layer.mode) == "erase" else int(layer.selected_label)
        path = [layer.world_to_data(event.position)]
        self.drawing = True
        try:
            yield
            while event.type == "mouse_move":
                path.append(layer.world_to_data(event.position))
                yield
        finally:
            self.drawing = False
        self._ways.append((np.array(path), value))
        QTimer.singleShot(0, self.settle)


def _tell(
    listener: Listener, strokes: Sequence[list[Change]], ways: Sequence[Passed]
) -> None:
    for found in strokes:
        listener.painted(found)
    for way in ways:
        listener.passed(way, bool(strokes))


def _put_back(payload: Iterable[Any], labels: Any) -> None:
    """Paint again where a tile arrived under the brush."""
    for atom in payload:
        if hasattr(atom, "slice_key"):
            part = np.array(labels[atom.slice_key])
            mask = ... if atom.mask is None else atom.mask.reshape(part.shape)
            if (part[mask] != atom.new_value).any():
                part[mask] = atom.new_value
                labels[atom.slice_key] = part


def changes(payload: Iterable[Any], labels: Any) -> list[Change]:
    """Return the changes, one per plane, of what `events.paint` carries.

    Raises
    ------
    TypeError, ValueError, AttributeError
        If the payload has a form that is not known here.
    """
    steps = [_step(atom) for atom in payload]
    found = []
    for plane in dict.fromkeys(plane for key, _, _ in steps for plane in _planes(key)):
        boxes = [key[-2:] for key, _, _ in steps if plane in _planes(key)]
        y, x = (
            slice(min(b[i].start for b in boxes), max(b[i].stop for b in boxes))
            for i in (0, 1)
        )
        before = np.array(labels[(*plane, y, x)])
        for key, mask, old in reversed(steps):
            if plane not in _planes(key):
                continue
            at = tuple(p - k.start for p, k in zip(plane, key, strict=False))
            rows = slice(key[-2].start - y.start, key[-2].stop - y.start)
            columns = slice(key[-1].start - x.start, key[-1].stop - x.start)
            part = before[rows, columns]
            part[mask[at]] = old[at][mask[at]]
        found.append(Change(plane, (y, x), before))
    return found


def _step(atom: Any) -> tuple[tuple[slice, ...], NDArray[np.bool_], NDArray[Any]]:
    """Return where a step is, which pixels there it changed, and what they were."""
    if hasattr(atom, "slice_key"):
        shape = tuple(s.stop - s.start for s in atom.slice_key)
        mask = np.ones(shape, bool) if atom.mask is None else atom.mask.reshape(shape)
        old = np.zeros(shape, np.asarray(atom.old_values).dtype)
        old[mask] = np.asarray(atom.old_values).ravel()
        return atom.slice_key, mask, old
    indices, values, _ = atom
    indices = tuple(np.atleast_1d(np.asarray(i)) for i in indices)
    key = tuple(slice(int(i.min()), int(i.max()) + 1) for i in indices)
    inside = tuple(i - k.start for i, k in zip(indices, key, strict=True))
    mask = np.zeros([k.stop - k.start for k in key], bool)
    old = np.zeros(mask.shape, np.asarray(values).dtype)
    mask[inside], old[inside] = True, values
    return key, mask, old


def _planes(key: tuple[slice, ...]) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(s.start, s.stop) for s in key[:-2])))


def _way(layer: Labels, path: NDArray[Any], value: int) -> Passed | None:
    """Return where a brush went over pixels that have its label."""
    shape = layer.data.shape
    plane = tuple(round(float(at)) for at in path[0][:-2])
    radius = layer.brush_size // 2 + 0.5
    margin = int(radius) + 1
    ends = path[:, -2:]
    y, x = (
        slice(
            max(int(np.floor(ends[:, i].min())) - margin, 0),
            min(int(np.ceil(ends[:, i].max())) + margin + 1, shape[i - 2]),
        )
        for i in (0, 1)
    )
    inside = all(0 <= p < n for p, n in zip(plane, shape, strict=False))
    if not inside or y.stop <= y.start or x.stop <= x.start:
        return None
    passed = _thick(
        ends - (y.start, x.start), radius, (y.stop - y.start, x.stop - x.start)
    )
    passed &= np.asarray(layer.data[(*plane, y, x)]) == value
    return (plane, (y, x), passed) if passed.any() else None


def _thick(
    path: NDArray[Any], radius: float, shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return the pixels that are no further than `radius` from a path."""
    found = np.zeros(shape, bool)
    r = int(radius)
    yy, xx = np.mgrid[-r : r + 1, -r : r + 1]
    disk = yy**2 + xx**2 <= radius**2
    lengths = np.hypot(*np.diff(path, axis=0).T) if len(path) > 1 else np.zeros(0)
    points = [path[:1]]
    for start, end, length in zip(path[:-1], path[1:], lengths, strict=True):
        share = np.linspace(0, 1, max(int(length), 1) + 1)[1:, None]
        points.append(start + share * (end - start))
    for cy, cx in np.unique(np.round(np.concatenate(points)).astype(int), axis=0):
        top, left = cy - r, cx - r
        a, b = max(top, 0), max(left, 0)
        c, d = min(cy + r + 1, shape[0]), min(cx + r + 1, shape[1])
        if a < c and b < d:
            found[a:c, b:d] |= disk[a - top : c - top, b - left : d - left]
    return found


def _try_out() -> None:
    """Paint on a small layer of our own and see whether it is understood."""
    if not _understood():
        import napari

        raise UNetError(
            f"napari {napari.__version__} tells of strokes in a way that this version "
            "of napari-unet does not know: what you paint could be lost. Update "
            "napari-unet, or use napari 0.9."
        )


@functools.cache
def _understood() -> bool:
    layer = Labels(np.full((8, 8), 3, np.uint8))
    found: list[Change] = []
    layer.events.paint.connect(
        lambda event: found.extend(changes(event.value, layer.data))
    )
    try:
        layer.paint((4, 4), 1)
        layer.data_setitem((np.array([4]), np.array([4])), 3)
    except (TypeError, ValueError, AttributeError, IndexError):
        return False
    first, second = (list(np.unique(change.before)) for change in found)
    return (first, second) == ([3], [1])
