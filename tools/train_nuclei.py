"""Train the shipped model `nuclei` on three CC0 sets; nothing else goes into it.

    python tools/train_nuclei.py train DATA [--steps N] [--width W]    resumable, seeded
    python tools/train_nuclei.py evaluate DATA [MODEL]                 held-out figures
    python tools/train_nuclei.py export DATA                           weights and card

DATA holds dsb2018, dsb2018_histology and bbbc039_u2os (BBBC038 and BBBC039 of the Broad
Bioimage Benchmark Collection, both CC0), each with images/ and masks/, and groups.csv
where several images were cut from one picture. A fifth of the groups of every set,
chosen by hash, is held out whole and never trained on. Checkpoints go to .checkpoints/,
outside git.
"""

import argparse
import csv
import hashlib
import math
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage import feature, filters
from skimage.segmentation import watershed
from torch import Tensor
from torch.nn import functional as F

from napari_unet._steps import Verb
from napari_unet.io.open import open_image
from napari_unet.labels.metrics import average_precision, dice, f1
from napari_unet.network.autocast import fast_dtype
from napari_unet.network.model import Model, UNet, UNetSpec, load, save
from napari_unet.network.normalization import Scaling
from napari_unet.options import SegmentOptions
from napari_unet.segmentation.predict import segment

SETS = {"dsb2018": 0.6, "dsb2018_histology": 0.22, "bbbc039_u2os": 0.18}  # of crops
CALM_SETS = {"dsb2018": 0.5, "dsb2018_histology": 0.2, "bbbc039_u2os": 0.3}
CALM = 0.5  # strength of the augmentation at the end, nearer to what is met in use
CLASSES = ("background", "interior", "boundary")
CROP = 192
BATCH = 8
SEED = 20261122
HELD_OUT = 0.2
EMA = 0.998
MIN_SIZE = 32  # for the best mean F1 on training images: what is smaller is mostly dust
CHECKPOINTS = Path(".checkpoints")
WEIGHTS = Path(__file__).parents[1] / "src/napari_unet/weights"


@dataclass(frozen=True)
class Annotated:
    """One image (C, Y, X) float32, raw, and its instance labels (Y, X)."""

    set: str
    stem: str
    group: str
    image: Tensor
    labels: Tensor
    held_out: bool


def read_set(root: Path, name: str) -> list[Annotated]:
    folder = root / name
    groups = {}
    if (folder / "groups.csv").exists():
        with (folder / "groups.csv").open(newline="") as file:
            groups = {row["stem"]: row["group"] for row in csv.DictReader(file)}
    paths = sorted((folder / "images").glob("*.tif"))
    held_out = hold_out(name, {groups.get(path.stem, path.stem) for path in paths})
    found = []
    for path in paths:
        image = tifffile.imread(path).astype(np.float32)
        image = image[None] if image.ndim == 2 else np.moveaxis(image[..., :3], -1, 0)
        labels = tifffile.imread(folder / "masks" / path.name).astype(np.float32)
        group = groups.get(path.stem, path.stem)
        found.append(
            Annotated(
                name,
                path.stem,
                group,
                torch.from_numpy(np.ascontiguousarray(image)),
                torch.from_numpy(labels),
                group in held_out,
            )
        )
    return found


def hold_out(name: str, groups: set[str]) -> set[str]:
    """Return a fifth of the groups, the same ones every time."""
    ranked = sorted(
        groups, key=lambda g: hashlib.sha256(f"{name}/{g}".encode()).hexdigest()
    )
    return set(ranked[: round(HELD_OUT * len(ranked))])


# --- what one training crop looks like ---------------------------------------------


