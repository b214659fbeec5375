"""U-Net: Segment on stacks: objects go on through Z, in a real window."""

import csv
from pathlib import Path

import numpy as np
import pytest
from helpers.stacks import blobs, same_partition
from helpers.window import squares
from qtpy.QtWidgets import QFileDialog

from napari_unet._steps import Steps
from napari_unet.annotation.resegment import Request, segmenting
from napari_unet.batch.stack import segment_stack
from napari_unet.io.image import Image
from napari_unet.options import BatchOptions, SegmentOptions
from napari_unet.ui.session import session_of
from napari_unet.ui.settings import read_settings


@pytest.mark.parametrize("least", [0.0, 0.7], ids=["all", "least score"])
def test_a_stack_is_joined_as_in_batch_with_one_row_each(
    window, bright_model, tmp_path, monkeypatch, least
):
    import zarr

    path = window.file(blobs((5, 120, 150)), imagej=True, metadata={"axes": "ZYX"})
    window.segment.form.model.add(str(bright_model))
    assert window.segment.form.link_z.isVisible()
    window.segment.form.advanced.min_score.setValue(least)
    line = window.segmented()
    labels = np.asarray(window.viewer.layers[-1].data)
    target = tmp_path / "out.ome.zarr"
    how = SegmentOptions(output="objects", min_score=least)
    options = BatchOptions(how, link_z=True, measure=True)
    job = segment_stack(path, target, options, model=str(bright_model))
    report = Steps(job).finish()
    assert same_partition(labels, zarr.open_group(target, mode="r")["0"][...])
    assert line.startswith(f"{report.objects} objects in 5 planes · ")
    assert labels.max() == len(np.unique(labels)) - 1 == report.objects
    assert len(np.unique(labels[2])) - 1 < report.objects  # not all are everywhere
    place = str(tmp_path / "table.csv")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (place, ""))
    window.click("Save table...", window.segment)
    with Path(place).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["label"]) for row in rows] == list(range(1, report.objects + 1))
    assert sum(int(row["volume"]) for row in rows) == (labels > 0).sum()
    with (tmp_path / "out.csv").open(newline="") as file:
        theirs = [float(row.get("score", 1)) for row in csv.DictReader(file)]
    ours = [float(row.get("score", 1)) for row in rows]
    assert sorted(ours) == pytest.approx(sorted(theirs))
    assert min(ours) >= least
    assert ("score" in rows[0]) == bool(least)


def test_what_somebody_painted_has_no_score_and_is_not_dropped(window):
    image = squares((4, 64, 96))
    image[:, 4:12, 6:14] = 120  # the net is not sure of it
    window.file(image, imagej=True, metadata={"axes": "ZYX"})
    window.viewer.dims.set_point(0, 1)
    window.segment.form.advanced.min_score.setValue(0.9)
    assert window.segmented().startswith("3 objects in 4 planes")
    assert not window.labels[:, :16, :16].any()
    window.paint(77, (8, 8), (8, 12))
    assert window.segmented().startswith("4 objects in 4 planes")
    features = window.viewer.layers[-1].features
    known = dict(zip(features["label"], features["score"].notna(), strict=True))
    assert known == {1: True, 2: True, 3: True, 77: False}
    assert (window.labels[1] == 77).any()


def test_the_box_is_there_where_it_matters_and_is_remembered(window):
    box, output = window.segment.form.link_z, window.segment.form.output
    window.file(squares())
    assert not box.isVisible()
    window.viewer.add_image(squares((3, 64, 96)), axis_labels=("t", "y", "x"))
    assert not box.isVisible()
    window.viewer.add_image(squares((3, 64, 96)), name="stack")
    assert box.isVisible()
    assert box.isChecked()
    output.setCurrentText("classes")
    assert not box.isVisible()
    output.setCurrentText("objects")
    assert window.segmented().startswith("4 objects in 3 planes · ")
    box.click()
    assert window.segmented().startswith("12 objects, counted per plane · ")
    assert not read_settings().link_z
    assert len(window.viewer.layers["stack [bright]"].features) == 12


def test_the_line_tells_what_was_waited_for(window, monkeypatch):
    """Loading and measuring are waited for, too."""
    from napari_unet.ui.segment import dock

    window.file(squares())
    window.segmented()
    clock = dock.time.monotonic
    window.click("Segment", window.segment)
    monkeypatch.setattr(dock.time, "monotonic", lambda: clock() + 6)
    window.idle()
    seconds = float(window.segment.progress.line.text().split(" · ")[1].split()[0])
    assert 6 <= seconds < 60


