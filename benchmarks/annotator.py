"""The simulated annotator: which images, which strokes, how long they take.

Images are split by the seed: 4 to annotate, 8 to test; images of one group (groups.csv)
are never on both sides. The planes of a stack are images. The annotator looks at a
model's labels and draws strokes through the deepest part of the largest wrong regions,
classes in turn, only on pixels that are wrong and truly of that class. Who shows every
class first begins with a stroke of each class, whatever the model says.
"""

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric
from skimage.morphology import disk

from napari_unet.io.image import Image
from napari_unet.project.corrections import IGNORE

__all__ = ["Classes", "Pair", "dice", "draw", "read", "show"]

ANNOTATED, TESTED = 4, 8
MOST = 4_000_000  # test pixels; larger images are cut to their middle
BRUSH, LENGTH = 4, 60  # radius and length of a stroke, pixels
# The motor model of RootPainter's simulated user (Smith et al. 2022,
# doi:10.1111/nph.18387): pixels a second painting and moving; seconds to find, judge.
PAINT, TRAVEL, FIND, JUDGE = 400, 800, 0.2, 0.2

Classes = NDArray[np.uint8]


@dataclass(frozen=True)
class Pair:
    """An image (C, Y, X), and its true classes (Y, X)."""

    image: Image
    truth: Classes


