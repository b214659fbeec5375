"""TIFF reader: the image meant, its axes, colours and pyramid levels; no pixels.

Only this file knows which of the many things that a TIFF may hold is the image, and
what is left out then.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tifffile

from napari_unet._files import DAMAGE
from napari_unet.errors import ImageError
from napari_unet.io.content import Content, Steps
from napari_unet.io.ome_dataset import Dataset, dataset_of, missing_files
from napari_unet.io.ome_xml import OmeImage
from napari_unet.io.tiff_array import PaletteArray, TiffArray
from napari_unet.io.tiff_colours import check_colours, colour_map, without_alpha
from napari_unet.io.tiff_description import describe, imagej_channels
from napari_unet.io.tiff_levels import level_array, planes_there
from napari_unet.io.tiff_pages import count_pages, cut_off

__all__ = [
    "read_tiff",
]


def read_tiff(path: Path) -> Content:
    """Read everything but the pixels of a TIFF file.

    Of several images in one file the first that is no thumbnail is taken, with its
    pyramid; planes that were added one by one are a stack.

    Raises
    ------
    ImageError
        If the file is cut off, damaged, or holds what is no image.
    """
    with _opened(path) as found:
        axes, page = found.axes, found.group[0].keyframe
        check_colours(page, path)
        levels: Sequence[Any] = found.levels(path)
        if axes.endswith("S") and page.shaped[4] == 1:
            axes = axes[:-1]
        levels, axes = without_alpha(levels, axes, page)
        rgb = page.photometric not in (0, 1)  # those two are grey
        rgb = rgb and not imagej_channels(found.text)
        if (colours := colour_map(found.text, page)) is not None:
            levels = tuple(PaletteArray(level, colours) for level in levels)
            axes += "S" * (colours.ndim > 1)
        steps, names = found.described
        notes = found.notes
    return Content(tuple(levels), axes, rgb, steps, names, notes)


def _open_level(path: Path, index: int) -> TiffArray:
    """Return one level again, as unpickling does."""
    with _opened(path) as found:
        return found.levels(path)[index]


@dataclass(frozen=True, slots=True)
class _Found:
    """The image that is meant.

    Attributes
    ----------
    text
        The file as its writer describes it.
    tiff
        The file as far as that is true.
    group
        One series, or several alike that make up a stack.
    ome
        What OME-XML says of it.
    notes
        Sentences about what is not shown.
    """

    text: tifffile.TiffFile
    tiff: tifffile.TiffFile
    group: list[tifffile.TiffPageSeries]
    ome: OmeImage | None
    notes: tuple[str, ...]

    @property
    def axes(self) -> str:
        """One letter for each axis, those of a stack of several series in front."""
        return "Q" * (len(self.group) > 1) + self.group[0].axes

    @property
    def described(self) -> tuple[Steps, tuple[str, ...]]:
        """Pixel sizes and names of channels."""
        if self.ome is not None:
            return self.ome.steps, self.ome.channel_names
        return describe(self.text)

    def levels(self, path: Path) -> tuple[TiffArray, ...]:
        """Return the pyramid."""
        count = 1 if len(self.group) > 1 else len(self.group[0].levels)
        return tuple(
            level_array(
                [series.levels[i] for series in self.group],
                path,
                (_open_level, (path, i)),
            )
            for i in range(count)
        )


@contextmanager
def _opened(path: Path) -> Iterator[_Found]:
    """Open a file, and find the image in it."""
    pages = count_pages(path)
    if not pages:
        raise ImageError(
            f"{path.name} is a TIFF file without any image in it. Export it again."
        )
    with ExitStack() as stack:
        text = stack.enter_context(tifffile.TiffFile(path))
        dataset = dataset_of(text, path, pages)
        tiff = stack.enter_context(_as_described(dataset, path))
        notes = dataset.notes
        if not _makes_sense(tiff):
            tiff = stack.enter_context(_as_pages(path))
            notes = (
                *notes,
                f"What the text in {path.name} says of pages makes no sense.",
            )
        if dataset.promises or _promises_more(tiff, dataset):
            _check_whole(path, pages)
            tiff = stack.enter_context(_as_pages(path))
            notes = (*notes, _promise(path, pages))
        series = tiff.series
        if not series:
            raise ImageError(
                f"{path.name} is a TIFF file without any image in it. Export it again."
            )
        first = next((s for s in series if not _is_thumbnail(s)), series[0])
        if first.kind == "ome" and (missing := sum(page is None for page in first)):
            raise missing_files(path, missing, len(first), dataset.missing)
        group = _alike(first, series)
        notes = (*notes, *_left_out(group, tiff, pages, path))
        yield _Found(text, tiff, group, dataset.image, notes)


def _as_described(dataset: Dataset, path: Path) -> tifffile.TiffFile:
    if dataset.believed:
        return tifffile.TiffFile(path, omexml=dataset.xml)
    return tifffile.TiffFile(path, is_ome=False, is_mmstack=False)


def _makes_sense(tiff: tifffile.TiffFile) -> bool:
    """Whether pages can be found by what the text of a file says of them."""
    try:
        return bool(tiff.series)
    except OSError:  # of the disk, not of the text
        raise
    except DAMAGE:
        return False


def _as_pages(path: Path) -> tifffile.TiffFile:
    """Open a file, whatever its writer says of it."""
    return tifffile.TiffFile(
        path, is_ome=False, is_imagej=False, is_shaped=False, is_mmstack=False
    )


def _promises_more(tiff: tifffile.TiffFile, dataset: Dataset) -> bool:
    """Whether the text speaks of more planes than the file holds."""
    if not tiff.series:
        return False
    first = tiff.series[0]
    alone = not (dataset.missing or dataset.others)
    if alone and first.kind == "ome" and any(page is None for page in first):
        return True
    if tiff.is_imagej and first.kind in ("generic", "uniform"):
        return True  # there was no room for what ImageJ's text says
    needed, there = planes_there(first)
    return there < needed


def _promise(path: Path, pages: int) -> str:
    found = f"{pages} plane{'s' if pages > 1 else ''}"
    return (
        f"The text in {path.name} speaks of more planes than there are: it holds "
        f"{found}, which may be a part of something larger."
    )


def _check_whole(path: Path, pages: int) -> None:
    """Raise unless a file ends where its pages end: then nothing of it was cut off.

    Who splits a stack leaves the text of the whole stack in every part. If a file was
    cut off, there are bytes of a page that nobody speaks of.
    """
    with _as_pages(path) as tiff:
        form, ends = tiff.tiff, [0]
        for page in tiff.pages:
            page = page.aspage()
            ends.append(
                page.offset
                + form.tagnosize
                + len(page.tags) * form.tagsize
                + form.offsetsize
            )
            ends += [tag.valueoffset + tag.valuebytecount for tag in page.tags]
            pieces = zip(page.dataoffsets, page.databytecounts, strict=False)
            ends += [offset + count for offset, count in pieces]
        size = tiff.filehandle.size
    if not max(ends) <= size < max(ends) + 4:
        raise cut_off(path, f"only {pages} of its pages can be found")


def _is_thumbnail(series: tifffile.TiffPageSeries) -> bool:
    """Whether a file says that this is a small copy, or only the mask, of an image."""
    return series.name == "Thumbnail" or bool(series.keyframe.subfiletype & 0b101)


def _alike(
    first: tifffile.TiffPageSeries, series: list[tifffile.TiffPageSeries]
) -> list[tifffile.TiffPageSeries]:
    """Return the planes or stacks that were added to a file one by one."""

    def look(one: tifffile.TiffPageSeries) -> object:
        return one.shape, one.axes, one.keyframe.hash, len(one.levels), one.name

    known = set(first.axes) <= set("TCZYXS") and not {"T", "Z"} <= set(first.axes)
    if first.kind != "shaped" or len(first.levels) > 1 or not known:
        return [first]
    wanted = look(first)
    return [one for one in series if look(one) == wanted]


def _left_out(
    group: list[tifffile.TiffPageSeries],
    tiff: tifffile.TiffFile,
    pages: int,
    path: Path,
) -> tuple[str, ...]:
    """Return sentences about images and planes that are not shown."""
    notes = []
    shown = {id(series) for series in group}
    others = [s for s in tiff.series if id(s) not in shown and not _is_thumbnail(s)]
    if others:
        which = "the first" if group[0] is tiff.series[0] else "one"
        notes.append(
            f"{path.name} holds {len(others) + 1} images; this is {which} of them."
        )
    used = sum(
        planes_there(level)[0]
        for series in tiff.series
        for level in series.levels
        if not level.keyframe.is_subifd and not level.is_multifile
    )
    if pages > used and not any(s.is_multifile for s in tiff.series):
        notes.append(
            f"{path.name} holds {pages} planes, but its text speaks of {used}: the "
            f"other {pages - used} {'is' if pages - used == 1 else 'are'} not shown."
        )
    return tuple(notes)
