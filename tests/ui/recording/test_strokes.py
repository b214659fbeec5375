"""What napari tells of strokes, whichever tool made them, on a real canvas."""

import numpy as np
import pytest
from napari.layers import Labels

from napari_unet.ui.recording.strokes import Strokes, changes


class Ear:
    """Notes what `Strokes` tells."""

    def __init__(self, heard: "Heard") -> None:
        self._heard = heard

    def painted(self, found) -> None:
        self._heard.painted.append(found)

    def passed(self, way, painted) -> None:
        self._heard.passed.append((way, painted))

    def returned(self, undone) -> None:
        self._heard.returned.append(undone)


class Heard:
    """What `Strokes` told."""

    def __init__(self, layer: Labels) -> None:
        self.layer = layer
        self.before = np.array(layer.data)
        self.painted, self.passed, self.returned = [], [], []
        self.strokes = Strokes(layer, lambda: None)
        self.strokes.listen(Ear(self))

    def undone(self) -> np.ndarray:
        """Return the labels with all that was told put back, the latest first."""
        labels = np.array(self.layer.data)
        for stroke in reversed(self.painted):
            for change in stroke:
                labels[(*change.plane, *change.box)] = change.before
        return labels


@pytest.fixture
def plane() -> Labels:
    data = np.random.default_rng(0).integers(0, 3, (80, 90)).astype(np.int32)
    return Labels(data)


@pytest.mark.parametrize(
    "tool",
    [
        lambda layer: layer.paint((20, 30), 7),
        lambda layer: layer.fill((20, 30), 8),
        lambda layer: layer.paint_polygon([[5, 5], [40, 8], [30, 60]], 9),
        lambda layer: layer.data_setitem((np.array([3, 9]), np.array([70, 2])), 5),
        lambda layer: layer.data_setitem(
            (np.array([3, 9]), np.array([70, 2])), np.array([6, 7], np.int32)
        ),
    ],
    ids=["brush", "fill", "polygon", "pixels", "values"],
)
def test_every_tool_tells_what_was_there_before(plane, qtbot, tool) -> None:
    heard = Heard(plane)
    tool(plane)
    qtbot.waitUntil(lambda: len(heard.painted) == 1)
    assert (heard.before != plane.data).any()
    np.testing.assert_array_equal(heard.undone(), heard.before)


def test_strokes_one_after_the_other_are_told_apart(plane, qtbot) -> None:
    heard = Heard(plane)
    plane.paint((20, 30), 7)
    plane.paint((24, 34), 8)
    with plane.block_history():  # one drag
        for at in range(40, 60, 4):
            plane.paint((at, at), 9)
    qtbot.waitUntil(lambda: len(heard.painted) == 3)
    np.testing.assert_array_equal(heard.undone(), heard.before)


def test_brush_in_three_dimensions_tells_every_plane(qtbot) -> None:
    layer = Labels(np.zeros((2, 5, 40, 40), np.int32))
    layer.n_edit_dimensions, layer.brush_size = 3, 5
    heard = Heard(layer)
    layer.paint((1, 2, 20, 20), 4)
    qtbot.waitUntil(lambda: len(heard.painted) == 1)
    planes = [change.plane for change in heard.painted[0]]
    assert planes == [(1, z) for z in range(5)]
    np.testing.assert_array_equal(heard.undone(), heard.before)


def test_undo_and_redo_are_noticed(plane) -> None:
    heard = Heard(plane)
    plane.paint((20, 30), 7)
    plane.paint((20, 30), 8)
    plane.refresh()
    assert heard.returned == []
    plane.undo()
    plane.undo()
    assert heard.returned == [True, True]
    plane.redo()
    assert heard.returned == [True, True, False]
    plane.paint((60, 30), 8)  # what could be redone is forgotten
    plane.refresh()
    plane.undo()
    assert heard.returned == [True, True, False, True]


def test_nothing_is_told_after_forget_but_what_waited(plane) -> None:
    heard = Heard(plane)
    plane.paint((20, 30), 7)
    heard.strokes.forget()
    assert len(heard.painted) == 1
    plane.paint((60, 30), 8)
    plane.undo()
    heard.strokes.settle()
    assert len(heard.painted) == 1
    assert heard.strokes._on_drag not in plane.mouse_drag_callbacks


def test_older_payloads_are_understood() -> None:
    """Lists of indices, as napari 0.5 to 0.7 have them."""
    labels = np.full((10, 10), 4)
    index = np.array([2, 3]), np.array([5, 7])
    (change,) = changes([(index, np.array([1, 2]), 4)], labels)
    assert change.box == (slice(2, 4), slice(5, 8))
    assert change.before.tolist() == [[1, 4, 4], [4, 4, 2]]


@pytest.mark.parametrize(
    "payload", [[object()], [(1, 2)], 3], ids=["object", "pair", "number"]
)
def test_unknown_payloads_are_no_silent_loss(payload) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        changes(payload, np.zeros((4, 4)))


def test_what_nobody_listens_to_is_told_and_painted_again_later(plane, qtbot) -> None:
    wanted: list[None] = []
    heard = Heard(plane)
    heard.strokes.listen(None)
    heard.strokes._wanted = lambda: wanted.append(None)
    plane.paint((20, 30), 7)
    plane.paint((50, 60), 8)
    plane.paint((10, 80), 9)
    qtbot.waitUntil(lambda: bool(wanted))
    plane.undo()
    assert heard.painted == []
    plane.data[:] = 0  # made anew
    heard.strokes.listen(Ear(heard))
    assert plane.data[20, 30] == 7
    assert plane.data[50, 60] == 8
    assert plane.data[10, 80] == 0
    assert len(heard.painted) == 2
