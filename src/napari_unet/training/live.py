"""Live head: cached features of a view, and a head refitted after every stroke.

The net never changes, so its features are kept; only the second head is fitted, again
and again, for a fraction of a second. It is what `head` makes, on fewer pixels.
"""

import copy
import hashlib
import math
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.errors import OptionsError
from napari_unet.io.image import Image
from napari_unet.network.autocast import mean_weights
from napari_unet.network.blockwise import Columns
from napari_unet.network.hypercolumn import Hypercolumn
from napari_unet.network.model import Model
from napari_unet.network.predictor import Predictor, engine
from napari_unet.options import SegmentOptions
from napari_unet.project.corrections import IGNORE, Correction
from napari_unet.segmentation.inputs import ModelInput, model_input
from napari_unet.segmentation.output import output_kind
from napari_unet.segmentation.tile_plan import PlaneTiles, plan_plane
from napari_unet.tiling import Box, Tile, cut, round_up
from napari_unet.training.examples import (
    Example,
    Region,
    find_pieces,
    read_examples,
    said_in,
)
from napari_unet.training.features import Pixels, read_at, sample_level
from napari_unet.training.head import OBEYED
from napari_unet.training.head_fit import follow
from napari_unet.training.readers import with_hypercolumn
from napari_unet.training.selection import copied
from napari_unet.training.standing import Standing, standing

__all__ = [
    "LARGEST",
    "Elsewhere",
    "LiveHead",
    "LiveView",
    "TooLargeError",
    "Within",
]

LARGEST = 4_000_000  # pixels of a view, as the net sees it
_STEPS, _MORE = 60, 25  # of a head that begins, and of one that goes on
_ROUNDS = 3  # of them at most, until strokes are followed; a shipped model need not
_SECONDS = 0.6  # for all of them, about
_PAINTED, _HELD, _AWAY = 2500, 2500, 2500  # pixels that are fitted at most
_SEED = 0
_EACH, _BLOCKS = 400, 64  # pixels that are remembered of a block elsewhere; of how many


class TooLargeError(OptionsError):
    """A view has more pixels than can follow at once."""


class LiveHead:
    """The second head of a model, which strokes change; the model is not changed.

    Parameters
    ----------
    model
        It is the teacher wherever nobody looked.
    """

    def __init__(self, model: Model) -> None:
        torch.manual_seed(_SEED)
        self.model = model
        # Few strokes, and a head held by the model, cannot tell whether it is right.
        self.standing = standing(model.card) or Standing()
        self._student = with_hypercolumn(model.net)
        self.spec = self._student.spec
        self._base = copy.deepcopy(self._student.hypercolumn)
        self._head: Hypercolumn | None = None  # None: nothing was learned

    @property
    def fitted(self) -> bool:
        """Whether it is another than the model's own."""
        return self._head is not None

    def forget(self) -> None:
        """Be the model's own head again."""
        self._head = None

    def fit(self, pixels: Pixels) -> None:
        """Fit to pixels, from where it stands."""
        torch.manual_seed(_SEED)  # the same strokes, the same head
        new, left = self._head is None, _SECONDS
        base = copy.deepcopy(self._base).to(pixels.first.device)
        if self._head is None:
            self._head = self._begun(base, pixels)
        trust = self.standing.head_trust
        for _ in range(1 if self.standing.proven else _ROUNDS):
            began, steps = time.perf_counter(), _STEPS if new else _MORE
            good = follow(self._head, base, pixels, trust, steps, left)
            left, new = left - (time.perf_counter() - began), False
            if good >= OBEYED or left <= 0:
                return

    def _begun(self, base: Hypercolumn, pixels: Pixels) -> Hypercolumn:
        """Return a head that says what the model's does, and is not fitted yet."""
        head = copy.deepcopy(base)
        if not bool(base.out.weight.any()):
            spread = [c.std(0) for c in pixels.columns]
            head.standardise([c.mean(0) for c in pixels.columns], spread)
        return head

    def head(self) -> Hypercolumn:
        """Return what the head is now, with as much of the model's as it keeps."""
        if self._head is None:
            return copy.deepcopy(self._base)
        found = copy.deepcopy(self._head).cpu().requires_grad_(False)
        mean_weights(found, self._base, self.standing.kept)
        return found

    def learned(self) -> Model:
        """Return the model with the head as it is now."""
        net = copied(self._student, torch.contiguous_format).cpu()
        net.hypercolumn = self.head()
        return replace(self.model, net=net.requires_grad_(False))

    def read(
        self, run: Predictor, example: Example, at: tuple[Tensor, Tensor]
    ) -> tuple[list[Tensor], Tensor]:
        """Return the features at pixels of an example, and the first head's logits."""
        student = self._student.to(run.device)
        return read_at(run.net, student, example.image.to(run.device), at)


