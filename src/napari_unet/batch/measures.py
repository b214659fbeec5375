"""Object measurements of a stack, plane by plane, as CSV or Parquet.

What was measured of a plane lies in a file of its own until all planes are there, so
that memory holds the objects of one plane and nothing is measured twice. Rows of
objects that go on through planes are made from these files.
"""

import csv
import itertools
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet._files import pack, unpack, write_whole
from napari_unet.batch.store import PlaneView
from napari_unet.errors import OutputError
from napari_unet.io.image import Image
from napari_unet.labels.hulls import convex_areas, row_extents
from napari_unet.labels.measures import Table, measure, measure_stack
from napari_unet.labels.solids import one_row_each
from napari_unet.tiling import blocks

__all__ = ["join_tables", "keep_table", "measure_plane", "write_csv", "write_parquet"]

_CLASSES = 256
_MANY = 2**15  # objects whose rows are held while they are joined
_BLOCK = 512  # a pixel takes more than a hundred bytes while it is measured


def measure_plane(
    labels: PlaneView,
    classes: PlaneView | int | None,
    image: Image,
    plane: tuple[int, ...],
    *,
    boundary: int | None,
    scores: PlaneView | None = None,
) -> Generator[None, None, Table]:
    """Measure the objects of one plane, and yield after every block.

    Parameters
    ----------
    labels, classes
        The plane's objects; and the class of every pixel, of every object by its id, or
        the only one there is.
    scores
        The byte of every pixel, see `labels.scores`.

    Returns
    -------
    table
        What `labels.measures.measure` returns, with the plane's place in front and
        solidity behind. Without `classes` there is no class.
    """
    table = yield from measure_stack(
        labels,
        [()],
        lambda _, y, x: image.read(plane, y, x),
        **image.pixel_size,
        block=_BLOCK,
        scores=scores,
    )
    if "diameter" not in table:
        table = _empty_table(image, scored=scores is not None)
    extents: list[NDArray[np.int64]] = []
    votes: list[NDArray[np.int64]] = []
    for box in blocks((labels.shape[-2], labels.shape[-1]), _BLOCK, _BLOCK):
        ids = labels[box]
        if ids.any():
            extents.append(row_extents(ids, (box[0].start, box[1].start)))
            if isinstance(classes, PlaneView):
                votes.append(_votes(ids, classes[box], boundary))
        yield
    if isinstance(classes, PlaneView):
        table["class"] = _winners(table["label"], votes)
    elif isinstance(classes, Mapping):
        known = [classes.get(label, 0) for label in table["label"].tolist()]
        table["class"] = np.array(known, np.uint8)
    elif classes is not None:
        table["class"] = np.full(len(table["label"]), classes, np.uint8)
    table["solidity"] = table["area"] / convex_areas(extents)
    positions = zip(image.plane_axes.lower(), plane, strict=True)
    size = len(table["label"])
    return {axis: np.full(size, at) for axis, at in positions} | table


def _empty_table(image: Image, *, scored: bool) -> Table:
    """Return the columns of a plane without objects."""
    one = np.ones((1, 1), np.int32)
    pixels = np.zeros((image.channels, 1, 1), image.dtype)
    scores = one.astype(np.uint8) if scored else None
    table = measure(one, pixels, scores=scores, **image.pixel_size)
    return {name: column[:0] for name, column in table.items()}


def _votes(
    ids: NDArray[Any], classes: NDArray[Any], boundary: int | None
) -> NDArray[np.int64]:
    """Return (2, N): an id and a class as one number, and how many pixels say so."""
    where = (
        (ids > 0) & (classes > 0) & (classes != (0 if boundary is None else boundary))
    )
    both = ids[where].astype(np.int64) * _CLASSES + classes[where]
    return np.stack(np.unique(both, return_counts=True))


def _winners(ids: NDArray[Any], votes: list[NDArray[np.int64]]) -> NDArray[np.uint8]:
    """Return the most frequent class of each object, the first of equals; 0 if none."""
    every = np.concatenate([np.zeros((2, 0), np.int64), *votes], axis=1)
    pairs, at = np.unique(every[0], return_inverse=True)
    counts = np.bincount(at, weights=every[1], minlength=len(pairs))
    order = np.lexsort((pairs, -counts, pairs // _CLASSES))
    found, first = np.unique(pairs[order] // _CLASSES, return_index=True)
    winners = np.zeros(len(ids), np.uint8)
    winners[np.searchsorted(ids, found)] = pairs[order][first] % _CLASSES
    return winners


def keep_table(path: Path, table: Table) -> None:
    """Write what was measured of a plane, whole or not at all."""
    write_whole(path, pack(**table))


def _read_table(path: Path) -> Table:
    """Return what `keep_table` wrote."""
    return unpack(path.read_bytes())


def _written(path: Path) -> Table:
    """Return what people see of a table."""
    table = _read_table(path)
    table.pop("interior", None)  # by which scores of planes were weighed
    return table


def join_tables(
    parts: Sequence[Path], step: float | None, place: Path
) -> Generator[None, None, list[Path]]:
    """Make one row of each object that goes on through planes; yield after some work.

    Memory holds the rows of one plane and of some objects, and the ids of all.

    Parameters
    ----------
    parts
        The tables of planes that follow each other in Z, see `keep_table`.
    step
        See `solids.one_row_each`.
    place
        What is written is called like this, with a number behind.

    Returns
    -------
    joined
        Files as `parts` are, whose rows are those of `solids.one_row_each`, by label.
    """
    labels = []
    for part in parts:
        labels.append(_read_table(part)["label"])
        yield
    ids = np.unique(np.concatenate(labels))
    joined = []
    for start in range(0, max(len(ids), 1), _MANY):
        some, rows = ids[start : start + _MANY], None
        for part, own in zip(parts, labels, strict=True):
            here = np.isin(own, some)
            if here.any() or rows is None:
                table = {name: c[here] for name, c in _read_table(part).items()}
                rows = one_row_each(table, step, rows)
                yield
        joined.append(place.with_name(f"{place.name}-{start // _MANY}.npz"))
        keep_table(joined[-1], rows or {})
    return joined


def write_csv(path: Path, parts: Sequence[Path]) -> bool:
    """Write the tables of all planes as one CSV file.

    Raises
    ------
    OutputError
        If the disk does not take it.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            for i, table in enumerate(map(_written, parts)):
                if i == 0:
                    writer.writerow(table)
                writer.writerows(_rows(table))
    except OSError as error:
        raise _refusal(path, error) from error
    return True


def _rows(table: Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.tolist() for column in table.values()), strict=True)


def write_parquet(path: Path, parts: Sequence[Path]) -> bool:
    """Write the tables of all planes as one Parquet file; False without pyarrow.

    Raises
    ------
    OutputError
        If the disk does not take it.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        return False
    tables = (pa.table(_written(part)) for part in parts)
    first = next(tables)
    try:
        with parquet.ParquetWriter(path, first.schema) as writer:
            for table in itertools.chain([first], tables):
                writer.write_table(table)
    except OSError as error:
        raise _refusal(path, error) from error
    return True


def _refusal(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"The table '{path.name}' could not be written ({error.strerror or error}). "
        "Make room; started again, the batch goes on from what is finished."
    )
