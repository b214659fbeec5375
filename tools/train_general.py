"""Train the features of a U-Net so that few strokes generalise: episodes.

    python tools/train_general.py NAME [--data DATA] [--steps N] [--begin MODEL]
    python tools/train_general.py NAME --export FILE

An episode is a task of `general_tasks`: strokes on one image, a ridge head on fixed
filters and the finest features, the error on the other image. Half of the strokes show
every class, half are drawn where a first head is wrong. Training is seeded, and resumed
by the same command; checkpoints go to .checkpoints/, outside git. DATA holds the real
images that superpixels are made of: those sets alone that may train weights that ship.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from general_head import answer, at, fit, maps, standard
from general_layouts import Plane
from general_tasks import SIDE, Scene, draw_task
from torch import Tensor
from torch.nn import functional as F

from napari_unet.network.model import Model, load, save
from napari_unet.network.normalization import Scaling
from napari_unet.network.unet import UNet

SETS = "dsb2018", "dsb2018_histology", "bbbc039_u2os", "sem_superalloy", "sem_coating"
EACH = 12  # pictures of a set
SEED, PEAK, WARM, PERIOD = 0, 5e-4, 50, 50
EPISODES = 4  # in a step
USES = 3  # of a task, with other strokes and turned otherwise
RIDGE = 3.0  # of the head; with less it is too sure, and features learn to say less
SHARP = 6.0  # what its answers are multiplied by
JUDGED = 3000  # pixels of the second image
CHECKPOINTS = Path(".checkpoints")

Pixels = tuple[Tensor, Tensor]


def pictures(data: Path | None) -> list[Plane]:
    """Return real images (Y, X), each scaled to about 0 to 1."""
    found = []
    for name in SETS if data else ():
        for path in sorted((data / name / "images").glob("*.tif"))[:EACH]:
            raw = tifffile.imread(path).astype(np.float32)
            plane = raw if raw.ndim == 2 else raw[..., :3].mean(-1)
            low, high = np.percentile(plane, (1, 99.8))
            plane = ((plane - low) / (high - low + 1e-6)).clip(-1, 4)
            found += [plane] if min(plane.shape) >= SIDE else []
    return found


def strokes(wanted: Tensor, count: int, random: np.random.Generator) -> Pixels:
    """Return rows and columns of short lines on pixels (Y, X) of one kind, `wanted`."""
    at = np.argwhere(wanted.numpy())
    drawn = np.zeros(wanted.shape, bool)
    for y, x in at[random.integers(len(at), size=count)] if len(at) else ():
        turn, long = random.uniform(0, np.pi), random.uniform(4, 25)
        for step in np.arange(-long / 2, long / 2):
            row, column = int(y + step * np.sin(turn)), int(x + step * np.cos(turn))
            wide = int(random.integers(1, 3))
            top, left = max(row - wide, 0), max(column - wide, 0)
            drawn[top : row + wide + 1, left : column + wide + 1] = True
    rows, columns = np.nonzero(drawn & wanted.numpy())
    return torch.from_numpy(rows), torch.from_numpy(columns)


def joined(parts: list[Pixels]) -> Pixels:
    """Return the pixels of all parts."""
    rows, columns = zip(*parts, strict=True)
    return torch.cat(rows), torch.cat(columns)


class Question:
    """An image whose pixels are asked for, and its classes, numbered from 0."""

    def __init__(self, net: UNet, scene: Scene, names: Tensor) -> None:
        image = torch.from_numpy(scene.image)[None]
        self.maps = maps(net, image, 1)
        truth = torch.from_numpy(scene.classes).long()
        self.truth = torch.searchsorted(names, truth)

    def pixels(self, where: Pixels) -> Tensor:
        """Return filters and features of pixels, (P, F)."""
        return torch.cat(at(*self.maps, *where), 1)


def episode(
    net: UNet, first: Scene, second: Scene, random: np.random.Generator
) -> Tensor:
    """Return the error on the second image of a head from strokes on the first."""
    names = torch.from_numpy(np.unique(first.classes)).long()
    one, other = (Question(net, scene, names) for scene in (first, second))
    count = len(names)
    rows, columns = (torch.arange(0, n, 2) for n in one.truth.shape)
    grid = torch.meshgrid(rows, columns, indexing="ij")
    everywhere = grid[0].flatten(), grid[1].flatten()
    whole = one.pixels(everywhere).detach()
    middle, spread = standard(whole)

    def learned(shown: Pixels) -> Tensor:
        seen = (one.pixels(shown) - middle) / spread
        return fit(seen, one.truth[shown], count, RIDGE)

    total = max(int(np.exp(random.uniform(np.log(2), np.log(32)))), count)
    each = max(total // 2 // count, 1)
    shown = [strokes(one.truth == c, each, random) for c in range(count)]
    with torch.no_grad():
        said = answer((whole - middle) / spread, learned(joined(shown))).argmax(1)
    wrong = torch.zeros_like(one.truth, dtype=torch.bool)
    wrong[everywhere] = said != one.truth[everywhere]
    left = total - each * count
    for c in random.permutation(count)[:left]:
        missed = wrong & (one.truth == int(c))
        shown.append(strokes(missed, max(left // count, 1), random))
    asked = [
        torch.from_numpy(random.integers(n, size=JUDGED)) for n in other.truth.shape
    ]
    where = asked[0], asked[1]
    seen = (other.pixels(where) - middle) / spread
    target = other.truth[where]
    shares = torch.bincount(target, minlength=count).clamp_min(1).float()
    said = SHARP * answer(seen, learned(joined(shown)))
    return F.cross_entropy(said, target, weight=shares**-0.5)


class Run:
    """The state of a training run."""

    def __init__(self, begin: Model, planes: list[Plane], side: int = SIDE) -> None:
        self.net = begin.net.eval().requires_grad_(True)  # BatchNorm as in use
        self.mean = {k: v.clone() for k, v in self.net.state_dict().items()}
        self.optimiser = torch.optim.AdamW(self.net.parameters(), PEAK)
        self.planes, self.side = planes, side
        self.step, self.seconds = 0, 0.0
        self.tasks: dict[int, tuple[Scene, Scene]] = {}

    def task(self, number: int) -> tuple[Scene, Scene]:
        """Return a task; each is used in several steps."""
        if number not in self.tasks:
            self.tasks = dict(list(self.tasks.items())[-16:])
            self.tasks[number] = draw_task(number, self.planes, self.side)
        return self.tasks[number]

    def learn(self, until: int) -> float:
        """Do one step and return its error."""
        random = np.random.default_rng([SEED, self.step])
        self.optimiser.param_groups[0]["lr"] = rate(self.step, until)
        self.optimiser.zero_grad()
        total = 0.0
        for number in range(EPISODES):
            chosen = self.step // USES * EPISODES + number
            first, second = self.task(chosen)
            turns = random.integers(0, 4)
            pair = [turned(s, int(turns)) for s in (first, second)]
            if random.random() < 0.5:
                pair.reverse()
            error = episode(self.net, *pair, random) / EPISODES
            if torch.isfinite(error):
                error.backward()
                total += float(error.detach())
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(0.99, self.step / (self.step + 10))
        for key, value in self.net.state_dict().items():
            if value.is_floating_point():
                self.mean[key].lerp_(value.detach(), 1 - decay)
        return total

    def state(self) -> dict[str, Any]:
        """Return what goes on after an interruption as if there had been none."""
        kept = "mean", "step", "seconds"
        state = {name: getattr(self, name) for name in kept}
        found = {"net": self.net.state_dict(), "optimiser": self.optimiser.state_dict()}
        return state | found

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.mean, self.step = state["mean"], state["step"]
        self.seconds = state["seconds"]


def turned(scene: Scene, turns: int) -> Scene:
    """Return a scene turned by quarters."""
    planes = (np.rot90(p, turns).copy() for p in (scene.image, scene.classes))
    return Scene(*planes)


def rate(step: int, until: int) -> float:
    """Return the learning rate: a warm-up, then half a cosine down to a tenth."""
    falling = 0.55 + 0.45 * np.cos(np.pi * min(step / until, 1))
    return float(PEAK * falling * min(1.0, (step + 1) / WARM))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", help="of the checkpoint")
    parser.add_argument("--data", type=Path, help="of real images")
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--begin", default="general")
    parser.add_argument("--export", type=Path, help="write the weights so far")
    args = parser.parse_args()
    begin, path = load(args.begin), CHECKPOINTS / f"{args.name}.pt"
    state = torch.load(path, weights_only=True) if path.exists() else None
    if args.export:
        begin.net.load_state_dict(state["mean"])
        save(Model(begin.net, Scaling(), {}, args.export.stem), args.export)
        return
    run = Run(begin, pictures(args.data))
    if state:
        run.restore(state)
    while run.step < args.steps:
        began = time.monotonic()
        steps = min(PERIOD, args.steps - run.step)
        errors = [run.learn(args.steps) for _ in range(steps)]
        run.seconds += time.monotonic() - began
        path.parent.mkdir(exist_ok=True)
        torch.save(run.state(), path.with_suffix(".part"))
        os.replace(path.with_suffix(".part"), path)
        print(f"{run.step} error {np.mean(errors):.4f} {run.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
