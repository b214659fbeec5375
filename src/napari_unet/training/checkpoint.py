"""Training checkpoint: the state of long training in a file, without pickle."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from napari_unet._files import DAMAGE, write_whole
from napari_unet.network.model import Model
from napari_unet.options import TrainOptions
from napari_unet.project.corrections import Correction

__all__ = ["read_checkpoint", "task", "write_checkpoint"]

_KEY = "napari-unet training"
_NUMBERS = {"step", "stale", "cuts"}
_MOST = 2**53  # steps; more are damage


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
