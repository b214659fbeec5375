"""Training from a project or label folders to a model file: `napari-unet train`.

Knows the order in which files are checked and opened, and what the card of a trained
model says.
"""

import datetime as dt
import os
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_unet._steps import Verb
from napari_unet.errors import CorrectionError, OptionsError, OutputError
from napari_unet.network.model import BOUNDARY, Model, UNetSpec, load, save
from napari_unet.network.transfer import new_model
from napari_unet.options import TrainOptions
from napari_unet.project.corrections import FOREGROUND, IGNORE, Correction
from napari_unet.project.label_folder import LabelFolder
from napari_unet.project.lazy_corrections import Drawn, More, room_for
from napari_unet.project.location import is_project
from napari_unet.project.project import Project
from napari_unet.training.fine_tune import Trained, fine_tune, judge
from napari_unet.training.head import OBEYED
from napari_unet.training.selection import TrainStep, told

__all__ = ["TrainingOutcome", "describe", "train", "train_steps"]

_Report = Callable[[str, float | None], None]
_Folder = str | os.PathLike[str]
_USUAL = "nuclei"  # the model that learns when nobody says which
_MASKS = (
    "The labels say nothing but background: 255 means that nobody looked. Write the "
    "objects of a mask as 1 (8 bit), or give each its own number (16 bit)."
)
_OBJECTS = (
    "The labels hold numbers of objects (16 bit or more), which do not say of what "
    "class they are: {classes} cannot be told apart. Save classes as 8 bit."
)
_LESS = (
    "Not all of it is followed yet: more time may help, but strokes that contradict "
    "each other can never all be followed."
)


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """How training ended.

    Attributes
    ----------
    trained
        The model, and how good it is.
    notes
        Sentences about what could not be used, or may not be what was meant.
    """

    trained: Trained
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Material:
    """What there is to learn from, and the model that shall know it."""

    name: str
    parent: Model
    corrections: Sequence[Correction]
    more: More | None
    notes: list[str]


def train(
    target: _Folder,
    *,
    project: _Folder | None = None,
    images: _Folder | None = None,
    labels: _Folder | None = None,
    model: Model | str | None = None,
    classes: Sequence[str] | None = None,
    options: TrainOptions | None = None,
    overwrite: bool = False,
    report: _Report = lambda doing, fraction: None,
) -> TrainingOutcome:
    """Improve a model with what people said; write it to `target`.

    Parameters
    ----------
    report
        Called with what is being done, and how much of it (0 to 1, None: unknown).
    target, project, images, labels, model, classes, options, overwrite
        See `train_steps`.

    Raises
    ------
    UNetError
        If anything about the files, the model or the options cannot work.
    """
    job = train_steps(
        target,
        project=project,
        images=images,
        labels=labels,
        model=model,
        classes=classes,
        options=options,
        overwrite=overwrite,
    )
    for event in (run := Verb(job)):
        source = Path((images if project is None else project) or "")
        report(f"learning from {source.name}", event.fraction)
    return run.result


