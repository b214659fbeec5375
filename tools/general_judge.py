"""Compare starts after eight strokes under one ridge head, on real annotated images.

    PYTHONPATH=benchmarks python tools/general_judge.py DATA --sets NAME...
        --starts MODEL... [--seeds N...]

A start is a model's name or file, ``random`` (weights) or ``filters`` (no net); with
``@3`` behind it, the three finest levels of its features are read, not one. Strokes are
the same for all: one of every class, then through the largest regions of the classes in
turn. Dice is that of 20,000 pixels of each of eight unseen images; it is given for
several strengths of the ridge, one of which is to be chosen on other sets.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import annotator
import numpy as np
import torch
from general_head import answer, fit, read, standard

from napari_unet.network.model import Model, load
from napari_unet.network.transfer import new_model
from napari_unet.network.unet import UNet
from napari_unet.project.corrections import IGNORE

SIDE, PIXELS, STROKES = 512, 20_000, 8
RIDGES = 0.1, 0.3, 1.0, 3.0, 10.0, 30.0


def scaled(model: Model, pair: annotator.Pair) -> torch.Tensor:
    """Return an image (C, Y, X) as a model sees it; its sides are cut to 16s."""
    raw = np.asarray(pair.image.data)
    raw = raw[None] if raw.ndim == 2 else np.moveaxis(raw, -1, 0)
    found = model.scaling.measure(raw.reshape(len(raw), -1)).apply(raw)
    y, x = (n // 16 * 16 for n in found.shape[1:])
    return torch.from_numpy(found[:, :y, :x].copy())


def painted(truth: annotator.Classes, seed: int) -> annotator.Classes:
    """Return eight strokes on a bare image."""
    target = np.full_like(truth, IGNORE)
    shown, _ = annotator.show(truth, target)
    nothing = np.full_like(truth, IGNORE)
    random = np.random.default_rng(seed)
    annotator.draw(nothing, truth, target, STROKES - shown, random)
    return target


def start(name: str, channels: int) -> tuple[Model, int]:
    """Return a model, and how many levels of its features are read."""
    name, _, deep = name.partition("@")
    model = load("general" if name in ("random", "filters") else name)
    if name == "random":
        torch.manual_seed(0)
        model = Model(UNet(model.spec).eval(), model.scaling, {}, "random")
    model = new_model(model, ("background", "other"), channels=channels)
    return model, 0 if name == "filters" else int(deep or 1)


@torch.no_grad()
def judge(folder: Path, seed: int, name: str) -> list[float]:
    """Return the mean Dice of a start, for each strength of the ridge."""
    train, tests, classes = annotator.read(folder, seed)
    pair = middle(train[0])
    model, deep = start(name, 3 if pair.image.rgb else 1)
    image = scaled(model, pair)
    target = painted(pair.truth[: image.shape[1], : image.shape[2]], seed)
    random = np.random.default_rng(seed)
    some = somewhere(image, random)
    mean, spread = standard(torch.cat(read(model.net, image, *some, deep), 1))
    rows, columns = map(torch.from_numpy, np.nonzero(target != IGNORE))
    seen = torch.cat(read(model.net, image, rows, columns, deep), 1)
    aim = torch.from_numpy(target).long()[rows, columns]
    heads = [fit((seen - mean) / spread, aim, classes, ridge) for ridge in RIDGES]
    scores = []
    for other in map(middle, tests):
        plane = scaled(model, other)
        at = somewhere(plane, random)
        found = torch.cat(read(model.net, plane, *at, deep), 1)
        found = (found - mean) / spread
        true = other.truth[at[0].numpy(), at[1].numpy()]
        said = [answer(found, head).argmax(1).numpy() for head in heads]
        scores.append([annotator.dice(s, true, classes) for s in said])
    return [float(v) for v in np.mean(scores, 0)]


def middle(pair: annotator.Pair) -> annotator.Pair:
    """Return the middle of an image: what is large takes too long."""
    y, x = (max(n - SIDE, 0) // 2 for n in pair.truth.shape)
    cut = slice(y, y + SIDE), slice(x, x + SIDE)
    data = np.asarray(pair.image.data)[cut]
    return annotator.Pair(replace(pair.image, data=data, levels=()), pair.truth[cut])


def somewhere(plane: torch.Tensor, random: np.random.Generator) -> list[torch.Tensor]:
    """Return rows and columns of pixels of an image (C, Y, X)."""
    sides = plane.shape[1:]
    return [torch.from_numpy(random.integers(n, size=PIXELS)) for n in sides]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", required=True)
    parser.add_argument("--starts", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    args = parser.parse_args()
    print("set, seed, start; Dice with ridge", *RIDGES)
    for name in args.starts:
        every = []
        for folder in args.sets:
            for seed in args.seeds:
                every.append(judge(args.data / folder, seed, name))
                print(folder, seed, name, *(f"{v:.3f}" for v in every[-1]), flush=True)
        print("mean", name, *(f"{v:.3f}" for v in np.mean(every, 0)), flush=True)


if __name__ == "__main__":
    main()
