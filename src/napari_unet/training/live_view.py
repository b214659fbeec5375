"""Live view: cached features of what is in view, read anew by the head each time.

Computed once, as tile by tile the net sees them; then every stroke takes some of the
pixels to fit the head (`live_head`), and the whole of them to show what it says.
"""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.errors import OptionsError
from napari_unet.io.image import Image
from napari_unet.network.blockwise import Columns
from napari_unet.network.hypercolumn import Hypercolumn
from napari_unet.network.predictor import Predictor, engine
from napari_unet.options import SegmentOptions
from napari_unet.project.corrections import IGNORE, Correction
from napari_unet.segmentation.inputs import ModelInput, model_input
from napari_unet.segmentation.output import output_kind
from napari_unet.segmentation.tile_plan import PlaneTiles, plan_plane
from napari_unet.tiling import Box, Tile, cut, round_up
from napari_unet.training.examples import find_regions, said_in
from napari_unet.training.features import Pixels, sample_level
from napari_unet.training.live_head import LiveHead
from napari_unet.training.live_strokes import (
    SEED,
    Elsewhere,
    PixelFeatures,
    joined,
    sampled,
    thinned,
)

__all__ = ["LARGEST", "LiveView", "TooLargeError", "Within"]

LARGEST = 4_000_000  # pixels of a view, as the net sees it
_PAINTED, _HELD, _AWAY = 2500, 2500, 2500  # pixels that are fitted at most


class TooLargeError(OptionsError):
    """A view has more pixels than can follow at once."""


