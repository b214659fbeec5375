"""Sizes, times and names are what a file says, wherever its writer puts them."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.tiffs import ome_image, ome_xml, planes, write_pages

from napari_unet.io.image import Image
from napari_unet.io.open import open_image


def imagej(path: Path, shape: tuple[int, ...] = (40, 50), **options: Any) -> Image:
    tifffile.imwrite(path, planes(*shape), imagej=True, **options)
    return open_image(path)


@pytest.mark.parametrize(
    ("unit", "dots", "size"),
    [
        ("INCH", 72, None),
        ("INCH", 96, None),
        ("INCH", 300, None),
        ("NONE", 4, None),
        ("INCH", 50_800, 0.5),
        ("CENTIMETER", 20_000, 0.5),
    ],
)
def test_text_of_imagej_without_a_unit_leaves_it_to_the_tags(
    tmp_path: Path, unit: str, dots: int, size: float | None
) -> None:
    image = imagej(
        tmp_path / "a.tif",
        resolution=(dots, dots),
        resolutionunit=unit,
        metadata={"axes": "YX"},
    )
    assert image.scale == pytest.approx((size or 1.0,) * 2)
    assert image.units == (("micrometer" if size else "pixel"),) * 2


@pytest.mark.parametrize(
    ("times", "step"),
    [({"fps": 4.0}, 0.25), ({"fps": 7.0, "finterval": 2.0}, 2.0), ({"fps": 0.0}, None)],
)
def test_frames_per_second_are_a_time_step(
    tmp_path: Path, times: dict[str, float], step: float | None
) -> None:
    path = tmp_path / "a.tif"
    image = imagej(path, (5, 40, 50), metadata={"axes": "TYX", **times})
    assert (image.scale[0], image.units[0]) == (
        (step, "second") if step else (1.0, "pixel")
    )


@pytest.mark.parametrize("said", ["MPP = 0.4990", "MPP=0.499|Left = 2", "MPP = 0,499"])
def test_aperio_notes_its_pixel_size_in_words(tmp_path: Path, said: str) -> None:
    text = f"Aperio Image Library v11.2.1 \r\n480x400 (240x240)|AppMag = 20|{said}"
    slide = np.zeros((96, 128, 3), "u1")
    with tifffile.TiffWriter(tmp_path / "a.svs") as file:
        options: dict[str, Any] = {"photometric": "rgb", "metadata": None}
        file.write(slide, tile=(32, 32), description=text, **options)
        file.write(slide[::4, ::4], **options)
        file.write(slide[::4, ::4], tile=(32, 32), **options)
    image = open_image(tmp_path / "a.svs")
    assert (image.axes, image.rgb, len(image.levels)) == ("YXC", True, 2)
    assert image.scale[:2] == (0.499, 0.499)
    assert image.units[:2] == ("micrometer",) * 2
    assert not image.notes


@pytest.mark.parametrize(
    ("unit", "dots", "size"),
    [
        ("MILLIMETER", 2000, 0.5),
        ("MICROMETER", 2, 0.5),
        ("CENTIMETER", 118, None),
        ("INCH", 600, None),
    ],
)
def test_dots_are_counted_in_any_unit(
    tmp_path: Path, unit: str, dots: int, size: float | None
) -> None:
    options: Any = {"resolution": (dots, dots), "resolutionunit": unit}
    tifffile.imwrite(tmp_path / "a.tif", planes(40, 50), metadata=None, **options)
    image = open_image(tmp_path / "a.tif")
    assert image.scale == pytest.approx((size or 1.0,) * 2)
    assert image.units == (("micrometer" if size else "pixel"),) * 2


def metaseries(state: str) -> dict[str, Any]:
    about = {
        "spatial-calibration-state": ("bool", state),
        "spatial-calibration-x": ("float", "0.65"),
        "spatial-calibration-y": ("float", "0.325"),
        "spatial-calibration-units": ("string", "um"),
    }
    inside = "".join(
        f'<prop id="{name}" type="{kind}" value="{value}"/>'
        for name, (kind, value) in about.items()
    )
    text = f"<MetaData><PlaneInfo>{inside}</PlaneInfo></MetaData>"
    return {"description": text, "software": "MetaSeries"}


def tagged(code: int, text: str) -> dict[str, Any]:
    return {"extratags": [(code, 2, 0, text, True)]}


WRITERS = {
    "metaseries": (metaseries("on"), (0.325, 0.65), "micrometer"),
    "metaseries_off": (metaseries("off"), (1.0, 1.0), "pixel"),
    "fei": (
        tagged(34682, "[Scan]\r\nPixelWidth=5e-09\r\nPixelHeight=4e-09\r\n"),
        (0.004, 0.005),
        "micrometer",
    ),
    "fei_without_a_size": (tagged(34682, "[User]\r\nDate=1\r\n"), (1, 1), "pixel"),
    "zeiss_sem": (
        tagged(
            34118,
            "\r\n0\r\n0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 12.5 nm\r\n",
        ),
        (12.5, 12.5),
        "nanometer",
    ),
}


@pytest.mark.parametrize(("options", "scale", "unit"), WRITERS.values(), ids=WRITERS)
def test_pixel_size_of_other_writers_is_kept(
    tmp_path: Path, options: dict[str, Any], scale: tuple[float, ...], unit: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", planes(40, 50), metadata=None, **options)
    image = open_image(tmp_path / "a.tif")
    assert image.scale == pytest.approx(scale)
    assert image.units == (unit,) * 2


def test_pages_of_a_perkinelmer_scanner_name_channels(tmp_path: Path) -> None:
    data = planes(2, 40, 50)
    options: dict[str, Any] = {
        "software": "PerkinElmer-QPI",
        "metadata": None,
        "contiguous": False,
        "resolution": (20_000, 20_000),
        "resolutionunit": "CENTIMETER",
    }
    with tifffile.TiffWriter(tmp_path / "a.qptiff") as file:
        for plane, name in zip(data, ("DAPI", "CD8 &amp; CD4"), strict=True):
            inside = f"<ImageType>FullResolution</ImageType><Name>{name}</Name>"
            text = f"<PerkinElmer-QPI-ImageDescription>{inside}"
            text += "</PerkinElmer-QPI-ImageDescription>"
            file.write(plane, description=text, **options)
        file.write(np.zeros((8, 9, 3), "u1"), photometric="rgb", **options)
    image = open_image(tmp_path / "a.qptiff")
    assert (image.axes, image.channel_names) == ("CYX", ("DAPI", "CD8 & CD4"))
    assert image.scale == pytest.approx((1.0, 0.5, 0.5))
    np.testing.assert_array_equal(image.data[...], data)


LABELS = {
    "with_positions": [
        f"c:{c}/2 z:{z}/3 - {'DG'[c - 1]}" for z in (1, 2, 3) for c in (1, 2)
    ],
    "bare": ["D", "G"] * 3,
    "for_each_channel": ["D", "G"],
    "two_lines": ["D\ninfo 1", "G\ninfo 2", "D\ninfo 3", "G", "D", "G"],
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_of_slices_name_channels(tmp_path: Path, labels: list[str]) -> None:
    about = {"axes": "ZCYX", "Labels": labels}
    image = imagej(tmp_path / "a.tif", (3, 2, 40, 50), metadata=about)
    assert image.channel_names == ("D", "G")


@pytest.mark.parametrize("labels", [["D"] * 3 + ["G"] * 3, ["D", "G"]])
def test_labels_are_in_the_order_in_which_planes_are_counted(
    tmp_path: Path, labels: list[str]
) -> None:
    about = {"axes": "ZCYX", "Labels": labels, "order": "zct"}
    image = imagej(tmp_path / "a.tif", (3, 2, 40, 50), metadata=about)
    assert image.channel_names == ("D", "G")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([f"c:{c}/2 z:{z}/3 - a.lif" for z in (1, 2, 3) for c in (1, 2)], ()),
        ([f"plane {i}" for i in range(6)], ()),
        (["D", "1", "D", "2", "D", "3"], ("D", "")),
    ],
    ids=["name_of_the_file", "of_planes", "of_one_channel"],
)
def test_labels_that_name_no_channel_are_none(
    tmp_path: Path, labels: list[str], names: tuple[str, ...]
) -> None:
    about = {"axes": "ZCYX", "Labels": labels}
    image = imagej(tmp_path / "a.tif", (3, 2, 40, 50), metadata=about)
    assert image.channel_names == names


CHANNELS = {
    "fewer_names": ('<Channel Name="DAPI"/>', ("DAPI", "")),
    "dyes": ('<Channel Fluor="DAPI"/><Channel Fluor="GFP"/>', ("DAPI", "GFP")),
    "name_before_dye": ('<Channel Name="a" Fluor="b"/><Channel/>', ("a", "")),
    "looks_like_a_number": (
        '<Channel Name="0405"/><Channel Name="1e3"/>',
        ("0405", "1e3"),
    ),
    "none": ("<Channel/><Channel/>", ()),
}


def test_unit_that_was_decoded_wrongly_is_understood(tmp_path: Path) -> None:
    text = ome_xml(ome_image()).replace(
        'PhysicalSizeY="0.5"', 'PhysicalSizeY="0.5" PhysicalSizeYUnit="Âµm"'
    )
    image = open_image(write_pages(tmp_path / "a.ome.tif", planes(1, 40, 50), text))
    assert image.units == ("micrometer",) * 2


@pytest.mark.parametrize(("inside", "names"), CHANNELS.values(), ids=CHANNELS)
def test_names_in_ome_are_kept_where_there_are_any(
    tmp_path: Path, inside: str, names: tuple[str, ...]
) -> None:
    text = ome_xml(ome_image(f"{inside}<TiffData/>", C=2))
    image = open_image(write_pages(tmp_path / "a.ome.tif", planes(2, 40, 50), text))
    assert image.channel_names == names
    assert open_image(tmp_path / "a.ome.tif", "ZYX").channel_names == ()


def lsm(path: Path, data: np.ndarray, names: tuple[str, ...]) -> None:
    """Write a Zeiss LSM of planes (Z, C, Y, X) with thumbnails in between."""
    info = np.zeros((), np.dtype(list(tifffile.TIFF.CZ_LSMINFO)).newbyteorder("<"))
    nowhere = 0xDEADBEEF  # replaced by where the names lie, once that is known
    depth, channels, height, width = data.shape
    for field, value in {
        "MagicNumber": 67127628,
        "StructureSize": 500,
        "DimensionX": width,
        "DimensionY": height,
        "DimensionZ": depth,
        "DimensionChannels": channels,
        "DimensionTime": 1,
        "DataType": 2,
        "VoxelSizeX": 2e-7,
        "VoxelSizeY": 2e-7,
        "VoxelSizeZ": 1e-6,
        "OffsetChannelColors": nowhere,
    }.items():
        info[field] = value
    tag = (34412, 1, info.nbytes, info.tobytes(), True)
    options: dict[str, Any] = {
        "planarconfig": "separate",
        "metadata": None,
        "contiguous": False,
    }
    with tifffile.TiffWriter(path, byteorder="<") as file:
        for i, plane in enumerate(data):
            tags = [tag] if i == 0 else []
            file.write(plane, photometric="minisblack", extratags=tags, **options)
            small = np.zeros((3, 8, 8), np.uint8)
            file.write(small, photometric="rgb", subfiletype=1, **options)
    texts = b"".join(struct.pack("<I", len(n) + 1) + n.encode() + b"\0" for n in names)
    colours = bytes(4 * len(names))
    at = 24 + len(colours)
    head = struct.pack("<6i", at + len(texts), len(names), len(names), 24, at, 0)
    raw = path.read_bytes()
    raw = raw.replace(struct.pack("<I", nowhere), struct.pack("<I", len(raw)), 1)
    path.write_bytes(raw + head + colours + texts)


def test_zeiss_names_its_channels(tmp_path: Path) -> None:
    data = planes(4, 3, 40, 50)
    lsm(tmp_path / "a.lsm", data, ("DAPI-T1", "GFP-T2", "RFP-T3"))
    image = open_image(tmp_path / "a.lsm")
    assert (image.axes, image.shape) == ("ZCYX", data.shape)
    assert image.scale == pytest.approx((1.0, 1.0, 0.2, 0.2))
    assert image.channel_names == ("DAPI-T1", "GFP-T2", "RFP-T3")
    assert not image.notes  # thumbnails are left out, and missed by nobody
    np.testing.assert_array_equal(image.data[...], data)
