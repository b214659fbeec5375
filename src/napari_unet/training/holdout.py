"""Held-out validation: labelled regions kept from training, and mean Dice there.

Knows how images are divided into places, which of these nobody learns from, and the
score. That is computed of every pixel held out, so it is the same each time.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.network.autocast import forward
from napari_unet.network.unet import UNet, UNetSpec
from napari_unet.project.corrections import FOREGROUND, IGNORE
from napari_unet.tiling import Box, region, shifted
from napari_unet.training.examples import Example

__all__ = ["ImagePart", "image_parts", "mean_dice", "set_apart"]

_WHOLE = 5  # images from which on whole ones are held out
_WANTED, _EACH = 16, 4  # places that images are cut into: in all, and of each
_LEAST = 20  # pixels along the side of a place that is cut
_FEWEST = 4  # places; of fewer, what is held out is missed
_SHARE = 1 / 5  # of the places is held out
_MOST = 2**22  # pixels held out, about: more take longer to judge than they tell
_TRIED = 500  # choices of places
_WINDOW = 768  # pixels along the side of what a net computes at once


@dataclass(frozen=True, slots=True, eq=False)
class ImagePart:
    """Labelled pixels to judge a net by, and all that it must see for them.

    Attributes
    ----------
    image
        (C, Y, X) float32, padded to what the net takes.
    target
        (Y, X) uint8, `IGNORE` in the context.
    """

    image: Tensor
    target: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A rectangle of the example of this number, and its pixels of each value."""

    number: int
    box: Box
    counts: NDArray[np.int64]


def set_apart(
    examples: Sequence[Example], spec: UNetSpec, seed: int
) -> tuple[list[Example], list[ImagePart]]:
    """Return what to learn from, and what is held out to judge by.

    A fifth of the places is held out, about `_MOST` pixels at most. Places are whole
    examples (images, or the parts that a large one is read in) where there are five or
    more; where there are fewer, or where a class lies in one of them alone, each is cut
    into near-equal parts, about 16 in all. Places without a labelled pixel do not
    count.

    Of many random choices, that one is taken in which classes are shared most evenly:
    over all classes, and over both what is learned and what is held out, the sum of the
    squared logarithms of how many pixels there are to how many an even division would
    give. No class is held out altogether: one that lies in one place is learned.

    Nothing is held out where there are fewer than four places, or where nothing could
    be held out in which two classes can be told apart.

    Parameters
    ----------
    spec
        Of the nets that will be judged: it says how much context there must be.
    """
    parts = _divided(examples)
    chosen = _chosen(np.array([part.counts for part in parts]), seed)
    out = [parts[number] for number in chosen]
    learn = []
    for number, example in enumerate(examples):
        mask = np.ones(example.target.shape, bool)
        for part in out:
            if part.number == number:
                mask[part.box] = False
        learn.append(example if mask.all() else example.only(mask))
    held = [p for o in out for p in _windows(examples[o.number], o.box, spec)]
    return [e for e in learn if e.regions], held


def image_parts(examples: Sequence[Example], spec: UNetSpec) -> list[ImagePart]:
    """Return all that is labelled, to judge a net of this kind by."""
    return [
        place
        for example in examples
        for place in _windows(example, _bounds(example), spec)
    ]


# --- places ------------------------------------------------------------------------


def _divided(examples: Sequence[Example]) -> list[_Part]:
    """Divide the examples such that most classes lie in two places or more."""
    pixels = sum(len(r.rows) for e in examples for r in e.regions)
    count = max(_WANTED, _EACH * len(examples))
    cut = list(_parts(examples, max(math.sqrt(pixels / count), _LEAST)))
    uncut = list(_parts(examples, None))
    if len(examples) >= _WHOLE and _shared(uncut) >= _shared(cut):
        return uncut
    return cut


def _shared(parts: Sequence[_Part]) -> int:
    """Return how many classes lie in two places or more."""
    there = np.array([part.counts > 0 for part in parts])
    return int((there.sum(0) > 1).sum())


def _parts(examples: Sequence[Example], side: float | None) -> Iterator[_Part]:
    """Cut examples into parts about `side` long, or not, and yield what is labelled."""
    for number, example in enumerate(examples):
        for box in _grid(_bounds(example), side):
            target = example.target[box].numpy()
            counts = np.bincount(target.ravel(), minlength=IGNORE + 1)[:IGNORE]
            if counts.any():
                yield _Part(number, box, counts)


def _bounds(example: Example) -> Box:
    """Return the smallest rectangle that holds all labelled pixels; there is one."""
    seen = example.target.numpy() != IGNORE
    y, x = (np.flatnonzero(seen.any(axis)) for axis in (1, 0))
    return slice(int(y[0]), int(y[-1]) + 1), slice(int(x[0]), int(x[-1]) + 1)


