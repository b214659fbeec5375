"""What one sees of U-Net: Batch: names that differ, colours that can be read."""

import pytest
from helpers.batch_hand import FILE, STATE, write
from helpers.looks import THEMES, contrast, style
from helpers.window import squares
from qtpy.QtCore import QPoint
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QApplication, QWidget

from napari_unet.ui.batch.rows import BatchRow
from napari_unet.ui.batch.table import BatchTable
from napari_unet.ui.widgets.progress import Progress
from napari_unet.ui.widgets.scroll_area import Scroller


@pytest.fixture
def table(qtbot):
    table = BatchTable()
    qtbot.addWidget(table)
    table.resize(352, 200)
    table.show()
    return table


def test_files_of_one_name_have_their_folders_in_front(table, tmp_path):
    places = ("a/one/x.tif", "b/one/x.tif", "b/two/x.tif", "b/two/y.tif")
    table.show_rows([BatchRow(tmp_path / place) for place in places])
    names = [table.item(row, FILE).text() for row in range(4)]
    assert names == ["a/one/x.tif", "b/one/x.tif", "two/x.tif", "y.tif"]


def test_a_state_is_not_cut(table, tmp_path):
    table.show_rows([BatchRow(tmp_path / "x.tif", "stopped", fraction=0.33)])
    assert table.columnWidth(STATE) >= table.sizeHintForColumn(STATE)


@pytest.mark.parametrize("theme", THEMES)
def test_red_and_green_can_be_read_in_every_theme(qtbot, tmp_path, theme):
    other = next(name for name in THEMES if name != theme)
    window = QWidget()
    qtbot.addWidget(window)
    table, progress = BatchTable(window), Progress(window)
    window.setStyleSheet(style(other))
    window.show()
    rows = (BatchRow(tmp_path / "x", "failed"), BatchRow(tmp_path / "y", "done"))
    table.show_rows(rows)
    progress.say("It went wrong.", wrong=True)
    window.setStyleSheet(style(theme))
    QApplication.processEvents()
    colours = [table.item(row, STATE).foreground().color() for row in range(2)]
    colours.append(QColor(progress.line.styleSheet()[len("color: ") : -1]))
    for colour in colours:
        rgb, below = colour.getRgb()[:3], QColor(THEMES[theme][0]).getRgb()[:3]
        assert contrast(rgb, below) > 4.5


def test_what_is_opened_is_all_that_is_seen(hand, tmp_path):
    paths = [write(tmp_path / day / "cells.ome.tif", squares()) for day in "ab"]
    hand.dock.form.advanced.format.setCurrentText("OME-Zarr")  # can be edited
    hand.add(*paths)
    hand.run()
    layers = hand.window.viewer.layers
    hand.open(0)
    first = [layer.name for layer in layers]
    hand.open(1)
    seen = [layer for layer in layers if layer.visible]
    assert len(first) == 2 == len(seen)
    assert not any(layer.visible for layer in layers[:2])
    hand.window.viewer.scene.camera.zoom = 300
    hand.open(0)
    assert [layer.visible for layer in layers] == [True, True, False, False]
    assert hand.window.viewer.scene.camera.zoom < 300
    hand.edit(1)
    assert [layer.visible for layer in layers] == [False, False, True, True]


def test_start_can_be_reached_in_a_low_window(window):
    dock = window.open_batch()
    whole = window.viewer.window._qt_window
    whole.resize(1400, 700)
    window.show(dock)
    window.events()
    bar = dock.findChild(Scroller).verticalScrollBar()
    window.until(lambda: bar.maximum() == 0)  # there is room
    dock.form.advanced.expand()
    window.events()
    for button in (dock.form.start, dock.form.pause, dock.form.cancel):
        assert not button.visibleRegion().isEmpty()
        corner = button.mapTo(whole, QPoint(0, button.height()))
        assert corner.y() < whole.height()
        assert button.visibleRegion().boundingRect() == button.rect()


def test_empty_sizes_name_those_of_the_model(hand):
    advanced = hand.dock.form.advanced
    assert advanced.diameter.text() == "as it is (10 px)"
    hand.dock.form.model.setCurrentText("nuclei")
    assert advanced.diameter.text() == "as it is (17 px)"
    assert advanced.min_size.text() == "the model's own: 32 px"
