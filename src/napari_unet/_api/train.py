"""Public `train` and `train_iter`: training on a project or on label files."""

import os
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from napari_unet._api.images import load_model, model_name
from napari_unet._api.results import Progress, ProgressCall, drive
from napari_unet._api.settings import TrainSettings, named, settle
from napari_unet._steps import Steps
from napari_unet.options import TrainOptions
from napari_unet.project.project import Project

if TYPE_CHECKING:
    from napari_unet.annotation.train import TrainRequest
    from napari_unet.network.model import Model
    from napari_unet.training.selection import Trained

__all__ = ["train", "train_iter"]

_Path = str | os.PathLike[str]


def train(
    out: _Path,
    options: TrainOptions | None = None,
    *,
    project: Project | _Path | None = None,
    images: _Path | None = None,
    labels: _Path | None = None,
    model: "Model | _Path | None" = None,
    new: Sequence[str] | None = None,
    overwrite: bool = False,
    progress: ProgressCall | None = None,
    **settings: Unpack[TrainSettings],
) -> "Trained":
    """Improve a model with what people painted or labelled, and write it to a file.

    It is never worse than before on the pixels that they looked at. Give either a
    project, or folders of images and labels.

    Parameters
    ----------
    out
        A ``.safetensors`` file, which appears when it is complete. Training on whole
        masks, without a time limit, goes on after a cancel when the same is asked for.
    options, settings
        How: either options, or their fields as keywords, such as ``seconds=60``; see
        `TrainOptions`. ``seconds=None`` goes on until it gets no better.
    project
        A project, which is flushed, or its folder.
    images, labels
        Folders. Labels are files (Y, X) under the names of their images: 8 bit holds
        classes, with 255 where nobody looked; 16 bit holds objects, 0 being background.
    model
        What learns: a model, the name or file of one, or the name of one of the
        project's. None takes the project's model in use, else ``"nuclei"``, or
        ``"general"`` for other classes.
    new
        Names of classes, background first: begin a new model for these with what
        `model` has learned.
    overwrite
        Whether `out` may be replaced if it is there. Where training goes on after a
        cancel, what that cancel has left is replaced in any case.
    progress
        Called with a `Progress` after every step. What it raises cancels; then the best
        model until that moment is in `out`, if there was a better one.

    Returns
    -------
    trained
        ``model``, as it is in `out`; ``published``, whether it is a better one;
        ``score_before``, ``score_after``, ``rule``, ``steps``, ``seconds``, ``notes``.

    Raises
    ------
    CorrectionError
        If there is nothing to learn from, or it does not fit the model.
    OptionsError
        If it is not clear what to learn from, or a value cannot work.
    OutputError
        If the model cannot be written.

    Examples
    --------
    >>> import napari_unet as nu
    >>> project = nu.Project.open("cells.unet")
    >>> cells = nu.open_image(nu.sample_path("nuclei")).data[:64, :64]
    >>> classes = ("background", "cell")
    >>> strokes = (cells > cells.mean()).astype("uint8")
    >>> strokes[8:] = 255  # nobody looked
    >>> _ = nu.write_strokes(project, cells, strokes, classes=classes)
    >>> trained = nu.train("cells.safetensors", project=project, new=classes, seconds=1)
    >>> trained.model.name, trained.model.spec.classes
    ('cells', ('background', 'cell'))
    """
    run = train_iter(
        out,
        options,
        project=project,
        images=images,
        labels=labels,
        model=model,
        new=new,
        overwrite=overwrite,
        **settings,
    )
    return drive(run, progress)


def train_iter(
    out: _Path,
    options: TrainOptions | None = None,
    *,
    project: Project | _Path | None = None,
    images: _Path | None = None,
    labels: _Path | None = None,
    model: "Model | _Path | None" = None,
    new: Sequence[str] | None = None,
    overwrite: bool = False,
    **settings: Unpack[TrainSettings],
) -> "Steps[Progress, Trained]":
    """Train in a loop that sees every step; leaving the loop keeps the best so far.

    Takes what `train` takes. The result is in the attribute ``result`` at the end. The
    ``event`` of a step has the ``loss``, the ``score``, and a ``model`` whenever there
    is a better one.
    """
    from napari_unet.annotation.train import TrainRequest

    how = settle(TrainOptions, options, settings)
    if isinstance(project, Project):
        project.flush()
        project = project.folder
    request = TrainRequest(
        out,
        project=project,
        images=None if images is None else Path(images).expanduser(),
        labels=None if labels is None else Path(labels).expanduser(),
        model=model_name(model) if isinstance(model, str | os.PathLike) else model,
        classes=new,
        options=how,
        overwrite=overwrite,
        keep_best=True,
    )
    return Steps(named(train_iter, _learning(request)))


def _learning(request: "TrainRequest") -> Generator[Progress, None, "Trained"]:
    from napari_unet.annotation.train import train_steps

    run = Steps(train_steps(request))
    with closing(iter(run)) as steps:  # what keeping raises is told
        for event in steps:
            yield Progress("learning", event.fraction, event)
    lesson = run.result
    return replace(lesson.trained, model=load_model(request.target), notes=lesson.notes)
