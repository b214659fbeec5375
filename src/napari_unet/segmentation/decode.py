"""Decoding logits: on the image's grid, then classes and scores, or probabilities."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet.labels.scores import CERTAIN
from napari_unet.options import Output
from napari_unet.segmentation.inputs import ModelInput
from napari_unet.tiling import Box, Tile, cut, shifted

__all__ = ["ReadOut"]

_ROWS = 128  # of logits that become classes at a time


@dataclass(frozen=True, slots=True)
class ReadOut:
    """Turns logits into classes or probabilities, on the image's grid.

    Attributes
    ----------
    source
        How the image was shown to the net.
    box
        (Y, X) slices: the image's pixels that are wanted.
    kind
        ``"probabilities"``, or anything else for classes.
    threshold
        Least probability of being anything but background for a pixel to be labelled;
        None takes the most probable class.
    boundary
        Index of the boundary class: it has no score.
    """

    source: ModelInput
    box: Box
    kind: Output
    threshold: float | None = None
    boundary: int | None = None

    def __call__(self, logits: torch.Tensor, tile: Tile) -> tuple[Box, NDArray[Any]]:
        """Return which wanted pixels a tile's core covers, and their values.

        There may be none: a region is read a little further than it is wanted.

        Parameters
        ----------
        logits
            (K, Y, X) of the tile's whole window.
        tile
            In the net's pixels.

        Returns
        -------
        core
            (Y, X) slices in the image's pixels.
        values
            (Y, X) uint8 classes, or (K, Y, X) float16 probabilities.
        """
        core, p = self._covered(logits, tile)
        if self.kind == "probabilities":
            return core, p.half().cpu().numpy()
        classes = torch.empty(p.shape[1:], dtype=torch.uint8, device=p.device)
        for rows in _some_rows(len(classes)):
            classes[rows] = self._classes(p[:, rows])
        return core, classes.cpu().numpy()

    def with_scores(
        self, logits: torch.Tensor, tile: Tile
    ) -> tuple[Box, NDArray[np.uint8], NDArray[np.uint8]]:
        """Return what a call returns of classes, and the score of every pixel.

        Returns
        -------
        core, classes
            As a call does.
        scores
            (Y, X) uint8, as `labels.scores` has them.
        """
        core, p = self._covered(logits, tile)
        classes = torch.empty(p.shape[1:], dtype=torch.uint8, device=p.device)
        scores = torch.empty_like(classes)
        for rows in _some_rows(len(classes)):
            found, part = self._classes(p[:, rows]), p[:, rows]
            if not self._probable:
                part = part.float().softmax(0)
            sure = part.gather(0, found[None])[0].mul(CERTAIN).round().clamp(min=1)
            outside = (found == 0) | (found == (self.boundary or 0))
            classes[rows], scores[rows] = found, sure.masked_fill(outside, 0)
        return core, classes.cpu().numpy(), scores.cpu().numpy()

    @property
    def _probable(self) -> bool:
        """Whether `_covered` returns probabilities, and no logits."""
        wanted = self.kind == "probabilities" or self.threshold is not None
        return self.source.resampled or wanted

    def _covered(self, logits: torch.Tensor, tile: Tile) -> tuple[Box, torch.Tensor]:
        """Return the wanted pixels in a tile's core, and their values (K, Y, X)."""
        if self.source.resampled:
            return self._bring_back(logits, tile)
        core = cut(tile.core, self.box)
        y, x = tile.read
        p = logits[(slice(None), *shifted(core, -y.start, -x.start))]
        return core, p.float().softmax(0) if self._probable else p

    def _classes(self, p: torch.Tensor) -> torch.Tensor:
        if self.threshold is None:
            return p.argmax(0)
        return torch.where(1 - p[0] >= self.threshold, p[1:].argmax(0) + 1, 0)

    def _bring_back(self, logits: torch.Tensor, tile: Tile) -> tuple[Box, torch.Tensor]:
        """Interpolate probabilities (K, Y, X) at the image's pixels in the core."""
        axes = self.source.axes
        covered = (axes[0].of_core(tile.core[0]), axes[1].of_core(tile.core[1]))
        y, x = cut(covered, self.box)
        height, width = (side.stop - side.start for side in tile.read)
        p = logits[:, :height, :width].float().softmax(0).cpu().numpy()
        rows = axes[0].back().weights(tile.read[0], y)
        columns = axes[1].back().weights(tile.read[1], x)
        back: list[NDArray[np.float32]] = [(columns @ (rows @ q).T).T for q in p]
        return (y, x), torch.from_numpy(np.stack(back))


def _some_rows(count: int) -> Iterator[slice]:
    """Yield slices of some rows: indices are of 64 bits, and so stay in the cache."""
    for top in range(0, count, _ROWS):
        yield slice(top, top + _ROWS)
