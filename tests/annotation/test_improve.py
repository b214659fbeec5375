"""What the thread comes to after a click on Improve, without a window."""

import numpy as np
import pytest
from helpers.window import missed

from napari_unet._steps import Steps
from napari_unet.annotation import improve as steps
from napari_unet.annotation.improved import ImproveRequest
from napari_unet.annotation.project_link import ProjectLink
from napari_unet.annotation.resegment import Request
from napari_unet.annotation.train import TrainRequest, train
from napari_unet.io.image import Image
from napari_unet.network.model import load
from napari_unet.network.threads import spare_cores
from napari_unet.options import SegmentOptions, TrainOptions
from napari_unet.project import lazy_corrections
from napari_unet.project.corrections import IGNORE
from napari_unet.project.project import Project
from napari_unet.training import fine_tune, training_set
from napari_unet.ui.correct.messages import improved_line


def painted(tmp_path, nets):
    """Return a project with strokes in two squares, its model, and its image."""
    image = Image("cells", np.concatenate([missed()] * 4, axis=1), "YX")
    project = Project.open(tmp_path / "cells.unet")
    key = project.add_image(image)
    for left in (0, 256):
        target = np.full((64, 128), IGNORE, np.uint8)
        target[37:44, 17:45], target[20:34, 10:50] = 1, 0
        box = slice(0, 64), slice(left, left + 128)
        project.write(key, (), box, (target, np.zeros(target.shape, np.int32)))
    project.update(load(nets / "fresh.safetensors").spec.classes)
    project.add_model("v0", nets / "fresh.safetensors")
    project.activate("v0")
    project.flush()
    return project, image


def improved(project, image, options):
    """Learn as the dock does, from the model in use."""
    how = SegmentOptions(output="classes", device="cpu")
    view = Request(image, str(project.model_file(project.index.active)), how)
    request = ImproveRequest(ProjectLink(project), view, options)
    return Steps(steps.improving(request)).finish()


@pytest.mark.parametrize(("seconds", "squares"), [(1e-6, 1), (300, 2)])
def test_the_line_says_how_much_was_compared(
    tmp_path, nets, monkeypatch, seconds, squares
):
    monkeypatch.setattr(fine_tune, "_PATCH", 32)
    monkeypatch.setattr(fine_tune, "_STEPS", 4)
    monkeypatch.setattr(steps, "_COMPARING", seconds)
    done = improved(*painted(tmp_path, nets), TrainOptions(10, "cpu"))
    assert done.published
    assert (len(done.compared), done.squares) == (squares, 2)
    line = improved_line(done)
    part = "on 1 of 2 squares that were painted (the newest, and some of the others)."
    assert (part in line) is (squares < 2)
    assert "reviewed pixels and broke " in line


@pytest.mark.parametrize("room", [10**9, 10**5], ids=["held", "piece_by_piece"])
def test_improve_and_train_project_give_the_same_weights(
    tmp_path, nets, monkeypatch, room
):
    monkeypatch.setattr(fine_tune, "_PATCH", 32)
    monkeypatch.setattr(fine_tune, "_STEPS", 6)
    monkeypatch.setattr(training_set, "_EVERY", 1)  # as many pieces as steps
    monkeypatch.setattr(lazy_corrections, "ROOM", room)
    project, image = painted(tmp_path, nets)
    options = TrainOptions(None, "cpu", seed=3)
    spare_cores()  # more threads would add up in another order
    out = tmp_path / "trained.safetensors"
    trained = train(TrainRequest(out, project=project.folder, options=options))
    done = improved(project, image, options)
    part = [note for note in trained.notes if "1 of the 2 squares" in note]
    assert bool(part) == (room < 10**9)
    assert trained.trained.published
    assert done.published
    old = load(project.model_file("v0")).checksum()
    new = load(done.path)
    assert load(out).checksum() == new.checksum() != old
    assert load(out).card == new.card
    assert [model.name for model in project.index.models] == ["v0", "v1"]
