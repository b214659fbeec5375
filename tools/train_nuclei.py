"""Train the shipped model `nuclei` on three CC0 sets; nothing else goes into it.

    python tools/train_nuclei.py train DATA --name A [--steps N] [--width W]
    python tools/train_nuclei.py train DATA --name B --begin A --cool N [--all]
    python tools/train_nuclei.py train DATA --name C --begin B --width W --cool N
    python tools/train_nuclei.py evaluate DATA [MODEL]     figures of held-out images
    python tools/train_nuclei.py export DATA --name B --figures A    weights and card

DATA holds dsb2018, dsb2018_histology and bbbc039_u2os (BBBC038 and BBBC039 of the Broad
Bioimage Benchmark Collection, both CC0), each with images/ and masks/, and groups.csv
where several images were cut from one picture.

The learning rate stays high for as long as there is time, and then falls to nothing in
a second run, which begins where the first has come to: once on what is not held out,
for the figures, and once on all images, for the weights that ship. What a narrow net
has learned a wider one may begin with, see `widen`. Training is seeded, and resumed by
the same command: checkpoints go to .checkpoints/, outside git.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nuclei_crops import BATCH, CLASSES, CROP, SEED, Sampler, loss_of
from nuclei_data import Annotated, read_sets
from nuclei_judge import evaluate, invented, table
from torch import Tensor
from widen import widened

from napari_unet.network.autocast import forward
from napari_unet.network.model import Model, UNet, UNetSpec, load, save
from napari_unet.network.normalization import Scaling

PEAK = 1e-3  # learning rate of AdamW
WIDTH = 24  # of a new net
WARM = 200  # steps until it is reached
PERIOD = 100  # steps between two checkpoints; hard images are counted at each
EMA = 0.999
CALM = 0.5  # strength of the augmentation at the end, nearer to what is met in use
MIN_SIZE = 32  # for the best mean F1 on training images: what is smaller is mostly dust
CHECKPOINTS = Path(".checkpoints")
WEIGHTS = Path(__file__).parents[1] / "src/napari_unet/weights"


class Run:
    """The state of a training run: all that a checkpoint holds."""

    def __init__(self, items: list[Annotated], width: int, device: str) -> None:
        torch.manual_seed(SEED)
        self.device = device
        self.net = UNet(UNetSpec(1, CLASSES, width)).to(device)
        self.net.to(memory_format=torch.channels_last)
        self.mean = {k: v.clone() for k, v in self.net.state_dict().items()}
        self.optimiser = torch.optim.AdamW(self.net.parameters(), weight_decay=1e-2)
        self.sampler = Sampler(items)
        self.step, self.seconds = 0, 0.0
        self.cooled = -1  # step from which on the learning rate falls

    def state(self) -> dict[str, Any]:
        """Return what goes on after an interruption as if there had been none."""
        return {
            "net": self.net.state_dict(),
            "mean": self.mean,
            "optimiser": self.optimiser.state_dict(),
            "errors": torch.from_numpy(self.sampler.errors),
            "width": self.net.spec.width,
            "step": self.step,
            "seconds": self.seconds,
            "cooled": self.cooled,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`; with other images, none of them counts as hard yet."""
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        if len(state["errors"]) == len(self.sampler.errors):
            self.sampler.errors = state["errors"].numpy().copy()
        self.mean, self.step = state["mean"], state["step"]
        self.seconds, self.cooled = state["seconds"], state["cooled"]

    def take(self, model: Model) -> None:
        """Begin with the weights of a model that is as wide, or narrower."""
        net = widened(model.net, self.net.spec.width)
        self.net.load_state_dict(net.state_dict())
        self.mean = {k: v.clone() for k, v in self.net.state_dict().items()}

    def learn(self, images: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
        """Do one step, and return the error of every crop (N,)."""
        logits = forward(self.net, images.to(self.device))
        loss, errors = loss_of(logits, classes.to(self.device), weights.to(self.device))
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(EMA, self.step / (self.step + 10))
        for key, value in self.net.state_dict().items():
            if value.is_floating_point():
                self.mean[key].lerp_(value, 1 - decay)
            else:
                self.mean[key].copy_(value)
        return errors


def train(run: Run, path: Path, until: int) -> None:
    """Train until step `until`, with a checkpoint after every period."""
    while run.step < until:
        began, errors = time.monotonic(), []
        stop = min(until, (run.step // PERIOD + 1) * PERIOD)
        shares = run.sampler.weights()  # of the last checkpoint: the same if resumed
        strength = 1.0 if run.cooled < 0 else CALM

        def make(step: int, shares: Any = shares, strength: float = strength) -> Any:
            return run.sampler.batch(step, shares, strength)

        for picks, *batch in ahead(make, range(run.step, stop)):
            for group in run.optimiser.param_groups:
                group["lr"] = rate(run.step, run.cooled, until)
            errors.append(run.learn(*batch).cpu().double().numpy())
            run.sampler.learn(picks, errors[-1])
        run.seconds += time.monotonic() - began
        path.parent.mkdir(exist_ok=True)
        torch.save(run.state(), path.with_suffix(".part"))
        os.replace(path.with_suffix(".part"), path)
        print(f"{run.step} error {np.mean(errors):.4f} {run.seconds:.0f} s", flush=True)


def rate(step: int, cooled: int, until: int) -> float:
    """Return the learning rate: warm-up, plateau, and from step `cooled` on a slope."""
    if cooled < 0:
        return PEAK * min(1.0, (step + 1) / WARM)
    return PEAK * (until - step) / (until - cooled)


def ahead(make: Callable[[int], Any], steps: Iterable[int]) -> Iterator[Any]:
    """Go through what is made of `steps`, the next one meanwhile in another thread."""
    with ThreadPoolExecutor(1) as pool:
        coming: Future[Any] | None = None
        for step in steps:
            ready, coming = coming, pool.submit(make, step)
            if ready is not None:
                yield ready.result()
        if coming is not None:
            yield coming.result()


def begin(args: argparse.Namespace) -> None:
    """Begin or resume what the command line asks for."""
    everything = read_sets(args.data)
    items = [item for item in everything if args.all or item.fold == "learn"]
    path = checkpoint(args.name)
    source = path if path.exists() or not args.begin else checkpoint(args.begin)
    if source.exists() and (source == path or not args.width):
        state = read(source)
        run = Run(items, state["width"], args.device)
        run.restore(state)
    elif args.begin:  # with weights alone: an optimiser is of one width
        model = network(args.begin)[0] if source.exists() else load(args.begin)
        run = Run(items, args.width or model.spec.width, args.device)
        run.take(model)
    else:
        run = Run(items, args.width or WIDTH, args.device)
    if args.cool and run.cooled < 0:
        run.cooled = run.step
    print(f"{len(items)} images to learn from, {run.step} steps done", flush=True)
    train(run, path, run.cooled + args.cool if args.cool else args.steps)


def checkpoint(name: str) -> Path:
    return CHECKPOINTS / f"{name}.pt"


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint: our own file, of tensors and numbers only."""
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    return state


# --- what ships --------------------------------------------------------------------


def network(name: str) -> tuple[Model, dict[str, int]]:
    """Return the averaged weights of a checkpoint, and how they were made."""
    state = read(checkpoint(name))
    net = UNet(UNetSpec(1, CLASSES, state["width"]))
    net.load_state_dict(state["mean"])
    about = {"steps": state["step"], "minutes": round(state["seconds"] / 60)}
    card = {"min_size": MIN_SIZE}
    return Model(net.eval(), Scaling(), card, name), about


def diameter(items: list[Annotated]) -> float:
    """Return the median diameter of a circle of an object's area, in pixels."""
    medians = []
    for item in items:
        areas = np.bincount(item.truth.ravel())[1:]
        if areas.any():
            medians.append(np.median(np.sqrt(4 / np.pi * areas[areas > 0])))
    return round(float(np.median(medians)), 1)


def export(root: Path, name: str, measured: str, began: str = "") -> None:
    """Write the weights of checkpoint `name` and their card into the package.

    The figures are those of checkpoint `measured`: the same, or one that learned from
    less. `began` tells with what weights training began, if it did not with none.
    """
    model, about = network(name)
    judged = replace(network(measured)[0], name="nuclei")
    items = read_sets(root)
    figures = evaluate(root, judged)
    card = {
        "data": "BBBC038v1 (DSB2018) and BBBC039v1",
        "licence": "BSD-3-Clause; data CC0 1.0",
        "diameter": diameter(items),
        "min_size": MIN_SIZE,
        "figures": {part: f.summary() for part, f in figures["nuclei"].items()},
        "history": [
            *([f"begun with {began}"] if began else []),
            f"tools/train_nuclei.py, seed {SEED}, {about['steps']} steps",
        ],
    }
    target = WEIGHTS / "nuclei.safetensors"
    save(Model(model.net, model.scaling, card, "nuclei"), target)
    text = (Path(__file__).parent / "nuclei_card.md").read_text()
    held_out = sum(item.fold != "learn" for item in items)
    text = text.format(
        width=model.spec.width,
        images=len(items) - held_out * (name == measured),
        held_out=held_out,
        then=""
        if name == measured
        else "; the weights that ship then learned them too",
        began=f"begun with {began}, then " if began else "",
        diameter=card["diameter"],
        min_size=MIN_SIZE,
        batch=BATCH,
        crop=CROP,
        hardware="one CPU core with bfloat16",
        seed=SEED,
        sha256=load(target).checksum(),
        table=table(figures),
        false=in_words(invented(judged)),
        **about,
    )
    target.with_suffix(".md").write_text(text)


def in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("verb", choices=("train", "evaluate", "export"))
    parser.add_argument("data", type=Path)
    parser.add_argument("model", nargs="?", help="for evaluate: a name or a file")
    parser.add_argument("--name", default="nuclei", help="of the checkpoint")
    parser.add_argument("--steps", type=int, default=24000, help="at the full rate")
    parser.add_argument(
        "--width", type=int, help="default: 24, or that of what it begins from"
    )
    parser.add_argument(
        "--begin",
        help="what a new one begins from: a checkpoint, or else a model; for export, "
        "in words",
    )
    parser.add_argument("--cool", type=int, default=0, help="steps, down to rate 0")
    parser.add_argument("--all", action="store_true", help="hold nothing out")
    parser.add_argument("--figures", help="for export: checkpoint that is measured")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    if args.verb == "train":
        begin(args)
    elif args.verb == "evaluate":
        model = load(args.model) if args.model else network(args.name)[0]
        print(table(evaluate(args.data, model)))
        print(f"\nObjects where there are none: {in_words(invented(model))}.")
    else:
        export(args.data, args.name, args.figures or args.name, args.begin or "")


if __name__ == "__main__":
    main()
