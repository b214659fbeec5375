"""Multi-file OME-TIFF: the files that form one image, checked against the folder.

Only this file follows names from one file to others: never out of the folder, never to
what is no plain file, and to no more pages than there are.
"""

from dataclasses import dataclass
from pathlib import Path

import tifffile

from napari_unet.errors import ImageError
from napari_unet.io.ome_xml import OmeImage, OmeText, leads_out, parse_ome
from napari_unet.io.tiff_pages import count_pages

__all__ = ["Dataset", "dataset_of", "files_together", "missing_files"]

_COMPANION_BYTES = 2**26  # a file of text alone


@dataclass(frozen=True, slots=True)
class Dataset:
    """What is known of the text of a file.

    Attributes
    ----------
    believed
        Whether the pages are as the text says.
    promises
        Whether it speaks of more pages than there are.
    xml
        The text, as far as it may be acted on; None: as it stands in the file.
    image
        What it says of the image; None if it is no OME-XML.
    others
        The other files of the image, if all are there.
    missing
        Names that lead nowhere, or out of the folder.
    notes
        Sentences about what is not shown.
    """

    believed: bool = True
    promises: bool = False
    xml: str | None = None
    image: OmeImage | None = None
    others: tuple[Path, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def files_together(path: Path) -> frozenset[Path]:
    """Return the files that are shown together if one of them is opened.

    It alone, if it is no OME-TIFF or cannot be read.
    """
    try:
        pages = count_pages(path)
        with tifffile.TiffFile(path) as tiff:
            return frozenset((path, *dataset_of(tiff, path, pages).others))
    except Exception:  # noqa: BLE001 - whoever opens it says what is wrong
        return frozenset({path})


def dataset_of(tiff: tifffile.TiffFile, path: Path, pages: int) -> Dataset:
    """Return what the text of a file says about it and others.

    Parameters
    ----------
    pages
        How many there are in this file.

    Raises
    ------
    ImageError
        If files of the image are missing, and nothing can be shown without them.
    """
    if not tiff.is_ome or not tiff.ome_metadata:
        return Dataset()
    text = own = parse_ome(tiff.ome_metadata)
    if text is None or own is None:
        note = f"The OME-XML of {path.name} cannot be read and was left aside."
        return Dataset(believed=False, notes=(note,))
    if own.companion is not None:
        text = _companion(path, own.companion)
    if text is None:
        note = (
            f"{path.name} is one of several files of an image. What describes them, "
            f"{own.companion!r}, is not there, so this is one file alone."
        )
        return Dataset(believed=False, notes=(note,))
    whole = text.complete()
    image = text.image_of(path.name, own.uuid)
    if image is None or not text.sane:
        return Dataset(believed=False)
    if own is text and image.count == 1 and not image.files:
        more = _pages_of(image, tiff) > pages
        return Dataset(believed=not more, promises=more, xml=whole, image=image)
    return _compared(text, image, own.uuid, tiff, path, pages)


def _compared(
    text: OmeText,
    image: OmeImage,
    uuid: str | None,
    tiff: tifffile.TiffFile,
    path: Path,
    pages: int,
) -> Dataset:
    """Return what of a text about several images, or several files, is true."""
    there, missing = _others(image, path)
    needed = _pages_of(image, tiff)
    alone = image.count == len(missing) == 1 and not there and not image.here
    if alone and needed <= pages:  # the file was given another name
        return Dataset(xml=text.unnamed(), image=image)
    known = pages + sum(count_pages(path.parent / name) for name in there)
    if missing and needed > known:
        raise missing_files(path, needed - known, needed, missing)
    if needed > known:
        return Dataset(believed=False, promises=True, image=image)
    notes = []
    if image.count > 1:
        notes.append(
            f"{path.name} speaks of {image.count} images; this is number "
            f"{image.number} of them."
        )
    if there and not missing:
        notes.append(
            f"{path.name} is one of {len(there) + 1} files of an image; all of them "
            "are shown together."
        )
    return Dataset(
        xml=text.only(image, set(there), uuid),
        image=image,
        others=() if missing else tuple(path.parent / name for name in there),
        missing=missing,
        notes=tuple(notes),
    )


def missing_files(
    path: Path, count: int, planes: int, names: tuple[str, ...]
) -> ImageError:
    """Return the error of an image that is not all there."""
    why = ""
    if names and leads_out(names[0]):
        why = f" ({names[0]!r} leads out of the folder and is not followed)"
    elif names:
        why = f" ({names[0]!r} is one)"
    return ImageError(
        f"{path.name} is one of several files of an image, and {count} of its {planes} "
        f"planes are in files that are not there{why}. Put them beside it."
    )


def _pages_of(image: OmeImage, tiff: tifffile.TiffFile) -> int:
    """Return how many pages a text asks for, if all are as the first one."""
    samples, depth, _, _, colours = tiff.pages.first.shaped
    return max(-(-image.planes // max(samples * depth * colours, 1)), image.announced)


def _others(image: OmeImage, path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of other files that are there, and of those that are not."""
    there: list[str] = []
    missing: list[str] = []
    for name in image.files:
        found = not leads_out(name) and (path.parent / name).is_file()
        (there if found else missing).append(name)
    return tuple(there), tuple(missing)


def _companion(path: Path, name: str) -> OmeText | None:
    """Return the text of the file that describes another; None if it is missing."""
    file = path.parent / name
    if leads_out(name) or not file.is_file():
        return None
    with file.open("rb") as stream:
        start = stream.read(4)
    if start[:2] in (b"II", b"MM"):
        with tifffile.TiffFile(file) as tiff:
            return parse_ome(tiff.ome_metadata or "")
    if file.stat().st_size > _COMPANION_BYTES:
        return None
    return parse_ome(file.read_text(encoding="utf-8", errors="replace"))
