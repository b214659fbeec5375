"""Sizes that a TIFF claims are compared with its bytes before they are believed."""

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.tiffs import planes, write_pages

from napari_unet.errors import ImageError
from napari_unet.io.open import open_image


def overwrite(path: Path, **values: int) -> Path:
    """Put other values into tags of the first page."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for name, value in values.items():
            tiff.pages.first.tags[name].overwrite(value)
    return path


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_shape_that_no_file_can_hold_is_not_believed(
    tmp_path: Path, options: dict[str, str]
) -> None:
    text = '{"shape": [10000000, 1, 16, 16]}'
    path = write_pages(tmp_path / "a.tif", planes(1, 16, 16), text, **options)
    assert open_image(path).shape == (16, 16)


@pytest.mark.parametrize("compression", ["zlib", "zstd", "lzw"])
def test_strip_that_unpacks_to_gigabytes_is_refused(
    tmp_path: Path, compression: str
) -> None:
    path = write_pages(
        tmp_path / "a.tif", [np.zeros((64, 64), "u1")], "x", compression=compression
    )
    overwrite(path, ImageLength=60_000, ImageWidth=60_000, RowsPerStrip=60_000)
    with pytest.raises(ImageError, match="would unpack to 3600 MB each"):
        open_image(path)


def test_strip_that_unpacks_to_more_than_it_says_is_damaged(tmp_path: Path) -> None:
    data = [np.zeros((4000, 4000), "u1")]
    path = write_pages(
        tmp_path / "a.tif", data, "x", compression="zlib", rowsperstrip=4000
    )
    overwrite(path, ImageLength=16, ImageWidth=16, RowsPerStrip=16)
    image = open_image(path)
    with pytest.raises(ImageError, match="cannot be read"):
        image.read((), slice(0, 16), slice(0, 16))


def test_jpeg_that_is_larger_than_its_piece_is_not_unpacked(tmp_path: Path) -> None:
    options = {"compression": "jpeg", "tile": (16, 16)}
    path = write_pages(tmp_path / "a.tif", [np.zeros((16, 16), "u1")], "x", **options)
    size = struct.pack(">BHH", 8, 16, 16)
    content = path.read_bytes()
    assert content.count(size) == 1
    path.write_bytes(content.replace(size, struct.pack(">BHH", 8, 65_000, 65_000)))
    image = open_image(path)
    with pytest.raises(ImageError, match="65000 x 65000 pixels"):
        image.read((), slice(0, 16), slice(0, 16))


def test_tiles_that_are_not_listed_are_missed(tmp_path: Path) -> None:
    path = write_pages(
        tmp_path / "a.tif", planes(1, 32, 32), "x", tile=(16, 16), compression="zlib"
    )
    overwrite(path, ImageLength=2**31 - 1, ImageWidth=2**31 - 1)
    with pytest.raises(ImageError, match=r"lists 4 of \d+ pieces"):
        open_image(path)


def test_plane_larger_than_its_file_is_cut_off(tmp_path: Path) -> None:
    path = write_pages(tmp_path / "a.tif", planes(1, 32, 32), "x")
    overwrite(
        path,
        ImageLength=2**31 - 1,
        ImageWidth=2**20,
        RowsPerStrip=2**31 - 1,
        StripByteCounts=2**31 - 1,
    )
    with pytest.raises(ImageError, match="cut off"):
        open_image(path)


def test_planes_that_follow_each_other_need_no_pages(tmp_path: Path) -> None:
    text = "ImageJ=1.53t\nimages=500000\nframes=500000\nhyperstack=true\n"
    path = write_pages(tmp_path / "a.tif", planes(1, 8, 9), text)
    with tifffile.TiffFile(path) as tiff:
        start, size = tiff.pages.first.dataoffsets[0], tiff.pages.first.nbytes
    with path.open("r+b") as file:
        file.truncate(start + 500_000 * size)
        file.seek(start + 123_456 * size)
        file.write(b"\x07")
    image = open_image(path)
    assert image.shape == (500_000, 8, 9)
    assert [int(image.data[n].sum()) for n in (123_456, 499_999)] == [7, 0]