def grey(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Mix the channels of `image` (C, Y, X) with random weights: (Y, X)."""
    if image.shape[0] == 1:
        return image[0]
    weights = (0.299, 0.587, 0.114) if rng.random() < 0.5 else rng.dirichlet((1, 1, 1))
    return torch.einsum("c,cyx->yx", torch.tensor(weights, dtype=torch.float32), image)


def scaled(plane: Tensor, rng: np.random.Generator) -> Tensor:
    """Scale `plane` (Y, X) by its own percentiles, from a sample as in use."""
    flat = plane.flatten()
    pick = torch.from_numpy(rng.integers(0, flat.numel(), 20_000))
    found = Scaling().measure(flat[pick][None].numpy())
    return (plane - found.offset[0]) * found.gain[0]


def crop(
    item: Annotated, rng: np.random.Generator, strength: float
) -> tuple[Tensor, Tensor]:
    """Cut, turn, flip and zoom one crop: image and instances, (CROP, CROP) each."""
    plane = scaled(grey(item.image, rng), rng)
    height, width = plane.shape
    zoom = float(np.clip(np.exp(rng.normal(0, 0.35 * strength)), 0.5, 2.0))
    aspect = float(np.exp(rng.normal(0, 0.08)))
    angle = rng.uniform(0, 2 * math.pi)
    half = CROP / 2 / zoom  # of the window, in pixels of the image
    y, x = (
        rng.uniform(min(half, n / 2) * 0.9, n - min(half, n / 2) * 0.9)
        for n in (height, width)
    )
    flip = rng.choice((-1.0, 1.0))
    cos, sin = math.cos(angle) * half, math.sin(angle) * half
    theta = torch.tensor(
        [
            [flip * cos * aspect * 2 / width, -sin * 2 / width, 2 * x / width - 1],
            [flip * sin * aspect * 2 / height, cos * 2 / height, 2 * y / height - 1],
        ],
        dtype=torch.float32,
    )
    grid = F.affine_grid(theta[None], [1, 1, CROP, CROP], align_corners=False)
    if zoom < 0.8:  # samples lie apart: smooth first, or noise is folded in
        plane = gaussian(plane[None, None], 0.4 / zoom)[0, 0]
    image = F.grid_sample(
        plane[None, None], grid, padding_mode="reflection", align_corners=False
    )
    labels = F.grid_sample(
        item.labels[None, None],
        grid,
        mode="nearest",
        padding_mode="reflection",
        align_corners=False,
    )
    return image[0, 0], labels[0, 0]


def gaussian(image: Tensor, sigma: float) -> Tensor:
    """Blur (N, 1, Y, X) by a Gaussian of `sigma` pixels."""
    radius = max(1, math.ceil(3 * sigma))
    at = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-(at**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    image = F.pad(image, (radius,) * 4, mode="replicate")
    image = F.conv2d(image, kernel[None, None, :, None])
    return F.conv2d(image, kernel[None, None, None, :])


def field(rng: np.random.Generator, sigma: float) -> Tensor:
    """Return a smooth random field (CROP, CROP) of standard deviation about `sigma`."""
    coarse = torch.from_numpy(rng.normal(0, sigma, (1, 1, 4, 4)).astype(np.float32))
    return F.interpolate(coarse, (CROP, CROP), mode="bicubic", align_corners=True)[0, 0]


def disturb(image: Tensor, rng: np.random.Generator, strength: float) -> Tensor:
    """Make `image` (CROP, CROP) look as if another microscope had taken it."""

    def happens(probability: float) -> bool:
        return bool(rng.random() < probability * strength)

    if happens(0.5):
        image = image.clamp(0, 1.5) ** float(np.exp(rng.normal(0, 0.4)))
    if happens(0.2):
        image = 1 - image
    if happens(0.35):
        image = image * torch.exp(field(rng, 0.3))
    if happens(0.25):
        image = image + field(rng, 0.15)
    if happens(0.3):
        image = gaussian(image[None, None], rng.uniform(0.5, 2.0))[0, 0]
    if happens(0.4):
        sigma = float(np.exp(rng.uniform(math.log(0.01), math.log(0.15))))
        noise = torch.from_numpy(rng.normal(0, sigma, image.shape).astype(np.float32))
        shot = image.clamp(0.05, 1).sqrt() if rng.random() < 0.5 else 1.0
        image = image + noise * shot
    if happens(0.7):
        image = image * float(np.exp(rng.normal(0, 0.2))) + rng.normal(0, 0.08)
    return image.clamp(-1, 4)


def targets(labels: Tensor, rim: float) -> tuple[Tensor, Tensor]:
    """Return classes (N, Y, X) int64 and loss weights for instances (N, Y, X).

    Boundary: the outermost pixel of every object; two pixels where objects touch.
    """
    x = labels[:, None]
    inside = x > 0
    high = F.max_pool2d(x, 3, 1, 1)
    low = -F.max_pool2d(-x, 3, 1, 1)
    edge = inside & ((high != x) | (low != x))
    far = torch.where(inside, x, torch.full_like(x, 1e6))
    touching = F.max_pool2d(x, 5, 1, 2) != -F.max_pool2d(-far, 5, 1, 2)
    edge |= inside & touching
    classes = torch.where(edge, 2, torch.where(inside, 1, 0))[:, 0]
    weights = 1.0 + rim * edge + 2.0 * (edge & touching)
    return classes, weights[:, 0]


def loss_of(logits: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Weighted cross-entropy plus soft Dice of interior and boundary."""
    entropy = F.cross_entropy(logits, classes, reduction="none")
    p = logits.softmax(1)[:, 1:]
    truth = F.one_hot(classes, len(CLASSES)).movedim(-1, 1)[:, 1:].float()
    both = (p * truth).sum((0, 2, 3))
    dice = (2 * both + 1) / (p.sum((0, 2, 3)) + truth.sum((0, 2, 3)) + 1)
    return (entropy * weights).sum() / weights.sum() + 0.5 * (1 - dice).mean()


# --- the loop ----------------------------------------------------------------------


class Sampler:
    """Draws crops; step `n` is the same for every run with the same seed."""

    def __init__(
        self, items: list[Annotated], shares: dict[str, float], strength: float
    ) -> None:
        self.items, self.strength = items, strength
        counts: dict[tuple[str, str], int] = {}
        for item in items:
            key = item.set, item.group
            counts[key] = counts.get(key, 0) + 1
        weights = np.array([counts[i.set, i.group] ** -0.5 for i in items])
        sets = np.array([i.set for i in items])
        for name, share in shares.items():
            weights[sets == name] *= share / weights[sets == name].sum()
        self.weights = weights / weights.sum()

    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        rng = np.random.default_rng((SEED, step))
        images, labels = [], []
        for index in rng.choice(len(self.items), BATCH, p=self.weights):
            image, instances = crop(self.items[index], rng, self.strength)
            images.append(disturb(image, rng, self.strength))
            labels.append(instances)
        classes, weights = targets(torch.stack(labels), rim=self.strength)
        return torch.stack(images)[:, None], classes, weights


def rate(step: int, steps: int, calm: int) -> float:
    """Return the learning rate: two cosines, the second from half the height."""
    if step < steps:
        peak, at, warm = 2e-3, step / steps, (step + 1) / 100
    else:
        peak, at, warm = 1e-3, (step - steps) / calm, (step - steps + 1) / 50
    return peak * min(1.0, warm) * (0.5 + 0.5 * math.cos(math.pi * at)) + 1e-6


def train(
    root: Path, steps: int, calm: int, width: int, device: str, name: str
) -> None:
    items = [i for s in SETS for i in read_set(root, s) if not i.held_out]
    print(f"{len(items)} images to learn from", flush=True)
    samplers = Sampler(items, SETS, 1.0), Sampler(items, CALM_SETS, CALM)
    torch.manual_seed(SEED)
    net = UNet(UNetSpec(1, CLASSES, width)).to(
        device, memory_format=torch.channels_last
    )
    mean = {k: v.clone() for k, v in net.state_dict().items()}
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=1e-2)
    path = CHECKPOINTS / f"{name}.pt"
    step, seconds = 0, 0.0
    if path.exists():  # our own file, of tensors and numbers only
        state = torch.load(path, weights_only=True, map_location=device)
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        mean, step, seconds = state["mean"], state["step"], state["seconds"]
    half = fast_dtype(torch.device(device)) == torch.bfloat16
    recent: list[float] = []
    began = time.monotonic()
    while step < steps + calm:
        batch = samplers[step >= steps].batch(step)
        images, classes, weights = (t.to(device) for t in batch)
        images = images.contiguous(memory_format=torch.channels_last)
        for group in optimiser.param_groups:
            group["lr"] = rate(step, steps, calm)
        with torch.autocast(device, torch.bfloat16, enabled=half):
            logits = net(images)
        loss = loss_of(logits.float(), classes, weights)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        decay = min(EMA, (step + 1) / (step + 10))
        for key, value in net.state_dict().items():
            if value.is_floating_point():
                mean[key].lerp_(value, 1 - decay)
            else:
                mean[key].copy_(value)
        recent.append(loss.item())
        step += 1
        if step % 50 == 0 or step == steps + calm:
            spent = seconds + time.monotonic() - began
            state = {"net": net.state_dict(), "mean": mean, "step": step}
            state |= {"optimiser": optimiser.state_dict(), "seconds": spent}
            CHECKPOINTS.mkdir(exist_ok=True)
            torch.save(state | {"width": width}, path.with_suffix(".part"))
            os.replace(path.with_suffix(".part"), path)
            print(f"{step} loss {np.mean(recent):.4f} {spent:.0f} s", flush=True)
            recent.clear()


