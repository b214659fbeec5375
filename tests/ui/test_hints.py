"""Errors in the docks say what would help, as the fields are called there."""

import re

import numpy as np
import pytest
import tifffile
from helpers.batch_hand import STATE, write
from helpers.window import squares
from qtpy.QtWidgets import QAbstractButton, QLabel

from napari_unet.ui import hints


def texts(dock):
    """Return all that is written on a dock."""
    widgets = [*dock.findChildren(QLabel), *dock.findChildren(QAbstractButton)]
    return {re.sub(r"^[^\w']+ ", "", widget.text()) for widget in widgets}


def test_every_field_that_a_hint_names_is_there(hand):
    window = hand.window
    docks = {
        "Segment": (window.segment, hints.SEGMENT),
        "Correct": (window.correct, hints.CORRECT),
        "Batch": (hand.dock, hints.BATCH),
    }
    for dock, names in docks.values():
        for hint in names.values():
            elsewhere = re.search(r"U-Net: (\w+)$", hint)
            there = docks[elsewhere[1]][0] if elsewhere else dock
            for quoted in re.findall(r"'(.+?)'", hint):
                assert quoted in texts(there), hint


def told(line):
    assert "--" not in line
    return line


def test_segment_names_its_fields(window):
    window.viewer.add_image(squares(), name="cells")
    window.segment.form.advanced.memory.setText("1 MB")
    line = told(window.segmented())
    assert line.endswith("raise the memory that may be used ('Memory' in Advanced).")
    window.segment.form.advanced.memory.setText("")
    two = np.stack([squares(), squares()])
    window.viewer.add_image(two, name="two", axis_labels=("c", "y", "x"))
    window.segment.form.channel.setCurrentText("all")
    assert told(window.segmented()).endswith("takes 1. Choose a channel ('Channel').")


def test_correct_names_the_dock_that_has_the_field(window):
    two = np.stack([squares(), squares()])
    window.viewer.add_image(two, name="two", axis_labels=("c", "y", "x"))
    window.viewer.add_labels((squares() > 99).astype(np.int32), name="mine")
    window.correct.form.subject.choose(window.viewer.layers["mine"])
    window.do("Start from labels")
    line = told(window.do("Next uncertain"))
    assert line.endswith("Choose a channel ('Channel' in U-Net: Segment).")


@pytest.mark.filterwarnings("ignore")
def test_batch_names_its_fields(hand, tmp_path):
    two = np.stack([squares(), squares()])
    odd = tmp_path / "odd.tif"
    tifffile.imwrite(tmp_path / "two.tif", two, metadata={"axes": "CYX"}, ome=True)
    tifffile.imwrite(odd, np.zeros((2, 3, 8, 8), np.uint8), metadata={"axes": "HRYX"})
    hand.add(tmp_path / "two.tif", odd, write(tmp_path / "a.tif", squares()))
    hand.looked()
    assert [hand.cell(row, STATE) for row in range(2)] == ["not possible"] * 2
    expected = "'Channel' in Advanced).", "'Axes' in Advanced)."
    for row, end in enumerate(expected):
        assert told(hand.hover(row)).endswith(end)
    hand.run()
    for row, end in enumerate(expected):
        assert told(hand.hover(row)).endswith(end)
    hand.dock.form.memory.setText("1 MB")
    hand.looked()
    hand.run()
    hand.dock.form.memory.setText("")
    hand.dock.form.advanced.min_size.setValue(3)
    hand.run()
    assert "'replace results that are there' in Advanced" in told(hand.hover(2))
