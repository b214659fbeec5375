"""The file that a training run ends in: checked before, resumed, saved or rescued."""

import tempfile
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from napari_unet.errors import ModelError, OutputError
from napari_unet.network.model import Model, load, save
from napari_unet.training.checkpoint import read_checkpoint, task
from napari_unet.training.head import OBEYED
from napari_unet.training.run import TrainingRun
from napari_unet.training.selection import Trained, TrainStep

__all__ = ["TrainingOutcome", "check_target", "train_to_file"]

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


def check_target(out: Path, *, overwrite: bool) -> None:
    """Ask whether a model can be written there, before hours of training, not after.

    A file that is there already beside one to resume from is asked about by
    `train_to_file`, which knows the training.

    Raises
    ------
    OutputError
        If it cannot.
    """
    if out.suffix != ".safetensors":
        raise OutputError(f"'{out}' must end in .safetensors. Choose another name.")
    if out.is_dir():
        raise OutputError(f"'{out}' is a folder. Choose another name.")
    if out.exists() and not overwrite and not _kept(out).exists():
        raise _taken(out)
    if not out.resolve().parent.is_dir():
        raise OutputError(f"There is no folder {out.parent}. Make it first.")
    try:
        with tempfile.TemporaryFile(dir=out.resolve().parent):
            pass
    except OSError as error:
        raise OutputError(
            f"The model cannot be written to {out} ({error.strerror or error}). Choose "
            "another folder."
        ) from error


def train_to_file(
    run: TrainingRun, out: Path, *, overwrite: bool = False, keep_best: bool = False
) -> Generator[TrainStep, None, TrainingOutcome]:
    """Learn, and save what it comes to; yield what is reached.

    Closing the generator cancels. A run without a time limit goes on from the file
    beside `out` that the same one left there.

    Parameters
    ----------
    overwrite
        Whether `out` may be replaced if it is there. What a cancel of the same run has
        left may be in any case.
    keep_best
        Whether a cancel saves the best model until then, if there is a better one.

    Raises
    ------
    UNetError
        As `fine_tune`, and if the model cannot be saved.
    """
    kept = _kept(out)
    if out.exists() and not overwrite and not _left_by(run, out):
        raise _taken(out)
    try:
        trained = yield from run.steps(resume=kept)
    except (GeneratorExit, KeyboardInterrupt):
        if keep_best and (best := run.stopped()).published:
            _save(run, best, out)
        raise
    _save(run, trained, out)
    if run.options.seconds is None:
        with suppress(OSError):  # only now: it is what the model can be had from
            kept.unlink(missing_ok=True)
    if trained.measure == "right" and trained.score_after < OBEYED:
        trained = replace(trained, rule=f"{trained.rule} {_LESS}")
    return TrainingOutcome(trained, (*run.data.notes, *trained.notes))


def _kept(out: Path) -> Path:
    """Return the file in which long training keeps where it stands."""
    return out.with_name(f"{out.name}.training")


def _taken(out: Path) -> OutputError:
    return OutputError(
        f"'{out}' exists already. Choose another name, or have it replaced.",
        option="overwrite",
    )


def _left_by(run: TrainingRun, out: Path) -> bool:
    """Whether a file is the best model of the same run, which was cancelled."""
    same = task(run.model, run.data.corrections, run.options)
    try:
        found = read_checkpoint(_kept(out), same)
        there = load(out).net.state_dict()
    except (ValueError, ModelError):
        return False
    state = {} if found is None else found[1]
    best = {k.removeprefix("best/"): t for k, t in state.items() if "/" in k}
    return there.keys() == best.keys() and all(  # files are in half precision
        torch.equal(tensor.half(), best[name].half()) for name, tensor in there.items()
    )


def _save(run: TrainingRun, trained: Trained, out: Path) -> None:
    """Save what was learned; where it should be, or else where it can be.

    Raises
    ------
    OutputError
        If it is not where it should be.
    """
    model = run.named(trained, out.stem)
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
