"""The dock U-Net: Batch by mouse, in a real window: files in, results on the disk."""

import csv
import json

import numpy as np
import pytest
import tifffile
from helpers.batch_hand import FILE, OBJECTS, STATE, Hand, write
from helpers.window import LEFT, job_threads, squares
from napari.layers import Image, Labels
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_unet.batch.files import segment_files
from napari_unet.options import BatchOptions
from napari_unet.ui.job import Job
from napari_unet.ui.settings import read_batch_settings

LONG = (75, 64, 96)  # a stack of as many tiles as planes


def add_long(hand, folder):
    """Add a stack of which every plane is to have objects of its own."""
    path = folder / "long.tif"
    hand.dock.form.advanced.link_z.setChecked(False)
    hand.add(path if path.exists() else write(path, squares(LONG, 2)))
    return path


def test_from_files_to_labels_on_top_of_their_image(hand, images):
    hand.add(images)
    assert hand.dock.form.place() == images / "results"
    line = hand.run()
    assert line.startswith("2 done, 1 failed · 6 objects in 4 planes · ")
    table = [[hand.cell(row, c) for c in (FILE, STATE, OBJECTS)] for row in range(3)]
    assert table == [
        ["a.tif", "done", "4"],
        ["b.tif", "failed", ""],
        ["c.tif", "done", "2"],
    ]
    out = images / "results"
    with (out / "report.csv").open(newline="") as file:
        states = [row["state"] for row in csv.DictReader(file)]
    assert states == ["done", "failed", "done"]
    with (out / "a.csv").open(newline="") as file:  # measured, unless unticked
        assert len(list(csv.DictReader(file))) == 4

    hand.open(2)
    image, labels = hand.window.viewer.layers
    assert (type(image), type(labels)) == (Image, Labels)
    assert (image.name, labels.name) == ("c", "c [bright]")
    np.testing.assert_allclose(labels.scale, image.scale)
    assert tuple(labels.scale) == (1, 0.25, 0.25)
    np.testing.assert_array_equal(np.asarray(labels.data) > 0, image.data > 100)
    hand.open(2)
    assert len(hand.window.viewer.layers) == 2  # once is enough


def test_large_labels_open_as_a_lazy_pyramid(hand, tmp_path):
    hand.add(write(tmp_path / "large.tif", squares((1200, 1100))))
    hand.run()
    hand.open(0)
    image, labels = hand.window.viewer.layers
    assert labels.multiscale
    assert [level.shape for level in labels.data] == [
        (1200, 1100),
        (600, 550),
        (300, 275),
    ]
    np.testing.assert_allclose(labels.extent.world, image.extent.world)


def test_hovering_tells_why_and_the_others_are_done(hand, images):
    hand.add(images)
    hand.looked()
    assert hand.cell(1, STATE) == "not possible"
    assert "1 of them not possible" in hand.line
    assert "b.tif" in hand.hover(1)
    hand.run()
    assert hand.cell(1, STATE) == "failed"
    for column in (FILE, STATE):
        assert "b.tif" in hand.hover(1, column)
    assert "Hover over a row in red" in hand.line
    assert [report.state for report in hand.reports] == ["done", "failed", "done"]


def test_memory_is_predicted_and_refused_where_it_is_too_little(hand, images):
    hand.add(images / "a.tif")
    form = hand.dock.form
    hand.window.until(lambda: form.need.text().startswith("needs "))
    form.memory.setText("1 MB")
    hand.window.until(lambda: hand.cell(0, STATE) == "not possible")
    hand.looked()
    assert hand.hover(0).endswith("the memory that may be used ('Memory').")
    assert hand.line == hand.dock.rows.rows[0].reason
    form.memory.setText("plenty")
    assert not form.start.isEnabled()
    assert "'plenty' is not an amount of memory" in form.start.toolTip()
    assert form.memory.styleSheet()
    form.memory.setText("3 GB")
    hand.window.until(lambda: hand.cell(0, STATE) == "ready")
    assert form.start.isEnabled()