def _grid(box: Box, side: float | None) -> Iterator[Box]:
    """Cut a rectangle into near-equal parts, none shorter than `_LEAST`, if cut."""
    height, width = (s.stop - s.start for s in box)
    if side is None:
        rows = columns = 1
    else:
        rows, columns = (min(round(n / side), n // _LEAST) for n in (height, width))
    yield from itertools.product(_even(box[0], rows), _even(box[1], columns))


def _even(side: slice, count: int) -> list[slice]:
    """Cut a side into so many near-equal parts, one at least."""
    count, length = max(count, 1), side.stop - side.start
    ends = [side.start + round(i * length / count) for i in range(count + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(ends)]


def _windows(example: Example, box: Box, spec: UNetSpec) -> Iterator[ImagePart]:
    """Cut a rectangle into what a net can compute at once, with all context."""
    height, width = example.target.shape
    rows, columns = (_even(s, -(-(s.stop - s.start) // _WINDOW)) for s in box)
    for core in itertools.product(rows, columns):
        around = region((height, width), core, spec.halo, spec.stride)
        image = example.image[:, *around].numpy()
        target = np.full(image.shape[1:], IGNORE, np.uint8)
        y, x = around
        target[shifted(core, -y.start, -x.start)] = example.target[core].numpy()
        lack = (-(y.stop - y.start) % spec.stride, -(x.stop - x.start) % spec.stride)
        pad = [(0, n) for n in lack]
        yield ImagePart(  # padded as `inputs.ModelInput.window` does it
            torch.from_numpy(np.pad(image, [(0, 0), *pad], mode="reflect")),
            torch.from_numpy(np.pad(target, pad, constant_values=IGNORE)),
        )


# --- the choice --------------------------------------------------------------------


def _chosen(counts: NDArray[np.int64], seed: int) -> list[int]:
    """Choose places by their pixels (P, V) of each value; none if none will do."""
    if len(counts) < _FEWEST:
        return []
    values = np.flatnonzero(counts.sum(0))
    counts = counts[:, values].astype(float)  # exact up to 2**53
    total = counts.sum(0)
    most = int(_MOST * len(counts) / total.sum())
    size = max(1, min(round(_SHARE * len(counts)), most))
    random = np.random.default_rng(seed)
    drawn = np.zeros((_TRIED, len(counts)))
    for row in drawn:
        row[random.permutation(len(counts))[:size]] = 1
    held = drawn @ counts  # (T, V)
    share = size / len(counts)
    cost = _unevenness(held, share * total)
    cost += _unevenness(total - held, (1 - share) * total)
    allowed = (held < total).all(1) & (_kinds(held > 0, values) > 1)
    cost[~allowed] = np.inf
    best = int(cost.argmin())
    return np.flatnonzero(drawn[best]).tolist() if np.isfinite(cost[best]) else []


def _unevenness(
    found: NDArray[np.float64], even: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far pixels (T, V) are from an even division (V,), summed over V."""
    logs = np.log((found + 1) / (even + 1))
    return np.asarray((logs**2).sum(1), np.float64)


def _kinds(there: NDArray[np.bool_], values: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return how many classes (T,) can be told apart in choices (T, V) of values.

    `FOREGROUND` is one beside background, and none beside another class.
    """
    objects = (values > 0) & (values != FOREGROUND)
    lone = there[:, values == FOREGROUND].any(1) & ~there[:, objects].any(1)
    named = np.count_nonzero(there[:, values != FOREGROUND], axis=1)
    return np.asarray(named + lone, np.int64)


# --- the score ---------------------------------------------------------------------


@torch.no_grad()
def mean_dice(net: UNet, judged: Sequence[ImagePart]) -> float:
    """Return the Dice of a net's classes at these places, mean over classes, 0 to 1.

    It is computed over the pixels of all places together. Each class that is labelled
    there counts alike, background among them: a net that says the same everywhere
    has 1 / classes at most, however much of the pixels it is right about. Where
    `FOREGROUND` is labelled, so does whatever is not background, as one class more;
    those pixels count for no other class, and against background.
    """
    device = next(net.parameters()).device
    classes = len(net.spec.classes)
    counts = np.zeros((classes + 1) * classes, np.int64)
    for place in judged:
        found = forward(net, place.image[None].to(device))[0].argmax(0).cpu()
        truth = place.target.long()
        truth[place.target == FOREGROUND] = classes
        seen = truth <= classes
        pairs = truth[seen] * classes + found[seen]
        counts += np.bincount(pairs.numpy(), minlength=len(counts))
    return _dice(counts.reshape(classes + 1, classes))


def _dice(counts: NDArray[np.int64]) -> float:
    """Return the mean Dice of a table (K + 1, K): pixels labelled and found.

    Its last row are those labelled `FOREGROUND`.
    """
    known, some = counts[:-1], counts[-1]
    labelled, found = known.sum(1), known.sum(0)
    found[0] += some[0]
    there = labelled > 0
    values = list((2 * known.diagonal() / np.maximum(labelled + found, 1))[there])
    if some.any():
        both = 2 * counts[1:, 1:].sum()
        values.append(both / (counts[1:].sum() + counts[:, 1:].sum()))
    return float(np.mean(values)) if values else 0.0
