"""Model: U-Net with intensity scaling and card; load and save (safetensors); device."""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from napari_unet._files import DAMAGE, write_whole
from napari_unet._memory import take_huge_pages
from napari_unet.errors import ModelError, OptionsError, OutputError
from napari_unet.network.normalization import Scaling
from napari_unet.network.unet import BOUNDARY, UNet, UNetSpec

__all__ = [
    "BOUNDARY",
    "Model",
    "UNet",
    "UNetSpec",
    "best_device",
    "load",
    "save",
    "shipped",
]

_KEY = "napari_unet"  # of our JSON in the header of a .safetensors file
_FORMAT = 1
_DEVICES = ("cpu", "cuda", "mps", "xpu")
_WEIGHTS = Path(__file__).parents[1] / "weights"


@dataclass(frozen=True, slots=True)
class Model:
    """A network with all that is needed to use it; never changed, only replaced.

    Attributes
    ----------
    net
        In eval mode, float32, on the CPU; its ``spec`` says what it looks like.
    scaling
        How intensities are scaled for it.
    card
        What is known about it, as JSON: ``data``, ``licence``, ``diameter`` (typical
        object diameter in pixels), ``pixel_size``, ``history``, figures.
    name
        What people call it.
    """

    net: UNet
    scaling: Scaling = field(default_factory=Scaling)
    card: dict[str, Any] = field(default_factory=dict)
    name: str = "model"

    @property
    def spec(self) -> UNetSpec:
        """What the network looks like."""
        return self.net.spec

    @property
    def diameter(self) -> float | None:
        """Typical diameter, in pixels, of the objects that it was trained on."""
        value = self.card.get("diameter")
        return None if value is None else float(value)

    @property
    def min_size(self) -> float:
        """Pixels that an object must have, at the scale of training, to be one."""
        return float(self.card.get("min_size") or 0)

    @property
    def min_score(self) -> float:
        """Mean probability that the interior of an object must have, 0 to 1."""
        return float(self.card.get("min_score") or 0)

    def checksum(self) -> str:
        """Return the SHA-256 of the weights, in hexadecimal."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.net.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()


def shipped() -> tuple[str, ...]:
    """Return the names of the models that come with the package."""
    return tuple(sorted(path.stem for path in _WEIGHTS.glob("*.safetensors")))


def load(source: str | os.PathLike[str]) -> Model:
    """Load a model from a file, or a shipped one by its name.

    Nothing in the file is executed: it is a safetensors file with a JSON header.

    Raises
    ------
    ModelError
        If there is no such model, or the file is damaged or not ours.
    """
    take_huge_pages()
    path = _find(source)
    if path.suffix != ".safetensors":
        raise ModelError(
            f"{path.name} is not a .safetensors file. Models are never read from "
            "formats that can run code (.pt, .pth, .pkl); convert it first."
        )
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = _about(path, file.metadata() or {})
            names = file.keys()
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            spec = _spec(path, about, shapes)  # before anything is allocated
            state = {name: file.get_tensor(name) for name in names}
    except PermissionError as error:
        raise ModelError(
            f"{path.name} may not be read. Ask its owner for permission."
        ) from error
    except (safetensors.SafetensorError, OSError) as error:
        raise ModelError(
            f"{path.name} is damaged or no model file ({error}). Get it again."
        ) from error
    return _build(path, spec, about, state)


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write `model` to a .safetensors file, weights in half precision.

    The file appears under its name only when it is complete and on the disk.

    Raises
    ------
    OutputError
        If it cannot be written there.
    """
    target = Path(path)
    about = {
        "format": _FORMAT,
        "spec": asdict(model.spec),
        "scaling": asdict(model.scaling),
        "card": model.card,
    }
    state = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in model.net.state_dict().items()
    }
    if not target.parent.is_dir():
        raise OutputError(
            f"The model cannot be written to {target}: there is no folder "
            f"{target.parent}. Make it first, or choose another."
        )
    write_whole(target, safetensors.torch.save(state, {_KEY: json.dumps(about)}))