def read(folder: Path, seed: int) -> tuple[list[Pair], list[Pair], int]:
    """Return images to annotate, images to test, and the number of classes."""
    paths = sorted((folder / "images").glob("*.tif"))
    found = [pair for path in paths for pair in _pairs(folder, path)]
    order = np.random.default_rng(seed).permutation(len(found))
    pairs = [found[i]() for i in order[:ANNOTATED]]
    groups = _groups(folder)
    seen = {groups.get(p.image.name) for p in pairs} - {None}
    for i in order[ANNOTATED:]:
        if len(pairs) < ANNOTATED + TESTED:
            pair = found[i]()
            pairs += [pair] if groups.get(pair.image.name) not in seen else []
    classes = 1 + max(int(p.truth[p.truth != IGNORE].max(initial=1)) for p in pairs)
    test = pairs[ANNOTATED:]
    side = math.isqrt(MOST // len(test))
    if sum(p.truth.size for p in test) > MOST:
        test = [_middle(p, side) for p in test]
    return pairs[:ANNOTATED], test, classes


def _groups(folder: Path) -> dict[str, str]:
    path = folder / "groups.csv"
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {row["stem"]: row["group"] for row in csv.DictReader(file)}


def _pairs(folder: Path, path: Path) -> list[Callable[[], Pair]]:
    """Return what reads each plane of a file."""
    shape = tifffile.TiffFile(path).series[0].shape
    planes = [None] if len(shape) == 2 or shape[-1] in (3, 4) else range(shape[0])
    return [partial(_pair, folder, path, plane) for plane in planes]


def _pair(folder: Path, path: Path, plane: int | None) -> Pair:
    pixels = tifffile.imread(path)
    mask = tifffile.imread(folder / "masks" / path.name)
    name = path.stem
    if plane is not None:
        pixels, mask, name = pixels[plane], mask[plane], f"{name} {plane}"
    rgb = pixels.ndim == 3
    if mask.dtype == np.uint8:
        truth = mask.copy()
        if folder.name.startswith("camvid"):
            truth[truth == 11] = IGNORE
    else:
        truth = (mask > 0).astype(np.uint8)
    axes = "YXC" if rgb else "YX"
    return Pair(Image(name, pixels[..., :3] if rgb else pixels, axes, rgb), truth)


def _middle(pair: Pair, side: int) -> Pair:
    y, x = (max(n - side, 0) // 2 for n in pair.truth.shape)
    cut = slice(y, y + side), slice(x, x + side)
    image = replace(pair.image, data=pair.image.data[cut], levels=())
    return Pair(image, pair.truth[cut])


def dice(found: Classes, truth: Classes, classes: int) -> float:
    """Return the mean Dice over the foreground classes that there are in either."""
    known = truth != IGNORE
    values = []
    for c in range(1, classes):
        a, b = (found == c) & known, (truth == c) & known
        if a.any() or b.any():
            values.append(2 * (a & b).sum() / (a.sum() + b.sum()))
    return float(np.mean(values)) if values else 1.0


# --- the annotator -----------------------------------------------------------------


def show(truth: Classes, target: Classes) -> tuple[int, float]:
    """Add a stroke of each class that there is to `target`, as `draw` does."""
    found = np.full_like(truth, IGNORE)
    classes = np.unique(truth[truth != IGNORE])
    return _strokes(found, truth, target, len(classes), classes)


def draw(
    found: Classes,
    truth: Classes,
    target: Classes,
    strokes: int,
    rng: np.random.Generator,
) -> tuple[int, float]:
    """Add up to `strokes` to `target`; return how many, and the seconds they took."""
    most = int(truth[truth != IGNORE].max(initial=0))
    return _strokes(found, truth, target, strokes, rng.permutation(most + 1))


def _strokes(
    found: Classes,
    truth: Classes,
    target: Classes,
    strokes: int,
    classes: NDArray[Any],
) -> tuple[int, float]:
    wrong = (found != truth) & (truth != IGNORE) & (target == IGNORE)
    turns = _in_turn(classes)
    done, seconds, missed = 0, 0.0, 0
    at: NDArray[Any] | None = None
    while done < strokes and missed < len(classes):
        value = next(turns)
        region = _largest(wrong & (truth == value))
        missed += 1
        if region is None:
            continue
        missed = 0
        path = _path(region)
        line = np.zeros(truth.shape, bool)
        line[tuple(path.T)] = True
        painted = ndimage.binary_dilation(line, disk(BRUSH)) & wrong
        target[painted & (truth == value)] = value
        wrong &= ~ndimage.binary_dilation(line, disk(3 * BRUSH))
        travel = 0.0 if at is None else float(np.hypot(*(path[0] - at)))
        seconds += FIND + JUDGE + travel / TRAVEL + len(path) / PAINT
        at = path[-1]
        done += 1
    return done, seconds


def _in_turn(values: NDArray[Any]) -> Iterator[int]:
    while True:
        yield from (int(v) for v in values)


def _largest(wrong: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    numbers, count = ndimage.label(wrong, np.ones((3, 3)))
    sizes = np.bincount(numbers.ravel())[1:] if count else np.zeros(1)
    return numbers == sizes.argmax() + 1 if sizes.max() >= 5 else None


def _path(region: NDArray[np.bool_]) -> NDArray[Any]:
    """Return pixels (N, 2) of a line through the deepest part of a region."""
    box = ndimage.find_objects(region.astype(np.uint8))[0]
    inside = np.pad(region[box], 1)
    depth = ndimage.distance_transform_edt(inside)
    start = np.unravel_index(depth.argmax(), depth.shape)
    cost = np.where(inside, 1 / depth.clip(0.5) ** 2, -1)
    mcp = MCP_Geometric(cost)
    reached, _ = mcp.find_costs([start])
    yy, xx = np.indices(inside.shape)
    away = np.hypot(yy - start[0], xx - start[1])
    open_ = inside & np.isfinite(reached) & (away <= LENGTH / 2)
    path = [start]
    for _ in range(2):  # one way along the ridge, then the other
        far = np.where(open_, away, -1)
        if far.max() <= 0:
            break
        end = np.unravel_index(far.argmax(), far.shape)
        way = mcp.traceback(end)[: LENGTH // 2]
        path = way if len(path) == 1 else path[::-1] + way[1:]
        ahead = (yy - start[0]) * (end[0] - start[0]) + (xx - start[1]) * (
            end[1] - start[1]
        )
        open_ &= ahead < 0
    corner = np.array([box[0].start - 1, box[1].start - 1])
    return np.array(path) + corner
