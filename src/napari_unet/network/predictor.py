"""Predictor: a fused net on its device, in its best dtype, and the memory it takes."""

import time
import weakref
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from napari_unet._steps import Steps
from napari_unet.errors import MemoryBudgetError
from napari_unet.network.autocast import fast_dtype
from napari_unet.network.blockwise import Columns, Workspace, forward_steps
from napari_unet.network.fuse import ready
from napari_unet.network.model import Model, UNet, UNetSpec, best_device
from napari_unet.options import Precision
from napari_unet.tiling import Box, whole

__all__ = [
    "Predictor",
    "bytes_per_pixel",
    "engine",
    "host_bytes",
    "memory_need",
    "memory_pixels",
    "resident_bytes",
]

_ANSWER = 1.2  # seconds that one window may take, so that Cancel is answered within 2 s
_FREE = 0.5  # part of the free memory that is taken when nobody says how much
_CARD = 0.8  # the same of a graphics card's
_USEFUL = 512**2  # pixels of a window; of the least one nearly all is context
_HOST = 32  # bytes per pixel of a window on its way to the card and back
_SLACK = 112 * 2**20  # allocator, scratch, interpreter: measured up to 98 MB

_Prepared = dict[tuple[torch.device, torch.dtype], UNet]
_prepared: weakref.WeakKeyDictionary[UNet, _Prepared] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Predictor:
    """A net that is ready to run on one device.

    Attributes
    ----------
    resident
        Bytes of the process when it was prepared. What the process frees later it may
        still hold, and takes for the next window: it is not counted again.
    """

    net: UNet
    spec: UNetSpec
    device: torch.device
    dtype: torch.dtype
    reason: str
    resident: int

    def __call__(self, window: NDArray[np.float32]) -> torch.Tensor:
        """Return the logits (K, Y, X), float32 on the device, of a window (C, Y, X).

        Raises
        ------
        MemoryBudgetError
            If the device has too little memory for the window.
        """
        return Steps(self.steps(window)).finish().float()

    def steps(
        self, window: NDArray[np.float32], space: Workspace | None = None
    ) -> Generator[float, None, torch.Tensor]:
        """Do the same, logits in `dtype`, and yield how much is done, 0 to 1.

        That is often enough to be cancelled. A processor computes in strips: a window
        may be as large as its memory allows. A graphics card computes it at once.
        """
        if self.device.type == "cpu":
            image = torch.from_numpy(window)[None]
            logits = yield from forward_steps(self.net, image, space)
            return logits[0]
        return self._at_once(window)

    def column_steps(
        self, window: NDArray[np.float32], part: Box
    ) -> Generator[None, None, Columns]:
        """Compute a window (C, Y, X) and keep what every level shows of a part of it.

        Yields often enough to be cancelled; see `Columns` for `part`.

        Raises
        ------
        MemoryBudgetError
            If the device has too little memory for the window.
        """
        image = torch.from_numpy(window)[None]
        if self.device.type == "cpu":
            columns = Columns(self.net, image, part)
            for _ in forward_steps(self.net, image, reader=columns):
                yield
        else:
            columns = self._columns_at_once(image, part)
        columns.forget_image()
        return columns

    @torch.inference_mode()
    def _columns_at_once(self, image: torch.Tensor, part: Box) -> Columns:
        try:
            x = image.to(self.device).contiguous(memory_format=torch.channels_last)
            columns = Columns(self.net, x, part)
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                features = self.net.features(x)
                logits = self.net.head(features[0])
            for level, found in enumerate(features):
                first = None if level else logits
                columns.take(found, whole(found.shape), level, first)
            return columns
        except torch.OutOfMemoryError as error:
            raise self._full(image.shape[2:]) from error

    @torch.inference_mode()
    def _at_once(self, window: NDArray[np.float32]) -> torch.Tensor:
        try:
            x = torch.from_numpy(window)[None].to(self.device)
            x = x.contiguous(memory_format=torch.channels_last)
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                logits: torch.Tensor = self.net(x)  # float32 is float32
            return logits[0]
        except torch.OutOfMemoryError as error:
            raise self._full(window.shape[1:]) from error

    def _full(self, size: Sequence[int]) -> MemoryBudgetError:
        return MemoryBudgetError(
            f"A tile of {size[0]} x {size[1]} pixels does not fit the memory of "
            f"{self.device}. Choose a smaller tile, or the CPU."
        )

    @property
    def feature_bytes(self) -> int:
        """Bytes of memory, the device's own, that one pixel of a window takes."""
        strips = self.device.type == "cpu"
        return bytes_per_pixel(self.spec, self.dtype.itemsize, strips=strips)

    def prompt_pixels(self) -> int:
        """Measure how many pixels are computed while someone waits for Cancel."""
        window = np.zeros((self.spec.in_channels, 256, 256), np.float32)
        self(window).cpu()  # warm
        began = time.perf_counter()
        self(window).cpu()
        return int(_ANSWER / (time.perf_counter() - began) * 256**2)