def test_pause_stops_and_resume_goes_on(hand, tmp_path):
    add_long(hand, tmp_path)
    hand.start()
    hand.window.until(lambda: hand.job_tiles > 3)
    hand.click("Pause")
    assert not hand.dock.form.start.isEnabled()
    hand.window.qtbot.wait(500)  # what runs is finished
    tiles = hand.job_tiles
    assert tiles < LONG[0]
    assert hand.line.startswith("Paused · file 1 of 1")
    hand.window.qtbot.wait(500)
    assert hand.job_tiles == tiles
    hand.click("Resume")
    assert hand.ended().startswith("1 done · 150 objects, counted")
    (report,) = hand.reports
    assert (report.tiles_done, report.tiles_resumed) == (LONG[0], 0)


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_start_goes_on_where_cancel_stopped(hand, tmp_path, paused):
    add_long(hand, tmp_path)
    hand.start()
    hand.window.until(lambda: hand.job_tiles > 3)
    if paused:
        hand.click("Pause")
    hand.click("Cancel")
    assert "Start goes on" in hand.ended()
    assert hand.cell(0, STATE).startswith("stopped, ")
    assert not (tmp_path / "results" / "long.ome.tif").exists()
    assert hand.run().startswith("1 done · 150 objects, counted")
    (report,) = hand.reports
    assert report.tiles_resumed > 3
    assert report.tiles_done + report.tiles_resumed == LONG[0]


def test_command_line_goes_on_with_what_the_dock_began(hand, tmp_path):
    path = add_long(hand, tmp_path)
    hand.start()
    hand.window.until(lambda: hand.job_tiles > 3)
    hand.click("Cancel")
    hand.ended()
    options = BatchOptions(measure=True, format="auto")
    model = str(hand.window.nets / "bright.safetensors")
    *_, last = segment_files([path], tmp_path / "results", options, model=model)
    assert (last.state, last.objects) == ("done", 150)
    assert last.tiles_resumed > 3


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
@pytest.mark.parametrize("how", ["dock", "viewer"])
def test_closing_ends_cleanly_and_can_be_gone_on_with(hand, tmp_path, how, paused):
    window = hand.window
    add_long(hand, tmp_path)
    hand.start()
    window.until(lambda: hand.job_tiles > 3)
    if paused:
        hand.click("Pause")
    if how == "dock":
        window.close_dock(hand.dock)
    else:
        window = window.again()
    window.until(lambda: not job_threads())
    again = Hand(window)
    add_long(again, tmp_path)
    assert again.run().startswith("1 done · 150 objects, counted")
    assert again.reports[0].tiles_resumed > 3


def test_what_is_complete_is_left_alone(hand, images):
    hand.add(images)
    hand.run()
    assert hand.run().startswith("2 done before, 1 failed · 6 objects in 4 planes")
    assert hand.cell(0, STATE) == "done before"
    hand.dock.form.advanced.overwrite.setChecked(True)
    assert hand.run().startswith("2 done, 1 failed")
    assert hand.run().startswith("2 done before")  # it is asked for every time


# --- which files ----------------------------------------------------------------------


def test_files_and_a_folder_are_added_by_their_buttons(hand, images, monkeypatch):
    names = [str(images / "c.tif")]
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: (names, ""))
    hand.click("Add files")
    assert hand.line == "1 file added."
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(images))
    hand.click("Add folder")
    assert hand.line == "2 files added."
    assert [hand.cell(i, FILE) for i in range(3)] == ["c.tif", "a.tif", "b.tif"]
    hand.choose(0)
    hand.click("Remove")
    assert [hand.cell(i, FILE) for i in range(2)] == ["a.tif", "b.tif"]


@pytest.mark.filterwarnings("ignore")  # napari shows errors as warnings in tests
def test_open_layers_are_added_by_their_files(hand, images):
    window = hand.window
    hand.click("Add layers")
    assert "No image is open" in hand.line
    window.open(images / "a.tif")
    window.viewer.add_image(squares(), name="drawn")
    window.viewer.add_labels(np.zeros((4, 4), int))
    hand.click("Add layers")
    assert hand.dock.form.table.rowCount() == 1
    assert hand.line.startswith("In no file yet: drawn. Save with File")
    hand.run()
    hand.open(0)
    assert [layer.name for layer in window.viewer.layers[-1:]] == ["a [bright]"]
    assert len(window.viewer.layers) == 4  # the image was open already


