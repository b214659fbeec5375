"""TIFFs of every kind that microscopes write come back pixel for pixel."""

import math
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.tiffs import write_pages

from napari_unet.errors import ImageError
from napari_unet.io.open import open_image

RNG = np.random.default_rng(0)
OLD_REDUCED = (255, 3, 1, 2, True)  # how a thumbnail was marked before 1992


def pixels(shape: tuple[int, ...], dtype: str = "u2") -> np.ndarray:
    if dtype == "?":
        return RNG.random(shape) > 0.5
    if dtype.startswith("f"):
        return RNG.normal(size=shape).astype(dtype)
    return RNG.integers(0, 120, shape).astype(dtype)


# id: (shape, dtype, options of tifffile.imwrite, expected axes)
KINDS: dict[str, tuple[tuple[int, ...], str, dict[str, Any], str]] = {
    "plain": ((40, 50), "u1", {}, "YX"),
    "one_row": ((1, 50), "u2", {}, "YX"),
    "multi_page": ((5, 40, 50), "u2", {}, "ZYX"),
    "multi_page_no_metadata": ((5, 40, 50), "u2", {"metadata": None}, "ZYX"),
    "multi_page_deflate": ((5, 40, 50), "u2", {"compression": "zlib"}, "ZYX"),
    "big_endian": ((5, 40, 50), "u2", {"byteorder": ">"}, "ZYX"),
    "big_endian_float_lzw": (
        (40, 50),
        "f4",
        {"byteorder": ">", "compression": "lzw"},
        "YX",
    ),
    "bigtiff": ((5, 40, 50), "u2", {"bigtiff": True}, "ZYX"),
    "imagej_stack": (
        (5, 40, 50),
        "u2",
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        "ZYX",
    ),
    "imagej_movie": (
        (5, 40, 50),
        "u2",
        {"imagej": True, "metadata": {"axes": "TYX"}},
        "TYX",
    ),
    "imagej_hyperstack": (
        (2, 3, 4, 40, 50),
        "f4",
        {"imagej": True, "metadata": {"axes": "TZCYX"}},
        "TZCYX",
    ),
    "imagej_rgb_stack": (
        (3, 40, 50, 3),
        "u1",
        {"imagej": True, "metadata": {"axes": "ZYXS"}},
        "ZYXC",
    ),
    "imagej_deflate": (
        (2, 3, 40, 50),
        "u2",
        {"imagej": True, "compression": "zlib", "metadata": {"axes": "ZCYX"}},
        "ZCYX",
    ),
    "ome": (
        (2, 3, 4, 40, 50),
        "u2",
        {"ome": True, "metadata": {"axes": "TCZYX"}},
        "TCZYX",
    ),
    "ome_tiled_zstd": (
        (3, 40, 50),
        "u2",
        {
            "ome": True,
            "metadata": {"axes": "CYX"},
            "tile": (16, 32),
            "compression": "zstd",
        },
        "CYX",
    ),
    "ome_rgb": (
        (40, 50, 3),
        "u1",
        {"ome": True, "metadata": {"axes": "YXS"}, "photometric": "rgb"},
        "YXC",
    ),
    "named_axes": ((2, 3, 40, 50), "u1", {"metadata": {"axes": "CTYX"}}, "CTYX"),
    "named_singleton": ((1, 3, 40, 50), "u1", {"metadata": {"axes": "QTYX"}}, "TYX"),
    "tiled": ((100, 130), "u2", {"tile": (32, 48)}, "YX"),
    "tiled_deflate_predictor": (
        (3, 100, 130),
        "u2",
        {"tile": (32, 48), "compression": "zlib", "predictor": True},
        "ZYX",
    ),
    "tiled_full_width": ((64, 64), "u2", {"tile": (32, 64)}, "YX"),
    "strips_lzw": ((100, 130), "u2", {"rowsperstrip": 7, "compression": "lzw"}, "YX"),
    "strips_plain": ((100, 130), "u2", {"rowsperstrip": 7}, "YX"),
    "zstd_float_predictor": (
        (100, 130),
        "f4",
        {"compression": "zstd", "predictor": 3},
        "YX",
    ),
    "packbits": ((40, 50), "u1", {"compression": "packbits"}, "YX"),
    "jpeg2000": ((40, 50), "u1", {"compression": "jpeg2000"}, "YX"),
    "volumetric_tiles": (
        (20, 40, 50),
        "u1",
        {"tile": (16, 16, 32), "volumetric": True},
        "ZYX",
    ),
    "rgb": ((40, 50, 3), "u1", {"photometric": "rgb"}, "YXC"),
    "rgb_16_bit_tiled": (
        (40, 50, 3),
        "u2",
        {"photometric": "rgb", "tile": (16, 16)},
        "YXC",
    ),
    "rgb_planar": (
        (3, 40, 50),
        "u1",
        {"photometric": "rgb", "planarconfig": "separate"},
        "CYX",
    ),
    "rgb_planar_tiled_deflate": (
        (3, 40, 50),
        "u1",
        {
            "photometric": "rgb",
            "planarconfig": "separate",
            "tile": (16, 16),
            "compression": "zlib",
        },
        "CYX",
    ),
    "rgb_stack": ((4, 40, 50, 3), "u1", {"photometric": "rgb"}, "ZYXC"),
    "grey_planes": (
        (4, 40, 50),
        "u2",
        {"photometric": "minisblack", "planarconfig": "separate"},
        "CYX",
    ),
    "min_is_white": ((40, 50), "u1", {"photometric": "miniswhite"}, "YX"),
    "one_bit": ((40, 53), "?", {}, "YX"),
    **{
        f"dtype_{name}": ((40, 50), name, {}, "YX")
        for name in ("i1", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8")
    },
}


def write(folder: Path, data: np.ndarray, options: dict[str, Any]) -> Path:
    path = folder / ("a.ome.tif" if options.get("ome") else "a.tif")
    tifffile.imwrite(path, data, **({"photometric": "minisblack"} | options))
    return path


@pytest.mark.parametrize(
    ("shape", "dtype", "options", "axes"), KINDS.values(), ids=KINDS
)
def test_every_kind_is_read_as_written(
    tmp_path: Path,
    shape: tuple[int, ...],
    dtype: str,
    options: dict[str, Any],
    axes: str,
) -> None:
    data = pixels(shape, dtype)
    image = open_image(write(tmp_path, data, options))
    expected = data.reshape([n for n in shape if n > 1 or n == shape[-2]])
    assert image.axes == axes
    assert image.name == "a"
    assert image.dtype == data.dtype
    assert image.rgb == (options.get("photometric") == "rgb" or "S" in str(options))
    np.testing.assert_array_equal(image.data[...], expected)
    window = (
        image.data[..., 3:31:2, ::-1]
        if axes[-1] == "X"
        else image.data[..., 3:31, :, 1]
    )
    same = expected[..., 3:31:2, ::-1] if axes[-1] == "X" else expected[..., 3:31, :, 1]
    np.testing.assert_array_equal(window, same)


@pytest.mark.parametrize(
    "key", [0, -1, (1, 2), (..., 5), (slice(2, 0, -1), 3, slice(9, 4))]
)
def test_array_takes_the_indices_of_numpy(tmp_path: Path, key: Any) -> None:
    data = pixels((3, 40, 50))
    array = open_image(write(tmp_path, data, {"compression": "zlib"})).data
    np.testing.assert_array_equal(array[key], data[key])
    with pytest.raises(IndexError):
        array[3]
    with pytest.raises(TypeError, match="integers, slices"):
        array[[0, 1]]


def test_jpeg_tiles_are_decoded(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(64), np.arange(96)).astype("u1")
    options = {
        "compression": "jpeg",
        "tile": (32, 32),
        "compressionargs": {"level": 100},
    }
    image = open_image(write(tmp_path, smooth, options))
    assert np.abs(image.data[...].astype(int) - smooth).max() <= 2
    colour = np.stack([smooth, smooth // 2, 255 - smooth], -1)
    image = open_image(write(tmp_path, colour, options | {"photometric": "rgb"}))
    assert image.rgb
    assert np.abs(image.data[...].astype(int) - colour).mean() < 3


def test_palette_becomes_rgb_through_its_colour_map(tmp_path: Path) -> None:
    numbers = pixels((3, 40, 50), "u1")
    colours = RNG.integers(0, 256, (3, 256))
    path = tmp_path / "palette.tif"
    tifffile.imwrite(
        path, numbers, photometric="palette", colormap=(colours * 257).astype("u2")
    )
    image = open_image(path)
    assert (image.axes, image.rgb, image.channels) == ("ZYXC", True, 3)
    assert image.dtype == np.uint8
    window = image.read((2,), slice(3, 9), slice(5, 20))
    np.testing.assert_array_equal(window, colours[:, numbers[2, 3:9, 5:20]])


@pytest.mark.parametrize("kind", ["imagej_lut", "grey_ramp"])
def test_colour_map_of_a_grey_image_is_not_applied(tmp_path: Path, kind: str) -> None:
    data = pixels((40, 50), "u1")
    colours = np.tile(np.arange(256) * 257, (3, 1)).astype("u2")
    path = tmp_path / "grey.tif"
    if kind == "imagej_lut":
        colours[0] = 0
        tifffile.imwrite(path, data, imagej=True, colormap=colours)
    else:
        tifffile.imwrite(path, data, photometric="palette", colormap=colours)
    image = open_image(path)
    assert image.axes == "YX"
    np.testing.assert_array_equal(image.data[...], data)


HILO = np.tile(np.arange(256) * 257, (3, 1))
HILO[:, 0], HILO[:, 255] = (0, 0, 65535), (65535, 0, 0)
OVEREXPOSED = np.tile(np.arange(256) * 257, (3, 1))
OVEREXPOSED[:, 245:] = [[65535], [0], [0]]
GREYS = {
    "hilo": HILO,
    "hilo_bright_first": HILO[:, ::-1],
    "overexposed": OVEREXPOSED,
    "bright_first": np.tile(np.arange(255, -1, -1) * 257, (3, 1)),
    "gamma": np.tile(np.round((np.arange(256) / 255) ** 0.5 * 65535), (3, 1)),
}


@pytest.mark.parametrize("colours", GREYS.values(), ids=GREYS)
def test_palette_that_shows_only_grey_is_grey(
    tmp_path: Path, colours: np.ndarray
) -> None:
    data = pixels((40, 50), "u1")
    path = tmp_path / "a.tif"
    options: dict[str, Any] = {"photometric": "palette", "metadata": None}
    tifffile.imwrite(path, data, colormap=colours.astype("u2"), **options)
    image = open_image(path)
    assert (image.axes, image.dtype) == ("YX", np.uint8)
    np.testing.assert_array_equal(image.data[...], data)


def test_greys_in_any_order_are_looked_up(tmp_path: Path) -> None:
    data = pixels((40, 50), "u1")
    greys = np.random.default_rng(0).permutation(256)
    colours = np.tile(greys * 257, (3, 1)).astype("u2")
    options: dict[str, Any] = {"photometric": "palette", "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", data, colormap=colours, **options)
    image = open_image(tmp_path / "a.tif")
    assert image.axes == "YX"
    np.testing.assert_array_equal(image.data[3:9], greys[data[3:9]])


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("count", [1, 3])
def test_alpha_of_grey_is_not_read(tmp_path: Path, planar: str, count: int) -> None:
    data = pixels((count, 40, 50), "u1")
    both = np.stack([data, np.full_like(data, 255)], -1 if planar == "contig" else 1)
    options = {"planarconfig": planar, "extrasamples": ["unassalpha"]}
    path = write_pages(tmp_path / "a.tif", both, "x", **options)
    image = open_image(path)
    assert image.channels == 1
    np.testing.assert_array_equal(np.squeeze(image.data[...]), data.squeeze())


def test_samples_that_are_no_alpha_are_channels(tmp_path: Path) -> None:
    data = pixels((40, 50, 2), "u1")
    options = {"planarconfig": "contig", "extrasamples": ["unspecified"]}
    image = open_image(write_pages(tmp_path / "a.tif", data[None], "x", **options))
    assert (image.axes, image.channels, image.rgb) == ("YXC", 2, False)


@pytest.mark.parametrize(
    ("text", "dtype", "rgb"),
    [
        ("ImageJ=1.53t\nchannels=3\nmode=composite\n", "u2", False),
        ("ImageJ=1.53t\nchannels=3\nmode=composite\n", "u1", False),
        ("ImageJ=1.53t\n", "u2", False),
        ("ImageJ=1.53t\n", "u1", True),
        ("a camera", "u2", True),
    ],
)
def test_composite_of_imagej_has_channels_and_no_colours(
    tmp_path: Path, text: str, dtype: str, rgb: bool
) -> None:
    data = pixels((40, 50, 3), dtype)
    path = write_pages(tmp_path / "a.tif", data[None], text, photometric="rgb")
    image = open_image(path)
    assert (image.channels, image.rgb) == (3, rgb)
    window = image.read((), slice(3, 9), slice(5, 20), [2])
    np.testing.assert_array_equal(window[0], data[3:9, 5:20, 2])


@pytest.mark.parametrize("samples", [3, 4])
def test_colours_of_channels_are_channels_too(tmp_path: Path, samples: int) -> None:
    data = pixels((2, 40, 50, samples), "u1")
    options: dict[str, Any] = {"photometric": "rgb", "ome": True}
    if samples == 4:
        options["extrasamples"] = ["unassalpha"]
    about = {"axes": "CYXS", "Channel": {"Name": ["a", "b"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", data, metadata=about, **options)
    image = open_image(tmp_path / "a.ome.tif")
    assert (image.axes, image.channels, image.rgb) == ("CYX", 6, False)
    expected = np.moveaxis(data[..., :3], -1, 1).reshape(6, 40, 50)
    np.testing.assert_array_equal(image.data[...], expected)
    np.testing.assert_array_equal(image.data[4, 3:9, ::2], expected[4, 3:9, ::2])
    window = image.read((), slice(3, 9), slice(5, 20), [5, 1])
    np.testing.assert_array_equal(window, expected[[5, 1], 3:9, 5:20])
    again = pickle.loads(pickle.dumps(image.data))
    np.testing.assert_array_equal(again[1:3], expected[1:3])


@pytest.mark.parametrize("shared", [1, 2])
def test_colours_as_brightness_and_differences_are_refused(
    tmp_path: Path, shared: int
) -> None:
    path = tmp_path / "a.tif"
    tags = [(530, 3, 2, (shared, shared), True)]
    data = pixels((1, 40, 48, 3), "u1")
    write_pages(path, data, "x", photometric="rgb", extratags=tags)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags["PhotometricInterpretation"].overwrite(6)
    with pytest.raises(ImageError, match="YCbCr colours without JPEG"):
        open_image(path)


def test_alpha_is_not_read(tmp_path: Path) -> None:
    data = pixels((40, 50, 4), "u1")
    path = write(tmp_path, data, {"photometric": "rgb", "extrasamples": ["unassalpha"]})
    image = open_image(path)
    assert (image.channels, image.rgb, image.shape) == (3, True, (40, 50, 4))
    window = image.read((), slice(0, 40), slice(0, 50))
    np.testing.assert_array_equal(window, np.moveaxis(data[..., :3], -1, 0))


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_pyramid_has_all_levels(tmp_path: Path, compression: str | None) -> None:
    data = pixels((128, 192))
    path = tmp_path / "pyramid.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        options = {"tile": (32, 32), "compression": compression}
        tiff.write(data, subifds=2, metadata={"axes": "YX"}, **options)
        tiff.write(data[::2, ::2], subfiletype=1, **options)
        tiff.write(data[::4, ::4], subfiletype=1, **options)
    image = open_image(path)
    assert [level.shape for level in image.levels] == [(128, 192), (64, 96), (32, 48)]
    for i, level in enumerate(image.levels):
        np.testing.assert_array_equal(level[...], data[:: 2**i, :: 2**i])
        np.testing.assert_array_equal(
            pickle.loads(pickle.dumps(level))[...], level[...]
        )


def test_decimal_comma_in_ome_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "comma.ome.tif"
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy'
        '.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        'DimensionOrder="XYCZT" Type="uint16" SizeX="50" SizeY="40" SizeC="1" '
        'SizeZ="1" SizeT="1" PhysicalSizeX="0,25" PhysicalSizeY="unknown">'
        "<TiffData/></Pixels></Image></OME>"
    )
    tifffile.imwrite(path, pixels((40, 50)), description=xml, metadata=None)
    image = open_image(path)
    assert image.scale == (1.0, 0.25)
    assert image.units == ("pixel", "micrometer")


def test_planes_that_were_added_one_by_one_are_a_stack(tmp_path: Path) -> None:
    data = pixels((6, 40, 50))
    for plane in data:
        tifffile.imwrite(tmp_path / "a.tif", plane, append=True)
    image = open_image(tmp_path / "a.tif")
    assert (image.axes, image.notes) == ("ZYX", ())
    np.testing.assert_array_equal(image.data[...], data)
    again = pickle.loads(pickle.dumps(image.data))
    np.testing.assert_array_equal(again[2:4, 3:9, ::-1], data[2:4, 3:9, ::-1])


def test_volumes_that_were_added_one_by_one_are_a_movie(tmp_path: Path) -> None:
    data = pixels((3, 2, 40, 50))
    for volume in data:
        about = {"axes": "ZYX"}
        tifffile.imwrite(tmp_path / "a.tif", volume, append=True, metadata=about)
    image = open_image(tmp_path / "a.tif")
    assert image.axes == "TZYX"
    np.testing.assert_array_equal(image.data[...], data)


def test_stacks_of_unknown_axes_that_were_added_are_told(tmp_path: Path) -> None:
    for volume in pixels((3, 2, 40, 50)):
        tifffile.imwrite(tmp_path / "a.tif", volume, append=True)
    image = open_image(tmp_path / "a.tif")
    assert image.shape == (2, 40, 50)
    assert image.notes == ("a.tif holds 3 images; this is the first of them.",)


def test_more_pages_than_imagej_says_are_told(tmp_path: Path) -> None:
    text = "ImageJ=1.53c\nimages=4\nslices=4\n"
    data = pixels((6, 40, 50))
    image = open_image(write_pages(tmp_path / "a.tif", data, text))
    np.testing.assert_array_equal(image.data[...], data[:4])
    assert image.notes == (
        "a.tif holds 6 planes, but its text speaks of 4: the other 2 are not shown.",
    )


@pytest.mark.parametrize("mark", [{"subfiletype": 1}, {"extratags": [OLD_REDUCED]}])
def test_thumbnail_in_front_is_not_the_picture(
    tmp_path: Path, mark: dict[str, Any]
) -> None:
    data = pixels((40, 50))
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(data[::10, ::10], metadata=None, **mark)
        tiff.write(data, metadata=None)
    image = open_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.data[...], data)
    assert not image.notes


@pytest.mark.parametrize("pages", [1, 3])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_pages_split_off_a_stack_open_and_that_is_told(
    tmp_path: Path, pages: int, compression: str | None
) -> None:
    text = "ImageJ=1.53t\nimages=12\nslices=12\nunit=micron\nspacing=2.0\n"
    data = pixels((pages, 40, 50))
    options = {"compression": compression, "resolution": (4, 4), "resolutionunit": 1}
    image = open_image(write_pages(tmp_path / "a.tif", data, text, **options))
    assert image.axes == "ZYX"[-2 - (pages > 1) :]
    assert image.scale == (2.0, 0.25, 0.25)[-len(image.axes) :]
    np.testing.assert_array_equal(image.data[...], data.squeeze())
    assert "speaks of more planes than there are" in " ".join(image.notes)


def test_first_of_several_images_is_taken_and_said(tmp_path: Path) -> None:
    path = tmp_path / "two.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels((40, 50)), metadata=None)
        tiff.write(pixels((30, 20)), metadata=None)
    image = open_image(path)
    assert image.shape == (40, 50)
    assert image.notes == ("two.tif holds 2 images; this is the first of them.",)


def test_planes_in_several_files_are_found(tmp_path: Path) -> None:
    data = pixels((2, 40, 50))
    uid = "urn:uuid:00000000-0000-0000-0000-00000000000"
    parts = "".join(
        f'<TiffData FirstT="{i}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="t{i}.ome.tif">{uid}{i}</UUID></TiffData>'
        for i in range(2)
    )
    for i in range(2):
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy'
            f'.org/Schemas/OME/2016-06" UUID="{uid}{i}"><Image ID="Image:0"><Pixels '
            'ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="50" SizeY="40" '
            f'SizeC="1" SizeZ="1" SizeT="2">{parts}</Pixels></Image></OME>'
        )
        tifffile.imwrite(
            tmp_path / f"t{i}.ome.tif", data[i], description=xml, metadata=None
        )
    image = open_image(tmp_path / "t0.ome.tif")
    assert image.axes == "TYX"
    np.testing.assert_array_equal(image.data[...], data)


# id: (options of imwrite, shape, scale, units, channel names)
METADATA: dict[str, tuple[dict[str, Any], tuple[int, ...], Any, Any, Any]] = {
    "imagej": (
        {
            "imagej": True,
            "resolution": (4, 2),
            "metadata": {
                "axes": "TZCYX",
                "spacing": 2.5,
                "unit": "\\u00B5m",
                "finterval": 3.0,
                "Labels": ["DAPI", "GFP"],
            },
        },
        (3, 4, 2, 8, 9),
        (3.0, 2.5, 1.0, 0.5, 0.25),
        ("second", "micrometer", "pixel", "micrometer", "micrometer"),
        ("DAPI", "GFP"),
    ),
    "imagej_micron": (
        {
            "imagej": True,
            "resolution": (2, 2),
            "metadata": {"axes": "YX", "unit": "micron"},
        },
        (8, 9),
        (0.5, 0.5),
        ("micrometer",) * 2,
        (),
    ),
    "imagej_without_unit": (
        {"imagej": True, "metadata": {"axes": "YX"}},
        (8, 9),
        (1.0, 1.0),
        ("pixel", "pixel"),
        (),
    ),
    "ome": (
        {
            "ome": True,
            "metadata": {
                "axes": "TCZYX",
                "PhysicalSizeX": 250,
                "PhysicalSizeXUnit": "nm",
                "PhysicalSizeY": 0.5,
                "PhysicalSizeZ": 2,
                "PhysicalSizeZUnit": "µm",
                "TimeIncrement": 0.5,
                "TimeIncrementUnit": "min",
                "Channel": {"Name": ["DAPI", "GFP"]},
            },
        },
        (3, 2, 4, 8, 9),
        (0.5, 1.0, 2.0, 0.5, 250.0),
        ("minute", "pixel", "micrometer", "micrometer", "nanometer"),
        ("DAPI", "GFP"),
    ),
    "centimeter": (
        {"resolution": (20000, 40000), "resolutionunit": "CENTIMETER"},
        (8, 9),
        (0.25, 0.5),
        ("micrometer",) * 2,
        (),
    ),
    "inch": (
        {"resolution": (25400, 25400), "resolutionunit": "INCH"},
        (8, 9),
        (1.0, 1.0),
        ("micrometer",) * 2,
        (),
    ),
    "printer": (
        {"resolution": (300, 300), "resolutionunit": "INCH"},
        (8, 9),
        (1.0, 1.0),
        ("pixel",) * 2,
        (),
    ),
    "no_unit": ({"resolution": (4, 4)}, (8, 9), (1.0, 1.0), ("pixel",) * 2, ()),
}


@pytest.mark.parametrize(
    ("options", "shape", "scale", "units", "names"), METADATA.values(), ids=METADATA
)
def test_pixel_size_units_and_channels_are_kept(
    tmp_path: Path,
    options: dict[str, Any],
    shape: Any,
    scale: Any,
    units: Any,
    names: Any,
) -> None:
    image = open_image(write(tmp_path, pixels(shape), options))
    assert image.scale == pytest.approx(scale)
    assert image.units == units
    assert image.channel_names == names


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    "options",
    [
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"ome": True, "metadata": {"axes": "ZYX"}},
        {"metadata": None},
        {},
        {"tile": (16, 16)},
    ],
    ids=["imagej", "ome", "pages", "shaped", "tiled"],
)
def test_file_cut_off_anywhere_is_never_read_as_whole(
    tmp_path: Path, options: dict[str, Any], compression: str | None
) -> None:
    data = RNG.integers(0, 60000, (3, 30, 40)).astype("u2")
    whole = write(tmp_path, data, options | {"compression": compression})
    content = whole.read_bytes()
    cut = tmp_path / ("cut.ome.tif" if options.get("ome") else "cut.tif")
    for share in (0.001, 0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99):
        cut.write_bytes(content[: max(int(len(content) * share), 9)])
        sentence, read = "", None
        try:
            read = open_image(cut).data[...]
        except ImageError as error:
            sentence = str(error)
        assert read is not None or sentence.startswith(cut.name)
        if read is not None:  # only padding or trailing metadata were lost
            np.testing.assert_array_equal(read, data)


def test_damaged_pixels_are_a_sentence_when_they_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, pixels((64, 64)), {"compression": "zlib"})
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages.first.dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + 40] = b"\xff" * 40
    path.write_bytes(content)
    image = open_image(path)
    with pytest.raises(ImageError, match=r"a\.\w+: rows 0 to 10 .* may be damaged"):
        image.read((), slice(0, 10), slice(0, 10))