def test_painted_objects_keep_their_ids_and_nothing_counts_as_a_stroke(window):
    window.file(squares((4, 64, 96)), imagej=True, metadata={"axes": "ZYX"})
    window.viewer.dims.set_point(0, 1)
    window.segmented()
    window.paint(77, (30, 20), (30, 40))  # an object of its own
    window.paint(2, (12, 26), (12, 26))  # what is joined grows
    window.erase((8, 40), (8, 44))
    before = {z: window.target((z,)) for z in range(4)}
    shown = window.labels.copy()
    assert (before[1] != 255).any()
    window.segmented()
    after = window.labels
    for z, target in before.items():
        np.testing.assert_array_equal(window.target((z,)), target)
        seen = target != 255
        np.testing.assert_array_equal(after[z][seen], shown[z][seen])
    assert set(np.unique(after[1])) == {0, 1, 2, 3, 4, 77}
    for column, number in ((8, 1), (24, 2), (40, 3), (56, 4)):
        assert set(after[[0, 2, 3], 6, column]) == {number}
    assert window.segment.progress.line.text().startswith("5 objects in 4 planes")


def test_tables_are_saved_beside_the_image(window, monkeypatch):
    asked = []
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *words: asked.append(words) or ("", "")
    )
    window.file(squares())
    window.segmented()
    window.viewer.layers[-1].name = "by day/night"
    window.click("Save table...", window.segment)
    assert asked[0][2] == str(window.folder / "cells [bright].csv")


def test_this_view_of_a_joined_stack_has_the_same_columns(window):
    window.file(squares((3, 64, 96)), imagej=True, metadata={"axes": "ZYX"})
    window.segmented()
    window.segmented("Segment this view")
    labels = window.viewer.layers[-1]
    assert not labels.features.isna().any().any()
    assert set(labels.features["index"]) <= set(np.unique(labels.data))


@pytest.mark.parametrize("z", [1, 3])
def test_one_plane_is_counted_as_such(window, z):
    window.file(squares((z, 64, 96)), imagej=True, metadata={"axes": "ZYX"})
    words = " in 3 planes" if z == 3 else ""
    assert window.segmented().startswith(f"4 objects{words} · ")
    assert window.segmented("Segment this view").startswith("4 objects · ")


def test_every_step_says_what_is_done_and_how_much_of_all(nets, monkeypatch):
    """Also while a large tile is computed, of which nothing is there yet."""
    from napari_unet.segmentation import predict, tile_plan

    monkeypatch.setattr(predict, "_PAUSE", 0)  # a sign of life after every block
    monkeypatch.setattr(tile_plan, "_FIRST", 32)
    monkeypatch.setattr(tile_plan, "_WORTH", 0)
    view = slice(0, 300), slice(0, 400)
    image = Image("stack", squares((3, 300, 400)), "ZYX")
    options = SegmentOptions(output="objects", device="cpu")
    model = str(nets / "deep.safetensors")
    request = Request(image, model, options, view=view, plane=(1,), link_z=True)
    steps = list(segmenting(request))
    assert all(step.doing for step in steps)
    assert list(dict.fromkeys(step.doing for step in steps)) == [
        "reading the image",
        "segmenting",
        "joining objects through Z",
        "measuring",
    ]
    progress = [step.progress for step in steps]
    assert progress == sorted(progress)
    assert progress[-1] == pytest.approx(1)
    first, *planes = [step.progress for step in steps if step.key is not None]
    assert first < 0.2  # the small tile in the middle is none of three
    assert planes == pytest.approx([0.35, 0.6, 0.85], abs=0.1)
    between = [n for n in progress if first < n < planes[0]]
    assert len(between) >= 8  # within the first large tile


def test_the_line_says_what_is_being_done(window):
    window.file(squares((64, 96)))
    said = []
    window.click("Segment", window.segment)
    line = window.segment.progress.line
    (job,) = session_of(window.viewer).jobs
    job.caught_up.connect(lambda: said.append(line.text()))
    window.idle()
    assert said
    assert all(len(text) > 5 and text.endswith("...") for text in said)


def test_objects_of_different_classes_are_not_joined(tmp_path):
    import torch
    from helpers.nets import passing

    from napari_unet.network.model import Model, UNetSpec, save

    net = passing(UNetSpec(1, ("background", "dim", "bright"), width=4, depth=1))
    with torch.no_grad():
        net.head.weight[1, 0], net.head.weight[2, 0] = 20, 60
        net.head.bias.copy_(torch.tensor([0.0, -4.0, -34.0]))
    path = tmp_path / "two.safetensors"
    save(Model(net, card={}), path)
    image = np.stack([squares((64, 96), 2)] * 4)
    image[:2][image[:2] > 100] = 90  # dim in two planes, bright in two
    options = SegmentOptions(output="objects")
    request = Request(
        Image("stack", image, "ZYX"), str(path), options, plane=(0,), link_z=True
    )
    outcome = Steps(segmenting(request)).finish()
    assert outcome.result.objects == 4
    assert outcome.table["planes"].tolist() == [2, 2, 2, 2]
    assert outcome.table["bbox_z0"].tolist() == [0, 0, 2, 2]
