"""How many strokes does it take? A simulated annotator paints, models learn.

    python benchmarks/annotation.py DATASET_DIR [--method improve|forest|naive|dense]
        [--protocol classes|mistakes] [--same-strokes]
        [--seconds S]                                   a round, or all of `dense`
    python benchmarks/annotation.py all DATA --out DIR      sets x methods x seeds
    python benchmarks/annotation.py table DIR               what `all` has found so far
    python benchmarks/annotation.py plot DIR                DIR/annotation.png of it

DATASET_DIR holds images/ and masks/ with TIFFs of equal names; uint16 masks are
instances (foreground is anything above 0), uint8 masks are classes, and 255 is nobody
knows. The first strokes show every class, or correct mistakes from the beginning
(--protocol). In a round, the annotator (see annotator.py) takes the next image and
corrects what the model makes of it; the model learns from all strokes so far; then it
is tested on other images, whose pixels are never used to train, choose or stop.
Obedience is the share of all painted pixels that the model is right about.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from annotator import Classes, Pair, dice, draw, read, show
from matplotlib.figure import Figure
from numpy.typing import NDArray
from skimage.feature import multiscale_basic_features
from sklearn.ensemble import RandomForestClassifier
from torch.nn import functional as F

from napari_unet._steps import Steps
from napari_unet.io.image import Image
from napari_unet.network.model import Model, load
from napari_unet.network.threads import spare_cores
from napari_unet.network.transfer import new_model
from napari_unet.options import (
    DEFAULT_MODEL,
    START_MODEL,
    SegmentOptions,
    TrainOptions,
)
from napari_unet.project.corrections import FOREGROUND, IGNORE, Correction
from napari_unet.segmentation.predict import segment
from napari_unet.training.augment import PatchSampler
from napari_unet.training.examples import read_examples
from napari_unet.training.fine_tune import fine_tune

SETS = (
    "phc_u373",
    "isbi2012_em",
    "dsb2018_histology",
    "wbc_jtsc",
    "bbbc030_dic_cho",
)
UNSEEN = (  # by whoever chose the recipe
    "ecoli_phase_trpl",
    "vnc_sstem_3d",
    "ovule_cells_3d",
    "camvid_rgb",
    "sem_superalloy",
    "sem_coating",
    "particles_em",
)
METHODS = "improve", "forest", "naive", "dense"
PROTOCOLS = "classes", "mistakes"
SECONDS = 20.0  # of compute in a round
NAIVE = 12.0
DENSE = 600.0  # in all, where the whole masks are given

Score = Callable[[Callable[[Image], Classes]], float]


def labels(model: Model, image: Image, device: str = "cpu") -> Classes:
    """Return the classes that `model` finds, as the plugin finds them."""
    options = SegmentOptions(output="classes", device=device)
    found = np.asarray(Steps(segment(model, image, options)).finish().labels)
    return np.minimum(found, 1) if model.spec.boundary else found


@dataclass
class Round:
    """What a method made of the strokes so far; `judging` is no part of its work."""

    first_s: float | None = None
    first_dice: float | None = None
    published: bool = True
    judging: float = 0.0


class Method(Protocol):
    """What learns from strokes."""

    def predict(self, image: Image) -> Classes: ...
    def learn(self, corrections: list[Correction]) -> Round: ...


class Improve:
    """The plugin's own recipe, as the dock and the command line run it."""

    def __init__(self, model: Model, score: Score, options: TrainOptions) -> None:
        self.model, self.score, self.options = model, score, options
        self.device = options.device

    def predict(self, image: Image) -> Classes:
        return labels(self.model, image, self.device)

    def learn(self, corrections: list[Correction]) -> Round:
        job = fine_tune(self.model, corrections, self.options)
        event = next(job)
        first, seconds = event.model or self.model, event.seconds
        trained = Steps(job).finish()
        self.model = trained.model
        began = time.perf_counter()
        quick = self.score(lambda image: labels(first, image, self.device))
        judging = time.perf_counter() - began
        return Round(round(seconds, 2), quick, trained.published, judging)


