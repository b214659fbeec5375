"""Bad input and odd moments in U-Net: Correct."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.window import missed, squares
from qtpy.QtWidgets import QFileDialog

from napari_unet.annotation import resegment
from napari_unet.project.project import Project
from napari_unet.training import run as training_run
from napari_unet.ui.correct.dock import CorrectDock
from napari_unet.ui.session import session_of

# napari shows errors as warnings in tests
pytestmark = pytest.mark.filterwarnings("ignore")


def start(window, image=None, **keywords):
    """Open and segment an image, and paint on it: two classes are reviewed."""
    path = window.file(missed() if image is None else image, **keywords)
    window.segmented()
    window.paint(99, (40, 20), (40, 40))
    window.erase((30, 20), (30, 40))
    return path


def test_improve_without_corrections_says_what_to_paint(window):
    window.file(squares())
    window.segmented()
    line = window.do("Improve")
    assert "no corrections" in line
    assert "Paint over what is wrong" in line
    window.paint(99, (40, 20), (40, 40))
    assert "no corrections" not in window.line
    assert window.button("Improve").isEnabled()
    assert window.layer.editable


def test_improve_that_could_not_follow_says_how_much_is_missed(window):
    window.use("plain")
    window.file(squares())
    window.segmented()
    window.paint(1, (40, 10), (40, 80))  # nothing tells these two apart
    window.paint(1, (24, 10), (24, 80))
    window.erase((40, 20), (40, 70), size=1)
    window.erase((24, 20), (24, 70), size=1)
    line = window.do("Improve")
    assert " % of what you painted is not obeyed yet: click Improve again" in line
    assert "give it more time" in line
    assert "followed yet" not in line  # it would be said twice


def test_plane_too_large_to_paint_on_is_told(window, monkeypatch):
    monkeypatch.setattr(resegment, "DRAWN", 80)  # of a graphics card: 16384
    window.file(np.tile(squares(), (1, 15)))
    window.segmented()
    assert window.layer.multiscale
    assert not window.button("Improve").isEnabled()
    assert "Crop a part" in window.button("Improve").toolTip()
    assert "Crop a part" in window.line
    form = window.correct.form
    for button in (form.new_classes, form.classes.add_button):
        assert not button.isEnabled()
    assert not form.go_on.isVisible()


@pytest.mark.parametrize("what", ["image", "result", "both", "renamed", "other image"])
@pytest.mark.parametrize("when", ["learning", "going on"])
def test_layers_removed_or_renamed_meanwhile(window, what, when):
    start(window)
    layers = window.viewer.layers
    window.underlay()
    model, project = window.state.result.model, window.project
    if when == "learning":
        window.correct.form.seconds.setValue(2)
        window.click("Improve")
        bar = window.correct.form.progress.bar
        window.until(lambda: "%" in bar.format())
    else:
        window.correct.start.segment_view("Going on", model)
    if what in ("image", "both"):
        layers.remove("cells")
    if what in ("result", "both"):
        layers.remove("cells [bright]")
    if what == "renamed":
        layers["cells [bright]"].name = "mine"
        layers["cells"].name = "theirs"
    if what == "other image":
        layers.selection.active = window.viewer.add_image(squares(), name="other")
    window.idle()
    assert "went wrong" not in window.line
    names = [x.name for x in layers if x.name != "below"]
    expected = {
        "image": 1, "result": 1, "both": 0, "renamed": 2, "other image": 3,
    }  # fmt: skip
    assert len(names) == expected[what]
    if what == "renamed":
        assert names == ["theirs", "mine"]
        assert window.layer.editable
    if when == "learning" and what != "image":
        assert [m.name for m in project.index.models] == ["v1"]
        assert "v1" in project.index.settings["annotation_s_at"]
    if what == "both":
        window.viewer.add_image(squares(), name="cells")
        window.segmented()
        window.paint(99, (40, 20), (40, 40))
        assert (window.target() != 255).any()


def test_corrections_that_a_result_does_not_show_are_told(window):
    path = start(window)
    assert "corrected" not in window.segmented()
    window.use("plain")
    assert "corrected in cells [bright] is not in this" in window.segmented()
    window.until(lambda: not window.project.unsaved)
    again = window.again()
    again.close_dock()
    again.open(path)
    again.click("Segment", again.segment)
    said = "What was corrected before, in cells.unet, is not in this result"
    again.until(lambda: said in again.segment.progress.line.text())


def test_new_model_of_an_image_that_is_closed_meanwhile(window):
    window.file(squares())
    window.rename(1, "cell")
    window.click("New model for my classes")
    window.viewer.layers.remove("cells")
    window.idle()
    assert len(window.viewer.layers) == 0
    assert "closed" in window.line


def test_two_results_each_keep_their_own_strokes(window):
    window.file(squares())
    window.segmented()
    window.paint(99, (40, 20), (40, 40))
    said = window.target()
    window.use("deep")
    window.segmented()
    layers = window.viewer.layers
    assert [x.name for x in layers] == ["cells", "cells [bright]", "cells [deep]"]
    layers.selection.active = layers["cells [deep]"]
    window.events()
    assert window.layer.name == "cells [deep]"
    np.testing.assert_array_equal(window.target(), said)  # the same image
    window.paint(98, (50, 20), (50, 40))
    both = window.target()
    layers.selection.active = layers["cells [bright]"]
    window.events()
    assert window.layer.name == "cells [bright]"
    np.testing.assert_array_equal(window.target(), both)
    window.segmented("Segment this view")


def test_image_with_another_shape_is_refused_by_name(window):
    start(window)
    window = window.again()
    window.file(squares((48, 96)))
    window.segmented()
    assert "shape" in window.line
    assert "(64, 96)" in window.line
    assert window.state.correcting is None
    assert not window.button("Improve").isEnabled()


def test_image_with_other_pixels_is_told(window):
    start(window)
    window = window.again()
    window.file(squares(count=2))
    window.segmented()
    assert "other pixels" in window.line
    assert (window.target() != 255).any()


def test_project_of_a_newer_version_is_left_alone(window):
    path = start(window)
    window = window.again()
    file = path.with_suffix(".unet") / "project.json"
    content = json.loads(file.read_text())
    content["version"] = 99
    file.write_text(json.dumps(content))
    window.open(path)
    assert "newer" in window.line
    window.segmented()
    assert window.state.correcting is None
    assert not window.button("Improve").isEnabled()
    assert json.loads(file.read_text()) == content


def test_damaged_project_uses_the_good_pieces_and_names_the_bad(window):
    path = start(window, squares((600, 96)))
    window.erase((400, 20), (400, 40))
    said = window.target()
    window = window.again()
    folder = path.with_suffix(".unet")
    (folder / "project.json").write_text("{")
    pieces = sorted((folder / "corrections").rglob("*.npz"))
    assert len(pieces) > 1
    pieces[0].write_bytes(b"nonsense")
    window.open(path)
    assert "project.json" in window.line
    assert pieces[0].name in window.line
    window.do("Go on")
    kept = window.target() != 255
    assert 0 < kept.sum() < (said != 255).sum()
    assert (window.target()[kept] == said[kept]).all()


def test_settings_that_make_no_sense_are_as_if_they_were_not_there(window):
    path = start(window)
    window = window.again()
    file = path.with_suffix(".unet") / "project.json"
    content = json.loads(file.read_text())
    odd = dict.fromkeys(("annotation_s_at", "seen", "labels", "draft"), 3)
    content["settings"] = {**odd, "annotation_s": "long", "renaming": {"from": 3}}
    file.write_text(json.dumps(content))
    window.open(path)
    window.do("Go on")
    assert (window.target() != 255).any()
    window.erase((24, 20), (24, 40))
    assert "v1 is in use" in window.do("Improve")
    assert "v1" in window.project.index.settings["annotation_s_at"]


@pytest.mark.parametrize("when", ["at once", "once it learns"])
def test_stop_keeps_the_best_so_far(window, when):
    start(window)
    window.correct.form.seconds.setValue(600)
    window.click("Improve")
    if when != "at once":
        window.until(lambda: window.correct.form.progress.bar.value() > 0)
    began = time.monotonic()
    window.click("Stop")
    assert not window.button("Stop").isEnabled()
    assert window.line == "Stopping..."
    line = window.idle()
    assert time.monotonic() - began < 60
    assert "in use" in line
    assert "stopped" in line
    assert window.layer.editable
    assert window.button("Improve").isEnabled()


def test_stop_leaves_no_model_that_is_worse_on_what_was_painted(window, monkeypatch):
    start(window)
    before = window.labels.copy()
    monkeypatch.setattr(training_run, "judge", lambda *_: (0.9, 0.8, "right"))
    window.correct.form.seconds.setValue(600)
    window.click("Improve")
    window.until(lambda: window.correct.form.progress.bar.value() > 0)
    window.click("Stop")
    line = window.idle()
    assert line.startswith("bright stays in use")
    assert "right on 80.0% of what was painted, before on 90.0%" in line
    assert window.project.index.models == ()
    np.testing.assert_array_equal(window.labels > 0, before > 0)


def test_improve_waits_for_a_segmentation_and_says_so(window):
    start(window)
    button = window.correct.form.improve
    window.click("Segment", window.segment)
    assert not button.isEnabled()
    assert "being segmented" in button.toolTip()
    window.idle()
    assert button.isEnabled()


def test_segment_waits_for_an_improvement_and_says_so(window):
    start(window)
    window.click("Improve")
    array = window.layer.data
    window.click("Segment", window.segment)
    assert "cells [bright]" in window.segment.progress.line.text()
    assert "U-Net: Correct" in window.segment.progress.line.text()
    window.idle()
    assert window.layer.data is array


@pytest.mark.parametrize("doing", ["", "Improve", "Segment"])
def test_dock_closed_and_opened_again(window, doing):
    start(window)
    said = window.target()
    layer = window.layer
    if doing:
        window.correct.form.seconds.setValue(600)
        window.click(doing, window.segment if doing == "Segment" else None)
    window.close_dock()
    window.until(lambda: not session_of(window.viewer).jobs)
    assert layer.editable
    window.open_dock()
    window.viewer.layers.selection.active = layer
    window.events()
    assert window.layer is layer
    np.testing.assert_array_equal(window.target(), said)
    window.paint(98, (50, 20), (50, 40))
    assert (window.target() != said).any()
    window.segmented("Segment this view")


def test_project_that_is_none_is_refused_and_the_old_one_goes_on(window, monkeypatch):
    start(window)
    said, folder = window.target(), window.project.folder
    alien = window.folder / "photos"
    alien.mkdir()
    (alien / "holiday.jpg").write_bytes(b"")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(alien))
    window.click("Open...")
    assert "photos" in window.line
    assert window.project.folder == folder
    np.testing.assert_array_equal(window.target(), said)


def test_one_project_keeps_the_corrections_of_many_images(window, monkeypatch):
    start(window)
    folder = window.project.folder
    window.file(squares(count=3), name="other.tif")
    window.segmented()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    window.click("Open...")
    window.paint(99, (40, 20), (40, 40))
    window.until(lambda: not window.project.unsaved)
    assert {r.name for r in window.project.index.images} == {"cells", "other"}
    assert len(window.project.corrections()) == 2


def test_renamed_image_without_a_file_keeps_its_project(window):
    image = window.viewer.add_image(squares(), name="cells")
    window.look()
    window.segmented()
    window.paint(99, (40, 20), (40, 40))
    said, folder = window.target(), window.project.folder
    image.name = "better"
    other = window.viewer.add_image(squares((32, 32), 1), name="other")
    window.viewer.layers.selection.active = other
    window.events()
    window.viewer.layers.selection.active = window.viewer.layers["cells [bright]"]
    window.events()
    assert window.project.folder == folder
    np.testing.assert_array_equal(window.target(), said)


def test_full_disk_is_told_once_and_tried_again(window):
    folder = window.folder / "cells.unet"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount).returncode:
        pytest.skip("needs a disk that can be filled: run as root")
    try:
        (folder / "corrections").write_bytes(b"")  # in the way, as on a full disk
        start(window)
        window.until(lambda: "cells.unet" in window.line)
        assert "color" in window.correct.form.progress.line.styleSheet()
        assert window.project.unsaved
        assert (window.target() != 255).any()
        (folder / "corrections").unlink()
        subprocess.run(["mount", "-o", "remount,size=1m", str(folder)], check=True)
        window.until(lambda: not window.project.unsaved)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


CLOSING = """
import sys, time
import numpy as np
import napari
from pathlib import Path
from qtpy.QtWidgets import QApplication
sys.path.insert(0, sys.argv[1])
from helpers.window import Window, squares
class Bot:
    def waitUntil(self, condition, timeout):
        end = time.monotonic() + timeout / 1000
        while not condition():
            QApplication.processEvents()
            time.sleep(0.01)  # the thread that learns wants the core
            if time.monotonic() > end:
                sys.exit("it took too long")
