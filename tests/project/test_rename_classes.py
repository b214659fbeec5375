"""A class is called as the table says: in the project, its models, and messages."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from helpers.window import LEFT, squares
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLineEdit

from napari_unet.errors import OptionsError
from napari_unet.network.model import load, save
from napari_unet.project.project import Project
from napari_unet.project.rename_classes import finish_renaming, rename_class

CLASSES = "background", "foreground"


def call(window, row, name):
    """Double click a class in the table, and type its new name."""
    table = window.correct.form.classes.table
    window.show(window.correct)
    viewport, place = table.viewport(), table.visualItemRect(table.cell(row, 2))
    QTest.mouseClick(viewport, LEFT, pos=place.center())
    QTest.mouseDClick(viewport, LEFT, pos=place.center())
    editor = table.findChild(QLineEdit)
    editor.selectAll()
    QTest.keyClicks(editor, name)
    QTest.keyClick(editor, Qt.Key.Key_Return)
    window.events()


def stored(window):
    """Return the project of the only image, as it is on the disk."""
    return Project.open(window.folder / "cells.unet")


def test_renamed_class_has_its_name_everywhere_and_for_good(window):
    path = window.file(squares())
    window.do("New model for my classes")
    call(window, 1, "membrane")
    names = ("background", "membrane")
    assert window.correct.form.classes.names() == names
    assert stored(window).index.classes == names
    assert load(window.project.model_file("new1")).spec.classes == names
    assert not window.button("New model for my classes").isEnabled()
    window.correct.form.classes.chosen.emit(0)
    window.drag((30, 10), (30, 60))
    assert "a stroke of membrane" in window.do("Improve")
    window.correct.form.classes.chosen.emit(1)
    window.drag((8, 8), (8, 12))
    assert "v1 is in use" in window.do("Improve")
    assert stored(window).index.classes == names
    assert load(window.project.model_file("v1")).spec.classes == names
    call(window, 1, "wall")
    window.do("Undo improvement")
    assert window.layer.name == "cells [new1]", window.line
    again = window.again()
    again.open(path)
    assert again.correct.form.classes.names() == ("background", "wall")
    again.do("Go on")
    assert again.state.correcting is not None, again.line
    assert again.state.result.rules.classes == ("background", "wall")


def test_classes_for_the_next_model_are_kept(window):
    path = window.file(squares())
    call(window, 1, "membrane")
    window.click("+ class")
    window.events()
    names = window.correct.form.classes.names()
    assert names[:2] == ("background", "membrane")
    assert len(names) == 3
    window = window.again()
    window.open(path)
    assert window.correct.form.classes.names() == names
    window.do("New model for my classes")
    assert window.state.result.rules.classes == names
    assert stored(window).index.settings["draft"] == []


@pytest.mark.filterwarnings("ignore")
def test_name_that_cannot_be_leaves_the_table_as_the_project_is(window):
    window.file(squares())
    window.do("New model for my classes")
    call(window, 1, "boundary")
    assert "boundary" in window.line
    assert window.correct.form.classes.names() == CLASSES
    assert stored(window).index.classes == CLASSES


@pytest.mark.filterwarnings("ignore")
def test_class_is_not_renamed_in_a_model_that_is_at_work(window):
    window.file(squares())
    window.do("New model for my classes")
    window.click("Segment", window.segment)
    call(window, 1, "membrane")
    assert "when that has ended" in window.line
    assert window.correct.form.classes.names() == CLASSES
    window.idle()


@pytest.fixture
def project(tmp_path, tiny_model):
    """Return a project with a model of two classes, and one of three."""
    from napari_unet.network.transfer import new_model

    project = Project.open(tmp_path / "a.unet")
    for name, classes in (("new1", CLASSES), ("new2", ("background", "a", "b"))):
        save(new_model(tiny_model, classes), tmp_path / f"{name}.safetensors")
        project.add_model(name, tmp_path / f"{name}.safetensors")
    project.update(CLASSES)
    return project


def test_only_the_names_in_a_model_change(project, tmp_path):
    rename_class(project, 1, "Zellwand")
    new, old = (
        load(f / "new1.safetensors") for f in (project.folder / "models", tmp_path)
    )
    assert new.spec == replace(old.spec, classes=("background", "Zellwand"))
    assert new.checksum() == old.checksum()
    assert (new.card, new.scaling) == (old.card, old.scaling)
    other = load(project.model_file("new2"))
    assert other.spec.classes == ("background", "a", "b")


def test_renaming_that_was_cut_short_is_finished(project, tmp_path):
    file = project.model_file("new1")
    before = file.read_bytes()
    rename_class(project, 1, "cell")
    file.write_bytes(before)  # as if killed before
    pending = {"from": list(CLASSES), "to": ["background", "cell"]}
    project.update(settings={"renaming": pending})
    again = Project.open(project.folder)
    assert again.index.classes == ("background", "cell")
    finish_renaming(again)
    assert load(file).spec.classes == ("background", "cell")
    written = file.stat().st_mtime_ns
    finish_renaming(again)
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    "begun",
    [
        *(3, {}, {"from": 3, "to": 3}, {"from": CLASSES}, {"from": CLASSES, "to": 3}),
        *({"from": CLASSES, "to": to} for to in ("ab", ["a"], ["a", 1], ["a", "a"])),
    ],
    ids=str,
)
def test_renaming_that_makes_no_sense_changes_no_model(project, begun):
    before = project.model_file("new1").read_bytes()
    project.update(settings={"renaming": begun})
    finish_renaming(Project.open(project.folder))
    assert project.model_file("new1").read_bytes() == before


@pytest.mark.parametrize("header", [b"nonsense", b"[" * 10**5])
def test_damaged_model_stops_no_renaming(project, header):
    data = struct.pack("<Q", len(header)) + header
    project.model_file("new1").write_bytes(data)
    project.model_file("new2").unlink()
    rename_class(project, 1, "cell")
    assert Project.open(project.folder).index.classes == ("background", "cell")
    with pytest.raises(OptionsError, match="boundary"):
        rename_class(project, 1, "boundary")
    assert np.unique(project.index.classes).size == 2
