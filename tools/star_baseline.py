"""A baseline in the manner of StarDist, on the U-Net, images and crops of `nuclei`.

    python tools/star_baseline.py train DATA [--name N] [--begin MODEL] [--steps N]
    python tools/star_baseline.py evaluate DATA [--name N]

Every pixel of an object says how probable it is as its centre, and how far the edge
lies in 32 directions; the most probable polygons stay (Schmidt et al. 2018,
arXiv:1806.03535). This is the simplest honest form of it, written for comparison: it
does not ship. Training is seeded, and resumed by the same command; checkpoints go to
.checkpoints/, outside git.
"""

import argparse
import math
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from nuclei_crops import SEED, Sampler
from nuclei_data import Annotated, read_sets
from nuclei_judge import Figures, figures_of, judge, table
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import polygon
from torch import Tensor
from torch.nn import functional as F

from napari_unet.network.autocast import forward
from napari_unet.network.model import UNet, UNetSpec, load
from napari_unet.network.normalization import LUMA, Scaling

RAYS = 32
GRID = 2  # pixels from one centre to the next, as in StarDist
FAR = 96  # pixels at which a ray ends
UNIT = 10.0  # pixels; so that outputs are about 1
PEAK, PERIOD, STRENGTH = 1e-3, 100, 0.5
OVERLAP = 0.4  # share of a polygon that those before it may cover
MIN_SIZE = 32  # as `nuclei`
THRESHOLDS = 0.3, 0.4, 0.5, 0.6, 0.7  # of which one is chosen on training images
EACH = 8  # every so manieth of these
OUTPUTS = ("centre", *(f"ray {i}" for i in range(RAYS)))
CHECKPOINTS = Path(".checkpoints")

ANGLES = np.arange(RAYS) * 2 * math.pi / RAYS
STEPS = torch.from_numpy(np.stack((np.sin(ANGLES), np.cos(ANGLES))).astype(np.float32))


# --- what the net should say ---------------------------------------------------------


