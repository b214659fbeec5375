"""Where a plan finds room: a graphics card, the CPU, or nowhere."""

from dataclasses import replace

import pytest
import torch
from helpers.nets import random_model

from napari_unet.errors import MemoryBudgetError
from napari_unet.network.predictor import Predictor, engine
from napari_unet.segmentation.room import planned

MODEL = random_model()


def prepared(device: str) -> Predictor:
    """Return a net that says to be on a card, unless the CPU is asked for by name."""
    where = torch.device("cpu" if device == "cpu" else "cuda")
    return replace(engine(MODEL, "cpu"), device=where)


def plan(run: Predictor) -> str:
    """Plan as where a card is full."""
    if run.device.type == "cuda":
        raise MemoryBudgetError("too little for one tile")
    return "as large as it may be"


def test_automatic_card_without_room_gives_way_to_the_cpu() -> None:
    run, found = planned(plan, "auto", prepared)
    assert (run.device.type, found) == ("cpu", "as large as it may be")
    assert run.reason == "CPU (the GPU's memory is full)"


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_card_that_was_asked_for_is_kept(device) -> None:
    with pytest.raises(MemoryBudgetError, match="too little"):
        planned(plan, device, prepared)


def test_cpu_without_room_is_refused_once() -> None:
    asked = []

    def refused(run: Predictor) -> None:
        asked.append(run)
        raise MemoryBudgetError("too little for one tile")

    with pytest.raises(MemoryBudgetError):
        planned(refused, "auto", lambda _: prepared("cpu"))
    assert len(asked) == 1


def test_card_with_room_is_planned_for() -> None:
    run, found = planned(lambda run: run.device.type, "auto", prepared)
    assert (run.device.type, found) == ("cuda", "cuda")
