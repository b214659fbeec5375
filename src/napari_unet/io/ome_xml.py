"""OME-XML parser: images, sizes, channels and files that a TIFF's text declares.

Only this file knows the names of OME's elements. What they say is compared with what is
there before anybody acts on it: sizes with pages, files with the folder.
"""

import math
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any
from xml.etree import ElementTree as ET

from napari_unet.io.content import Steps

__all__ = ["OmeImage", "OmeText", "leads_out", "parse_ome"]

_ORDER = "XYCZT"  # of planes, the fastest first, where nothing is said
_MOST_LABELS = 10_000  # along an axis that is divided once more (Modulo)
_SIZES = (
    ("X", "PhysicalSizeX", "µm"),
    ("Y", "PhysicalSizeY", "µm"),
    ("Z", "PhysicalSizeZ", "µm"),
    ("T", "TimeIncrement", "s"),
)

Element = ET.Element


@dataclass(frozen=True, slots=True)
class OmeImage:
    """One image of several, as its text says.

    Attributes
    ----------
    number, count
        Which of how many images it is, from 1.
    planes
        How many planes it should have, each sample of a pixel counted.
    announced
        How many pages one element of the text speaks of at most.
    here
        Whether a page lies in the file that was asked about.
    files
        Names of the other files that have pages of it.
    steps, channel_names
        As in `Content`.
    """

    number: int
    count: int
    planes: int
    announced: int
    here: bool
    files: tuple[str, ...]
    steps: Steps
    channel_names: tuple[str, ...]


class OmeText:
    """The text of one file, or of the companion that describes it."""

    def __init__(self, root: Element) -> None:
        self._root = root

    @property
    def companion(self) -> str | None:
        """Name of the file that has the text, where this one has pixels only."""
        found = _inside(self._root, "BinaryOnly")
        return found[0].get("MetadataFile", "") if found else None

    @property
    def uuid(self) -> str | None:
        """What the file is called where names may change."""
        return self._root.get("UUID")

    def image_of(self, file: str, uuid: str | None) -> OmeImage | None:
        """Return the image that has a page in `file`, else the first; None without any.

        Parameters
        ----------
        file, uuid
            What the text may call the file.
        """
        images = self._images
        if not images:
            return None
        named = [_others(image, file, uuid) for image in images]
        at = next((n for n, (here, _) in enumerate(named) if here), 0)
        pixels = _inside(images[at], "Pixels")[0]
        here, others = named[at]
        return OmeImage(
            number=at + 1,
            count=len(images),
            planes=math.prod(int(pixels.get(f"Size{axis}", 1)) for axis in "CZT"),
            announced=max(map(_announced, _parts(images[at])), default=0),
            here=here,
            files=others,
            steps=_steps(pixels),
            channel_names=_names(pixels),
        )

    def only(self, image: OmeImage, files: set[str], uuid: str | None) -> str:
        """Return the text with one image, as it lies in `files`.

        Whoever reads it looks for nothing else.

        Parameters
        ----------
        files
            Names of other files that are there.
        uuid
            Of the file that is opened.
        """
        root = ET.fromstring(ET.tostring(self._root))
        root.attrib.pop("UUID", None)
        if uuid is not None:
            root.set("UUID", uuid)
        for number, one in enumerate(OmeText(root)._images, 1):
            if number != image.number:
                root.remove(one)
        for pixels in (
            p for one in _inside(root, "Image") for p in _inside(one, "Pixels")
        ):
            for part in _inside(pixels, "TiffData"):
                if any(
                    name in image.files and name not in files for name in _named(part)
                ):
                    pixels.remove(part)
        return ET.tostring(root, encoding="unicode")

    def unnamed(self) -> str:
        """Return the text without names of files: all pages are in the one at hand."""
        root = ET.fromstring(ET.tostring(self._root))
        for image in OmeText(root)._images:
            for part in _parts(image):
                for uuid in _inside(part, "UUID"):
                    part.remove(uuid)
        return ET.tostring(root, encoding="unicode")

    def complete(self) -> str | None:
        """Add what a text lacks and readers need; return the text, None if it is whole.

        The order of planes and how many there are: of one channel, level and time
        unless it says more. Where the only image lies: in this file.
        """
        images = self._images
        lacking = [_complete(i, where=len(images) == 1) for i in images]
        return ET.tostring(self._root, encoding="unicode") if any(lacking) else None

    @property
    def _images(self) -> list[Element]:
        return [i for i in _inside(self._root, "Image") if _inside(i, "Pixels")]

    @property
    def sane(self) -> bool:
        """Whether no axis is divided into more parts than anybody counts."""
        for along in self._root.iter():
            if _local(along)[:-1] != "ModuloAlong" or "Start" not in along.attrib:
                continue
            start, end = (_number(along.get(name, "0")) for name in ("Start", "End"))
            step = _number(along.get("Step", "1"))
            if not step or not 0 <= (end - start) / step < _MOST_LABELS:
                return False
        return True