def test_channels_of_one_file_are_one_row_and_the_channel_is_chosen(hand, tmp_path):
    image = np.stack([np.zeros((64, 96), np.uint16), squares()])
    path = tmp_path / "two.tif"
    tifffile.imwrite(path, image, ome=True, metadata={"axes": "CYX"})
    hand.window.open(path)
    hand.click("Add layers")
    hand.looked()
    assert hand.cell(0, STATE) == "not possible"
    assert "Channel" in hand.hover(0)
    hand.dock.form.advanced.channel.setText("1")
    assert hand.run().startswith("1 done · 4 objects")


@pytest.mark.filterwarnings("ignore")
def test_folder_without_images_is_told(hand, tmp_path):
    hand.add(tmp_path)
    assert "nothing to segment" in hand.line
    assert not hand.dock.form.start.isEnabled()


# --- the form -------------------------------------------------------------------------


def test_options_of_the_form_are_those_of_the_run(hand, images):
    hand.add(images / "c.tif")
    advanced = hand.dock.form.advanced
    hand.click(advanced.title.text())
    advanced.format.setCurrentText("OME-TIFF")
    advanced.link_z.click()
    advanced.min_size.setValue(5)
    advanced.min_score.setValue(0.5)
    hand.dock.form.measure.setChecked(False)
    assert hand.run().startswith("1 done · 6 objects, counted per plane · ")
    out = images / "results"
    assert (out / "c.ome.tif").is_file()
    assert not (out / "c.csv").exists()
    about = json.loads((out / "report.json").read_text())
    assert about["options"]["segment"]["min_size"] == 5
    assert about["options"]["segment"]["min_score"] == 0.5
    before = hand.dock.form.settings()
    hand.window.close_dock(hand.dock)
    again = hand.dock = hand.window.open_batch()
    assert again.form.settings() == read_batch_settings() == before
    assert again.form.advanced.format.currentText() == "OME-TIFF"
    assert not again.form.advanced.link_z.isChecked()
    assert again.form.advanced.min_score.value() == 0.5
    hand.click(again.form.advanced.title.text())
    defaults = again.form.advanced.defaults
    hand.window.until(lambda: not defaults.visibleRegion().isEmpty())
    hand.click("Restore defaults")
    assert hand.dock.form.advanced.format.currentText() == "automatic"
    assert hand.dock.form.measure.isChecked()
    assert hand.dock.form.advanced.min_score.value() == 0
    assert hand.dock.form.advanced.link_z.isChecked()


def test_objects_are_joined_through_planes_as_in_segment_and_the_line_says_it(
    hand, images
):
    hand.add(images / "c.tif")
    hand.click(hand.dock.form.advanced.title.text())
    box = hand.dock.form.advanced.link_z
    assert box.isChecked() == hand.window.segment.form.link_z.isChecked()
    assert hand.run().startswith("1 done · 2 objects in 3 planes · ")
    hand.add(images / "a.tif")
    assert "6 objects in 4 planes · " in hand.run()  # both; a.tif has one plane
    box.click()
    hand.dock.form.advanced.overwrite.setChecked(True)
    assert hand.run().startswith("2 done · 10 objects, counted per plane · ")


def test_objects_of_planes_are_counted_without_a_word(hand, images):
    hand.add(images / "a.tif")
    assert hand.run().startswith("1 done · 4 objects · ")


def test_results_are_one_file_and_one_table_unless_something_else_is_chosen(
    hand, images
):
    hand.add(images)
    hand.run()
    out = images / "results"
    names = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    assert names >= {"a.ome.tif", "c.ome.tif", "a.csv", "c.csv", "all-files.csv"}
    assert not [name for name in names if name.endswith(".zarr")]
    hand.open(0)
    assert np.unique(hand.window.viewer.layers[-1].data).tolist() == [0, 1, 2, 3, 4]
    hand.dock.form.advanced.format.setCurrentText("OME-Zarr")
    hand.dock.form.advanced.overwrite.setChecked(True)
    hand.run()
    assert (out / "a.ome.zarr").is_dir()


