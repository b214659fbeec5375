"""A folder of labelled images in, one model file out: `train` on the command line.

Knows the order in which files are checked and opened, and what the card of a trained
model says.
"""

import datetime as dt
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from .corrections import Correction, read_folder
from .errors import CorrectionError, OutputError
from .model import Model, load, save
from .options import TrainOptions
from .threads import spare_cores
from .training import Trained, fine_tune
from .transfer import new_model

__all__ = ["train_folder"]

_Report = Callable[[str, float | None], None]
_Folder = str | os.PathLike[str]


def train_folder(
    images: _Folder,
    labels: _Folder,
    target: _Folder,
    *,
    model: str,
    classes: Sequence[str] | None = None,
    options: TrainOptions | None = None,
    overwrite: bool = False,
    report: _Report = lambda doing, fraction: None,
) -> Trained:
    """Improve a model with a folder of labelled images; write it to `target`.

    Parameters
    ----------
    images, labels
        Folders; see `corrections.read_folder`.
    target
        A ``.safetensors`` file, which appears when it is complete.
    model
        Name of a shipped model, or a file.
    classes
        Begin a new model for these classes with what `model` has learned.
    overwrite
        Whether `target` may exist and be replaced.
    report
        Called with what is being done, and how much of it (0 to 1, None: unknown).

    Raises
    ------
    UNetError
        If anything about the files, the model or the options cannot work.
    """
    options = options or TrainOptions()
    out = Path(target).expanduser()
    _check_target(out, overwrite=overwrite)
    parent = load(model)
    if classes is not None:
        corrections = _read(images, labels, new_model(parent, classes))
        channels = _channels(corrections, options)
        start = new_model(
            parent, classes, channels=channels, name=out.stem, seed=options.seed
        )
    else:
        start = parent
        corrections = _read(images, labels, start)
    spare_cores()
    with closing(fine_tune(start, corrections, options)) as job:
        while True:
            try:
                event = next(job)
            except StopIteration as end:
                trained: Trained = end.value
                break
            report(f"learning from {Path(images).name}", event.fraction)
    save(replace(trained.model, card=_card(trained, corrections), name=out.stem), out)
    return trained


def _check_target(out: Path, *, overwrite: bool) -> None:
    if out.suffix != ".safetensors":
        raise OutputError(f"'{out}' must end in .safetensors. Choose another name.")
    if out.exists() and not overwrite:
        raise OutputError(
            f"'{out}' exists already. Choose another name, or say --overwrite."
        )
    if not out.resolve().parent.is_dir():
        raise OutputError(f"There is no folder {out.parent}. Make it first.")


def _read(images: _Folder, labels: _Folder, model: Model) -> list[Correction]:
    return read_folder(images, labels, model.spec.classes, model.spec.boundary)


def _channels(corrections: Sequence[Correction], options: TrainOptions) -> int:
    """Return how many channels a new model sees: as many as there are."""
    if options.channel is not None:
        return 1
    found = {c.image.title: c.image.channels for c in corrections}
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{name}: {n}" for name, n in sorted(found.items())[:5])
        raise CorrectionError(
            f"The images have different numbers of channels ({listed}). A new model "
            "needs one number: sort them into folders, or choose a --channel."
        )
    return next(iter(found.values()))


def _card(trained: Trained, corrections: Sequence[Correction]) -> dict[str, object]:
    """Return the card of the model that goes into the file."""
    card = dict(trained.model.card)
    if trained.published:
        pixels = sum(int(c.reviewed.sum()) for c in corrections)
        day = dt.datetime.now(dt.UTC).date().isoformat()
        step = (
            f"{day}: {pixels} reviewed pixels of {len(corrections)} planes, right on "
            f"{trained.score_after:.1%} of them, before on {trained.score_before:.1%}"
        )
        card["history"] = [*card.get("history", []), step]
    return card
