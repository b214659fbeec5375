"""How corrections begin: what is in the project afterwards, whenever napari ends."""

from dataclasses import replace

import numpy as np
import pytest

from napari_unet.annotation.models import free_name, keep
from napari_unet.annotation.project_link import ProjectLink
from napari_unet.annotation.resegment import Request
from napari_unet.annotation.reviews import ImageReviews
from napari_unet.annotation.start import from_labels, new_classes
from napari_unet.errors import CorrectionError
from napari_unet.io.image import Image
from napari_unet.network.model import Model, load, save
from napari_unet.network.transfer import new_model
from napari_unet.options import SegmentOptions
from napari_unet.project.corrections import FOREGROUND
from napari_unet.project.project import Project

OBJECTS = ("background", "interior", "boundary")
BOX = slice(10, 15), slice(20, 25)
IMAGE = Image("cells", np.zeros((64, 96), np.uint16), "YX")


@pytest.fixture
def file(tmp_path, tiny_model: Model) -> str:
    path = tmp_path / "tiny.safetensors"
    save(tiny_model, path)
    return str(path)


def corrected(tmp_path, classes: tuple[str, ...], kind: str) -> ImageReviews:
    """Return reviews in which a square of class 2, or of an object, is saved."""
    project = Project.open(tmp_path / "cells.unet")
    reviews = ImageReviews(project, project.add_image(IMAGE))
    pixels = np.full((5, 5), 2, np.uint8), np.full((5, 5), 2, np.int32)
    reviews.write((), BOX, pixels)
    project.update(classes, {"labels": kind})
    project.flush()
    return reviews


def end(job) -> None:
    for _ in job:
        pass


def view(reviews: ImageReviews, model: str) -> Request:
    return Request(IMAGE, model, SegmentOptions(), reviews=reviews, only=True)


def test_objects_become_classes_on_the_disk_with_their_names(tmp_path, file) -> None:
    reviews = corrected(tmp_path, OBJECTS, "objects")
    names = ("background", "cell", "debris")
    end(new_classes(ProjectLink(reviews.project), names, view(reviews, file), True))
    kept = Project.open(reviews.project.folder)
    assert kept.index.classes == names
    assert kept.index.settings["labels"] == "classes"
    assert (kept.read(reviews.key, (), BOX)[0] == FOREGROUND).all()


def test_class_that_was_painted_keeps_a_name(tmp_path, file) -> None:
    names = ("background", "cell", "debris")
    reviews = corrected(tmp_path, names, "classes")
    with pytest.raises(CorrectionError, match="'debris' were painted"):
        end(
            new_classes(
                ProjectLink(reviews.project), names[:2], view(reviews, file), True
            )
        )
    assert reviews.project.index.classes == names
    assert not reviews.project.index.models
    more = (*names, "wall")
    end(new_classes(ProjectLink(reviews.project), more, view(reviews, file), True))
    assert reviews.project.index.classes == more


def test_labels_are_saved_with_what_they_mean(tmp_path, tiny_model) -> None:
    file = tmp_path / "cells.safetensors"
    save(new_model(tiny_model, ("background", "cell")), file)
    project = Project.open(tmp_path / "cells.unet")
    reviews = ImageReviews(project, project.add_image(IMAGE))
    labels = np.zeros((64, 96), np.int64)
    labels[BOX] = 1
    end(from_labels(reviews, labels, view(reviews, str(file)), dense=True))
    kept = Project.open(project.folder)
    assert (kept.read(reviews.key, (), BOX)[0] == 1).all()
    assert kept.index.classes == ("background", "cell")
    assert kept.index.settings["labels"] == "classes"


def test_models_of_two_programs_get_names_of_their_own(tmp_path, tiny_model) -> None:
    one, two = (Project.open(tmp_path / "cells.unet") for _ in range(2))
    for project in (one, two):
        keep(project, replace(tiny_model, name=free_name(project, "v")), "nuclei")
    names = [m.name for m in Project.open(tmp_path / "cells.unet").index.models]
    assert names == ["v1", "v2"]


@pytest.mark.parametrize(
    ("model", "begun"), [("nuclei", "general"), (None, "tiny")], ids=["ours", "own"]
)
def test_new_classes_begin_from_general_unless_a_model_of_yours_is_in_use(
    tmp_path, file, model, begun
) -> None:
    project = Project.open(tmp_path / "cells.unet")
    reviews = ImageReviews(project, project.add_image(IMAGE))
    names = ("background", "cell")
    end(new_classes(ProjectLink(project), names, view(reviews, model or file), True))
    (record,) = project.index.models
    made = load(project.model_file(record.name))
    assert made.card["history"][-1] == f"new classes, {begun}"
    assert record.parent == (model or file)