def parse_ome(text: str) -> OmeText | None:
    """Return what a text says; None if it is no OME-XML."""
    try:
        root = ET.fromstring(text)
    except ET.ParseError:
        return None
    return OmeText(root) if _local(root) == "OME" else None


def leads_out(name: str) -> bool:
    """Whether a file's name is no name of a file in the same folder, or below it."""
    parts = PurePath(name.replace("\\", "/")).parts
    return not parts or ".." in parts or Path(name).is_absolute() or ":" in parts[0]


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _complete(image: Element, *, where: bool) -> bool:
    """Add what an image lacks; return whether that was anything.

    `where`: say where its planes lie, too, if nothing is said.
    """
    pixels = _inside(image, "Pixels")[0]
    order = pixels.get("DimensionOrder", "")
    wanted = {"DimensionOrder": order if sorted(order) == sorted(_ORDER) else _ORDER}
    wanted |= {f"Size{a}": str(_count(pixels.get(f"Size{a}"))) for a in "CZT"}
    lacks = wanted.items() - pixels.attrib.items()
    pixels.attrib.update(wanted)
    where = where and not (_inside(pixels, "TiffData") or _inside(pixels, "BinData"))
    if where:
        ET.SubElement(pixels, pixels.tag.replace("Pixels", "TiffData"))
    return bool(lacks) or where


def _count(text: str | None) -> int:
    """Return a number of planes; 1 if it is none."""
    try:
        return max(int(float(text or 1)), 1)
    except (ValueError, OverflowError):
        return 1


def _inside(element: Element, name: str) -> list[Element]:
    return [child for child in element if _local(child) == name]


def _parts(image: Element) -> list[Element]:
    """Return the elements that say where pages of an image are."""
    return [
        p for pixels in _inside(image, "Pixels") for p in _inside(pixels, "TiffData")
    ]


def _named(part: Element) -> list[str]:
    return [uuid.get("FileName", "") for uuid in _inside(part, "UUID")]


def _others(
    image: Element, file: str, uuid: str | None
) -> tuple[bool, tuple[str, ...]]:
    """Return whether an image has pages in a file, and which other files it names."""
    here, others = False, dict[str, None]()
    for part in _parts(image):
        places = _inside(part, "UUID")
        for place in places:
            name = place.get("FileName", "")
            if name.lower() == file.lower() or (uuid and place.text == uuid):
                here = True
            else:
                others[name] = None
        here = here or not places
    return here, tuple(others)


def _announced(part: Element) -> int:
    """Return how many pages an element speaks of."""
    return int(part.get("PlaneCount", part.get("NumPlanes", 1)))


def _steps(pixels: Element) -> Steps:
    return {
        axis: (_number(pixels.get(field, "")), pixels.get(f"{field}Unit", unit))
        for axis, field, unit in _SIZES
        if field in pixels.attrib
    }


def _names(pixels: Element) -> tuple[str, ...]:
    """Return the channels' names, or the dyes that viewers show in their place."""
    channels = _inside(pixels, "Channel")
    return tuple((c.get("Name") or c.get("Fluor") or "").strip() for c in channels)


def _number(value: Any) -> float:
    """Return a size; 0, which counts as unknown, if it is none.

    Programs in some countries write a comma, though XML knows only the point.
    """
    try:
        return float(str(value).replace(",", "."))
    except ValueError:
        return 0.0
