"""What the thread comes to after a click on Improve, without a window."""

import numpy as np
import pytest
from helpers.window import missed

from napari_unet._steps import Verb
from napari_unet.annotation import improve as steps
from napari_unet.annotation.resegment import Request
from napari_unet.io.image import Image
from napari_unet.options import SegmentOptions, TrainOptions
from napari_unet.project.corrections import IGNORE
from napari_unet.project.project import Project
from napari_unet.training import fine_tune, trainer
from napari_unet.ui.correct.messages import improved_line


def improved(tmp_path, nets):
    """Learn from strokes in two squares."""
    image = Image("cells", np.concatenate([missed()] * 4, axis=1), "YX")
    project = Project.open(tmp_path / "cells.unet")
    key = project.add_image(image)
    for left in (0, 256):
        target = np.full((64, 128), IGNORE, np.uint8)
        target[37:44, 17:45], target[20:34, 10:50] = 1, 0
        box = slice(0, 64), slice(left, left + 128)
        project.write(key, (), box, (target, np.zeros(target.shape, np.int32)))
    options = SegmentOptions(output="classes", device="cpu")
    view = Request(image, str(nets / "fresh.safetensors"), options)
    request = steps.ImproveRequest(project, view, TrainOptions(10, "cpu"))
    return Verb(steps.improving(request)).finish()


@pytest.mark.parametrize(("seconds", "squares"), [(1e-6, 1), (300, 2)])
def test_the_line_says_how_much_was_compared(
    tmp_path, nets, monkeypatch, seconds, squares
):
    monkeypatch.setattr(trainer, "_VIEW", 32)
    monkeypatch.setattr(fine_tune, "_STEPS", 4)
    monkeypatch.setattr(steps, "_COMPARING", seconds)
    done = improved(tmp_path, nets)
    assert done.published
    assert (len(done.compared), done.squares) == (squares, 2)
    line = improved_line(done)
    part = "on 1 of 2 squares that were painted (the newest, and some of the others)."
    assert (part in line) is (squares < 2)
    assert "reviewed pixels and broke " in line
