"""What the docks show while something runs."""

import time

import pytest
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QApplication

from napari_unet.ui.widgets.pace import Pace
from napari_unet.ui.widgets.progress import Progress


class Paints(QObject):
    """Counts how often a widget is drawn."""

    count = 0

    def eventFilter(self, watched, event):
        self.count += event.type() == QEvent.Type.Paint
        return False


@pytest.fixture
def progress(qtbot):
    progress = Progress()
    qtbot.addWidget(progress)
    progress.show()
    qtbot.waitExposed(progress)
    return progress


def test_a_bar_that_waits_is_drawn_once_a_second_at_most(progress):
    progress.begin("Reading the strokes...")
    QApplication.processEvents()
    paints = Paints()
    progress.bar.installEventFilter(paints)
    begun = time.monotonic()
    while time.monotonic() - begun < 1.5:
        QApplication.processEvents()
    assert 1 <= paints.count <= 2
    assert progress.line.text() == "Reading the strokes..."
    assert progress.bar.text() in ("1 s", "2 s")


def test_a_fraction_takes_the_place_of_the_seconds(progress, qtbot):
    progress.begin("Loading the model...")
    progress.show_fraction("Segmenting...", 0.25, 75.0)
    qtbot.wait(1100)
    assert progress.bar.text() == "25 % · 1 min 15 s left"
    assert progress.bar.value() == 250
    progress.idle()
    assert not progress.bar.isVisible()


def test_time_left_never_counts_up_by_more_than_a_tenth(progress):
    progress.begin("Loading the model...")
    shown = []
    for i, left in enumerate([None, 70.0, 60.0, 65.0, 118.0, 70.0, 50.0, 54.9, 0.0]):
        progress.show_fraction("Segmenting...", i / 8, left)
        shown.append(progress.bar.text().partition(" · ")[2])
    minutes = ["", "1 min 10 s left", "1 min 0 s left", "1 min 5 s left", "", ""]
    assert shown == [*minutes, "50 s left", "55 s left", "0 s left"]
    progress.begin("Loading the model...")
    progress.show_fraction("Segmenting...", 0.1, 118.0)  # another run
    assert progress.bar.text() == "10 % · 1 min 58 s left"


def test_time_left_follows_the_work_and_leaves_out_the_first_step():
    pace = Pace()
    assert pace.left(9.0, 0.1) is None  # loading took nine seconds
    assert pace.left(9.5, 0.2) is None  # too early
    assert pace.left(11.0, 0.2) == pytest.approx(16)
    assert pace.left(13.0, 0.6) == pytest.approx(3.2)
    assert pace.left(20.0, 1.0) == 0
