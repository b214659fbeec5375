"""Tile worker: reads a window, runs the net, writes one shard; picklable task.

A `StackTask` says all that a process needs for any tile, is small and can be sent to
another machine; a `StackWorker` is what one process has opened to do it.
"""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_unet._memory import return_freed
from napari_unet.batch.loaded_model import LoadedModel
from napari_unet.batch.plan import tile_boxes
from napari_unet.batch.store import Layout
from napari_unet.errors import ModelError
from napari_unet.io.chunks import keeping
from napari_unet.io.label_array import put
from napari_unet.io.open import open_image
from napari_unet.network.normalization import Intensities
from napari_unet.network.predictor import Predictor
from napari_unet.options import Output, SegmentOptions
from napari_unet.segmentation.decode import ReadOut
from napari_unet.segmentation.inputs import ModelInput, model_input
from napari_unet.tiling import Box, Tile, plan_tiles, region, shifted

__all__ = ["StackTask", "StackWorker", "TileComputed", "TileRead", "open_worker"]

# Tiles after which freed memory is given back: after each, a sixth of the time goes by
# while the net gets it again.
_TRIM = 8


@dataclass(frozen=True, slots=True)
class TileRead:
    """The windows of one tile as the net sees them, and whether all were finite."""

    number: int
    windows: list[tuple[Tile, NDArray[np.float32]]]
    finite: bool


@dataclass(frozen=True, slots=True)
class TileComputed:
    """Classes (Y, X) or probabilities (K, Y, X) of one tile.

    Attributes
    ----------
    finite
        False if a pixel that was read was NaN or infinite.
    scores
        The byte of every pixel (Y, X), if that is wanted; see `labels.scores`.
    """

    number: int
    values: NDArray[Any]
    finite: bool
    scores: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class StackTask:
    """What is to be done with every tile of one stack.

    Attributes
    ----------
    source, axes, model
        The image, its axes where the file is silent, and the model: each process opens
        them by itself.
    checksum
        Of the model's weights.
    kind
        The output; objects are begun as classes.
    layout
        How the labels lie on the disk.
    window
        Largest side of a window, in the net's pixels.
    array
        Folder of the zarr array that is written.
    intensities
        Of the whole image; None: every plane has its own.
    room
        Bytes of decoded pieces of the image's file that are kept.
    scores
        Folder of the zarr array for the score of every pixel; None: nobody wants it.
    """

    source: Path
    axes: str | None
    model: str
    checksum: str
    options: SegmentOptions
    kind: Output
    layout: Layout
    window: int
    array: Path
    intensities: Intensities | None
    room: int
    scores: Path | None = None