def test_file_that_is_bad_never_looks_ready_again(hand, images):
    hand.add(images)
    hand.looked()
    states = []
    hand.start()
    hand.job.yielded.connect(lambda _: states.append(hand.cell(1, STATE)))
    assert hand.cell(1, STATE) == "not possible"
    hand.ended()
    assert {*states} <= {"not possible", "failed"}
    assert hand.cell(1, STATE) == "failed"
    hand.start()  # tried again, and known to be bad still
    assert hand.cell(1, STATE) == "not possible"
    hand.ended()


def test_probabilities_open_as_images_and_are_neither_measured_nor_painted(
    hand, images
):
    hand.add(images / "a.tif")
    hand.dock.form.advanced.output.setCurrentText("probabilities")
    assert not hand.dock.form.measure.isEnabled()
    assert hand.run().startswith("1 done · ")
    hand.open(0)
    added = hand.window.viewer.layers[1:]
    assert [type(layer) for layer in added] == [Image] * 3
    assert [layer.name.split()[-1] for layer in added] == [
        "background",
        "interior",
        "boundary",
    ]


@pytest.mark.filterwarnings("ignore")
def test_run_that_cannot_begin_is_told(hand, images):
    (images / "results").mkdir()
    (images / "results" / "report.csv").write_text("mine\n1\n")
    hand.add(images / "a.tif")
    assert "another program's" in hand.run()
    assert "color" in hand.dock.form.progress.line.styleSheet()
    assert hand.dock.form.start.isEnabled()
    assert hand.cell(0, STATE) == "ready"


def test_workers_share_the_tiles(hand, tmp_path):
    hand.add(write(tmp_path / "stack.tif", squares((8, 64, 96), 2)))
    hand.dock.form.advanced.workers.setValue(2)
    assert hand.run().startswith("1 done · 2 objects in 8 planes")


# --- results --------------------------------------------------------------------------


def test_row_without_labels_opens_its_image(hand, images):
    hand.add(images)
    assert "no labels yet" in hand.open(0)
    assert [layer.name for layer in hand.window.viewer.layers] == ["a"]


@pytest.mark.filterwarnings("ignore")
def test_wrong_form_is_told_by_open_too(hand, images):
    hand.add(images)
    hand.dock.form.memory.setText("plenty")
    assert "'plenty' is not an amount of memory" in hand.open(0)


@pytest.mark.filterwarnings("ignore")
def test_file_that_cannot_be_opened_is_told(hand, images):
    hand.add(images)
    assert "b.tif" in hand.open(1)
    assert not hand.window.viewer.layers
    assert hand.open(0)  # and the next one opens
    assert len(hand.window.viewer.layers) == 1


def test_labels_lie_on_an_image_whose_axes_have_another_order(hand, tmp_path):
    image = np.stack([squares((2, 64, 96), n) for n in (1, 2, 3)])  # Z, T
    path = tmp_path / "zt.tif"
    tifffile.imwrite(path, image, ome=True, metadata={"axes": "ZTYX"})
    hand.add(path)
    assert hand.run().startswith("1 done · 6 objects in 6 planes")
    hand.open(0)
    image, labels = hand.window.viewer.layers
    assert image.data.shape == labels.data.shape == (3, 2, 64, 96)
    np.testing.assert_array_equal(np.asarray(labels.data) > 0, image.data > 100)


def test_jobs_are_let_go_of(hand, images):
    hand.add(images)
    hand.looked()
    hand.run()
    hand.open(0)
    hand.window.until(lambda: not hand.dock.findChildren(Job))


def test_files_are_dropped_onto_the_dock(hand, images):
    about = QMimeData()
    about.setUrls(
        [QUrl.fromLocalFile(str(images / name)) for name in ("a.tif", "c.tif")]
    )
    none = Qt.KeyboardModifier.NoModifier
    place = QPointF(hand.dock.rect().center())
    copy = Qt.DropAction.CopyAction
    QApplication.sendEvent(
        hand.dock, QDragEnterEvent(place.toPoint(), copy, about, LEFT, none)
    )
    QApplication.sendEvent(hand.dock, QDropEvent(place, copy, about, LEFT, none))
    assert [hand.cell(row, FILE) for row in range(2)] == ["a.tif", "c.tif"]
    assert not hand.window.viewer.layers