def train_steps(
    target: _Folder,
    *,
    project: _Folder | None = None,
    images: _Folder | None = None,
    labels: _Folder | None = None,
    model: Model | str | None = None,
    classes: Sequence[str] | None = None,
    options: TrainOptions | None = None,
    overwrite: bool = False,
    keep_best: bool = False,
) -> Generator[TrainStep, None, TrainingOutcome]:
    """Improve a model with what people said; yield what is reached.

    Closing the generator cancels.

    Parameters
    ----------
    target
        A ``.safetensors`` file, which appears when it is complete. Training without a
        time limit that was broken off goes on from what is kept beside it.
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
        Whether `target` may exist and be replaced.
    keep_best
        Whether a cancel writes the best model until then, if there is a better one.

    Raises
    ------
    UNetError
        If anything about the files, the model or the options cannot work.
    """
    options = options or TrainOptions()
    out = Path(target).expanduser()
    _check_target(out, overwrite=overwrite)
    if project is not None and images is None and labels is None:
        found = _read_project(Path(project).expanduser(), model, classes, options)
    elif project is None and images is not None and labels is not None:
        found = _read_labels(images, labels, model, classes, options)
    else:
        raise OptionsError(
            "What to learn from is not clear. Give either a project, or images and "
            "their labels.",
            option=("project", "images", "labels"),
        )
    start = _start(found, classes, options, out.stem)
    kept = out.with_name(f"{out.name}.training")
    best: TrainStep | None = None
    job = fine_tune(start, found.corrections, options, kept, more=found.more)
    try:
        for event in (run := Verb(job)):
            best = best if event.model is None else event
            yield event
    except (GeneratorExit, KeyboardInterrupt):
        if keep_best and best is not None:
            _keep_best(start, best, found, options, out)
        raise
    trained = run.result
    _keep(trained, found, out)
    if options.seconds is None:
        with suppress(OSError):  # only now: it is what the model can be had from
            kept.unlink(missing_ok=True)
    if trained.measure == "right" and trained.score_after < OBEYED:
        trained = replace(trained, rule=f"{trained.rule} {_LESS}")
    return TrainingOutcome(trained, (*found.notes, *trained.notes))


def _keep_best(
    start: Model, best: TrainStep, found: _Material, options: TrainOptions, out: Path
) -> None:
    """Save the best model until a stop, unless the one that it began with is better.

    A first answer is chosen by a part of what was said: here all of it judges.
    """
    model = best.model or start
    was, now, measure = judge(start, model, found.corrections, options)
    if now >= was:
        rule = "It was stopped; this is the best until then."
        spent = best.step, best.seconds
        _keep(Trained(model, True, was, now, rule, *spent, measure), found, out)


def _keep(trained: Trained, found: _Material, out: Path) -> None:
    """Save what was learned; where it should be, or else where it can be.

    Raises
    ------
    OutputError
        If it is not where it should be.
    """
    card = describe(trained, found.corrections)
    model = replace(trained.model, card=card, name=out.stem)
    try:
        save(model, out)
    except OutputError as error:
        raise OutputError(f"{error} {_rescue(model, out.name)}") from error


def _rescue(model: Model, name: str) -> str:
    """Save a model among the temporary files, and return the sentence that says so."""
    try:
        place = Path(tempfile.mkdtemp(prefix="napari-unet-")) / name
        save(model, place)
    except (OSError, OutputError):
        return "It could not be kept among the temporary files either."
    return (
        f"What was learned is kept as '{place}': move it from there before this "
        "computer is restarted."
    )


def _start(
    found: _Material, classes: Sequence[str] | None, options: TrainOptions, name: str
) -> Model:
    """Return the model to begin with: the parent, or a new one for its classes."""
    if classes is None:
        return found.parent
    channels = _channels(found.corrections, options)
    seed = options.seed
    return new_model(found.parent, classes, channels=channels, name=name, seed=seed)


def _check_target(out: Path, *, overwrite: bool) -> None:
    if out.suffix != ".safetensors":
        raise OutputError(f"'{out}' must end in .safetensors. Choose another name.")
    if out.exists() and not overwrite:
        raise OutputError(
            f"'{out}' exists already. Choose another name, or have it replaced.",
            option="overwrite",
        )
    if not out.resolve().parent.is_dir():
        raise OutputError(f"There is no folder {out.parent}. Make it first.")
    if out.is_dir():
        raise OutputError(f"'{out}' is a folder. Choose another name.")
    try:  # before hours of training, not after
        with tempfile.TemporaryFile(dir=out.resolve().parent):
            pass
    except OSError as error:
        raise OutputError(
            f"The model cannot be written to {out} ({error.strerror or error}). Choose "
            "another folder."
        ) from error


def _read_labels(
    images: _Folder,
    labels: _Folder,
    model: Model | str | None,
    classes: Sequence[str] | None,
    options: TrainOptions,
) -> _Material:
    parent = model if isinstance(model, Model) else load(model or _USUAL)
    spec = parent.spec if classes is None else new_model(parent, classes).spec
    room = room_for(options.memory, spec.width)
    about = spec.classes, spec.boundary
    folder = LabelFolder(images, labels, *about, seed=options.seed)
    corrections, more = folder.corrections(room)
    folder.notes += _doubts(corrections, spec)
    return _Material(Path(images).name, parent, corrections, more, folder.notes)