window = Window(napari.Viewer, Bot(), Path(sys.argv[2]), Path(sys.argv[3]))
window.file(squares())
window.segmented()
window.paint(99, (40, 20), (40, 40))
window.erase((30, 20), (30, 40))
window.correct.form.seconds.setValue(600)
window.until(lambda: "torch._dynamo" in sys.modules)  # loaded while people paint
window.click("Improve")
window.until(lambda: window.correct.form.progress.bar.value() > 0)
window.paint(98, (50, 20), (50, 40))
window.viewer.close()
QApplication.processEvents()
print("closed")
"""


def test_closing_napari_while_training_ends_the_process(tmp_path, nets):
    code = tmp_path / "closing.py"
    code.write_text(CLOSING)
    tests = str(Path(__file__).parents[2])
    ended = subprocess.run(
        [sys.executable, str(code), tests, str(nets), str(tmp_path)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "closed" in ended.stdout
    assert "Traceback" not in ended.stderr
    project = Project.open(tmp_path / "cells.unet")
    (record,) = project.index.images
    target, _ = project.read(record.key, (), (slice(0, 64), slice(0, 96)))
    assert (target[50, 20:40] != 255).all()  # painted just before


def test_opening_the_dock_is_quick(window):
    window.file(squares())
    window.close_dock()
    began = time.process_time()
    CorrectDock(window.viewer).deleteLater()
    assert time.process_time() - began < 1