class LiveView:
    """A part of a plane of which the features are kept.

    Parameters
    ----------
    head
        What is fitted; it may have been fitted in another view.
    image, options
        As for `predict.segment`.
    plane, box
        What is in view, in the image's pixels.

    Raises
    ------
    TooLargeError
        If that is too much.
    UNetError
        If the image does not fit the model.
    """

    def __init__(
        self,
        head: LiveHead,
        image: Image,
        options: SegmentOptions,
        plane: tuple[int, ...],
        box: Box,
    ) -> None:
        self.head, self.image, self.options = head, image, options
        self.plane, self.box = plane, box
        self.source: ModelInput = model_input(head.model, image, options)
        self._inner = self.source.needs(box)
        size = math.prod(side.stop - side.start for side in self._inner)
        if size > LARGEST:
            raise TooLargeError(
                f"This view has {size / 1e6:.1f} megapixels as the model sees it; "
                f"{LARGEST / 1e6:.0f} can follow every stroke. Zoom in."
            )
        run = engine(head.model, options.device, options.precision)
        self.run = replace(run, spec=head.spec)
        self._seen: list[_Seen] = []
        self._said: NDArray[np.uint8] | None = None  # the last time
        self._ready: Hypercolumn

    # --- once -----------------------------------------------------------------------

    def read(self) -> Generator[None, None, None]:
        """Compute the features; yield often enough to be cancelled."""
        source, options, box = self.source, self.options, self.box
        per_plane = self.plane if options.per_plane else None
        intensities = source.intensities(per_plane)
        kind = output_kind(self.head.model, options)
        plan = plan_plane(self.run, source, options, kind, held=0, view=box, only=True)
        found = []
        for tile in plan.tiles:
            core = cut(tile.core, self._inner)
            if any(side.stop <= side.start for side in core):
                continue
            yield
            window, _ = source.window(self.plane, tile, intensities)
            part = self._part(core, tile.read, window.shape)
            columns = yield from self.run.column_steps(window, part)
            found.append(_Seen(_tile(core, part, tile.read), columns))
        self._seen = found
        self._hold()
        self._show()

    def _part(self, core: Box, read: Box, shape: tuple[int, ...]) -> Box:
        """Return what of a window is kept: a core, and what is interpolated with it."""
        spec = self.head.spec
        margin = spec.stride + self.source.halo(spec) - spec.halo
        y, x = (
            slice(
                max(0, (c.start - r.start - margin) // spec.stride * spec.stride),
                min(n, round_up(c.stop - r.start + margin, spec.stride)),
            )
            for c, r, n in zip(core, read, shape[-2:], strict=True)
        )
        return y, x

    def _hold(self) -> None:
        """Choose the pixels that keep what the model says, while nobody looks."""
        random = np.random.default_rng(SEED)
        self._rows, self._columns = (
            random.integers(side.start, side.stop, _HELD) for side in self._inner
        )
        self._held = self._gather(self._rows, self._columns)

    # --- after every stroke -----------------------------------------------------------

    def refit(self, target: NDArray[np.uint8], away: Elsewhere | None = None) -> None:
        """Let the head follow what was painted.

        Parameters
        ----------
        target
            (Y, X) of the box: all that was said there, as `Correction.target`.
        away
            What was said elsewhere.
        """
        corner = self.box[0].start, self.box[1].start
        correction = Correction(self.image, target, self.plane, corner)
        said = said_in(correction, self.source, self._inner)
        if self._taken_back(said):
            self.head.forget()
        self._said = said
        pixels = self._pixels(said, [] if away is None else away.parts())
        if float(pixels.weight.sum()) == 0:
            self.head.forget()
        else:
            self.head.fit(pixels)
        self._show()

    def forget(self) -> None:
        """Be as if nothing had been painted."""
        self.head.forget()
        self._said = None
        self._show()

    def within(self, box: Box) -> "Within":
        """Return what is said of a part of the view, for `predict.segment`."""
        inner, found = self.source.needs(box), []
        for seen in self._seen:
            core, read = cut(seen.tile.core, inner), seen.tile.read
            if all(side.stop > side.start for side in core):
                part = self._part(core, read, tuple(seen.columns.first.shape))
                columns = seen.columns.within(part)
                found.append(_Seen(_tile(core, part, read), columns))
        return Within(self.run, found, self._ready)

    def _taken_back(self, said: NDArray[np.uint8]) -> bool:
        """Whether something that was painted before is not, or is another class."""
        if self._said is None:
            return False
        return bool(((self._said != IGNORE) & (self._said != said)).any())

    def _show(self) -> None:
        head = self.head.head()
        head.fold()
        self._ready = head.to(self.run.device, self.run.dtype)

    @torch.no_grad()
    def _pixels(self, said: NDArray[np.uint8], away: list[PixelFeatures]) -> Pixels:
        y, x = self._inner
        free = said[self._rows - y.start, self._columns - x.start] == IGNORE
        columns, first = self._held
        none = np.zeros(int(free.sum()), np.float32)
        kept = torch.from_numpy(free).to(first.device)
        parts = [
            PixelFeatures(
                [column[kept] for column in columns],
                np.full(len(none), IGNORE, np.uint8),
                none,
                first[kept],
            )
        ]
        chosen = sampled(list(find_regions(said)), _PAINTED)
        if len(chosen.rows):
            rows, at = chosen.rows + y.start, chosen.columns + x.start
            parts.append(chosen.with_features(*self._gather(rows, at)))
        return joined([*parts, *thinned(away, _AWAY)])

    @torch.no_grad()
    def _gather(
        self, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> tuple[list[Tensor], Tensor]:
        """Return features (P, F) of every level, and the first head's logits (P, K)."""
        order, parts = [], []
        for tile, seen in ((each.tile, each.columns) for each in self._seen):
            y, x = tile.core
            own = (rows >= y.start) & (rows < y.stop)
            own &= (columns >= x.start) & (columns < x.stop)
            order.append(np.flatnonzero(own))
            device = seen.first.device
            v = torch.from_numpy(rows[own] - tile.read[0].start).to(device)
            u = torch.from_numpy(columns[own] - tile.read[1].start).to(device)
            found = [
                sample_level(level[0].float() if i else level[0], v, u, i).float()
                for i, level in enumerate(seen.levels)
            ]
            parts.append([*found, seen.first[0, :, v, u].T.float()])
        back = torch.from_numpy(np.argsort(np.concatenate(order)))
        joined = [torch.cat(level) for level in zip(*parts, strict=True)]
        *levels, first = (level[back.to(level.device)] for level in joined)
        return levels, first


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What is kept of a window: `tile` reads just that."""

    tile: Tile
    columns: Columns


class Within:
    """What a head says of a part of a view; a `predict.Known`."""

    def __init__(
        self, run: Predictor, seen: Sequence[_Seen], head: Hypercolumn
    ) -> None:
        self.run, self._seen, self._head = run, seen, head
        self.tiles = PlaneTiles((0, 0), tuple(each.tile for each in seen))

    def logits(self, tile: Tile) -> Tensor:
        """Return the logits (K, Y, X) of what a tile of `tiles` reads."""
        columns = next(each.columns for each in self._seen if each.tile == tile)
        return columns.logits(self._head)[0]


def _tile(core: Box, part: Box, read: Box) -> Tile:
    """Return the tile that reads a part of a window."""
    y, x = (
        slice(p.start + r.start, min(p.stop + r.start, r.stop))
        for p, r in zip(part, read, strict=True)
    )
    return Tile(core, (y, x), (0, 0))