class Elsewhere:
    """What was painted out of view, with its features: it must not be forgotten.

    Only what changed is read again when the view moves.

    Attributes
    ----------
    mark
        For whoever reads: what it was read for; None until that has ended.
    """

    def __init__(self, head: LiveHead) -> None:
        self._head = head
        self.mark: object = None
        self._known: dict[Any, tuple[bytes, list[_Painted]]] = {}

    def read(
        self, corrections: Sequence[Correction], seconds: float, device: str = "auto"
    ) -> Generator[None, None, None]:
        """Read as many of the corrections as there is time for; forget all others."""
        self.mark = None
        began = time.perf_counter()
        run = engine(self._head.model, device)
        before, self._known = self._known, {}
        order = np.random.default_rng(_SEED).permutation(len(corrections))
        late = []
        for correction in (corrections[i] for i in order):
            key, mark = (correction.key, correction.place), _mark(correction)
            if key in before and before[key][0] == mark:
                self._known[key] = before[key]
            else:
                late.append((key, mark, correction))
        for key, mark, correction in late:
            if time.perf_counter() - began > seconds or len(self._known) >= _BLOCKS:
                return
            examples = read_examples(self._head.model, [correction])
            self._known[key] = mark, [self._pixels(run, e) for e in examples]
            yield

    def values(self) -> set[int]:
        """Return the classes that were painted."""
        return {int(v) for part in self.parts() for v in np.unique(part.target)}

    def parts(self) -> list["_Painted"]:
        """Return what is known."""
        return [part for _, parts in self._known.values() for part in parts]

    @torch.no_grad()
    def _pixels(self, run: Predictor, example: Example) -> "_Painted":
        chosen = _chosen(example.pieces, _EACH)
        at = torch.from_numpy(chosen.rows), torch.from_numpy(chosen.columns)
        columns, first = self._head.read(run, example, at)
        return _painted(chosen, columns, first)


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
        random = np.random.default_rng(_SEED)
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
    def _pixels(self, said: NDArray[np.uint8], away: list["_Painted"]) -> Pixels:
        y, x = self._inner
        free = said[self._rows - y.start, self._columns - x.start] == IGNORE
        columns, first = self._held
        none = np.zeros(int(free.sum()), np.float32)
        kept = torch.from_numpy(free).to(first.device)
        parts = [
            _Painted(
                [column[kept] for column in columns],
                np.full(len(none), IGNORE, np.uint8),
                none,
                first[kept],
            )
        ]
        chosen = _chosen(list(find_pieces(said)), _PAINTED)
        if len(chosen.rows):
            rows, at = chosen.rows + y.start, chosen.columns + x.start
            parts.append(_painted(chosen, *self._gather(rows, at)))
        return _joined([*parts, *_fewer(away, _AWAY)])

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


@dataclass(frozen=True, slots=True, eq=False)
class _Chosen:
    """Some painted pixels: where, which class, and how much each counts."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    target: NDArray[np.uint8]
    weight: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _Painted:
    """The features of pixels, in all levels; see `Pixels`, but weights sum to any."""

    columns: list[Tensor]
    target: NDArray[np.uint8]
    weight: NDArray[np.float32]
    first: Tensor


def _tile(core: Box, part: Box, read: Box) -> Tile:
    """Return the tile that reads a part of a window."""
    y, x = (
        slice(p.start + r.start, min(p.stop + r.start, r.stop))
        for p, r in zip(part, read, strict=True)
    )
    return Tile(core, (y, x), (0, 0))


def _chosen(pieces: Sequence[Region], most: int) -> _Chosen:
    """Return the pixels of strokes, or some of them, which count for all."""
    lengths = [len(piece.rows) for piece in pieces]
    rows, columns = (
        np.concatenate([np.zeros(0, np.intp), *found])
        for found in ([p.rows for p in pieces], [p.columns for p in pieces])
    )
    target = np.repeat(np.array([p.value for p in pieces], np.uint8), lengths)
    each = [p.weight / n for p, n in zip(pieces, lengths, strict=True)]
    weight = np.repeat(np.array(each, np.float32), lengths)
    if len(rows) > most:
        some = np.random.default_rng(_SEED).choice(len(rows), most, replace=False)
        share = len(rows) / most
        return _Chosen(rows[some], columns[some], target[some], weight[some] * share)
    return _Chosen(rows, columns, target, weight)


def _painted(chosen: _Chosen, columns: list[Tensor], first: Tensor) -> _Painted:
    return _Painted(columns, chosen.target, chosen.weight, first)


def _fewer(parts: list[_Painted], most: int) -> list[_Painted]:
    """Return about `most` of all pixels, which count for all of them."""
    count = sum(len(part.target) for part in parts)
    if count <= most:
        return parts
    random, share = np.random.default_rng(_SEED), most / count
    found = []
    for part in parts:
        kept = random.random(len(part.target)) < share
        at = torch.from_numpy(kept).to(part.first.device)
        weight = part.weight[kept] / np.float32(share)
        columns = [column[at] for column in part.columns]
        found.append(_Painted(columns, part.target[kept], weight, part.first[at]))
    return found


def _joined(parts: list[_Painted]) -> Pixels:
    first = torch.cat([part.first for part in parts])
    weight = np.concatenate([part.weight for part in parts])
    weight /= max(float(weight.sum()), 1e-12)
    target = np.concatenate([part.target for part in parts])
    return Pixels(
        [torch.cat(c) for c in zip(*(p.columns for p in parts), strict=True)],
        torch.from_numpy(target).to(first.device),
        torch.from_numpy(weight).to(first.device),
        first,
    )


def _mark(correction: Correction) -> bytes:
    return hashlib.blake2b(correction.target.tobytes()).digest()
