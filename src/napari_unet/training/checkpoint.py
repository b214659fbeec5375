"""Training checkpoint: the state of long training in a file, without pickle."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from napari_unet._files import DAMAGE, set_aside, write_whole
from napari_unet.network.model import Model
from napari_unet.network.unet import UNet
from napari_unet.options import TrainOptions
from napari_unet.project.corrections import Correction
from napari_unet.training.augment import PatchSampler
from napari_unet.training.schedule import PlateauSchedule
from napari_unet.training.selection import ModelSelection, copied
from napari_unet.training.trainer import Trainer

__all__ = ["Checkpoint", "read_checkpoint", "task", "write_checkpoint"]

_KEY = "napari-unet training"
_NUMBERS = {"step", "stale", "cuts"}
_MOST = 2**53  # steps; more are damage


class Checkpoint:
    """The file of a long training, with which it goes on after it was broken off.

    Attributes
    ----------
    notes
        Sentences about what could not be used.
    """

    def __init__(
        self,
        path: Path,
        of: str,
        trainer: Trainer,
        sampler: PatchSampler,
        schedule: PlateauSchedule,
    ) -> None:
        self.path, self.of = path, of
        self.trainer, self.sampler, self.schedule = trainer, sampler, schedule
        self.notes = tuple[str, ...]()

    def save(self, selection: ModelSelection) -> None:
        """Write where it stands, and draw new patches from here on: so does `resume`.

        Raises
        ------
        OutputError
            If the disk does not take it.
        """
        steps, state = self.trainer.steps, self.trainer.state()
        looks = {"stale": self.schedule.stale, "cuts": self.schedule.cuts}
        if selection.won:
            best = selection.champion.net.state_dict()
            state |= {f"best/{name}": tensor for name, tensor in best.items()}
        write_checkpoint(self.path, self.of, {"step": steps, **looks}, state)
        self.sampler.restart(steps)

    def resume(self) -> UNet | None:
        """Go on where it was broken off; return the best net until then, if any.

        What is damaged is set aside and noted; then nothing has changed.
        """
        try:
            found = read_checkpoint(self.path, self.of)
            return None if found is None else self._restore(*found)
        except (ValueError, KeyError, RuntimeError) as error:  # tensors that do not fit
            self.notes = (f"{set_aside(self.path, error)} It was begun anew.",)
            return None

    def _restore(
        self, numbers: dict[str, int], state: dict[str, Tensor]
    ) -> UNet | None:
        best = {k.removeprefix("best/"): t for k, t in state.items() if "/" in k}
        net, steps = copied(self.trainer.mean), numbers["step"]
        if best:
            net.load_state_dict(best)
        self.trainer.restore({k: t for k, t in state.items() if "/" not in k}, steps)
        self.sampler.restart(steps)
        self.schedule.stale, self.schedule.cuts = numbers["stale"], numbers["cuts"]
        self.schedule.advance(steps)
        return net if best else None


def task(model: Model, corrections: Sequence[Correction], options: TrainOptions) -> str:
    """Return what tells this training from any other: 64 hexadecimal digits."""
    digest = hashlib.sha256(model.checksum().encode())
    about = asdict(options)
    del about["memory"]  # it does not change what is learned
    digest.update(json.dumps(about).encode())
    for c in corrections:
        digest.update(f"{c.image.title} {c.plane} {c.corner} {c.target.shape}".encode())
        digest.update(c.target.tobytes())
    return digest.hexdigest()


def write_checkpoint(
    path: Path, of: str, numbers: dict[str, int], state: dict[str, Tensor]
) -> None:
    """Write where the training called `of` stands.

    Raises
    ------
    OutputError
        If the disk does not take it.
    """
    about = {_KEY: json.dumps({"task": of, "numbers": numbers})}
    write_whole(path, safetensors.torch.save(state, about))


def read_checkpoint(
    path: Path, of: str
) -> tuple[dict[str, int], dict[str, Tensor]] | None:
    """Return where it stands, or None: there is no such file, or of other training.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})[_KEY])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        task, numbers = about["task"], dict(about["numbers"])
    except (*DAMAGE, safetensors.SafetensorError) as error:
        raise ValueError(f"no state of training: {error}") from error
    whole = all(type(n) is int and 0 <= n < _MOST for n in numbers.values())
    if not whole or numbers.keys() != _NUMBERS:
        raise ValueError(f"numbers {numbers!r:.80}")
    return (numbers, state) if task == of else None
