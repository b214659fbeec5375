"""What a TIFF file says: its axes, pixel sizes, channel names, and where pixels lie.

Only this file knows how the many writers of TIFF (ImageJ, OME, scanners, tifffile) note
these things, and how a file that was cut off gives itself away.
"""

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from .content import Content, Steps
from .errors import ImageError
from .tiffarray import Grid, Page, PaletteArray, TiffArray

__all__ = ["read_tiff"]

# What a pixel means, as TIFF counts it: white is zero, black is zero, RGB, palette,
# YCbCr (JPEG); and two that microscopes use for raw grey data.
_PHOTOMETRIC = (0, 1, 2, 3, 6, 32803, 34892)

_BAND_BYTES = 2**20  # uncompressed data are read in bands of rows of this size
_INCH, _CENTIMETER = 25_400.0, 10_000.0  # micrometers
_COARSEST = 20.0  # micrometers: larger pixels are a printer's 72 to 1200 dpi


def read_tiff(path: Path) -> Content:
    """Read everything but the pixels of a TIFF file.

    Of several images in one file the first is taken, with its pyramid.

    Raises
    ------
    ImageError
        If the file is cut off, damaged, or holds what is no image.
    """
    with tifffile.TiffFile(path) as tiff:
        if not tiff.pages or not tiff.series:
            raise ImageError(
                f"{path.name} is a TIFF file without any image in it. Export it again."
            )
        _check_chain(tiff, path)
        series = tiff.series[0]
        numbers = tuple(
            _level_array(level, path, i) for i, level in enumerate(series.levels)
        )
        levels: tuple[TiffArray | PaletteArray, ...] = numbers
        _check_pages(series, path)
        axes, page = series.axes, series.keyframe
        if page.photometric == 5:
            raise ImageError(
                f"{path.name} has CMYK colours, which are for printing. Save it as RGB."
            )
        if axes.endswith("S") and series.shape[-1] == 1:
            axes = axes[:-1]
        if page.photometric not in _PHOTOMETRIC:
            raise ImageError(
                f"{path.name} has colours of the kind {page.photometric!s}, which "
                "cannot be read here. Save it as RGB."
            )
        rgb = page.photometric not in (0, 1)  # those two are grey
        if (colours := _colour_map(tiff, page)) is not None:
            levels = tuple(PaletteArray(level, colours) for level in numbers)
            axes += "S"
        steps, names = _describe(tiff, page)
        count = len(tiff.series)
    note = f"{path.name} holds {count} images; this is the first of them."
    return Content(levels, axes, rgb, steps, names, (note,) if count > 1 else ())


def _open_level(path: Path, index: int) -> TiffArray:
    """Return one level again, as unpickling does."""
    with tifffile.TiffFile(path) as tiff:
        return _level_array(tiff.series[0].levels[index], path, index)


def _check_chain(tiff: tifffile.TiffFile, path: Path) -> None:
    """Raise unless every page that the file announces is there.

    tifffile logs a broken chain of pages and goes on with those that it found, which
    would silently shorten a stack.
    """
    len(tiff.pages)  # walks the chain to its end
    handle, form = tiff.filehandle, tiff.tiff
    handle.seek(tiff.pages.next_page_offset or 0)
    pointer = handle.read(form.offsetsize)
    broken = len(pointer) < form.offsetsize or any(pointer)
    shortened = tiff.is_imagej and tiff.series[0].kind != "imagej"
    if broken or shortened:
        raise _cut_off(path, f"only {len(tiff.pages)} of its pages can be found")


def _cut_off(path: Path, seen: str) -> ImageError:
    return ImageError(
        f"{path.name} is damaged or was cut off: {seen}. Copy or export the file again."
    )


def _level_array(series: tifffile.TiffPageSeries, path: Path, index: int) -> TiffArray:
    """Return the lazy array of one resolution level."""
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
    count = math.prod(shape) // math.prod(key.shaped)
    grid, pages = _bands(series, path, count) if key.is_final else _chunks(series, path)
    if len(pages) < count:
        raise _cut_off(path, f"it holds {len(pages)} of its {count} planes")
    for page in pages:
        if page is not None and _end(page) > page.path.stat().st_size:
            raise _cut_off(path, "it ends before its last pixels")
    return TiffArray((_open_level, (path, index)), shape, series.dtype, grid, pages)


def _end(page: Page) -> int:
    return int(
        page.start + (page.offsets + page.counts).max(where=page.counts > 0, initial=0)
    )


def _file_of(page: Any, series: tifffile.TiffPageSeries, path: Path) -> Path:
    """Return the file a page lies in; an OME-TIFF may name others beside it."""
    return Path(page.parent.filehandle.path) if series.is_multifile else path


def _check_pages(series: tifffile.TiffPageSeries, path: Path) -> None:
    missing = sum(page is None for page in series)
    if missing:
        raise ImageError(
            f"{path.name} is one of several files of an image, and {missing} of its "
            f"{len(series)} planes are in files that are not there. Put them beside it."
        )


def _chunks(
    series: tifffile.TiffPageSeries, path: Path
) -> tuple[Grid, tuple[Page | None, ...]]:
    """Return the strips or tiles as the file lists them; None is a missing page."""
    key = series.keyframe
    chunk = (1, min(key.rowsperstrip, key.imagelength), key.imagewidth)
    if key.is_tiled:
        chunk = (key.tiledepth, key.tilelength, key.tilewidth)
    grid = Grid(key.shaped, chunk, partial(key.decode, jpegheader=key.jpegheader))
    pages = tuple(
        page
        and Page(
            _file_of(page, series, path),
            0,
            np.asarray(page.dataoffsets, np.int64),
            np.asarray(page.databytecounts, np.int64),
            page.jpegtables,
        )
        for page in series
    )
    return grid, pages


