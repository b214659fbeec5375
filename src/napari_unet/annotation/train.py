"""Training from a project or label folders to a model file: `napari-unet train`."""

import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from napari_unet._steps import Steps
from napari_unet.annotation.project_data import read_project
from napari_unet.errors import CorrectionError, OptionsError
from napari_unet.network.model import Model
from napari_unet.network.transfer import new_model
from napari_unet.options import TrainOptions
from napari_unet.training.from_files import read_labels
from napari_unet.training.run import TrainingData, TrainingRun
from napari_unet.training.selection import TrainStep
from napari_unet.training.to_file import TrainingOutcome, check_target, train_to_file

__all__ = ["TrainRequest", "train", "train_steps"]

_Report = Callable[[str, float | None], None]
_Folder = str | os.PathLike[str]


@dataclass(frozen=True, slots=True, eq=False)
class TrainRequest:
    """What is learned from, by which model, and where the better one goes.

    Attributes
    ----------
    target
        A ``.safetensors`` file, which appears when it is complete. Training on whole
        masks, without a time limit, goes on after a cancel from what is kept beside it.
    project
        The folder of a project, whose corrections are learned from; or else:
    images, labels
        Folders; see `project.label_folder.LabelFolder`.
    model
        A model; name of a shipped one or of one of the project's; or a file. None takes
        the project's model in use, or the shipped one.
    classes
        Begin a new model for these classes with what `model` has learned.
    overwrite
        Whether `target` may be replaced if it is there. Where training goes on after a
        cancel, what that cancel has left is replaced in any case.
    keep_best
        Whether a cancel writes the best model until then, if there is a better one.
    """

    target: _Folder
    project: _Folder | None = None
    images: _Folder | None = None
    labels: _Folder | None = None
    model: Model | str | None = None
    classes: Sequence[str] | None = None
    options: TrainOptions = field(default_factory=TrainOptions)
    overwrite: bool = False
    keep_best: bool = False


def train(
    request: TrainRequest, report: _Report = lambda doing, fraction: None
) -> TrainingOutcome:
    """Improve a model with what people said; write it to its file.

    Parameters
    ----------
    report
        Called with what is being done, and how much of it (0 to 1, None: unknown).

    Raises
    ------
    UNetError
        If anything about the files, the model or the options cannot work.
    """
    source = request.images if request.project is None else request.project
    for event in (run := Steps(train_steps(request))):
        report(f"learning from {Path(source or '').name}", event.fraction)
    return run.result


def train_steps(request: TrainRequest) -> Generator[TrainStep, None, TrainingOutcome]:
    """Improve a model with what people said; yield what is reached.

    Closing the generator cancels.

    Raises
    ------
    UNetError
        If anything about the files, the model or the options cannot work.
    """
    out = Path(request.target).expanduser()
    check_target(out, overwrite=request.overwrite)
    parent, data = _source(request)
    model = _start(parent, data, request, out.stem)
    run = TrainingRun(model, data, request.options)
    job = train_to_file(
        run, out, overwrite=request.overwrite, keep_best=request.keep_best
    )
    return (yield from job)


def _source(request: TrainRequest) -> tuple[Model, TrainingData]:
    """Return the model that was asked for, and what it learns from."""
    project, images, labels = request.project, request.images, request.labels
    how = request.model, request.classes, request.options
    if project is not None and images is None and labels is None:
        return read_project(Path(project).expanduser(), *how)
    if project is None and images is not None and labels is not None:
        return read_labels(images, labels, *how)
    raise OptionsError(
        "What to learn from is not clear. Give either a project, or images and their "
        "labels.",
        option=("project", "images", "labels"),
    )


def _start(
    parent: Model, data: TrainingData, request: TrainRequest, name: str
) -> Model:
    """Return the model to begin with: the parent, or a new one for its classes."""
    classes, options = request.classes, request.options
    if classes is None:
        return parent
    channels = 1 if options.channel is not None else _channels(data)
    return new_model(parent, classes, channels=channels, name=name, seed=options.seed)


def _channels(data: TrainingData) -> int:
    """Return how many channels a new model sees: as many as there are.

    Raises
    ------
    CorrectionError
        If images differ in that.
    """
    found = sorted(
        {
            (c.image.title, c.image.channels if c.seen.channel is None else 1)
            for c in data.corrections
        }
    )
    if len({n for _, n in found}) > 1:
        listed = ", ".join(f"{name}: {n}" for name, n in found[:5])
        raise CorrectionError(
            f"The images have different numbers of channels ({listed}). A new model "
            "needs one number: take images of one kind, or choose a channel.",
            option="channel",
        )
    return found[0][1]