# --- how good it is ----------------------------------------------------------------


def network(name: str) -> tuple[Model, dict[str, float]]:
    """Return the averaged weights of a checkpoint, and how they were made."""
    state = torch.load(CHECKPOINTS / f"{name}.pt", weights_only=True)
    net = UNet(UNetSpec(1, CLASSES, state["width"]))
    net.load_state_dict(state["mean"])
    about = {"steps": state["step"], "minutes": round(state["seconds"] / 60)}
    return Model(net.eval(), Scaling(), {}, name), about


def ours(model: Model, path: Path) -> NDArray[np.int32]:
    """Segment as a user would: objects, everything at its default."""
    options = SegmentOptions(output="objects")
    return np.asarray(Verb(segment(model, open_image(path), options)).finish().labels)


def classical(path: Path) -> NDArray[np.int32]:
    """Otsu's threshold and a watershed of the distance transform."""
    image = tifffile.imread(path).astype(np.float32)
    if image.ndim == 3:
        image = image[..., :3] @ np.array((0.299, 0.587, 0.114), np.float32)
    image = filters.gaussian(image, 1)
    bright = image > filters.threshold_otsu(image)
    if bright.mean() > 0.5:  # dark nuclei
        bright = ~bright
    distance = ndimage.distance_transform_edt(bright)
    peaks = feature.peak_local_max(
        ndimage.gaussian_filter(distance, 1), min_distance=5, labels=bright
    )
    seeds = np.zeros(image.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return np.asarray(watershed(-distance, seeds, mask=bright))


def means(rows: list[tuple[float, float, float]]) -> dict[str, float]:
    """Return the mean of every figure, and of how many images it is one."""
    values = np.mean(rows, axis=0).round(3).tolist()
    return dict(zip(("dice", "f1", "ap"), values, strict=True)) | {"images": len(rows)}


def evaluate(root: Path, model: Model) -> dict[str, dict[str, dict[str, float]]]:
    """Return mean figures per set and method on the held-out images."""
    methods = {"ours": lambda path: ours(model, path), "classical": classical}
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for name in SETS:
        items = [item for item in read_set(root, name) if item.held_out]
        rows: dict[str, list[tuple[float, float, float]]] = {m: [] for m in methods}
        for item in items:
            path = root / name / "images" / f"{item.stem}.tif"
            truth = item.labels.numpy().astype(np.int32)
            for method, find in methods.items():
                found = find(path)
                row = dice(truth, found), f1(truth, found)
                rows[method].append((*row, average_precision(truth, found)))
        figures[name] = {method: means(values) for method, values in rows.items()}
        print(name, figures[name], flush=True)
    return figures


def diameter(root: Path) -> float:
    """Return the median diameter of a circle of an object's area, in pixels."""
    medians = []
    for item in (item for name in SETS for item in read_set(root, name)):
        areas = np.bincount(item.labels.numpy().astype(np.int64).ravel())[1:]
        if areas.any():
            medians.append(np.median(np.sqrt(4 / np.pi * areas[areas > 0])))
    return round(float(np.median(medians)), 1)


# --- what ships --------------------------------------------------------------------


def row(entry: tuple[str, dict[str, dict[str, float]]]) -> str:
    """Return a set's figures, ours and the classical ones, as a row of the card."""
    name, figures = entry
    values = [figures[m][k] for m in figures for k in ("dice", "f1", "ap")]
    cells = [name, str(figures["ours"]["images"]), *(f"{v:.3f}" for v in values)]
    return f"| {' | '.join(cells)} |"


def export(root: Path, name: str) -> None:
    """Write the weights and their card into the package."""
    model, about = network(name)
    model = replace(model, card={"min_size": MIN_SIZE})
    figures = evaluate(root, model)
    images = sum(not i.held_out for s in SETS for i in read_set(root, s))
    card = {
        "data": "BBBC038v1 (DSB2018) and BBBC039v1",
        "licence": "BSD-3-Clause; data CC0 1.0",
        "diameter": diameter(root),
        "min_size": MIN_SIZE,
        "figures": {s: f["ours"] for s, f in figures.items()},
        "history": [f"tools/train_nuclei.py, seed {SEED}, {about['steps']} steps"],
    }
    target = WEIGHTS / "nuclei.safetensors"
    save(Model(model.net, model.scaling, card, "nuclei"), target)
    table = "\n".join(map(row, figures.items()))
    text = (
        (Path(__file__).parent / "nuclei_card.md")
        .read_text()
        .format(
            width=model.spec.width,
            images=images,
            diameter=card["diameter"],
            min_size=MIN_SIZE,
            hardware="one CPU core with bfloat16",
            seed=SEED,
            sha256=load(target).checksum(),
            table=table,
            **about,
        )
    )
    target.with_suffix(".md").write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("verb", choices=("train", "evaluate", "export"))
    parser.add_argument("data", type=Path)
    parser.add_argument("model", nargs="?", help="for evaluate: a name or a file")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--calm", type=int, default=4000, help="more, gentler steps")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--name", default="nuclei", help="of the checkpoint")
    args = parser.parse_args()
    if args.verb == "train":
        train(args.data, args.steps, args.calm, args.width, args.device, args.name)
    elif args.verb == "evaluate":
        evaluate(args.data, load(args.model) if args.model else network(args.name)[0])
    else:
        export(args.data, args.name)


if __name__ == "__main__":
    main()
