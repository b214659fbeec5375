"""Segmentation metrics: Dice, and F1 and average precision by IoU matching.

Objects are matched by their intersection over union, read from one sparse table of
which labels meet where; each object takes part in one match at most.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import maximum_bipartite_matching

from napari_unet.errors import ImageError

__all__ = ["THRESHOLDS", "Match", "average_precision", "dice", "f1", "match", "matches"]

Labels = NDArray[Any]

# Data Science Bowl 2018: Caicedo et al. 2019, Nature Methods 16, 1247.
THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@dataclass(frozen=True, slots=True)
class Match:
    """Objects found (`tp`), invented (`fp`) and missed (`fn`); matches add up."""

    tp: int
    fp: int
    fn: int

    def __add__(self, other: "Match") -> "Match":
        return Match(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def precision(self) -> float:
        """The share of the found objects that are right; 1 if none was found."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """The share of the true objects that were found; 1 if there are none."""
        return _share(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 if there is nothing to find."""
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def average_precision(self) -> float:
        """The ratio tp / (tp + fp + fn); 1 if there is nothing to find."""
        return _share(self.tp, self.tp + self.fp + self.fn)


def dice(truth: Labels, labels: Labels) -> float:
    """Return the Dice score of two foregrounds (everything that is not 0), 0 to 1.

    Two empty foregrounds agree: 1.

    Raises
    ------
    ImageError
        If the shapes differ.
    """
    _check(truth, labels)
    a, b = truth != 0, labels != 0
    return _share(2 * int((a & b).sum()), int(a.sum()) + int(b.sum()))


def match(truth: Labels, labels: Labels, iou: float = 0.5) -> Match:
    """Match the objects of two label arrays of one shape (any axes; 0 is background).

    Parameters
    ----------
    truth
        The objects that there are.
    labels
        The objects that were found.
    iou
        A pair matches when its intersection over union is above this. From 0.5 on no
        object can have two partners; below, as many pairs as possible are made.

    Raises
    ------
    ImageError
        If the shapes differ.
    """
    return matches(truth, labels, (iou,))[0]


def f1(truth: Labels, labels: Labels, iou: float = 0.5) -> float:
    """Return the F1 score of the objects at one threshold, 0 to 1; see `match`."""
    return match(truth, labels, iou).f1


def average_precision(
    truth: Labels, labels: Labels, thresholds: Sequence[float] = THRESHOLDS
) -> float:
    """Return the mean over `thresholds` of tp / (tp + fp + fn), 0 to 1; see `match`.

    Source: Caicedo et al. 2019, Nature Methods 16, 1247.
    """
    found = matches(truth, labels, thresholds)
    return sum(m.average_precision for m in found) / len(found)


def matches(truth: Labels, labels: Labels, thresholds: Sequence[float]) -> list[Match]:
    """Do what `match` does, at each of several thresholds, from one table."""
    _check(truth, labels)
    overlap = _overlap(truth, labels)  # (true objects + 1, found objects + 1)
    sizes_true, sizes_found = overlap.sum(axis=1), overlap.sum(axis=0)
    count_true, count_found = (n - 1 for n in overlap.shape)
    pairs = overlap[1:, 1:].tocoo()
    i, j = pairs.coords
    iou = pairs.data / (sizes_true[i + 1] + sizes_found[j + 1] - pairs.data)
    found = []
    for threshold in thresholds:
        hit = iou > threshold
        table = sparse.csr_array((hit[hit], (i[hit], j[hit])), shape=pairs.shape)
        tp = int((maximum_bipartite_matching(table) >= 0).sum()) if hit.any() else 0
        found.append(Match(tp, count_found - tp, count_true - tp))
    return found


def _overlap(truth: Labels, labels: Labels) -> sparse.csr_array:
    """Return how many pixels every two labels share; row and column 0: background."""
    somewhere = (truth != 0) | (labels != 0)
    rows, n = _compress(truth[somewhere])
    columns, m = _compress(labels[somewhere])
    ones = np.ones(len(rows), np.int64)
    return sparse.coo_array((ones, (rows, columns)), shape=(n, m)).tocsr()


def _compress(labels: Labels) -> tuple[NDArray[np.intp], int]:
    """Return 1-D `labels` as 0 (background), 1, 2, ... without gaps, and how many."""
    ids = np.unique(labels)
    ids = np.concatenate((np.zeros(1, ids.dtype), ids[ids != 0]))
    order = np.argsort(ids)  # negative labels count as objects, too
    return order[np.searchsorted(ids, labels, sorter=order)], len(ids)


def _check(truth: Labels, labels: Labels) -> None:
    if truth.shape != labels.shape:
        raise ImageError(
            f"The labels have shape {labels.shape} and the truth {truth.shape}. "
            "Compare arrays of one shape."
        )


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else 1.0