class StackWorker:
    """Image, net and array, opened in this process to compute tiles by their number.

    Tiles are numbered through the planes of the image, row by row in each.

    Attributes
    ----------
    computed
        How many tiles this process has computed.
    """

    def __init__(self, task: StackTask, source: ModelInput, run: Predictor) -> None:
        self.task, self.source, self.run = task, source, run
        self.array: Any = zarr.open_array(task.array, mode="r+")
        self.scores: Any = None
        if task.scores is not None:
            self.scores = zarr.open_array(task.scores, mode="r+")
        self.boxes = tile_boxes(source.image.plane_shape, task.layout.side)
        self.halo = source.halo(run.spec)
        self.computed = 0

    def locate(self, number: int) -> tuple[tuple[int, ...], Box]:
        """Return plane and (Y, X) slices of a tile."""
        plane, box = divmod(number, len(self.boxes))
        shape = self.source.image.stack_shape
        index = np.unravel_index(plane, shape) if shape else ()
        return tuple(int(i) for i in index), self.boxes[box]

    def read(self, number: int) -> TileRead:
        """Read all that a tile depends on."""
        plane, box = self.locate(number)
        intensities = self.task.intensities or self.source.intensities(plane)
        windows, all_finite = [], True
        for tile in self._tiles(box):
            window, finite = self.source.window(plane, tile, intensities)
            windows.append((tile, window))
            all_finite &= finite
        return TileRead(number, windows, all_finite)

    def compute(self, read: TileRead) -> TileComputed:
        """Run the net; the windows are freed one by one."""
        if self.computed % _TRIM == 0:
            return_freed()  # by the tiles before
        self.computed += 1
        _, box = self.locate(read.number)
        kind, threshold = self.task.kind, self.task.options.threshold
        boundary = self.run.spec.boundary
        read_out = ReadOut(self.source, box, kind, threshold, boundary)
        size = tuple(side.stop - side.start for side in box)
        if kind == "probabilities":
            out = np.zeros((len(self.run.spec.classes), *size), np.float16)
        else:
            out = np.zeros(size, np.uint8)
        scores = None if self.scores is None else np.zeros(size, np.uint8)
        while read.windows:
            tile, window = read.windows.pop(0)
            if scores is None:
                core, values = read_out(self.run(window), tile)
            else:
                core, values, sure = read_out.with_scores(self.run(window), tile)
                scores[shifted(core, -box[0].start, -box[1].start)] = sure
            out[(..., *shifted(core, -box[0].start, -box[1].start))] = values
        return TileComputed(read.number, out, read.finite, scores)

    def write(self, computed: TileComputed) -> None:
        """Write a tile, and wait until it is on the disk."""
        plane, box = self.locate(computed.number)
        for array, values in (
            (self.array, computed.values),
            (self.scores, computed.scores),
        ):
            if values is not None:
                view = self.task.layout.view(array, plane)
                put(view, box, values)
                view.settle(box)

    def run_tile(self, number: int) -> bool:
        """Do all of one tile; return whether all pixels that were read were finite."""
        computed = self.compute(self.read(number))
        self.write(computed)
        return computed.finite

    def run_tiles(
        self, numbers: Iterable[int], finished: Callable[[int, bool], None]
    ) -> Generator[int, None, None]:
        """Do tiles one after the other, and yield the number of each that is on disk.

        The next is read and the one before is written meanwhile. Closing the generator
        finishes what is running.

        Parameters
        ----------
        finished
            Called, from another thread, with the number of every tile that is on disk,
            and whether all of its pixels were finite.
        """

        def write(computed: TileComputed) -> int:
            self.write(computed)
            finished(computed.number, computed.finite)
            return computed.number

        todo = iter(numbers)
        with ThreadPoolExecutor(2) as pool:
            first = next(todo, None)
            ahead = None if first is None else pool.submit(self.read, first)
            behind = None
            while ahead is not None:
                windows, number = ahead.result(), next(todo, None)
                ahead = None if number is None else pool.submit(self.read, number)
                computed = self.compute(windows)
                written = None if behind is None else behind.result()
                behind = pool.submit(write, computed)
                if written is not None:
                    yield written
            if behind is not None:
                yield behind.result()

    def _tiles(self, box: Box) -> list[Tile]:
        """Return the windows that compute the image's pixels `box`."""
        wanted, shape = self.source.needs(box), self.source.shape
        stride = self.run.spec.stride
        y, x = region(shape, wanted, self.halo, stride)
        size = (y.stop - y.start, x.stop - x.start)
        plan = plan_tiles(size, self.task.window, self.halo, stride)
        return [
            Tile(
                shifted(tile.core, y.start, x.start),
                shifted(tile.read, y.start, x.start),
                tile.pad,
            )
            for tile in plan.tiles
        ]


def open_worker(task: StackTask, net: LoadedModel) -> StackWorker:
    """Open everything that `task` names, in this process.

    Raises
    ------
    UNetError
        If something of it is not there, or the model was replaced.
    """
    if net.checksum != task.checksum:
        raise ModelError(
            f"The model {task.model} is another one in a worker. Give all machines the "
            "same files, and start the workers again."
        )
    image = keeping(open_image(task.source, task.axes), task.room)
    run = net.engine(task.options.device, task.options.precision)
    return StackWorker(task, model_input(net.model, image, task.options), run)