def engine(
    model: Model, device: str = "auto", precision: Precision = "auto"
) -> Predictor:
    """Prepare `model` for `device`; the model itself is not changed.

    Its net is prepared once, and kept for as long as the model is.

    Raises
    ------
    OptionsError
        If a named device does not exist here.
    MemoryBudgetError
        If its memory is too full for the net.
    """
    where, reason = best_device(device)
    dtype = _dtype(where, precision)
    prepared = _prepared.setdefault(model.net, {})
    if (where, dtype) not in prepared:
        prepared[where, dtype] = _prepare(model.net, where, dtype)
    net = prepared[where, dtype]
    return Predictor(net, model.spec, where, dtype, reason, resident_bytes())


def _prepare(net: UNet, device: torch.device, dtype: torch.dtype) -> UNet:
    try:
        return ready(net, device, dtype)
    except torch.OutOfMemoryError as error:
        raise MemoryBudgetError(
            f"The memory of {device} is full: not even the net fits. Close what else "
            "uses it, or choose the CPU."
        ) from error


def _dtype(device: torch.device, precision: Precision) -> torch.dtype:
    """Return the fastest dtype whose labels agree with float32."""
    if precision != "auto":
        return torch.bfloat16 if precision == "bf16" else torch.float32
    return torch.float16 if device.type == "cuda" else fast_dtype(device)


def bytes_per_pixel(spec: UNetSpec, itemsize: int = 4, *, strips: bool = False) -> int:
    """Return the memory that one pixel of a window takes at the worst moment.

    At once, that is the topmost concatenation: the skip, the decoder's half, both
    together, and what came from below: 4.5 x width channels; or, where there is a
    hypercolumn, its finest level: filters in float32, and features and hidden channels
    three times. In strips, it is what all levels hold, some of it for the next window:
    less than 3 x width channels. The rest holds the window, the logits and their
    softmax.
    """
    rest = 4 * (3 * spec.in_channels + 4 * len(spec.classes))
    if strips:
        hidden = 8 * spec.in_channels + spec.hypercolumn * itemsize
        return 3 * spec.width * itemsize + (hidden if spec.hypercolumn else 0) + rest
    top = 9 * spec.width * itemsize // 2
    if spec.hypercolumn:
        filters = 4 * 20 * spec.in_channels
        column = 3 * (2 * spec.width + 5 * spec.in_channels + spec.hypercolumn)
        top = max(top, filters + column * itemsize)
    return top + rest


def memory_pixels(
    engine: Predictor, memory: int | None, *, held: int, each: int, least: int
) -> int:
    """Return how many pixels a window may have for the memory that is allowed.

    Parameters
    ----------
    memory
        Most resident bytes that the process may take; None: a part of what is free.
    held
        Bytes that will be resident besides the window, and are not yet.
    each
        Bytes of the image and the result for one pixel of the window.
    least
        Pixels of the smallest window that is of use.

    Raises
    ------
    MemoryBudgetError
        If not even that window fits.
    """
    features = engine.feature_bytes
    resident = engine.resident + held + _SLACK
    if memory is not None:
        free = memory - resident
    else:
        free = int(psutil.virtual_memory().available * _FREE) - held - _SLACK
    if engine.device.type == "cuda":  # the card holds the features, the host the rest
        on_card = int(torch.cuda.mem_get_info(engine.device)[0] * _CARD / features)
        if on_card < least:
            raise MemoryBudgetError(
                f"The memory of {engine.device} is full: one tile needs "
                f"{least * features / 1e6:.0f} MB there. Close what else uses it, or "
                "choose the CPU."
            )
        pixels = min(on_card, free // (each + _HOST))
    else:
        each += features
        pixels = free // each
    if pixels < least:
        useful = max(least, min(4 * least, _USEFUL))
        need = (resident + useful * each) / 1e6
        raise MemoryBudgetError(
            f"{(resident + free) / 1e6:.0f} MB of memory is too little for one tile; "
            f"this model needs {need:.0f} MB or more here. Close other programs, or "
            "raise the memory that may be used.",
            option="memory",
        )
    return int(pixels)


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    return int(psutil.Process().memory_info().rss)


def memory_need(engine: Predictor, pixels: int, *, held: int, each: int) -> int:
    """Return the resident bytes that a window of `pixels` takes this process to.

    `held` and `each` are those of `memory_pixels`, which is the same the other way.
    """
    resident = engine.resident + held + _SLACK
    return int(resident + pixels * (each + host_bytes(engine)))


def host_bytes(engine: Predictor) -> int:
    """Return what a pixel of a window takes of this process while it is computed."""
    return _HOST if engine.device.type == "cuda" else engine.feature_bytes