def best_device(name: str = "auto") -> tuple[torch.device, str]:
    """Return the device that `name` means, and the reason as a phrase for the user.

    Raises
    ------
    OptionsError
        If a named device does not exist here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda"), torch.cuda.get_device_name()
        if torch.backends.mps.is_available():
            return torch.device("mps"), "Apple GPU"
        return torch.device("cpu"), f"CPU ({_why_no_gpu()})"
    try:
        device = torch.device(name)
        if device.type not in _DEVICES:
            raise RuntimeError("no device that computes")
        with suppress(torch.OutOfMemoryError):  # it is there, and full
            torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise OptionsError(
            f"The device {name!r} does not exist here ({_why_no_gpu()}). "
            "Choose 'auto' or 'cpu'."
        ) from error
    return device, "CPU, as chosen" if device.type == "cpu" else f"{name}, as chosen"


def _why_no_gpu() -> str:
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        return "this computer has another GPU"
    if torch.version.cuda is None and torch.version.hip is None:
        return "this PyTorch was built without GPU support"
    return "PyTorch finds no GPU"


def _find(source: str | os.PathLike[str]) -> Path:
    if str(source) in shipped():
        return _WEIGHTS / f"{source}.safetensors"
    path = Path(source)
    if not path.is_file():
        raise ModelError(
            f"There is no model {str(source)!r}. Give a .safetensors file or one of: "
            f"{', '.join(shipped())}."
        )
    return path


def _check_card(card: Any) -> None:
    """Raise unless what others calculate with is what they take it for."""
    if not isinstance(card, dict):
        raise TypeError(f"the card is {card!r:.40}")
    for key in ("diameter", "min_size", "min_score"):
        value = card.get(key)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and 0 <= float(value) < math.inf):
            raise ValueError(f"{key} is {value!r:.40}")
    if card.get("diameter") == 0:
        raise ValueError("diameter is 0")
    if (card.get("min_score") or 0) > 1:
        raise ValueError(f"min_score is {card['min_score']!r:.40}")
    history = card.get("history", [])
    if not isinstance(history, list) or not all(isinstance(h, str) for h in history):
        raise TypeError(f"history is {history!r:.40}")


def _about(path: Path, header: Mapping[str, str]) -> dict[str, Any]:
    """Return what the header of a file says about the model."""
    if _KEY not in header:
        raise ModelError(
            f"{path.name} holds weights, but not a napari-unet model: its header says "
            "nothing about the network. Save it with napari-unet."
        )
    with _named(path):
        about: dict[str, Any] = json.loads(header[_KEY])
        newer = about["format"] > _FORMAT
    if newer:
        raise ModelError(
            f"{path.name} was written by a newer napari-unet. Update napari-unet."
        )
    return about


def _spec(
    path: Path, about: dict[str, Any], shapes: dict[str, tuple[int, ...]]
) -> UNetSpec:
    """Return the spec of a network whose weights have these shapes.

    The network that it describes is laid out without memory, and compared.
    """
    with _named(path):
        fields = about["spec"]
        if not isinstance(fields["classes"], list):
            raise TypeError(f"classes are {fields['classes']!r:.40}")
        spec = UNetSpec(**{**fields, "classes": tuple(fields["classes"])})
        with torch.device("meta"):
            layout = UNet(spec).state_dict()
        wanted = {name: tuple(tensor.shape) for name, tensor in layout.items()}
        for name in wanted.keys() ^ shapes.keys():
            raise ValueError(f"{name:.60} is in one of them alone")
        for name, shape in wanted.items():
            if shapes[name] != shape:
                raise ValueError(f"{name} is {shapes[name]}, and should be {shape}")
    return spec


def _build(
    path: Path, spec: UNetSpec, about: dict[str, Any], state: dict[str, Tensor]
) -> Model:
    with _named(path):
        net = UNet(spec)
        net.load_state_dict(
            {
                name: tensor.float() if tensor.is_floating_point() else tensor
                for name, tensor in state.items()
            }
        )
        scaling = Scaling(**about["scaling"])
        card = about.get("card", {})
        _check_card(card)
        if not all(bool(tensor.isfinite().all()) for tensor in state.values()):
            raise ValueError("weights that are no numbers")
    return Model(net.eval(), scaling, card, path.stem)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Say of which file it is that header and weights do not fit."""
    try:
        yield
    except (ModelError, *DAMAGE) as error:
        raise ModelError(
            f"{path.name} is damaged: its weights do not fit its header ({error})."
        ) from error
