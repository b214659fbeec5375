"""Events and reports that the verbs yield and return; plain data, no torch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from napari_unet.options import Output
from napari_unet.tiling import Box

__all__ = [
    "BatchReport",
    "Computing",
    "Joining",
    "Phase",
    "Segmentation",
    "StackProgress",
    "StackReport",
    "TileDone",
]

Phase = Literal["segmenting", "joining", "linking", "measuring", "writing"]


@dataclass(frozen=True, slots=True)
class TileDone:
    """One tile is finished.

    Attributes
    ----------
    plane
        Position along the image's other axes.
    core
        (Y, X) slices of the plane that `labels` belong to.
    done, total
        Tiles finished so far, and of the whole job; a small one that comes first, and
        is computed again with the others, is none of them.
    progress
        How much of the whole job is done, 0 to 1: tiles count by their pixels.
    find
        Returns `labels`.
    """

    plane: tuple[int, ...]
    core: Box
    done: int
    total: int
    progress: float
    find: Callable[[], NDArray[Any]] = field(repr=False, compare=False)

    @property
    def labels(self) -> NDArray[Any]:
        """Classes (Y, X) uint8, or what is wanted instead; found when asked for.

        Objects are (Y, X) int32 with provisional ids; probabilities (K, Y, X) float16.
        """
        return self.find()


@dataclass(frozen=True, slots=True)
class Computing:
    """A large tile is being computed; nothing of it is finished yet.

    Attributes
    ----------
    plane
        Position along the image's other axes.
    done, total, progress
        As for `TileDone`.
    """

    plane: tuple[int, ...]
    done: int
    total: int
    progress: float


@dataclass(frozen=True, slots=True)
class Joining:
    """A large plane's tiles are finished; its objects are being joined across them.

    Attributes
    ----------
    plane
        Position along the image's other axes.
    fraction
        How much of the joining is done, 0 to 1.
    progress
        As for `TileDone`.
    """

    plane: tuple[int, ...]
    fraction: float
    progress: float


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The finished result.

    Attributes
    ----------
    labels
        The array that was written: int32 objects or uint8 classes with the image's axes
        less C; float16 probabilities with C, one channel per class, first.
    axes
        Letters of the axes of `labels`.
    device, reason
        Where it ran, and why there.
    notes
        Sentences about what was done to fit image and model together.
    tile
        Rows and columns of a window.
    objects
        How many objects there are; None for other outputs.
    """

    labels: Any
    axes: str
    output: Output
    device: str
    reason: str
    notes: tuple[str, ...]
    tile: tuple[int, int]
    seconds: float
    objects: int | None
    model: str


@dataclass(frozen=True, slots=True)
class StackProgress:
    """Something of one stack is finished, and on the disk.

    Attributes
    ----------
    source
        The image.
    phase
        What is being done.
    fraction
        How much of the phase is done, 0 to 1.
    done, total
        Tiles finished so far, those of earlier runs included, and of the stack.
    objects
        Objects found in the planes that are finished; None for other outputs.
    """

    source: Path
    phase: Phase
    fraction: float
    done: int
    total: int
    objects: int | None


@dataclass(frozen=True, slots=True)
class StackReport:
    """What became of one stack.

    Attributes
    ----------
    source, target
        The image and its labels.
    state
        ``"done"``; ``"skipped"`` if it was complete before; ``"failed"``.
    reason
        A sentence about a state that is not done, else empty.
    options
        What would help then; see `UNetError`.
    objects
        How many objects there are; None for other outputs.
    tiles_done, tiles_resumed
        Tiles computed now, and by earlier runs that were interrupted.
    pixels
        Pixels of the image that were segmented now, one channel counted.
    seconds
        Time that was taken now.
    tables
        Files of measurements that were written.
    notes
        Sentences about what was done to fit image and model together.
    planes, linked
        How many planes the stack has, and whether objects go on through them: else one
        counts in each plane that it is in.
    """

    source: Path
    target: Path
    state: Literal["done", "failed", "skipped"]
    reason: str
    objects: int | None = None
    tiles_done: int = 0
    tiles_resumed: int = 0
    pixels: int = 0
    seconds: float = 0.0
    tables: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    planes: int = 1
    linked: bool = False


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What became of all files of a batch.

    Attributes
    ----------
    files
        In the order in which they were done.
    seconds
        Time that all of it took.
    peak_memory
        Most resident bytes that this process, or one of the workers, has had.
    notes
        Sentences about what is missing beside the files' results.
    """

    files: tuple[StackReport, ...]
    seconds: float
    peak_memory: int
    notes: tuple[str, ...] = ()

    def count(self, state: str) -> int:
        """Return how many files are in a state."""
        return sum(file.state == state for file in self.files)