def stars(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return what instances (N, Y, X) look like from each pixel of the grid.

    Returns
    -------
    centre
        How near a pixel is to the middle of its object, 0 to 1: (N, Y / 2, X / 2).
    edge
        Pixels to the edge of the object, (N, 32, Y / 2, X / 2); 0 in the background.
    """
    centre = torch.stack([middles(one.numpy()) for one in labels])
    centre = centre[:, ::GRID, ::GRID]
    n, y, x = torch.nonzero(centre, as_tuple=True)
    own = labels[n, GRID * y, GRID * x]
    rays = torch.arange(RAYS).repeat(len(n))
    at = torch.arange(len(n)).repeat_interleave(RAYS)
    length = torch.full((len(at),), 0.5)
    alive = torch.arange(len(at))
    for step in range(1, FAR):
        who, ray = at[alive], rays[alive]
        row = (GRID * y[who] + step * STEPS[0, ray]).round().long()
        column = (GRID * x[who] + step * STEPS[1, ray]).round().long()
        inside = (row >= 0) & (row < labels.shape[1])
        inside &= (column >= 0) & (column < labels.shape[2])
        row, column = (v.clamp(0, labels.shape[1] - 1) for v in (row, column))
        alive = alive[inside & (labels[n[who], row, column] == own[who])]
        length[alive] += 1
        if not len(alive):
            break
    edge = torch.zeros(len(labels), RAYS, *centre.shape[1:])
    edge[n, :, y, x] = length.view(-1, RAYS)
    return centre, edge


def middles(labels: NDArray[np.float32]) -> Tensor:
    """Return the distance to the edge of the own object, 1 where it is largest."""
    ids = labels.astype(np.int32)
    if not ids.any():
        return torch.zeros(ids.shape)
    same = ndimage.maximum_filter(ids, 3) == ndimage.minimum_filter(ids, 3)
    depth = (ndimage.distance_transform_edt(same) + 1) * (ids > 0)
    most = np.asarray(ndimage.maximum(depth, ids, np.arange(ids.max() + 1)))
    return torch.from_numpy((depth / np.maximum(most[ids], 1)).astype(np.float32))


def loss_of(said: Tensor, centre: Tensor, edge: Tensor) -> Tensor:
    """Return cross-entropy of the centres, and the mean error of the rays."""
    said = said[..., ::GRID, ::GRID]
    entropy = F.binary_cross_entropy_with_logits(said[:, 0], centre)
    off = (F.softplus(said[:, 1:]) * UNIT - edge).abs().mean(1)
    return entropy + 0.2 * (off * centre).sum() / (centre.sum() + 1) / UNIT * 5


# --- training ------------------------------------------------------------------------


class Run:
    """The state of a training run."""

    def __init__(self, items: list[Annotated], begin: str) -> None:
        torch.manual_seed(SEED)
        model = load(begin)
        self.net = UNet(replace(model.net.spec, classes=OUTPUTS))
        known = model.net.state_dict()
        known |= {k: v for k, v in self.net.state_dict().items() if "head" in k}
        self.net.load_state_dict(known)
        self.net.to(memory_format=torch.channels_last)
        self.mean = {k: v.clone() for k, v in self.net.state_dict().items()}
        self.optimiser = torch.optim.AdamW(self.net.parameters(), weight_decay=1e-2)
        self.sampler = Sampler(items)
        self.step, self.seconds = 0, 0.0

    def learn(self, until: int) -> float:
        """Do one step and return its loss."""
        _, images, labels = self.sampler.cut(self.step, self.sampler.shares, STRENGTH)
        self.optimiser.param_groups[0]["lr"] = PEAK * (1 - self.step / until)
        loss = loss_of(forward(self.net, images), *stars(labels))
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(0.999, self.step / (self.step + 10))
        for key, value in self.net.state_dict().items():
            if value.is_floating_point():
                self.mean[key].lerp_(value, 1 - decay)
            else:
                self.mean[key].copy_(value)
        return float(loss.detach())

    def state(self) -> dict[str, Any]:
        """Return what goes on after an interruption as if there had been none."""
        return {
            "net": self.net.state_dict(),
            "mean": self.mean,
            "optimiser": self.optimiser.state_dict(),
            "width": self.net.spec.width,
            "step": self.step,
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.mean, self.step = state["mean"], state["step"]
        self.seconds = state["seconds"]


def train(run: Run, path: Path, until: int) -> None:
    """Train until step `until`, with a checkpoint after every period."""
    if path.exists():
        run.restore(torch.load(path, weights_only=True))
    path.parent.mkdir(exist_ok=True)
    while run.step < until:
        began = time.monotonic()
        losses = [run.learn(until) for _ in range(min(PERIOD, until - run.step))]
        run.seconds += time.monotonic() - began
        torch.save(run.state(), path.with_suffix(".part"))
        os.replace(path.with_suffix(".part"), path)
        print(f"{run.step} loss {np.mean(losses):.4f} {run.seconds:.0f} s", flush=True)


# --- finding -------------------------------------------------------------------------


class Stars:
    """Finds objects in a file, as the judge asks for them."""

    def __init__(self, net: UNet, threshold: float = 0.5) -> None:
        self.net, self.threshold = net.eval(), threshold

    @torch.no_grad()
    def said(self, path: Path) -> tuple[NDArray[Any], NDArray[Any], tuple[int, ...]]:
        """Return centres (Y / 2, X / 2), rays (32, Y / 2, X / 2), and the shape."""
        raw = tifffile.imread(path).astype(np.float32)
        plane = raw if raw.ndim == 2 else raw[..., :3] @ np.array(LUMA, np.float32)
        found = Scaling().measure(plane.reshape(1, -1)).apply(plane[None])[0]
        y, x = (-n % 16 for n in found.shape)
        padded = torch.from_numpy(np.pad(found, ((0, y), (0, x)), mode="reflect"))
        said = forward(self.net, padded[None, None].float())[0, :, ::GRID, ::GRID]
        rays = F.softplus(said[1:]) * UNIT
        return said[0].sigmoid().numpy(), rays.numpy(), found.shape

    def __call__(self, path: Path) -> NDArray[np.int32]:
        """Return the objects of an image, (Y, X) int32."""
        return polygons(*self.said(path), self.threshold)


def polygons(
    centre: NDArray[Any],
    rays: NDArray[Any],
    shape: tuple[int, ...],
    threshold: float,
) -> NDArray[np.int32]:
    """Draw the most probable polygons that hardly overlap, as instances (Y, X)."""
    labels = np.zeros(shape, np.int32)
    rows, columns = np.nonzero(centre > threshold)
    order = np.argsort(-centre[rows, columns], kind="stable")
    count = 0
    for y, x in zip(rows[order], columns[order], strict=True):
        at = GRID * y, GRID * x
        if at[0] >= shape[0] or at[1] >= shape[1] or labels[at]:
            continue
        ends = rays[:, y, x]
        drawn = polygon(
            at[0] + ends * np.sin(ANGLES), at[1] + ends * np.cos(ANGLES), shape
        )
        free = labels[drawn] == 0
        if free.sum() < MIN_SIZE or free.mean() < 1 - OVERLAP:
            continue
        count += 1
        labels[drawn[0][free], drawn[1][free]] = count
    return labels


def chosen(net: UNet, items: list[Annotated]) -> float:
    """Return the threshold of the best F1 on some of the training images."""
    stars = Stars(net)
    known = [(item.truth, stars.said(item.path)) for item in items[::EACH]]

    def f1(threshold: float) -> float:
        figures: Iterator[Figures] = (
            judge(truth, polygons(*said, threshold)) for truth, said in known
        )
        return sum(figures, next(figures)).f1

    return max(THRESHOLDS, key=f1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("verb", choices=("train", "evaluate"))
    parser.add_argument("data", type=Path)
    parser.add_argument("--name", default="star", help="of the checkpoint")
    parser.add_argument("--begin", default="nuclei", help="model whose weights it has")
    parser.add_argument("--steps", type=int, default=4000)
    args = parser.parse_args()
    path = CHECKPOINTS / f"{args.name}.pt"
    items = [item for item in read_sets(args.data) if item.fold == "learn"]
    if args.verb == "train":
        train(Run(items, args.begin), path, args.steps)
        return
    state = torch.load(path, weights_only=True)
    net = UNet(UNetSpec(1, OUTPUTS, state["width"]))
    net.load_state_dict(state["mean"])
    threshold = chosen(net, items)
    print(f"{state['step']} steps, threshold {threshold}\n")
    print(table({"star": figures_of(args.data, Stars(net, threshold))}))


if __name__ == "__main__":
    main()
