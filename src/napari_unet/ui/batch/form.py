"""Form of U-Net: Batch: its widgets, and the options that they stand for."""

from dataclasses import replace
from pathlib import Path

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unet.errors import OptionsError
from napari_unet.options import BatchOptions, SegmentOptions, parse_memory
from napari_unet.ui.batch.advanced import BatchAdvanced
from napari_unet.ui.batch.rows import BatchRows
from napari_unet.ui.batch.table import BatchTable
from napari_unet.ui.choosers import ModelChooser
from napari_unet.ui.job import Job
from napari_unet.ui.settings import BatchSettings, read_batch_settings, read_settings
from napari_unet.ui.widgets.flow_layout import flowing
from napari_unet.ui.widgets.main_button import MainButton
from napari_unet.ui.widgets.progress import Progress

__all__ = ["BatchForm"]

_WRONG = "background-color: rgba(200, 60, 60, 110);"
_FIRST = "Add files, a folder, or the layers that are open; then click Start."
_FOLDER = "results"  # beside the first file, unless the user says otherwise


class BatchForm(QWidget):
    """All widgets of the dock, laid out.

    Attributes
    ----------
    changed
        Something that decides the results was changed.
    foot
        Start, Pause, Cancel and the progress: they stay in view where the rest scrolls.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.add_files = QPushButton("Add files")
        self.add_folder = QPushButton("Add folder")
        self.add_layers = QPushButton("Add layers")
        self.remove = QPushButton("Remove")
        self.table = BatchTable()
        self.open, self.edit = QPushButton("Open"), QPushButton("Edit")
        self.model = ModelChooser()
        self.folder, self.browse = QLineEdit(), QPushButton("Choose...")
        self.memory, self.need = QLineEdit(), QLabel()
        self.measure = QCheckBox("measure the objects")
        self.advanced = BatchAdvanced()
        self.start, self.pause = MainButton("Start"), QPushButton("Pause")
        self.cancel = QPushButton("Cancel")
        self.progress, self.foot = Progress(), QWidget()
        self._own_folder = ""  # what was typed by itself
        self._tips = _tips(self)
        for widget, tip in self._tips.items():
            widget.setToolTip(tip)
        self._set_up()
        self._arrange()
        self.restore(read_batch_settings())
        self._connect()
        self._on_model()
        self.check()

    def restore(self, settings: BatchSettings) -> None:
        """Show `settings`."""
        self.model.fill(read_settings().recent, settings.model)
        self.memory.setText(settings.memory)
        self.measure.setChecked(settings.measure)
        self.advanced.restore(settings)

    def settings(self) -> BatchSettings:
        """Return what is worth remembering."""
        advanced = self.advanced
        return BatchSettings(
            model=self.model.source(),
            output=advanced.output.currentData(),
            device=advanced.device.currentData(),
            memory=self.memory.text().strip(),
            diameter=advanced.diameter.value(),
            min_size=advanced.min_size.value(),
            min_score=advanced.min_score.value(),
            measure=self.measure.isChecked(),
            save_as=advanced.format.currentData(),
            link_z=advanced.link_z.isChecked(),
            workers=advanced.workers.value(),
        )

    def options(self) -> BatchOptions:
        """Return how the files are to be segmented; see `problem`."""
        advanced = self.advanced
        objects = self._objects
        memory = self.memory.text().strip()
        return BatchOptions(
            segment=SegmentOptions(
                output=advanced.output.currentData(),
                channel=advanced.channel_chosen(),
                device=advanced.device.currentData(),
                memory=parse_memory(memory) if memory else None,
                min_size=advanced.min_size.value() or None,
                min_score=advanced.min_score.value() or None,
                diameter=advanced.diameter.value() or None,
            ),
            format=advanced.format.currentData(),
            measure=objects and self.measure.isChecked(),
            link_z=objects and advanced.link_z.isChecked(),
            workers=advanced.workers.value() or None,
            axes=advanced.axes.text().strip().upper() or None,
            overwrite=advanced.overwrite.isChecked(),
        )

    def place(self) -> Path:
        """Return the folder for the results."""
        return Path(self.folder.text().strip()).expanduser()

    def suggest_folder(self, first: Path) -> None:
        """Put a folder for the results beside a file, unless the user chose one."""
        if self.folder.text().strip() in ("", self._own_folder):
            self._own_folder = str(first.parent / _FOLDER)
            self.folder.setText(self._own_folder)

    def problem(self) -> str | None:
        """Return why the form cannot be used as it is, or None."""
        return next(iter(self._problems().values()), None)

    def check(self) -> None:
        """Mark what is wrong, and tell that something was changed."""
        problems = self._problems()
        for field in (self.model, self.folder, self.memory):
            field.setStyleSheet(_WRONG if field in problems else "")
            field.setToolTip(problems.get(field, self._tips[field]))
        if not self.folder.text():  # it fills by itself with the first file
            self.folder.setStyleSheet("")
        elif self.folder not in problems:
            self.folder.setToolTip(f"{self.place()}\n{self._tips[self.folder]}")
        self.changed.emit()

    def show_need(self, rows: BatchRows) -> None:
        """Show what memory and room the run will take, as far as that is known."""
        self.need.setText(f"needs {_amount(rows.memory)}" if rows.memory else "")
        self.need.setToolTip(
            f"Memory of napari as a whole while it runs; results and work files will "
            f"take up to {_amount(rows.disk)} on the disk."
        )

    def follow(self, rows: BatchRows, job: Job | None) -> None:
        """Let the buttons follow the files, the run, and what is wrong."""
        running, paused = job is not None, job is not None and job.paused
        stopping = job is not None and job.cancelling
        problem = self.problem() if rows.rows else _FIRST
        self.start.setEnabled(not running and problem is None)
        self.start.setToolTip(problem or _start_tip(rows))
        self.pause.setText("Resume" if paused else "Pause")
        self.pause.setEnabled(running and not stopping)
        self.pause.setToolTip("Go on." if paused else "Rest after the tile that runs.")
        self.cancel.setEnabled(running and not stopping)
        chosen = self.table.chosen()
        for button in (self.add_files, self.add_folder, self.add_layers):
            button.setEnabled(not running)
        self.remove.setEnabled(not running and bool(chosen))
        for button in (self.open, self.edit):
            button.setEnabled(len(chosen) == 1)
        for widget in (self.model, self.folder, self.browse, self.memory):
            widget.setEnabled(not running)
        self.measure.setEnabled(not running and self._objects)
        self.advanced.setEnabled(not running)
        if not running:
            self.progress.hint(problem)

    @property
    def _objects(self) -> bool:
        return bool(self.advanced.output.currentData() == "objects")

    def _problems(self) -> dict[QWidget, str]:
        problems: dict[QWidget, str] = {}
        model = self.model.source()
        if not model:
            problems[self.model] = "No model is chosen. Choose one, or Browse..."
        elif Path(model).suffix and not Path(model).is_file():
            problems[self.model] = f"{model} is gone. Choose another model."
        if not self.folder.text().strip():
            problems[self.folder] = "Choose a folder for the results."
        elif self.place().is_file():
            problems[self.folder] = f"{self.place()} is a file. Choose a folder."
        memory = self.memory.text().strip()
        try:
            parse_memory(memory or "1GB")
        except OptionsError as error:
            problems[self.memory] = str(error)
        return problems

    def _set_up(self) -> None:
        self.memory.setPlaceholderText("automatic")
        self.memory.setMaximumWidth(110)
        self.folder.setPlaceholderText(f"{_FOLDER}, beside the first file")
        self.progress.save.hide()

    def _arrange(self) -> None:
        fields = QFormLayout()
        growth = QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow
        fields.setFieldGrowthPolicy(growth)
        fields.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        fields.addRow("Model", self.model)
        fields.addRow("Output", _row((self.folder, 1), (self.browse, 0)))
        fields.addRow("Memory", _row((self.memory, 0), (self.need, 1)))
        fields.addRow("", self.measure)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        adding = (self.add_files, self.add_folder, self.add_layers, self.remove)
        layout.addWidget(flowing(*adding))
        layout.addWidget(self.table)
        layout.addWidget(flowing(self.open, self.edit))
        layout.addLayout(fields)
        layout.addWidget(self.advanced)
        below = QVBoxLayout(self.foot)
        below.setContentsMargins(0, 0, 0, 0)
        below.addWidget(flowing((self.start, 2), self.pause, self.cancel))
        below.addWidget(self.progress)

    def _connect(self) -> None:
        self.model.changed.connect(self.check)
        self.model.changed.connect(self._on_model)
        self.folder.textChanged.connect(self.check)
        self.memory.textChanged.connect(self.check)
        self.measure.toggled.connect(self.check)
        self.advanced.changed.connect(self.check)
        self.browse.clicked.connect(self._on_browse)
        self.advanced.defaults_wanted.connect(self._restore_defaults)

    def _on_model(self) -> None:
        self.advanced.explain(self.model.source())

    def _restore_defaults(self) -> None:
        self.restore(replace(BatchSettings(), model=self.model.source()))

    def _on_browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(
            self, "Choose a folder for the results", self.folder.text()
        )
        if folder:
            self.folder.setText(folder)


def _tips(form: BatchForm) -> dict[QWidget, str]:
    return {
        form.add_files: "Add images: TIFF of every kind, PNG, JPEG.",
        form.add_folder: "Add the images in a folder, or one OME-Zarr.",
        form.add_layers: "Add the files of the image layers that are open.",
        form.remove: "Take the chosen rows off the list. No file is touched.",
        form.open: "Show image and labels of the chosen row; or double click it.",
        form.edit: (
            "Paint on the labels of the chosen row: corrections go into its file, "
            "and U-Net: Correct learns from them."
        ),
        form.model: "The model that segments: shipped, or a file of yours.",
        form.folder: "Folder for labels, tables and report.csv; made if need be.",
        form.browse: "Choose the folder for the results.",
        form.memory: (
            "Most memory that napari as a whole may take, such as 2GB or 700MB. Empty: "
            "as much as is free. It does not grow with the images."
        ),
        form.measure: (
            "Write a table beside the labels: size, position, shape and intensity of "
            "every object."
        ),
        form.cancel: "Stop after the tiles that run; what is finished is kept.",
    }


def _start_tip(rows: BatchRows) -> str:
    if any(row.state == "stopped" for row in rows.rows):
        return "Go on from what is finished."
    return "Segment all files, one after the other; labels go into the output folder."


def _row(*widgets: tuple[QWidget, int]) -> QWidget:
    """Return widgets side by side, with their shares of the width."""
    whole = QWidget()
    layout = QHBoxLayout(whole)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget, stretch in widgets:
        layout.addWidget(widget, stretch)
    return whole


def _amount(number: int) -> str:
    """Return a number of bytes as people read it.

    >>> _amount(1_400_000_000), _amount(700_000_000), _amount(12_000)
    ('1.4 GB', '700 MB', '1 MB')
    """
    if number >= 10**9:
        return f"{number / 1e9:.1f} GB"
    return f"{max(round(number / 1e6), 1)} MB"
