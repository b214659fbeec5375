"""TIFF resolution levels: offsets of strips and tiles, checked against the file.

Only this file knows how `tifffile` describes pages, strips and tiles. What a file says
of sizes is believed only as far as its bytes can hold that.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_unet.errors import ImageError
from napari_unet.io.picture_size import jpeg_size
from napari_unet.io.tiff_array import Grid, Page, TiffArray
from napari_unet.io.tiff_pages import cut_off

__all__ = ["level_array", "planes_there"]

_BAND_BYTES = 2**20  # uncompressed data are read in bands of rows of this size
_PIECE_BYTES = 2**28  # that a strip or tile may unpack to, whatever it says
_PIECE_RATIO = 100  # beyond that: how much smaller a real one may be in the file
_JPEG = (6, 7, 33007, 34892)  # kinds of compression
_JPEG_MORE = 4  # times the pixels that a piece may have: some are padded

_Source = tuple[Callable[..., Any], tuple[Any, ...]]


def level_array(
    group: Sequence[tifffile.TiffPageSeries], path: Path, source: _Source
) -> TiffArray:
    """Return the lazy array of one level: of one series, or of many alike, in a stack.

    Raises
    ------
    ImageError
        If pixels are missing, cannot be decoded, or would be too many at a time.
    """
    series = group[0]
    key = series.keyframe
    shape = tuple(int(n) for n in series.shape)
    if 0 in shape or 0 in key.shaped:
        raise ImageError(
            f"{path.name} has an axis of length 0 (shape {shape}): there is nothing to "
            "see in it. Export it again."
        )
    if series.axes.endswith("S") and shape[-1] == 1:
        shape = shape[:-1]
    if key.dtype is None or series.transform is not None:
        raise ImageError(
            f"{path.name} has pixels of {key.bitspersample} bits that cannot be read. "
            "Save it as a plain TIFF."
        )
    if not key.is_final:
        _check_piece(key, path)
    lists = [_pages(one, path) for one in group]
    pages = lists[0] if len(lists) == 1 else [page for some in lists for page in some]
    shape = shape if len(lists) == 1 else (len(lists), *shape)
    _check_ends(pages, key, path)
    return TiffArray(source, shape, series.dtype, _grid(series), pages)


def planes_there(series: tifffile.TiffPageSeries) -> tuple[int, int]:
    """Return how many pages a series needs, and how many of them are in their file.

    Pages in files that are missing count as there.
    """
    whole, page = (
        math.prod(map(int, s)) for s in (series.shape, series.keyframe.shaped)
    )
    needed = whole // max(page, 1)
    start = series.dataoffset
    if start is None:
        return needed, len(_listed(series))
    room = series.keyframe.parent.filehandle.size - start
    return needed, max(int(room // max(series.keyframe.nbytes, 1)), 0)


def _listed(series: tifffile.TiffPageSeries) -> list[Any]:
    """Return the pages of a series, as many as there are; None: its file is missing."""
    found: list[Any] = []
    with suppress(IndexError):  # they are looked up one by one
        found.extend(series)
    return found


def _pages(series: tifffile.TiffPageSeries, path: Path) -> Sequence[Page | None]:
    """Return where the pieces of every page lie; None: the page is missing."""
    count, there = planes_there(series)
    if there < count:
        raise cut_off(path, f"it holds {there} of its {count} planes")
    key, start = series.keyframe, series.dataoffset
    if not key.is_final:
        return [page and _chunks(page) for page in _listed(series)]
    offsets, counts = _bands(key)
    if start is not None:  # one run of bytes; only its first page may be listed
        step = int(key.nbytes)
        return _Run(_file_of(key), int(start), step, count, offsets, counts)
    return [
        page and Page(_file_of(page), page.dataoffsets[0], offsets, counts, None)
        for page in _listed(series)
    ]


@dataclass(frozen=True, slots=True)
class _Run(Sequence[Page]):
    """Pages that lie one behind the other, however many: none of them is listed."""

    path: Path
    start: int
    step: int
    length: int
    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: Any) -> Any:
        at = range(self.start, self.start + self.length * self.step, self.step)[index]
        return Page(self.path, at, self.offsets, self.counts, None)


def _check_ends(
    pages: Sequence[Page | None], key: tifffile.TiffPage, path: Path
) -> None:
    """Raise if a page has pixels behind its file's end, or lists too few pieces."""
    sizes: dict[Path, int] = {}
    wanted = None if key.is_final else _pieces(key)
    for page in [pages[-1]] if isinstance(pages, _Run) else pages:
        if page is None:
            continue
        if wanted is not None and min(len(page.offsets), len(page.counts)) < wanted:
            raise cut_off(path, f"it lists {len(page.offsets)} of {wanted} pieces")
        if page.path not in sizes:
            sizes[page.path] = page.path.stat().st_size
        ends = page.offsets[: len(page.counts)] + page.counts[: len(page.offsets)]
        last = int(ends.max(where=page.counts[: len(ends)] > 0, initial=0))
        if page.start + last > sizes[page.path]:
            raise cut_off(path, "it ends before its last pixels")


