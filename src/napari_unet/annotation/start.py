"""Jobs that begin corrections: from a model, from labels, or from nothing.

No Qt, no layers: a `Request` says which image and which part of it is in view; `Step`
and `Begun` come out.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.annotation.models import (
    agree,
    free_name,
    keep,
    kind_of,
    meaning,
    note_draft,
)
from napari_unet.annotation.painting import LabelSchema, PaintRecorder
from napari_unet.annotation.project_link import ProjectLink
from napari_unet.annotation.resegment import (
    Outcome,
    Request,
    Step,
    load_model,
    segmenting,
)
from napari_unet.annotation.reviews import ImageReviews, Reviews
from napari_unet.errors import CorrectionError
from napari_unet.io.image import Image
from napari_unet.io.save import LabelArray, create_labels
from napari_unet.network.header import BOUNDARY, class_names
from napari_unet.options import DEFAULT_MODEL, START_MODEL, Output
from napari_unet.project.corrections import FOREGROUND, IGNORE
from napari_unet.project.label_files import apart, lone_number
from napari_unet.project.project import Project
from napari_unet.tiling import Box, cut, whole

__all__ = [
    "Begun",
    "beginning_with",
    "from_labels",
    "going_on",
    "new_classes",
    "schema_of",
]


@dataclass(frozen=True, slots=True)
class Begun:
    """What corrections can be painted on now.

    Attributes
    ----------
    model
        Name or file of the model in use.
    rules
        What the labels mean to it.
    array
        The labels.
    outcome
        What was segmented; None if nothing was.
    note
        A sentence about how labels were understood; empty if there is no doubt.
    """

    model: str
    rules: LabelSchema
    array: LabelArray
    outcome: Outcome | None
    note: str = ""


def going_on(
    view: Request, rules: LabelSchema | None = None
) -> Generator[Step, None, Begun]:
    """Segment the view with the model in use, around all that was reviewed before.

    Raises
    ------
    CorrectionError
        If the model has other classes than the labels, which follow `rules`.
    """
    model = view.ready or load_model(view.model, view.models)
    if rules is not None and model.spec.classes != rules.classes:
        raise CorrectionError(
            f"The model {model.name} has the classes {', '.join(model.spec.classes)}; "
            f"these labels have {', '.join(rules.classes)}. Go on from the bare image."
        )
    outcome = yield from segmenting(replace(view, restore=True))
    return _begun(view.model, outcome)


def new_classes(
    link: ProjectLink, classes: Sequence[str], view: Request, empty: bool
) -> Generator[Step, None, Begun]:
    """Make a model for other classes, keep it in the project, and begin with it.

    Objects that were corrected before count as what is not background.

    Parameters
    ----------
    view
        Its ``model`` is the parent, and what the new one begins from; if that is the
        shipped `DEFAULT_MODEL`, it begins from `START_MODEL`.
    empty
        Whether the labels begin with nothing in them, or with what the new model says.

    Raises
    ------
    CorrectionError
        If the project holds objects of other images, too, or a class of which pixels
        were painted would have no name.
    """
    from napari_unet.network.transfer import new_model

    source = START_MODEL if view.model == DEFAULT_MODEL else view.model
    parent = load_model(source, view.models)
    project, image, options = link.open(), view.image, view.options
    channels = 1 if options.channel is not None else image.channels
    name = free_name(project, "new")
    made = new_model(parent, classes, channels=channels, name=name)
    rules = LabelSchema("classes", made.spec.classes)
    objects = kind_of(project) == "objects"
    if objects:
        _only_this(project, view)
    else:
        _check_painted(project, made.spec.classes)
    path = keep(project, made, view.model)
    if objects and view.reviews is not None:
        unknown = BOUNDARY in project.index.classes and len(made.spec.classes) > 2
        _as_classes(view.reviews, view.image, FOREGROUND if unknown else 1)
        link.flush()  # what the index says of them next must be true
    project.update(made.spec.classes, meaning(rules))
    note_draft(project, ())
    link.tell(project)
    view = replace(view, model=path, array=None, shown=None)
    view = replace(view, options=replace(options, output="classes"), ready=made)
    if not empty:
        return _begun(path, (yield from segmenting(replace(view, restore=True))))
    array = view.make(image.label_shape, np.dtype(np.uint8))
    yield Step(array, None, "making a model", 1.0)
    return Begun(path, rules, array, None)


def from_labels(
    reviews: ImageReviews, labels: LabelArray, view: Request, *, dense: bool
) -> Generator[float, None, Begun]:
    """Take labels that somebody made elsewhere as reviewed; yield how much is done.

    Parameters
    ----------
    labels
        Of the shape of the image less its channels.
        Those of a mask, which are 0 and one number, are one class, or objects where
        they do not touch.
    dense
        Whether 0 is background, or nobody looked there; classes begin with 1 then.

    Raises
    ------
    CorrectionError
        If the labels are not what the model in use can learn.
    """
    classes = _classes_of(view)
    kind: Output = "objects" if BOUNDARY in classes else "classes"
    rules = _schema(kind, classes)
    new = agree(reviews.project, rules)
    if tuple(labels.shape) != view.image.label_shape:
        raise CorrectionError(
            f"The labels have shape {tuple(labels.shape)}; {view.image.title} needs "
            f"{view.image.label_shape}. Choose the image that they were made for."
        )
    dtype = np.int32 if kind == "objects" else np.uint8
    array = create_labels(view.image.label_shape, dtype)
    canvas = PaintRecorder(array, reviews, rules)
    planes = list(view.image.planes())
    if new:
        reviews.project.update(rules.classes, meaning(rules))
    everywhere = whole(array.shape)
    read = _Reader(labels, rules, dense=dense)
    read.look(planes)
    replaced = 0
    for done, plane in enumerate(planes, 1):
        numbers, seen = read(plane)
        _check(numbers, rules)
        replaced += _reviewed(reviews, plane, everywhere, seen)
        array[(*plane, *everywhere)] = numbers.astype(dtype)
        canvas.approve(plane, everywhere, seen)
        reviews.project.flush()
        yield done / len(planes)
    note = f"{replaced:,} pixels that were reviewed before follow the labels now."
    notes = (read.note, note if replaced else "")
    return Begun(view.model, rules, array, None, " ".join(filter(None, notes)))


def _reviewed(
    reviews: ImageReviews,
    plane: tuple[int, ...],
    everywhere: Box,
    seen: NDArray[np.bool_] | None,
) -> int:
    """Return how many pixels of a plane, of those `seen`, are reviewed already."""
    count = 0
    for block in reviews.boxes(plane):
        box = cut(block, everywhere)
        known = reviews.read(plane, box)[0] != IGNORE
        count += int(np.count_nonzero(known if seen is None else known & seen[box]))
    return count


class _Reader:
    """Reads the labels of a plane as what their numbers mean.

    Attributes
    ----------
    note
        How a mask was understood.
    """

    def __init__(self, labels: LabelArray, rules: LabelSchema, *, dense: bool) -> None:
        self.labels, self.rules, self.dense = labels, rules, dense
        self.mask, self.last, self.objects = 0, 0, rules.kind == "objects"

    def look(self, planes: Sequence[tuple[int, ...]]) -> None:
        """Find out whether the labels are a mask."""
        number = lone_number(self._plane(plane) for plane in planes)
        known = len(self.rules.classes) + (not self.dense)
        self.mask = number if self.objects or number >= known else 0

    def __call__(
        self, plane: tuple[int, ...]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
        """Return (Y, X) numbers, and where somebody looked; None: everywhere."""
        numbers = self._plane(plane).astype(np.int64)
        seen = None if self.dense else numbers > 0
        if self.mask and self.objects:
            numbers, self.last = apart(numbers > 0, self.last)
        elif self.mask:
            numbers = (numbers > 0).astype(np.int64)
        elif not self.dense and not self.objects:
            numbers = np.maximum(numbers - 1, 0)
        return numbers, seen

    @property
    def note(self) -> str:
        if not self.mask or (self.objects and self.last == 1):
            return ""
        said = f"The labels are 0 and {self.mask} alone"
        if self.objects:
            return f"{said}: each of the {self.last:,} parts is taken as an object."
        return f"{said}: {self.mask} is taken as class 1, {self.rules.classes[1]}."

    def _plane(self, plane: tuple[int, ...]) -> NDArray[Any]:
        everywhere = whole(self.labels.shape)
        return np.asarray(self.labels[(*plane, *everywhere)])


def beginning_with(view: Request, array: LabelArray) -> Generator[None, None, Begun]:
    """Correct labels that are there already; find out what they mean to their model."""
    classes = _classes_of(view)
    yield
    return Begun(view.model, schema_of(classes, array), array, None)


def _classes_of(view: Request) -> tuple[str, ...]:
    """Return the classes of the model, without loading it.

    Raises
    ------
    ModelError
        If it cannot be read.
    """
    return class_names(view.model) or load_model(view.model, view.models).spec.classes


def schema_of(classes: tuple[str, ...], array: LabelArray) -> LabelSchema:
    """Return what labels mean to a model with these classes."""
    return _schema("objects" if array.dtype == np.int32 else "classes", classes)


def _schema(kind: Output, classes: tuple[str, ...]) -> LabelSchema:
    boundary = classes.index(BOUNDARY) if BOUNDARY in classes else None
    return LabelSchema(kind, classes, boundary)


def _only_this(project: Project, view: Request) -> None:
    own = None if view.reviews is None else view.reviews.key
    for record in project.index.images:
        if record.key != own and project.reviewed(record.key):
            raise CorrectionError(
                f"{project.folder.name} holds corrected objects of {record.name}, too, "
                "and their classes are not known. Choose another project for the new "
                "classes.",
                option="project",
            )


def _check_painted(project: Project, classes: Sequence[str]) -> None:
    known = project.index.classes
    if len(classes) >= len(known):
        return
    most = project.greatest()
    if most >= len(classes):
        raise CorrectionError(
            f"Pixels of {known[most]!r} were painted in {project.folder.name}; the new "
            f"model would have only {', '.join(classes)}. Name that class too, or "
            "choose another project.",
            option="project",
        )


def _as_classes(reviews: Reviews, image: Image, value: int) -> None:
    """Let objects that were reviewed be pixels of a class."""
    for plane, block in reviews.blocks():
        box = cut(block, whole(image.plane_shape))
        target, _ = reviews.read(plane, box)
        thing = (target != IGNORE) & (target > 0)
        target = np.where(thing, value, target).astype(np.uint8)
        reviews.write(plane, box, (target, thing.astype(np.int32)))


def _check(numbers: NDArray[Any], rules: LabelSchema) -> None:
    most = int(numbers.max(initial=0))
    if rules.kind == "classes" and most >= len(rules.classes):
        raise CorrectionError(
            f"The labels have a class {most}; the model has {len(rules.classes)} "
            f"({', '.join(rules.classes)}). Start from the labels again once there is "
            "a new model with a class for each number.",
            option="new",
        )


def _begun(model: str, outcome: Outcome) -> Begun:
    rules = LabelSchema(outcome.result.output, outcome.classes, outcome.boundary)
    return Begun(model, rules, outcome.array, outcome)