class Forest:
    """A random forest on multi-scale filters, as ilastik and its kin have it."""

    def __init__(self, model: Model, seed: int) -> None:
        self.start, self.seed = model, seed
        self.forest: RandomForestClassifier | None = None
        self.seen: dict[str, NDArray[np.float32]] = {}

    def features(self, image: Image) -> NDArray[np.float32]:
        if image.name not in self.seen:
            found = multiscale_basic_features(
                np.asarray(image.data, np.float32),
                sigma_min=1,
                sigma_max=16,
                channel_axis=-1 if image.rgb else None,
            )
            self.seen[image.name] = found.astype(np.float32)
        return self.seen[image.name]

    def predict(self, image: Image) -> Classes:
        if self.forest is None:
            return labels(self.start, image)
        features = self.features(image)
        found = self.forest.predict(features.reshape(-1, features.shape[-1]))
        return found.astype(np.uint8).reshape(features.shape[:2])

    def learn(self, corrections: list[Correction]) -> Round:
        x = [self.features(c.image)[c.reviewed] for c in corrections]
        y = [c.target[c.reviewed] for c in corrections]
        forest = RandomForestClassifier(100, random_state=self.seed)
        self.forest = forest.fit(np.concatenate(x), np.concatenate(y))
        return Round()


class Naive:
    """The straightforward fine-tune: AdamW, balanced cross-entropy on the strokes."""

    def __init__(self, model: Model, seed: int) -> None:
        self.model, self.seed = model, seed

    def predict(self, image: Image) -> Classes:
        return labels(self.model, image)

    def learn(self, corrections: list[Correction]) -> Round:
        began = time.perf_counter()
        net = self.model.net.requires_grad_(True).eval()
        examples = read_examples(self.model, corrections)
        patches = PatchSampler(examples, 192, self.seed, (4, 0))
        optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
        k = len(net.spec.classes)
        while time.perf_counter() - began < NAIVE:
            image, target, _ = patches.batch()
            with torch.autocast("cpu", torch.bfloat16):
                logits = net(image)
            target = target.long()
            counts = torch.bincount(target[target != IGNORE], minlength=k)
            loss = F.cross_entropy(
                logits.float(),
                target,
                weight=1 / counts.clamp_min(1).float(),
                ignore_index=IGNORE,
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        net.requires_grad_(False)
        return Round()


def run(
    folder: Path,
    method: str,
    *,
    rounds: int,
    strokes: int,
    seed: int,
    start: str,
    device: str = "cpu",
    protocol: str = "classes",
    same_strokes: bool = False,
    itself: bool = False,
    seconds: float | None = None,
) -> dict[str, Any]:
    """Let the annotator and one method work together; return what was reached.

    `device` is that of `improve`; the others are measured on the processor. A forest
    learns from the `same_strokes` beside it, if that is asked for. `seconds` is how
    long `improve` learns in a round, or `dense` in all. `itself`: the start model is
    improved, instead of a new one that begins with it.
    """
    train, test, classes = read(folder, seed)
    names = "background", *(f"class {i}" for i in range(1, classes))
    model = load(start)
    if not itself:
        model = new_model(model, names, channels=3 if train[0].image.rgb else 1)

    def score(predict: Callable[[Image], Classes]) -> float:
        values = [dice(predict(p.image), p.truth, classes) for p in test]
        return round(float(np.mean(values)), 4)

    about = {"dataset": folder.name, "method": method, "seed": seed}
    about |= {"protocol": protocol}
    about["start_dice"] = score(lambda image: labels(model, image))
    if method == "dense":
        return about | {"rounds": [_dense(model, train, seed, score, seconds or DENSE)]}
    options = TrainOptions(seconds=seconds or SECONDS, seed=seed, device=device)
    learner: Method = {
        "improve": lambda: Improve(model, score, options),
        "forest": lambda: Forest(model, seed),
        "naive": lambda: Naive(model, seed),
    }[method]()
    targets = [np.full(p.truth.shape, IGNORE, np.uint8) for p in train]
    rng = np.random.default_rng(seed)
    peer = Forest(model, seed) if same_strokes else None
    done, found = 0, []
    for number in range(rounds):
        pair, target = train[number % len(train)], targets[number % len(train)]
        shown, showing = 0, 0.0
        if number == 0 and protocol == "classes":
            shown, showing = show(pair.truth, target)
        seen = learner.predict(pair.image)
        new, painting = draw(seen, pair.truth, target, strokes - shown, rng)
        done += shown + new
        corrections = _corrections(train, targets, FOREGROUND if itself else 1)
        began = time.perf_counter()
        result = learner.learn(corrections)
        taken = time.perf_counter() - began
        row = {
            "strokes": done,
            "pixels": sum(int(c.reviewed.sum()) for c in corrections),
        }
        row |= {
            "annotation_s": round(showing + painting, 2),
            "compute_s": round(taken - result.judging, 2),
        }
        row |= {"first_s": result.first_s, "first_dice": result.first_dice}
        row |= {"dice": score(learner.predict), "published": result.published}
        row |= _on_annotated(learner, train, targets, classes)
        if peer is not None:
            peer.learn(corrections)
            row["forest_dice"] = score(peer.predict)
        found.append(row)
        print(folder.name, method, seed, row, flush=True)
    return about | {"rounds": found}


def _on_annotated(
    learner: Method, train: list[Pair], targets: list[Classes], classes: int
) -> dict[str, float]:
    """Return what people see: painted pixels that are obeyed, Dice beside them."""
    good = total = 0
    values = []
    for pair, target in zip(train, targets, strict=True):
        painted = target != IGNORE
        if painted.any():
            labelled = learner.predict(pair.image)
            good += int((labelled == target)[painted].sum())
            total += int(painted.sum())
            values.append(dice(labelled, pair.truth, classes))
    return {
        "obedience": round(good / total, 4),
        "annotated_dice": round(float(np.mean(values)), 4),
    }


def _corrections(
    train: list[Pair], targets: list[Classes], one: int = 1
) -> list[Correction]:
    """Return what was painted; class 1 is written as `one`."""
    return [
        Correction(pair.image, np.where(target == 1, one, target).astype(np.uint8))
        for pair, target in zip(train, targets, strict=True)
        if (target != IGNORE).any()
    ]


def _dense(
    model: Model, train: list[Pair], seed: int, score: Score, seconds: float
) -> dict[str, Any]:
    began = time.perf_counter()
    corrections = _corrections(train, [p.truth for p in train])
    options = TrainOptions(seconds=seconds, seed=seed, device="cpu")
    trained = Steps(fine_tune(model, corrections, options)).finish()
    return {
        "strokes": 0,
        "pixels": sum(c.target.size for c in corrections),
        "annotation_s": None,
        "compute_s": round(time.perf_counter() - began, 1),
        "first_s": None,
        "first_dice": None,
        "dice": score(lambda image: labels(trained.model, image)),
        "published": trained.published,
        "steps": trained.steps,
        "held_out": [trained.score_before, trained.score_after],
    }


# --- many runs, and what they say --------------------------------------------------


def run_all(
    data: Path,
    out: Path,
    sets: list[str],
    methods: list[str],
    seeds: list[int],
    options: dict[str, Any],
) -> None:
    """Run sets x methods x seeds; what is there already is not run again."""
    out.mkdir(parents=True, exist_ok=True)
    for method in methods:
        for seed in seeds if method != "dense" else seeds[:1]:
            for name in sets:
                path = out / f"{name}-{method}-{seed}.json"
                if not path.exists():
                    found = run(data / name, method, seed=seed, **options)
                    part = path.with_suffix(".part")
                    part.write_text(json.dumps(found))
                    os.replace(part, path)


def fall(found: dict[str, Any]) -> float:
    """Return the deepest fall below the best earlier round, the start included."""
    scores = [found["start_dice"], *(r["dice"] for r in found["rounds"])]
    best = np.maximum.accumulate(scores)
    return round(float((best - scores).max()), 3)


def table(out: Path) -> str:
    """Return the runs in a folder as a Markdown table."""
    head = "set | method | seed | start | 8 | 16 | 32 | 64 strokes | mean of rounds"
    lines = [f"| {head} | fall | obedience: median, least |"]
    lines.append("|---" * 11 + "|")
    for path in sorted(out.glob("*.json")):
        found = json.loads(path.read_text())
        scores = [r["dice"] for r in found["rounds"]]
        cells = [found["dataset"], found["method"], found["seed"], found["start_dice"]]
        if len(scores) > 7:
            obeyed = [r["obedience"] for r in found["rounds"]]
            cells += [scores[i] for i in (0, 1, 3, 7)]
            cells += [round(float(np.mean(scores)), 3), fall(found)]
            cells.append(f"{np.median(obeyed):.3f}, {min(obeyed):.3f}")
        else:
            cells += ["", "", "", scores[-1], "", "", ""]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def plot(out: Path) -> Path:
    """Draw Dice against annotation seconds, a panel for each set, into a PNG."""
    runs = [json.loads(path.read_text()) for path in sorted(out.glob("*.json"))]
    names = sorted({run["dataset"] for run in runs})
    figure = Figure((4 * len(names), 4), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for run in runs:
        panel, method = panels[names.index(run["dataset"])], run["method"]
        scores = [run["start_dice"], *(r["dice"] for r in run["rounds"])]
        colour = f"C{METHODS.index(method)}"
        if method == "dense":
            panel.axhline(scores[-1], color=colour, linestyle=":", label=method)
        else:
            painting = np.cumsum([0, *(r["annotation_s"] for r in run["rounds"])])
            panel.plot(painting, scores, color=colour, marker=".", label=method)
    for panel, name in zip(panels, names, strict=True):
        panel.set(title=name, xlabel="annotation, s", ylim=(0, 1))
        lines, said = panel.get_legend_handles_labels()
        once = dict(zip(said, lines, strict=True))  # one entry for all seeds
        panel.legend(once.values(), once.keys(), loc="lower right")
    panels[0].set_ylabel("mean Dice on unseen images")
    path = out / "annotation.png"
    figure.savefig(path, dpi=100)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", help="a data set's folder, or all, table or plot")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--method", choices=METHODS, default="improve")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--strokes", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", help="model: default general, with --itself nuclei")
    parser.add_argument("--seconds", type=float, help="a round, or all of `dense`")
    parser.add_argument("--device", default="cpu", help="on which `improve` works")
    parser.add_argument("--out", type=Path, default=Path("annotation-results"))
    parser.add_argument("--sets", nargs="+", choices=SETS + UNSEEN, default=SETS)
    parser.add_argument("--protocol", choices=PROTOCOLS, default="classes")
    parser.add_argument(
        "--same-strokes",
        action="store_true",
        help="let a forest learn from the same strokes beside the method",
    )
    parser.add_argument(
        "--itself", action="store_true", help="improve --start, begin no new model"
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    spare_cores()
    start = args.start or (DEFAULT_MODEL if args.itself else START_MODEL)
    options = {"rounds": args.rounds, "strokes": args.strokes, "start": start}
    options |= {"device": args.device, "protocol": args.protocol}
    options |= {"same_strokes": args.same_strokes, "seconds": args.seconds}
    options |= {"itself": args.itself}
    if args.what == "all":
        every = args.sets, args.methods, args.seeds
        run_all(args.folder, args.out, *every, options)
    elif args.what == "table":
        print(table(args.folder))
    elif args.what == "plot":
        print(plot(args.folder))
    else:
        found = run(Path(args.what), args.method, seed=args.seed, **options)
        print(json.dumps(found))
        if args.json:
            args.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
