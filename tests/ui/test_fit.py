"""Nothing in the docks is cut or covered: on a small screen, and in large letters."""

from itertools import combinations

import pytest
from helpers.window import missed, squares
from qtpy.QtWidgets import QAbstractButton, QApplication, QLabel, QVBoxLayout, QWidget

from napari_unet.ui.choosers import Chooser
from napari_unet.ui.correct.curve import Point
from napari_unet.ui.widgets.scroll_area import Pane, Scroller

POINTS = [
    Point(2.0, 0.60, 0.65, "v1", "nuclei"),
    Point(2.4, 0.70, 0.78, "v2", "v1"),
    Point(7.5, 0.81, 0.86, "v3", "v2"),
]


@pytest.fixture(params=[1, 2], ids=["letters", "large letters"])
def letters(request):
    """Napari's font, in its usual size and in twice that."""
    from napari.settings import get_settings

    appearance = get_settings().appearance
    usual = appearance.font_size
    appearance.font_size = request.param * usual
    yield
    appearance.font_size = usual


def small(window):
    """Return the window, as large as a small screen."""
    whole = window.viewer.window._qt_window
    window.events()  # docks share a place by then
    whole.resize(1366, 768)
    window.events()
    return whole


def faults(window, dock):
    """Return what of a dock is cut, or lies on something else, once it is laid out."""
    window.show(dock)
    for _ in range(20):
        window.events()
        found = looked_at(window, dock)
        if not found:
            break
    return found


def looked_at(window, dock):
    """Return what is wrong now."""
    found = []
    for widget in dock.findChildren(QWidget):
        if widget.isVisible() and isinstance(widget, QLabel | QAbstractButton):
            need = widget.sizeHint()
            high = need.height()
            if isinstance(widget, QLabel) and widget.wordWrap():
                high = widget.heightForWidth(widget.width())
            elif widget.minimumWidth() <= 1 < widget.width() < need.width():
                continue  # a name that may be long
            elif widget.width() < need.width():
                found.append(f"narrow: {widget.width()} of {need}: {widget.text()}")
            if widget.height() < high - 1:
                found.append(f"low: {widget.height()} of {high}: {widget.text()}")
        if type(widget) is QWidget and widget.isVisible():
            parts = [w for w in widget.children() if isinstance(w, QWidget)]
            for one, two in combinations([w for w in parts if w.isVisible()], 2):
                if one.geometry().intersects(two.geometry()):
                    found.append(f"overlap: {one} {two}")
    whole = window.viewer.window._qt_window
    corner = dock.mapTo(whole, dock.rect().bottomRight())
    if corner.x() > whole.width() or corner.y() > whole.height():
        found.append(f"outside: {corner}")
    return found


def test_segment_fits(window, letters):
    whole = small(window)
    window.file(squares((3, 64, 96)), imagej=True, metadata={"axes": "ZYX"})
    window.segment.form.advanced.expand()
    window.segmented()
    assert not faults(window, window.segment)
    assert (whole.width(), whole.height()) == (1366, 768)


def test_correct_fits_at_every_step(window, letters):
    whole = small(window)
    window.file(missed())
    window.segmented()
    form = window.correct.form
    window.paint(9, (40, 20), (40, 40), size=5)
    window.do("Improve anyway")
    assert not form.legend.isVisible()
    form.show_changed.click()
    assert form.legend.isVisible()
    assert all(word in form.legend.text() for word in ("fixed", "broken", "wrong"))
    form.curve.set_models(POINTS, "v3")
    form.curve.tabs.setCurrentIndex(1)
    assert not faults(window, window.correct)
    for text in ("Undo improvement", "Save model as..."):
        button = window.button(text)
        assert button.visibleRegion().boundingRect() == button.rect()
    window.do("New model for my classes")
    assert not faults(window, window.correct)
    assert (whole.width(), whole.height()) == (1366, 768)


def test_batch_fits_at_every_step(hand, images, letters):
    whole = small(hand.window)
    hand.add(images)
    hand.dock.form.advanced.expand()
    hand.dock.form.advanced.format.setCurrentText("OME-Zarr")  # can be edited
    hand.run()
    assert not faults(hand.window, hand.dock)
    assert "Paint with" in hand.edit(0)
    for dock in (hand.dock, hand.window.correct):
        assert not faults(hand.window, dock)
    assert (whole.width(), whole.height()) == (1366, 768)


def test_nothing_scrolls_where_there_is_room_again(qtbot):
    pane, body = Pane(), QWidget()
    label = QLabel("Segment the image, or name your own classes here. " * 6)
    label.setWordWrap(True)
    QVBoxLayout(body).addWidget(label)
    pane.lay_out(body)
    qtbot.addWidget(pane)
    pane.show()
    bar = pane.findChild(Scroller).verticalScrollBar()
    for width in range(400, 480, 4):  # of some a bar takes a word into another line
        for height in (60, 600):
            pane.resize(width, height)
            for _ in range(5):
                QApplication.processEvents()
            assert (bar.maximum() == 0) == (height == 600), width


def test_long_names_that_differ_at_their_end_look_different(qtbot):
    chooser = Chooser()
    qtbot.addWidget(chooser)
    chooser.addItems([f"plate 3 {'of a long day ' * 5}[v{n}]" for n in (1, 2)])
    chooser.resize(240, 30)
    chooser.show()
    seen = []
    for index in range(2):
        chooser.setCurrentIndex(index)
        QApplication.processEvents()
        seen.append(chooser.grab().toImage())
    assert seen[0] != seen[1]


def test_an_image_that_may_join_does_not_widen_the_dock(window):
    small(window)
    window.file(missed(), "day 1 control well B03 field 2.tif")
    window.segmented()
    window.erase((30, 20), (30, 40))
    window.idle()
    before = window.correct.width()
    window.file(missed(), "treated well number 12.tif")
    window.until(window.correct.form.invitation.isVisible)
    window.until(lambda: window.line.startswith("Add the image to the project"))
    assert not faults(window, window.correct)
    assert window.correct.width() == before