@pytest.mark.filterwarnings("ignore:.*zero-size")
def test_axis_of_length_zero_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "flat.tif"
    tifffile.imwrite(path, np.zeros((0, 5), "u1"))
    with pytest.raises(ImageError, match=r"flat\.tif has an axis of length 0"):
        open_image(path)


def test_huge_file_is_opened_and_read_in_no_time(tmp_path: Path) -> None:
    path = tmp_path / "huge.tif"
    shape = (3, 30_000, 30_000)  # 2.7 GB, of which the disk holds next to nothing
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(shape=shape, dtype="u1", photometric="minisblack")
    with path.open("r+b") as file, tifffile.TiffFile(path) as tiff:
        start = tiff.series[0].dataoffset
        assert start is not None
        file.seek(start + math.prod(shape[1:]) + 20_000 * shape[2] + 11)
        file.write(b"\x07")
    image = open_image(path)
    window = image.read((1,), slice(19_990, 20_010), slice(0, 20))
    assert image.shape == shape
    assert (window.sum(), window[0, 10, 11]) == (7, 7)
    assert image.sample(plane=(1,)).shape[1] < 1_200_000


def test_one_array_serves_many_threads(tmp_path: Path) -> None:
    data = pixels((4, 200, 300))
    array = open_image(write(tmp_path, data, {"compression": "zlib"})).data
    wrong: list[int] = []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(30):
            z, y, x = (int(rng.integers(n)) for n in (4, 150, 250))
            box = (z, slice(y, y + 50), slice(x, x + 50))
            if not np.array_equal(array[box], data[box]):
                wrong.append(seed)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_no_file_stays_open(tmp_path: Path) -> None:
    path = write(tmp_path, pixels((4, 20, 30)), {"compression": "zlib"})
    image = open_image(path)
    image.read((0,), slice(0, 5), slice(0, 5))
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("open files can be listed on Linux only")
    targets = {p.readlink() for p in descriptors.iterdir() if p.is_symlink()}
    assert path not in targets
