"""How fast `fine_tune` learns, side by side with a bare PyTorch loop on the same net.

    python benchmarks/training.py [--model nuclei] [--device auto] [--json FILE]

Both train all weights of the same net (the model with the head that fine_tune gives it)
on batches of the same size, in one process, in turn, a few steps each; the table gives
medians. `bare` is what anyone would write down first: one batch that stays the same,
forward, cross-entropy, backward, AdamW; channels last, bfloat16 autocast where the
device computes faster in it. `ours` is a step as a user waits for it: another batch
every time, cut from the corrections, turned and flipped; the losses; the model before,
which is the teacher; the running mean of the weights. What comes before the first step
and after the last one is reported as seconds of its own.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inference import picture
from torch import nn
from torch.nn import functional as F

from napari_unet.io.image import Image
from napari_unet.network.autocast import fast_dtype
from napari_unet.network.model import Model, UNet, best_device, load
from napari_unet.network.threads import spare_cores
from napari_unet.options import TrainOptions
from napari_unet.project.corrections import IGNORE, Correction
from napari_unet.training.fine_tune import TrainStep, fine_tune
from napari_unet.training.readers import with_hypercolumn

SIDE = 768  # pixels along the side of the image that is learned from
STROKES = 60
WARM = 3  # steps that are not counted


def corrections() -> list[Correction]:
    """Return strokes of 60 x 8 pixels on blobs and between them."""
    pixels = picture((SIDE, SIDE))
    bright = pixels > np.percentile(pixels, 80)
    target = np.full(pixels.shape, IGNORE, np.uint8)
    rng = np.random.default_rng(0)
    for y, x in rng.integers(60, SIDE - 60, (STROKES, 2)):
        box = slice(y, y + 8), slice(x, x + 60)
        target[box] = bright[box]
    return [Correction(Image("benchmark", pixels, "YX"), target)]


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = call()
    return time.perf_counter() - began, found


class Shapes:
    """Notes what a net that learns is shown: the recipe may change its mind."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, UNet) and torch.is_grad_enabled():
            self.seen.append(tuple(inputs[0].shape))


def batch_of(job: Generator[TrainStep, None, Any]) -> tuple[int, ...]:
    """Run to the end of the second step; return (N, C, Y, X) of a batch."""
    shapes = Shapes()
    hook = nn.modules.module.register_module_forward_pre_hook(shapes)
    while next(job).step < 2:
        pass
    hook.remove()
    return shapes.seen[-1]


class Bare:
    """The loop that anyone would write."""

    def __init__(self, model: Model, shape: tuple[int, ...], device: str) -> None:
        self.device, _ = best_device(device)
        net = with_hypercolumn(model.net).to(self.device).requires_grad_(True)
        self.net = net.to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.AdamW(self.net.parameters(), lr=1e-4)
        torch.manual_seed(0)
        image = torch.rand(shape, device=self.device)
        self.image = image.contiguous(memory_format=torch.channels_last)
        n, _, height, width = shape
        classes = len(model.spec.classes)
        self.target = torch.randint(classes, (n, height, width), device=self.device)

    def step(self) -> float:
        half = fast_dtype(self.device) == torch.bfloat16
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            logits = self.net(self.image)
        loss = F.cross_entropy(logits.float(), self.target)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item()


def measure(model: Model, device: str, repeats: int, each: int) -> dict[str, Any]:
    """Return seconds of a step of both loops, from interleaved repetitions."""
    options = TrainOptions(seconds=None, device=device)
    taken: dict[str, list[float]] = {"ours": [], "bare": [], "before": []}
    given = corrections()
    with closing(fine_tune(model, given, options)) as job:
        shape = batch_of(job)
    bare = Bare(model, shape, device)
    for _ in range(WARM):
        bare.step()
    for _ in range(repeats):
        with closing(fine_tune(model, given, options)) as job:
            taken["before"].append(timed(lambda job=job: next(job))[0])
            for _ in range(WARM):
                next(job)
            for _ in range(each):
                seconds, _ = timed(lambda job=job: next(job))
                taken["ours"].append(seconds)
                taken["bare"].append(timed(bare.step)[0])
    medians = {name: statistics.median(values) for name, values in taken.items()}
    return {
        "batch": shape,
        "device": str(bare.device),
        "dtype": str(fast_dtype(bare.device)).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "steps": len(taken["ours"]),
        "ours_steps_s": round(1 / medians["ours"], 3),
        "bare_steps_s": round(1 / medians["bare"], 3),
        "ratio": round(medians["bare"] / medians["ours"], 3),
        "before_s": round(medians["before"], 2),
        "after_s": round(last(model, given, device), 2),
    }


def last(model: Model, given: list[Correction], device: str) -> float:
    """Return how long fine_tune goes on after its last step."""
    began = 0.0
    for _ in fine_tune(model, given, TrainOptions(seconds=20, device=device)):
        began = time.perf_counter()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--each", type=int, default=15, help="steps of a repetition")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    spare_cores()
    found = measure(load(args.model), args.device, args.repeats, args.each)
    print(
        f"{args.model}, batch {'x'.join(map(str, found['batch']))}, {found['dtype']} "
        f"on {found['device']}, {found['threads']} threads, {found['steps']} steps"
    )
    print(f"ours  {found['ours_steps_s']:8.2f} steps/s")
    print(f"bare  {found['bare_steps_s']:8.2f} steps/s")
    print(f"ratio {found['ratio']:8.2f}")
    print(
        f"before the first step {found['before_s']:.2f} s, after the last one ", end=""
    )
    print(f"{found['after_s']:.2f} s")
    if args.json:
        args.json.write_text(json.dumps({"model": args.model, **found}))


if __name__ == "__main__":
    main()
