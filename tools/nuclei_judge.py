"""How good a model finds nuclei: objects pooled over images, and where it errs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from nuclei_data import SETS, Annotated, read_set
from numpy.typing import NDArray
from scipy import ndimage
from skimage import feature, filters
from skimage.segmentation import watershed

import napari_unet as nu
from napari_unet.labels.metrics import THRESHOLDS, Match, dice, matches
from napari_unet.network.model import Model

__all__ = ["Figures", "blanks", "classical", "evaluate", "invented", "judge", "table"]

Labels = NDArray[np.int32]
Find = Callable[[Path], Labels]

SEED = 20261130
UNSEEN = 0.1  # share of a missed object that something must cover, or nobody saw it


@dataclass(frozen=True)
class Figures:
    """What became of the objects of some images; figures add up.

    Attributes
    ----------
    images, dice
        How many images, and the sum of their Dice scores.
    found
        Matches at each of `THRESHOLDS`, pooled over all objects.
    merged, unseen
        Of the objects that have no match at IoU 0.5: those that one found object holds
        together with another (more than half of each), and those that hardly anything
        covers. The others have a wrong outline, or lie in pieces.
    """

    images: int
    dice: float
    found: tuple[Match, ...]
    merged: int
    unseen: int

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            self.images + other.images,
            self.dice + other.dice,
            tuple(a + b for a, b in zip(self.found, other.found, strict=True)),
            self.merged + other.merged,
            self.unseen + other.unseen,
        )

    @property
    def f1(self) -> float:
        """F1 at IoU 0.5."""
        return self.found[0].f1

    @property
    def ap(self) -> float:
        """The ratio tp / (tp + fp + fn), mean over IoU 0.5 to 0.95."""
        return sum(match.average_precision for match in self.found) / len(self.found)

    def summary(self) -> dict[str, float]:
        """Return what the card of a model says."""
        shares = {"dice": self.dice / self.images, "f1": self.f1, "ap": self.ap}
        return {k: round(v, 3) for k, v in shares.items()} | {"images": self.images}


def judge(truth: Labels, labels: Labels) -> Figures:
    """Return the figures of one image; `truth` and `labels` are (Y, X)."""
    found = tuple(matches(truth, labels, THRESHOLDS))
    n, m = int(truth.max(initial=0)) + 1, int(labels.max(initial=0)) + 1
    pairs = truth.ravel().astype(np.int64) * m + labels.ravel()
    shared = np.bincount(pairs, minlength=n * m).reshape(n, m)
    there, area = shared.sum(1, keepdims=True), shared.sum(0, keepdims=True)
    iou = (shared / np.maximum(there + area - shared, 1))[1:, 1:]
    missed = (there[1:, 0] > 0) & (iou.max(1, initial=0) <= THRESHOLDS[0])
    most = (2 * shared > there)[1:, 1:]  # of a true object lies in a found one
    together = (most & (most.sum(0) > 1)).any(1)
    covered = shared[1:, 1:].sum(1) > UNSEEN * there[1:, 0]
    merged, unseen = int((missed & together).sum()), int((missed & ~covered).sum())
    return Figures(1, dice(truth, labels), found, merged, unseen)


def evaluate(root: Path, model: Model) -> dict[str, dict[str, Figures]]:
    """Return the figures of a model, and of a classical method, by part."""
    methods = {model.name: ours(model), "Otsu": classical}
    return {name: figures_of(root, find) for name, find in methods.items()}


def ours(model: Model) -> Find:
    """Return what segments a file as a user would, everything at its default."""
    return lambda path: np.asarray(nu.segment(model, path, output="objects").labels)


def classical(path: Path) -> Labels:
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


def parts(root: Path) -> Iterator[tuple[str, list[Annotated]]]:
    """Go through the images that are held out: each set, and parts of the first."""
    rare = []
    for name in SETS:
        items = [item for item in read_set(root, name) if item.fold != "learn"]
        rare += [item for item in items if item.fold == "rare"]
        usual = [item for item in items if item.fold == "held out"]
        yield name, usual
        if name == SETS[0]:
            yield f"{name}, fluorescence", [item for item in usual if item.fluorescent]
    yield "kinds not among these", rare


def figures_of(root: Path, find: Find) -> dict[str, Figures]:
    """Return the figures of what `find` makes of each part of the held-out images."""
    known: dict[Path, Figures] = {}
    figures = {}
    for name, items in parts(root):
        for item in items:
            if item.path not in known:
                known[item.path] = judge(item.truth, find(item.path))
        if items:
            first, *others = (known[item.path] for item in items)
            figures[name] = sum(others, first)
    return figures


# --- nothing to be found ------------------------------------------------------------


def blanks(size: int = 512) -> Iterator[tuple[str, NDArray[np.uint16]]]:
    """Go through images (size, size) in which there is no nucleus, and their names."""
    rng = np.random.default_rng(SEED)
    flat = np.full((size, size), 100.0)
    y, x = np.mgrid[:size, :size] / size
    vignette = 100 + 200 * np.exp(-4 * ((y - 0.5) ** 2 + (x - 0.5) ** 2))
    haze = ndimage.gaussian_filter(rng.normal(0, 1, flat.shape), size / 10)
    noise = rng.normal(0, 1, (3, *flat.shape))
    soft = [ndimage.gaussian_filter(noise[1], sigma) for sigma in (1, 2)]
    pictures = {
        "empty": flat,
        "read noise": flat + 4 * noise[0],
        "shot noise": rng.poisson(3, flat.shape) + flat,
        "shot noise, bright": 10.0 * rng.poisson(40, flat.shape),
        "smooth noise, 1 px": flat + 10 * soft[0] / soft[0].std(),
        "smooth noise, 2 px": flat + 10 * soft[1] / soft[1].std(),
        "gradient": 100 + 400 * x,
        "gradient, noise": 100 + 100 * y + 10 * noise[2],
        "vignette, noise": vignette + 5 * noise[0],
        "haze, noise": 200 + 50 * haze / haze.std() + 5 * noise[2],
    }
    for name, picture in pictures.items():
        yield name, np.clip(picture.round(), 0, 65535).astype(np.uint16)


def invented(model: Model) -> dict[str, int]:
    """Return how many objects a model finds in each image that has none."""
    return {
        name: nu.segment(model, image, output="objects").objects or 0
        for name, image in blanks()
    }


# --- in words ------------------------------------------------------------------------

HEADER = """\
| held out | images | objects | Dice | F1 | AP | false | missed | merged | unseen |
|---|---|---|---|---|---|---|---|---|---|"""


def row(name: str, figures: Figures) -> str:
    """Return one line of the table."""
    half, shares = figures.found[0], figures.summary()
    cells = [name, figures.images, half.tp + half.fn]
    cells += [f"{shares[of]:.3f}" for of in ("dice", "f1", "ap")]
    cells += [half.fp, half.fn, figures.merged, figures.unseen]
    return f"| {' | '.join(map(str, cells))} |"


def table(methods: dict[str, dict[str, Figures]]) -> str:
    """Return a table of the figures by method and part, in Markdown."""
    rows = [
        row(f"{part}: {method}", figures[part])
        for part in next(iter(methods.values()))
        for method, figures in methods.items()
    ]
    return "\n".join((HEADER, *rows))
