"""Before the first Improve the dock asks for a stroke of each class that has none."""

import numpy as np
import pytest
from helpers.window import missed, squares

from napari_unet.ui.correct.messages import unpainted_line
from napari_unet.ui.correct.tables import class_rows

NAMES = "background", "cell", "debris"


def begin(window, names=NAMES[:2]):
    """Make a model for these classes on an image with room for background."""
    image = np.full((128, 192), 10, np.uint16)
    image[:64, :96] = missed()
    window.file(image)
    table = window.correct.form.classes
    while len(table.names()) < len(names):
        window.click("+ class")
        window.events()
    for row, name in enumerate(names):
        window.rename(row, name)
    window.do("New model for my classes")
    assert window.state.result.rules.classes == names
    return image


def ask(window):
    """Return what is asked for; empty if nothing is."""
    lacking = window.correct.form.lacking
    return lacking.line.text() if lacking.isVisible() else ""


def middle(window):
    """Return the pixel (y, x) in the middle of the canvas."""
    return tuple(window.layer.world_to_data(window.viewer.scene.camera.center[1:]))


def test_forgotten_background_is_asked_for_shown_and_then_learned(window):
    image = begin(window)
    assert ask(window) == ""
    assert "each class at least once" in window.line
    window.paint(1, (8, 8), (8, 12))
    assert "Nothing is painted as background yet" in ask(window)
    assert not window.correct.form.lacking.anyway.isVisible()  # one class says nothing

    line = window.do("Improve")
    assert "waits for a stroke of background" in line
    assert [m.name for m in window.project.index.models] == ["new1"]

    window.take("pan_zoom", 1)
    window.click("Show me where")
    y, x = (round(at) for at in middle(window))
    assert not window.labels[y - 10 : y + 11, x - 10 : x + 11].any()
    assert image[y - 10 : y + 11, x - 10 : x + 11].max() == 10
    assert (window.layer.mode, window.layer.selected_label) == ("paint", 0)
    window.layer.brush_size = 5
    window.drag((y, x - 5), (y, x + 5))
    assert (window.target()[y, x - 5 : x + 6] == 0).all()
    assert window.line == ""
    assert ask(window) == ""
    assert window.do("Improve").startswith(("v1 is in use", "new1 stays in use"))


def test_objects_that_nobody_painted_are_asked_for(window):
    window.file(squares())
    window.segmented()
    assert "each class (background and object)" in window.line
    window.erase((30, 20), (30, 40))
    assert "Nothing is painted as object yet" in ask(window)
    window.click("Show me where")
    y, x = (round(at) for at in middle(window))
    assert window.labels[y, x] > 0
    window.layer.selected_label = int(window.labels[y, x])
    window.layer.brush_size = 3
    window.drag((y, x), (y, x))
    assert ask(window) == ""


def test_class_that_does_not_occur_locks_nobody_out(window):
    begin(window, NAMES)
    window.paint(1, (8, 8), (8, 12))
    assert "background or debris" in ask(window)
    window.paint(0, (28, 20), (28, 40))
    assert "debris" in ask(window)
    assert "background" not in ask(window)
    window.labels[window.labels == 2] = 1
    window.click("Show me where")
    assert "no debris" in window.line
    assert window.layer.selected_label == 2
    line = window.do("Improve anyway")
    assert line.startswith(("v1 is in use", "new1 stays in use"))


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({1: 5, 2: 5}, "as background yet: the model would find the other classes"),
        ({0: 5, 2: 5}, "as cell yet: the model would not learn it"),
        ({0: 5}, "as cell or debris yet"),
    ],
)
def test_sentence_says_which_and_why(counts, words):
    from napari_unet.annotation.reviews import Count

    said = {value: Count(1, pixels) for value, pixels in counts.items()}
    rows = class_rows(NAMES, said, objects=False)
    assert words in unpainted_line([row for row in rows if not row.pixels])