def _file_of(page: Any) -> Path:
    """Return the file a page lies in; an OME-TIFF may name others beside it."""
    return Path(page.parent.filehandle.path)


def _grid(series: tifffile.TiffPageSeries) -> Grid:
    key = series.keyframe
    if not key.is_final:
        decode = partial(key.decode, jpegheader=key.jpegheader)
        if key.compression in _JPEG:
            decode = partial(_decode_jpeg, decode, math.prod(_piece(key)))
        return Grid(key.shaped, _piece(key), decode)
    pixel = np.dtype(series.dtype).newbyteorder(key.parent.byteorder)
    (_, counts), (width, colours) = _bands(key), key.shaped[3:]

    def decode_band(
        data: bytes, index: int, jpegtables: bytes | None
    ) -> tuple[NDArray[Any], None, None]:
        band = np.frombuffer(data, pixel, counts[index] // pixel.itemsize)
        return band.reshape(1, -1, width, colours), None, None

    return Grid(key.shaped, (1, _band_rows(key), width), decode_band)


def _decode_jpeg(
    decode: Callable[..., Any], pixels: int, data: bytes | None, index: int, **more: Any
) -> Any:
    """Return a decoded piece of so many pixels; its header may speak of more."""
    rows, columns, _ = jpeg_size(data or b"")
    if rows * columns > _JPEG_MORE * pixels:
        raise ValueError(f"a piece of it speaks of {rows} x {columns} pixels")
    return decode(data, index, **more)


def _piece(key: tifffile.TiffPage) -> tuple[int, int, int]:
    """Return the depth, rows and columns of a strip or tile."""
    if key.is_tiled:
        return key.tiledepth, key.tilelength, key.tilewidth
    return 1, min(key.rowsperstrip, key.imagelength), key.imagewidth


def _pieces(key: tifffile.TiffPage) -> int:
    """Return how many strips or tiles a page has."""
    sides = zip(key.shaped[1:4], _piece(key), strict=True)
    return key.shaped[0] * math.prod(-(-n // max(m, 1)) for n, m in sides)


def _check_piece(key: tifffile.TiffPage, path: Path) -> None:
    """Raise if one strip or tile would unpack to more than anybody wrote into it.

    Nothing smaller than a piece can be read, and a few bytes can stand for gigabytes.
    """
    samples = key.shaped[4]
    whole = math.prod(_piece(key)) * samples * np.dtype(key.dtype).itemsize
    packed = max(key.databytecounts, default=0)
    if whole > _PIECE_BYTES and whole > _PIECE_RATIO * packed:
        raise ImageError(
            f"{path.name} has pieces of {packed} bytes that would unpack to "
            f"{whole / 1e6:.0f} MB each, which is too much to read at a time. Save it "
            "in smaller tiles, or uncompressed."
        )


def _chunks(page: Any) -> Page:
    """Return the strips or tiles of a page as the file lists them."""
    offsets = np.asarray(page.dataoffsets, np.int64)
    counts = np.asarray(page.databytecounts, np.int64)
    return Page(_file_of(page), 0, offsets, counts, page.jpegtables)


def _band_rows(key: tifffile.TiffPage) -> int:
    _, _, height, width, colours = key.shaped
    row = width * colours * np.dtype(key.dtype).itemsize
    return int(min(max(_BAND_BYTES // row, 1), height))


def _bands(key: tifffile.TiffPage) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where bands of rows of an uncompressed page lie, and their bytes.

    ImageJ and others write a plane, or a whole stack, as one strip; a window of it must
    not need all of it.
    """
    samples, depth, height, width, colours = key.shaped
    row, rows = width * colours * np.dtype(key.dtype).itemsize, _band_rows(key)
    tops = np.arange(0, height, rows, dtype=np.int64)
    slabs = np.arange(samples * depth, dtype=np.int64)[:, None] * height
    offsets = ((slabs + tops) * row).ravel()
    counts = np.tile(np.minimum(rows, height - tops) * row, samples * depth)
    return offsets, counts
