"""What the docks show while something runs."""

import time

import pytest
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QApplication

from napari_unet.ui.progress import Progress


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
