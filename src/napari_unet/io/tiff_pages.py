"""TIFF page chain (IFDs): counted and checked before any library follows it.

Only this file reads the chain of pages byte by byte. Libraries follow it to wherever it
leads: in a circle, or to so many pages that nobody can wait for them.
"""

import os
import struct
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from napari_unet.errors import ImageError

__all__ = ["count_pages", "cut_off"]

_MOST_PAGES = 100_000  # levels of pyramids counted, too; they open in some seconds
_MOST_TAGS = 4096  # of a page; real ones have some dozen
_SUBIFDS = 330  # the tag that lists further pages of a page
_LOOKS = frozenset(
    (256, 257, 258, 259, 277, 278, 322, 323)
)  # size, bits, strips, tiles
_MOST_LOOKS = 500  # each is compared with each other one, as levels of a pyramid are


class _Form(NamedTuple):
    """How a kind of TIFF writes numbers."""

    offset: struct.Struct  # where something is
    tags: struct.Struct  # how many tags a page has
    tag: struct.Struct  # code, kind, count, value or where it is


def count_pages(path: Path) -> int:
    """Return how many pages a TIFF has, each of which is there.

    Raises
    ------
    ImageError
        If the chain of pages is broken, goes in a circle, or has no sensible length.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        form, at = _begin(file, path)
        seen: set[int] = set()
        looks: set[tuple[Any, ...]] = set()
        listed = 0
        while at:
            if at in seen:
                raise ImageError(
                    f"{path.name} is damaged: its pages follow each other in a circle. "
                    "Copy or export the file again."
                )
            seen.add(at)
            found = _page(file, form, at) if at < size else None
            if found is None:
                raise cut_off(path, f"only {len(seen) - 1} of its pages can be found")
            at, more, look = found
            listed += 1 + more
            looks.add(look)
            if listed > _MOST_PAGES or len(looks) > _MOST_LOOKS:
                most = f"{_MOST_PAGES} pages"
                if len(looks) > _MOST_LOOKS:
                    most = f"{_MOST_LOOKS} kinds of pages"
                raise ImageError(
                    f"{path.name} has more than {most}, which would take too long to "
                    "open. Save it in parts, or as OME-Zarr."
                )
    return len(seen)


def cut_off(path: Path, seen: str) -> ImageError:
    """Return the error of a file that is not all there."""
    return ImageError(
        f"{path.name} is damaged or was cut off: {seen}. Copy or export the file again."
    )


def _begin(file: BinaryIO, path: Path) -> tuple[_Form, int]:
    """Return how numbers are written, and where the first page is."""
    start = file.read(16).ljust(16, b"\0")
    order = "<" if start[:2] == b"II" else ">"
    version = struct.unpack(f"{order}H", start[2:4])[0]
    if version == 43:  # BigTIFF
        form = _form(order, "Q", "Q", "HHQQ")
        return form, form.offset.unpack(start[8:16])[0]
    wide = order == "<" and path.suffix.lower() == ".ndpi"  # told by its name alone
    form = _form(order, "Q" if wide else "I", "H", "HHII")
    return form, form.offset.unpack(start[4 : 4 + form.offset.size])[0]


def _form(order: str, offset: str, tags: str, tag: str) -> _Form:
    return _Form(*(struct.Struct(order + letters) for letters in (offset, tags, tag)))


def _page(
    file: BinaryIO, form: _Form, at: int
) -> tuple[int, int, tuple[Any, ...]] | None:
    """Return where the next page is, how many this one lists, and how it looks.

    None if it was cut off.
    """
    file.seek(at)
    head = file.read(form.tags.size)
    if len(head) < form.tags.size:
        return None
    count = form.tags.unpack(head)[0]
    if count > _MOST_TAGS:
        return None
    size = count * form.tag.size
    body = file.read(size + form.offset.size)
    if len(body) < size + form.offset.size:
        return None
    more, look = 0, []
    for code, _, number, value in form.tag.iter_unpack(body[:size]):
        if code == _SUBIFDS:
            more += number
        elif code in _LOOKS and number == 1:
            look.append((code, value))
    return form.offset.unpack(body[size:])[0], more, tuple(look)