def _doubts(corrections: Sequence[Correction], spec: UNetSpec) -> tuple[str, ...]:
    """Return what may not be meant as it is written."""
    values = {int(v) for c in corrections for v in np.unique(c.target)}
    if values == {0, IGNORE}:
        return (_MASKS,)
    if spec.boundary is None and FOREGROUND in values <= {0, FOREGROUND, IGNORE}:
        return (_OBJECTS.format(classes=", ".join(spec.classes[1:])),)
    return ()


def _read_project(
    folder: Path,
    model: Model | str | None,
    classes: Sequence[str] | None,
    options: TrainOptions,
) -> _Material:
    if not is_project(folder):
        raise CorrectionError(
            f"'{folder}' is no project of napari-unet. Choose the folder in which what "
            "was painted is kept; as a rule its name ends in .unet."
        )
    project = Project.open(folder)
    if isinstance(model, Model):
        parent = model
    else:
        kept = {record.name for record in project.index.models}
        name = model or project.index.active or _USUAL
        parent = load(project.model_file(name) if name in kept else name)
    room = room_for(options.memory, parent.spec.width)
    corrections = project.corrections(room)
    more = None
    if isinstance(corrections, Drawn):
        more = More(project.more(options.seed), room // 2)
    if not corrections:
        why = " ".join(project.notes) or "Paint over what is wrong in napari first."
        raise CorrectionError(f"There is nothing to learn in '{folder}'. {why}")
    if classes is None:
        _check_model(project, parent)
    _check_classes(project, classes or parent.spec.classes)
    return _Material(folder.name, parent, corrections, more, project.notes)


def _check_model(project: Project, model: Model) -> None:
    """Ask whether the project's classes are the model's."""
    known, own = project.index.classes, model.spec.classes
    if known and known != own:
        new = "" if BOUNDARY in known else f", or begin a new one: {','.join(known)}"
        raise CorrectionError(
            f"The project '{project.folder}' has the classes {', '.join(known)}; the "
            f"model {model.name} has {', '.join(own)}. Choose a model with the "
            f"project's classes{new}.",
            option=("model", "new") if new else "model",
        )


def _check_classes(project: Project, classes: Sequence[str]) -> None:
    """Ask whether the numbers that were painted mean the same in `classes`."""
    known = project.index.classes
    for name in set(known) & set(classes):
        was, now = known.index(name), classes.index(name)
        if was != now:
            raise CorrectionError(
                f"{name!r} is class {was} of the project '{project.folder}', and class "
                f"{now} of the new model. Keep the project's order: {','.join(known)}.",
                option="new",
            )
    most = project.greatest()
    if most >= len(classes):
        called = f" ({known[most]})" if most < len(known) else ""
        raise CorrectionError(
            f"Pixels of class {most}{called} were painted in '{project.folder}'; there "
            f"are only {', '.join(classes)}, counted from 0. Name all classes of a new "
            "model.",
            option="new",
        )


def _channels(corrections: Sequence[Correction], options: TrainOptions) -> int:
    """Return how many channels a new model sees: as many as there are."""
    if options.channel is not None:
        return 1
    found = sorted(
        {
            (c.image.title, c.image.channels if c.seen.channel is None else 1)
            for c in corrections
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


def describe(trained: Trained, corrections: Sequence[Correction]) -> dict[str, object]:
    """Return the card of a trained model: its parent's, and what it learned from."""
    card = dict(trained.model.card)
    if trained.published:
        pixels = sum(int(c.reviewed.sum()) for c in corrections)
        day = dt.datetime.now(dt.UTC).date().isoformat()
        scores = trained.score_after, trained.score_before
        step = (
            f"{day}: {pixels} reviewed pixels of {len(corrections)} planes, "
            f"{told(*scores, trained.measure, 'them')}"
        )
        card["history"] = [*card.get("history", []), step]
    return card
