"""The hand that works in the dock U-Net: Batch, and images for it."""

import tifffile
from helpers.window import LEFT
from qtpy.QtCore import QEvent
from qtpy.QtGui import QHelpEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QToolTip

from napari_unet.batch.ledger import read_ledger
from napari_unet.events import StackReport
from napari_unet.ui.session import session_of

FILE, STATE, OBJECTS = range(3)  # columns of the table


class Hand:
    """Whoever sits before the dock.

    Attributes
    ----------
    dock
        The dock.
    reports
        What became of the files of the last run.
    """

    def __init__(self, window):
        self.window = window
        self.dock = window.open_batch()
        self.dock.form.model.add(str(window.nets / "bright.safetensors"))
        self.reports = []

    def add(self, *paths):
        self.dock.add(paths)

    def click(self, text):
        self.window.click(text, self.dock)

    def start(self):
        """Click Start, and listen."""
        self.click("Start")
        self.reports = []
        self.job.yielded.connect(self._on_event)

    @property
    def job(self):
        """The one job that runs."""
        (job,) = session_of(self.window.viewer).jobs
        return job

    def _on_event(self, event):
        if isinstance(event, StackReport):
            self.reports.append(event)

    def run(self):
        """Click Start, wait until all is over, and return what the dock says."""
        self.start()
        return self.ended()

    def ended(self):
        self.window.until(lambda: not session_of(self.window.viewer).jobs)
        return self.line

    def looked(self):
        """Wait until the files were looked at."""
        self.window.until(lambda: not self.dock.outlook.busy)

    @property
    def line(self):
        return self.dock.form.progress.line.text()

    def cell(self, row, column):
        return self.dock.form.table.item(row, column).text()

    def place(self, row, column=FILE):
        table = self.dock.form.table
        self.window.show(self.dock)
        return table.viewport(), table.visualItemRect(table.item(row, column)).center()

    def choose(self, row):
        viewport, place = self.place(row)
        QTest.mouseClick(viewport, LEFT, pos=place)

    def open(self, row):
        """Double click a row, and wait until it is open."""
        viewport, place = self.place(row)
        QTest.mouseClick(viewport, LEFT, pos=place)
        QTest.mouseDClick(viewport, LEFT, pos=place)
        self.window.until(lambda: self.dock.results.job is None)
        return self.line

    def edit(self, row):
        self.choose(row)
        self.click("Edit")
        self.window.until(lambda: self.dock.results.job is None)
        return self.line

    def hover(self, row, column=STATE):
        """Return what is told at a cell."""
        viewport, place = self.place(row, column)
        there = viewport.mapToGlobal(place)
        event = QHelpEvent(QEvent.Type.ToolTip, place, there)
        QApplication.sendEvent(viewport, event)
        return QToolTip.text()

    @property
    def job_tiles(self):
        """How many tiles of the run are in the ledgers."""
        folder = self.dock.form.place() / ".napari-unet"
        entries = [e for f in folder.glob("*.jsonl") for e in read_ledger(f)[1:]]
        return sum("tile" in entry for entry in entries)


def write(path, image, step=0.25):
    """Write an image whose pixels are `step` micrometers wide."""
    path.parent.mkdir(exist_ok=True)
    axes = "ZYX"[-image.ndim :]
    size = {"PhysicalSizeX": step, "PhysicalSizeY": step, "PhysicalSizeXUnit": "µm"}
    meta = {"axes": axes, **size, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(path, image, ome=True, metadata=meta)
    return path
