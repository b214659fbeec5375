"""Room for a plan: on the device that was chosen, or on the CPU if a card has none."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from napari_unet.errors import MemoryBudgetError
from napari_unet.network.predictor import Predictor

__all__ = ["planned"]

# Bytes that libraries keep once they have read (up to 16 MB of TIFF and Zarr), and a
# reserve: peaks of a batch came to 2 MB below what is planned with it.
_READING = 48 * 2**20

_Plan = TypeVar("_Plan")


def planned(
    plan: Callable[[Predictor], _Plan],
    device: str,
    prepared: Callable[[str], Predictor],
) -> tuple[Predictor, _Plan]:
    """Plan with the net on a device, or on the CPU where an automatic GPU has no room.

    It is planned before the first chunk is read, which may be larger than the memory.

    Parameters
    ----------
    device
        As in `options.SegmentOptions`; one that was asked for by name is kept.
    prepared
        Returns the net prepared for a device.

    Raises
    ------
    MemoryBudgetError
        If there is not enough memory; raised by `plan`.
    """
    run = _after_reading(prepared(device))
    try:
        return run, plan(run)
    except MemoryBudgetError:
        if device != "auto" or run.device.type == "cpu":
            raise
    run = _after_reading(prepared("cpu"))
    run = replace(run, reason="CPU (the GPU's memory is full)")
    return run, plan(run)


def _after_reading(run: Predictor) -> Predictor:
    return replace(run, resident=run.resident + _READING)
