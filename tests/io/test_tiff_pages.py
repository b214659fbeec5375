"""Pages of a TIFF are counted before anybody follows them."""

import struct
from pathlib import Path

import pytest
import tifffile
from helpers.tiffs import planes

from napari_unet.errors import ImageError
from napari_unet.io.open import open_image
from napari_unet.io.tiff_pages import count_pages


def chain(path: Path, pages: int, end: int = 0) -> Path:
    """Write pages of one pixel, the last of which leads to the page number `end`."""
    tags = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (279, 1)]
    body = b"".join(struct.pack("<HHII", code, 4, 1, value) for code, value in tags)
    size = 2 + len(body) + 4
    starts = [16 + size * i for i in range(pages)]
    after = [*starts[1:], starts[end - 1] if end else 0]
    head = struct.pack("<2sHI8x", b"II", 42, starts[0])
    body = struct.pack("<H", len(tags)) + body
    path.write_bytes(head + b"".join(body + struct.pack("<I", at) for at in after))
    return path


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}])
def test_every_page_is_counted(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, **options) as file:
        for plane in planes(5, 8, 9):
            file.write(plane, metadata=None, contiguous=False)
    assert count_pages(path) == 5


@pytest.mark.parametrize("back", [1, 150])
def test_pages_in_a_circle_are_refused(tmp_path: Path, back: int) -> None:
    path = chain(tmp_path / "a.tif", 200, back)
    with pytest.raises(ImageError, match=r"a\.tif is damaged.*circle"):
        open_image(path)


def test_countless_pages_are_refused(tmp_path: Path) -> None:
    path = chain(tmp_path / "a.tif", 100_001)
    with pytest.raises(ImageError, match="more than 100000 pages"):
        open_image(path)


def test_countless_kinds_of_pages_are_refused(tmp_path: Path) -> None:
    path = chain(tmp_path / "a.tif", 501)
    content = path.read_bytes()
    step = (len(content) - 16) // 501
    pages = [content[i : i + step] for i in range(16, len(content), step)]
    width = struct.pack("<HHI", 256, 4, 1)
    for i, page in enumerate(pages):
        pages[i] = page.replace(width + b"\1\0", width + struct.pack("<H", i + 1), 1)
    path.write_bytes(content[:16] + b"".join(pages))
    with pytest.raises(ImageError, match="more than 500 kinds of pages"):
        open_image(path)


def test_countless_levels_of_a_page_are_refused(tmp_path: Path) -> None:
    path = chain(tmp_path / "a.tif", 1)
    last, sub = struct.pack("<HHII", 279, 4, 1, 1), struct.pack("<HHI", 330, 4, 10**6)
    path.write_bytes(path.read_bytes().replace(last, sub + bytes(4)))
    with pytest.raises(ImageError, match="more than 100000 pages"):
        open_image(path)
