"""Pixels that a new model fixed or broke, for display; it decides nothing.

Only this file knows which pixels a model fixed or broke. Both see an image as
they do when they segment it: the same intensities, the same context, no augmentation.
"""

import math
import time
from collections.abc import Generator, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import CorrectionError
from napari_unet.network.model import Model
from napari_unet.network.normalization import Intensities
from napari_unet.network.predictor import engine
from napari_unet.options import TrainOptions
from napari_unet.project.corrections import FOREGROUND, Correction
from napari_unet.segmentation.decode import ReadOut
from napari_unet.segmentation.inputs import ModelInput
from napari_unet.segmentation.predict import predict_tile
from napari_unet.tiling import Box, Tile, cut, plan_tiles, region, round_up, shifted
from napari_unet.training.compared import (
    BROKEN,
    FIXED,
    NOT_REVIEWED,
    RIGHT,
    WRONG,
    Compared,
    Comparing,
)
from napari_unet.training.examples import corrected_input

__all__ = ["compare"]

_WINDOW = 768  # pixels along the side: half a second's work, so that Cancel is answered


def compare(
    old: Model,
    new: Model,
    corrections: Sequence[Correction],
    options: TrainOptions | None = None,
    *,
    order: Sequence[int] | None = None,
    seconds: float = math.inf,
) -> Generator[Comparing, None, list[Compared]]:
    """Hold two models against what people said; return a map for each correction.

    The maps come as the corrections do. A generator: closing it cancels. Where only
    ``project.corrections.FOREGROUND`` is known, every class but background is right.

    Parameters
    ----------
    options
        Those of the training, for its device and channel.
    order
        Numbers of the corrections, as they are looked at; None: as they are given.
    seconds
        After which no other correction is looked at; one always is.

    Raises
    ------
    CorrectionError
        If the models have different classes.
    ImageError
        If an image does not fit a model, or cannot be read.
    OptionsError
        If the device does not exist here, or has too little memory.
    """
    options = options or TrainOptions()
    if old.spec.classes != new.spec.classes:
        raise CorrectionError(
            f"The models {old.name} ({', '.join(old.spec.classes)}) and {new.name} "
            f"({', '.join(new.spec.classes)}) have different classes. Compare models "
            "that share them."
        )
    judges = [_Judge(model, options) for model in (old, new)]
    found: list[Compared] = []
    began = time.perf_counter()
    numbers = range(len(corrections)) if order is None else order
    for index in numbers:
        passed = (time.perf_counter() - began) / seconds if found else 0.0
        if passed >= 1:
            break
        correction = corrections[index]
        right: list[NDArray[np.bool_]] = []
        for judge in judges:
            good = np.zeros(correction.target.shape, np.bool_)
            for part in judge.look(correction, good):
                done = len(found) + (len(right) + part) / len(judges)
                yield Comparing(max(done / len(numbers), passed))
            right.append(good)
        plane, corner = correction.place
        kinds = _kinds(correction.reviewed, *right)
        found.append(
            Compared(index, correction.source, correction.key, plane, corner, kinds)
        )
    return sorted(found, key=lambda compared: compared.index)


class _Judge:
    """One of the models, and what it is right about."""

    def __init__(self, model: Model, options: TrainOptions) -> None:
        self.model = model
        self.run = engine(model, options.device)
        self.channel = options.channel
        self._known: tuple[object, Intensities] | None = None

    def look(self, correction: Correction, good: NDArray[np.bool_]) -> Iterator[float]:
        """Fill in which pixels of a target are right; yield how much of it is done."""
        source = corrected_input(self.model, correction, self.channel)
        read = ReadOut(source, _covered(correction), "classes")
        top, left = correction.corner
        tiles = self._tiles(correction, source)
        for done, tile in enumerate(tiles, 1):
            intensities = self._intensities(correction, source)
            plane = correction.plane
            logits, _ = predict_tile(self.run, source, plane, tile, intensities)
            core, classes = read(logits, tile)
            box = shifted(core, -top, -left)
            target = correction.target[box]
            good[box] = np.where(target == FOREGROUND, classes > 0, classes == target)
            yield done / len(tiles)

    def _tiles(self, correction: Correction, source: ModelInput) -> list[Tile]:
        """Return the tiles that people looked at, in the net's pixels."""
        axes, stride = source.axes, self.run.spec.stride
        support = max(axis.back().support for axis in axes) if source.resampled else 0
        halo = self.run.spec.halo + round_up(support, stride)
        box = _covered(correction)
        near = zip(axes, box, strict=True)
        rows, columns = (a.back().needs(s) if support else s for a, s in near)
        y, x = region(source.shape, (rows, columns), halo, stride)
        shape = y.stop - y.start, x.stop - x.start
        window = max(_WINDOW, 4 * halo)  # less would be mostly halo
        top, left = correction.corner
        found = []
        for tile in plan_tiles(shape, window, halo, stride).tiles:
            core, read = (shifted(b, y.start, x.start) for b in (tile.core, tile.read))
            seen = axes[0].of_core(core[0]), axes[1].of_core(core[1])
            if correction.reviewed[shifted(cut(seen, box), -top, -left)].any():
                found.append(Tile(core, read, tile.pad))
        return found

    def _intensities(self, correction: Correction, source: ModelInput) -> Intensities:
        """Return those of the whole image; crops of one image have them in common."""
        sample = correction.sample
        origin = correction.image if sample is None else sample
        if self._known is None or self._known[0] is not origin:
            self._known = origin, source.intensities(sample=sample)
        return self._known[1]


def _covered(correction: Correction) -> Box:
    """Return the least box around the reviewed pixels of the plane."""
    top, left = correction.corner
    seen = correction.reviewed
    y, x = (np.flatnonzero(seen.any(axis)) for axis in (1, 0))
    if not y.size:
        return slice(top, top + 1), slice(left, left + 1)
    return (
        slice(top + int(y[0]), top + int(y[-1]) + 1),
        slice(left + int(x[0]), left + int(x[-1]) + 1),
    )


def _kinds(
    reviewed: NDArray[np.bool_], old: NDArray[np.bool_], new: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    found = np.array([[WRONG, FIXED], [BROKEN, RIGHT]], np.uint8)
    kinds = found[old.astype(np.intp), new.astype(np.intp)]
    return np.where(reviewed, kinds, np.uint8(NOT_REVIEWED))
