"""TIFFs as other programs write them, page by page and with any text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

UUID = "urn:uuid:00000000-0000-4000-8000-00000000000"


def planes(*shape: int) -> np.ndarray:
    """Return planes (..., Y, X) uint16 of which no two are alike."""
    return np.random.default_rng(0).integers(0, 4000, shape).astype(np.uint16)


def write_pages(path: Path, data: Any, text: str, **options: Any) -> Path:
    """Write a page for each plane of `data`, with `text` on the first one."""
    with tifffile.TiffWriter(path) as file:
        for i, plane in enumerate(data):
            file.write(
                plane,
                description=text.encode() if i == 0 else None,
                metadata=None,
                contiguous=False,
                **{"photometric": "minisblack", **options},
            )
    return path


def ome_xml(*images: str, uuid: str | None = None) -> str:
    """Return OME-XML around images."""
    mark = f' UUID="{uuid}"' if uuid else ""
    space = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    return f'<OME xmlns="{space}"{mark}>{"".join(images)}</OME>'


def ome_image(inside: str = "<TiffData/>", **sizes: int) -> str:
    """Return one image of 40 x 50 pixels of 0.5 µm, with one plane unless told."""
    known = {"X": 50, "Y": 40, "C": 1, "Z": 1, "T": 1, **sizes}
    counts = " ".join(f'Size{axis}="{n}"' for axis, n in known.items())
    return (
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" {counts} '
        'Type="uint16" PhysicalSizeX="0.5" PhysicalSizeY="0.5">'
        f"{inside}</Pixels></Image>"
    )


def in_files(names: Sequence[str], axis: str = "T") -> str:
    """Return where the planes along `axis` lie: one in each file."""
    return "".join(
        f'<TiffData First{axis}="{i}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">{UUID}{i}</UUID></TiffData>'
        for i, name in enumerate(names)
    )


def dataset(folder: Path, names: Sequence[str] = ("t0.ome.tif", "t1.ome.tif")) -> Any:
    """Write an image with a plane in each file, and the same text in all of them."""
    data = planes(len(names), 40, 50)
    for i, name in enumerate(names):
        text = ome_xml(ome_image(in_files(names), T=len(names)), uuid=f"{UUID}{i}")
        write_pages(folder / name, data[i : i + 1], text)
    return data