def _bands(
    series: tifffile.TiffPageSeries, path: Path, count: int
) -> tuple[Grid, tuple[Page | None, ...]]:
    """Return uncompressed planes as bands of rows.

    ImageJ and others write a plane, or a whole stack, as one strip; a window of it must
    not need all of it.
    """
    key = series.keyframe
    samples, depth, height, width, colours = key.shaped
    pixel = np.dtype(series.dtype).newbyteorder(key.parent.byteorder)
    row = width * colours * pixel.itemsize
    rows = min(max(_BAND_BYTES // row, 1), height)
    tops = np.arange(0, height, rows, dtype=np.int64)
    slabs = np.arange(samples * depth, dtype=np.int64)[:, None] * height
    offsets = ((slabs + tops) * row).ravel()
    counts = np.tile(np.minimum(rows, height - tops) * row, samples * depth)

    def decode(
        data: bytes, index: int, jpegtables: bytes | None
    ) -> tuple[NDArray[Any], None, None]:
        band = np.frombuffer(data, pixel, counts[index] // pixel.itemsize)
        return band.reshape(1, -1, width, colours), None, None

    grid = Grid(key.shaped, (1, rows, width), decode)
    start = None if series.is_multifile else series.dataoffset
    if start is not None:  # one run of bytes; only its first page may be listed
        starts = start + np.arange(count) * math.prod(key.shaped) * pixel.itemsize
        return grid, tuple(Page(path, int(s), offsets, counts, None) for s in starts)
    return grid, tuple(
        page
        and Page(
            _file_of(page, series, path), page.dataoffsets[0], offsets, counts, None
        )
        for page in series
    )


def _colour_map(
    tiff: tifffile.TiffFile, page: tifffile.TiffPage
) -> NDArray[np.uint8] | None:
    """Return the colours (N, 3) of a palette image, None if its pixels are grey.

    ImageJ saves how a grey image is shown as a colour map: that is no palette.
    """
    if page.photometric != 3 or page.colormap is None or tiff.is_imagej:
        return None
    colours: NDArray[Any] = np.asarray(page.colormap).T
    if colours.max(initial=0) > 255:  # 16 bits a colour, as the standard asks
        colours = colours >> 8
    ramp = np.arange(len(colours))[:, None].repeat(3, axis=1)
    return None if np.array_equal(colours, ramp) else colours.astype("u1")


def _describe(
    tiff: tifffile.TiffFile, page: tifffile.TiffPage
) -> tuple[Steps, tuple[str, ...]]:
    """Return the pixel sizes and channel names from whoever wrote the file."""
    if tiff.is_ome and tiff.ome_metadata:
        return _describe_ome(tiff.ome_metadata)
    if tiff.is_imagej and tiff.imagej_metadata:
        return _describe_imagej(tiff.imagej_metadata, page)
    if tiff.is_lsm and tiff.lsm_metadata:
        lsm = tiff.lsm_metadata
        steps = {a: (lsm[f"VoxelSize{a}"] * 1e6, "micrometer") for a in "XYZ"}
        return steps | {"T": (lsm.get("TimeIntervall", 0.0), "second")}, ()
    unit = {2: _INCH, 3: _CENTIMETER}.get(int(page.resolutionunit or 0))
    if unit is None:
        return {}, ()
    sizes = {a: unit / r for a, r in zip("XY", page.resolution, strict=True) if r > 0}
    if any(size > _COARSEST for size in sizes.values()):
        return {}, ()
    return {a: (size, "micrometer") for a, size in sizes.items()}, ()


def _describe_ome(xml: str) -> tuple[Steps, tuple[str, ...]]:
    # Without `sep`, "0,025" becomes (0, 25), and a name with a comma a tuple.
    image = tifffile.xml2dict(xml, sep="\0")["OME"].get("Image", {})
    pixels = (image[0] if isinstance(image, list) else image).get("Pixels", {})
    steps = {
        a: (_number(pixels[field]), str(pixels.get(f"{field}Unit", default)))
        for a, field, default in (
            ("X", "PhysicalSizeX", "µm"),
            ("Y", "PhysicalSizeY", "µm"),
            ("Z", "PhysicalSizeZ", "µm"),
            ("T", "TimeIncrement", "s"),
        )
        if field in pixels
    }
    channels = pixels.get("Channel", [])
    channels = channels if isinstance(channels, list) else [channels]
    names = tuple(str(channel.get("Name", "")) for channel in channels)
    return steps, names if any(names) else ()


def _number(value: object) -> float:
    """Return a size; 0, which counts as unknown, if it is none.

    Programs in some countries write a comma, though XML knows only the point.
    """
    try:
        return float(str(value).replace(",", "."))
    except ValueError:
        return 0.0


def _describe_imagej(
    meta: dict[str, Any], page: tifffile.TiffPage
) -> tuple[Steps, tuple[str, ...]]:
    unit = str(meta.get("unit", "pixel"))
    steps = {
        a: (1 / r, str(meta.get(f"{a.lower()}unit", unit)))
        for a, r in zip("XY", page.resolution, strict=True)
        if r > 0
    }
    if "spacing" in meta:
        steps["Z"] = (abs(float(meta["spacing"])), str(meta.get("zunit", unit)))
    if "finterval" in meta:
        steps["T"] = (float(meta["finterval"]), str(meta.get("tunit", "second")))
    labels = meta.get("Labels") or ()
    return steps, tuple(map(str, labels))  # used only if there is one for each channel
