"""Any image opens lazily with the axes that it means, or says in a sentence why not."""

import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.errors import ImageError
from napari_unet.io.image import Image
from napari_unet.io.open import open_image

RNG = np.random.default_rng(1)
SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def pixels(*shape: int) -> np.ndarray:
    return RNG.integers(0, 250, shape).astype("u1")


def stored(path: Path, data: np.ndarray, names: list[str] | None = None) -> Path:
    """Write a plain Zarr array, which takes any axes."""
    array = zarr.create_array(
        path, shape=data.shape, dtype=data.dtype, dimension_names=names
    )
    array[...] = data
    return path


# id: (axes, shape, plane axes, stack shape, label axes, channels)
ORDERS = {
    "YX": ("YX", (8, 9), "", (), "YX", 1),
    "CYX": ("CYX", (2, 8, 9), "", (), "YX", 2),
    "YXC": ("YXC", (8, 9, 2), "", (), "YX", 2),
    "YCX": ("YCX", (8, 2, 9), "", (), "YX", 2),
    "ZYX": ("ZYX", (3, 8, 9), "Z", (3,), "ZYX", 1),
    "CZYX": ("CZYX", (2, 3, 8, 9), "Z", (3,), "ZYX", 2),
    "ZTCYX": ("ZTCYX", (3, 4, 2, 8, 9), "ZT", (3, 4), "ZTYX", 2),
    "TCZYX": ("TCZYX", (4, 2, 3, 8, 9), "TZ", (4, 3), "TZYX", 2),
    "TZYXC": ("TZYXC", (4, 3, 8, 9, 2), "TZ", (4, 3), "TZYX", 2),
}


@pytest.mark.parametrize(
    ("axes", "shape", "plane_axes", "stack", "label_axes", "channels"),
    ORDERS.values(),
    ids=ORDERS,
)
def test_window_is_channels_rows_columns_whatever_the_axes(
    axes: str,
    shape: tuple[int, ...],
    plane_axes: str,
    stack: tuple[int, ...],
    label_axes: str,
    channels: int,
) -> None:
    data = pixels(*shape)
    scale = tuple(float(i + 1) for i in range(len(axes)))
    image = Image("a", data, axes, scale=scale)
    assert image.plane_axes == plane_axes
    assert image.stack_shape == stack
    assert image.plane_shape == (8, 9)
    assert image.channels == channels
    assert image.label_axes == label_axes
    assert image.label_shape == (*stack, 8, 9)
    assert image.label_scale == tuple(scale[axes.index(a)] for a in label_axes)
    assert image.label_units == ("pixel",) * len(label_axes)
    order = [axes.index(a) for a in (*plane_axes, *("C" if "C" in axes else ""), *"YX")]
    moved = data.transpose(order).reshape(*stack, channels, 8, 9)
    for plane in image.planes():
        window = image.read(plane, slice(2, 7), slice(1, 9))
        np.testing.assert_array_equal(window, moved[plane][:, 2:7, 1:9])
        last = image.read(plane, slice(0, 8), slice(0, 3), [channels - 1])
        np.testing.assert_array_equal(last, moved[plane][-1:, :, :3])


def test_channels_come_in_the_order_wanted() -> None:
    data = pixels(5, 8, 9)
    window = Image("a", data, "CYX").read((), slice(0, 8), slice(0, 9), [4, 1])
    np.testing.assert_array_equal(window, data[[4, 1]])


# id: (axes wanted, shape, names in the file, axes that come out, shape that comes out)
FOUND = {
    "two_axes": (None, (8, 9), None, "YX", (8, 9)),
    "one_unknown_is_z": (None, (4, 8, 9), None, "ZYX", (4, 8, 9)),
    "unknown_beside_z_is_t": (None, (4, 3, 8, 9), "qzyx", "TZYX", (4, 3, 8, 9)),
    "unknown_beside_t_is_z": (None, (4, 3, 8, 9), "tqyx", "TZYX", (4, 3, 8, 9)),
    "unknown_singleton_is_dropped": (None, (1, 4, 8, 9), None, "ZYX", (4, 8, 9)),
    "names_in_the_file": (None, (4, 2, 8, 9), "tcyx", "TCYX", (4, 2, 8, 9)),
    "x_before_y_is_turned": (None, (9, 8, 4), "xyz", "ZYX", (4, 8, 9)),
    "colours_last": (None, (8, 9, 3), None, "YXC", (8, 9, 3)),
    "given": ("TZYX", (4, 3, 8, 9), None, "TZYX", (4, 3, 8, 9)),
    "given_in_small_letters": ("tyx", (4, 8, 9), None, "TYX", (4, 8, 9)),
    "given_against_the_file": ("ZYX", (4, 8, 9), "tyx", "ZYX", (4, 8, 9)),
    "given_colours": ("YXS", (8, 9, 4), None, "YXC", (8, 9, 4)),
    "given_with_z_inside": ("YZX", (8, 4, 9), None, "ZYX", (4, 8, 9)),
}


@pytest.mark.parametrize(
    ("given", "shape", "names", "axes", "seen"), FOUND.values(), ids=FOUND
)
def test_axes_are_settled(
    tmp_path: Path,
    given: str | None,
    shape: tuple[int, ...],
    names: str | None,
    axes: str,
    seen: tuple[int, ...],
) -> None:
    data = pixels(*shape)
    path = stored(tmp_path / "a.zarr", data, list(names) if names else None)
    image = open_image(path, axes=given)
    assert (image.axes, image.shape) == (axes, seen)
    assert image.rgb == axes.endswith("C")
    source = given.upper().replace("S", "C") if given else (names or axes).upper()
    source = source.replace("Q", next(iter(set(axes) - set(source)), ""))
    order = [source.index(a) for a in axes] if len(source) == data.ndim else None
    expected = data.transpose(order) if order else data.reshape(seen)
    np.testing.assert_array_equal(image.data[...], expected)
    np.testing.assert_array_equal(image.data[..., 1:5, 2], expected[..., 1:5, 2])


BAD_AXES = {
    "two_unknown": (None, (3, 4, 8, 9), r"'QQYX'.*Name every axis, as in TZYX\."),
    "one_axis": (None, (8,), "no plane of pixels"),
    "too_few": ("YX", (4, 8, 9), r"has 3 axes \(shape \(4, 8, 9\)\), but 'YX' names 2"),
    "too_many": ("TCZYX", (4, 8, 9), "names 5"),
    "twice": ("ZZYX", (3, 4, 8, 9), "at most once"),
    "without_x": ("TZY", (4, 8, 9), "Y and X always"),
    "unknown_letter": ("QYX", (4, 8, 9), "take each of T, C, Z, Y, X"),
    "channels_twice": ("CYXS", (2, 8, 9, 3), "at most once"),
}


@pytest.mark.parametrize(
    ("given", "shape", "sentence"), BAD_AXES.values(), ids=BAD_AXES
)
def test_axes_that_cannot_be_told_are_asked_for(
    tmp_path: Path, given: str | None, shape: tuple[int, ...], sentence: str
) -> None:
    path = stored(tmp_path / "odd.zarr", pixels(*shape))
    with pytest.raises(ImageError, match=sentence):
        open_image(path, axes=given)


def test_two_unknown_axes_of_a_tiff_are_asked_for(tmp_path: Path) -> None:
    data = pixels(2, 5, 8, 9)
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, data, photometric="minisblack")
    with pytest.raises(ImageError, match=r"stack\.tif has axes 'QQYX' .*as in TZYX"):
        open_image(path)
    image = open_image(path, "czyx")
    assert image.axes == "CZYX"
    np.testing.assert_array_equal(
        image.read((2,), slice(0, 8), slice(0, 9)), data[:, 2]
    )


def not_an_image(path: Path) -> None:
    path.write_text("name,area\n1,20\n")


def make_folder(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("x")


def complex_pixels(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((8, 9), "c8"))


def cmyk_tiff(path: Path) -> None:
    tifffile.imwrite(path, pixels(8, 9, 4), photometric="separated")


def broken_png(path: Path) -> None:
    path.write_bytes(imagecodecs.png_encode(pixels(50, 60))[:200])


BAD_FILES: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "missing": ("no.tif", lambda path: None, r"no\.tif does not exist"),
    "empty": ("a.tif", Path.touch, r"a\.tif is empty \(0 bytes\)"),
    "text": (
        "a.tif",
        not_an_image,
        r"a\.tif is no image .*b'name,are'.*Save it as TIFF",
    ),
    "pdf": ("a.png", lambda p: p.write_bytes(b"%PDF-1.7 xx"), r"a\.png is no image"),
    "folder": ("cells", make_folder, "cells is a folder but no Zarr"),
    "complex": ("a.tif", complex_pixels, "type complex64; only real numbers"),
    "cmyk": ("a.tif", cmyk_tiff, "CMYK colours.*Save it as RGB"),
    "broken_png": ("a.png", broken_png, r"a\.png cannot be opened .*damaged"),
    "header_only": ("a.tif", lambda p: p.write_bytes(b"II*\0\x08\0\0\0"), r"a\.tif"),
    "wild_offset": ("a.tif", lambda p: p.write_bytes(b"II*\0\xff\xff\0\0"), r"a\.tif"),
    "zero_size": (
        "a.zarr",
        lambda p: stored(p, np.zeros((0, 9), "u1")),
        r"an axis of length 0 \(shape \(0, 9\)\)",
    ),
    "text_zarr": (
        "a.zarr",
        lambda p: zarr.create_array(p, shape=(4, 5), dtype="M8[s]"),
        "only real numbers",
    ),
}


@pytest.mark.parametrize(
    ("name", "make", "sentence"), BAD_FILES.values(), ids=BAD_FILES
)
@pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning")
@pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")
def test_bad_input_is_a_sentence(
    tmp_path: Path, name: str, make: Callable[[Path], Any], sentence: str
) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(ImageError, match=sentence) as caught:
        open_image(path)
    assert str(caught.value).endswith(".")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything"
)
def test_file_without_permission_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "locked.tif"
    tifffile.imwrite(path, pixels(8, 9))
    path.chmod(0)
    with pytest.raises(ImageError, match=r"locked\.tif may not be read"):
        open_image(path)


PICTURES: dict[str, tuple[str, Callable[..., bytes], tuple[int, ...], int]] = {
    "png": ("a.png", imagecodecs.png_encode, (20, 30), 0),
    "png_named_tif": ("a.tif", imagecodecs.png_encode, (20, 30), 0),
    "png_rgb": ("a.png", imagecodecs.png_encode, (20, 30, 3), 0),
    "png_rgba": ("a.PNG", imagecodecs.png_encode, (20, 30, 4), 0),
    "jpeg": ("a.jpg", lambda a: imagecodecs.jpeg_encode(a, level=100), (20, 30), 3),
    "bmp_rgb": ("a.bmp", imagecodecs.bmp_encode, (20, 30, 3), 0),
}


@pytest.mark.parametrize(
    ("name", "encode", "shape", "tolerance"), PICTURES.values(), ids=PICTURES
)
def test_pictures_are_known_by_their_content(
    tmp_path: Path,
    name: str,
    encode: Callable[..., bytes],
    shape: tuple[int, ...],
    tolerance: int,
) -> None:
    data = np.broadcast_to(np.arange(20, dtype="u1")[:, None], shape[:2])
    data = np.ascontiguousarray(np.broadcast_to(data[..., None], (*shape[:2], 4)))
    data = data[..., : shape[2]] if len(shape) == 3 else data[..., 0]
    (tmp_path / name).write_bytes(encode(np.ascontiguousarray(data)))
    image = open_image(tmp_path / name)
    assert (image.name, image.rgb) == ("a", len(shape) == 3)
    assert image.axes == ("YXC" if len(shape) == 3 else "YX")
    assert image.channels == (3 if len(shape) == 3 else 1)
    assert np.abs(image.data[...].astype(int) - data).max() <= tolerance


def test_sixteen_bit_png_keeps_its_bits(tmp_path: Path) -> None:
    data = RNG.integers(0, 65536, (20, 30)).astype("u2")
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(data))
    np.testing.assert_array_equal(open_image(tmp_path / "a.png").data[...], data)


def test_tiff_without_its_suffix_opens(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "cells.lsm.backup", pixels(8, 9))
    assert open_image(tmp_path / "cells.lsm.backup").plane_shape == (8, 9)


@pytest.mark.parametrize(
    ("axes", "shape"),
    [("YX", (7, 9)), ("YX", (5000, 300)), ("TZCYX", (7, 6, 2, 40, 50))],
    ids=["small", "long", "stack"],
)
def test_sample_is_bounded_repeatable_and_from_everywhere(
    axes: str, shape: tuple[int, ...]
) -> None:
    data = np.arange(np.prod(shape), dtype="u4").reshape(shape)
    image = Image("a", data, axes)
    sample = image.sample(limit=10_000)
    assert sample.shape[0] == image.channels
    assert min(10_000, data.size) / 4 < sample.shape[1] <= 12_000
    np.testing.assert_array_equal(sample, image.sample(limit=10_000))
    assert np.isin(sample, data).all()
    whole, taken = np.quantile(data, (0.1, 0.9)), np.quantile(sample, (0.1, 0.9))
    assert np.abs(whole - taken).max() < 0.1 * data.size


def test_sample_of_one_plane_and_channel_is_from_there() -> None:
    data = np.zeros((3, 2, 40, 50), "u1")
    data[1, 1] = 7
    image = Image("a", data, "ZCYX")
    assert (image.sample([1], plane=(1,)) == 7).all()
    assert not image.sample([0], plane=(1,)).any()


class Counted:
    """An image far too large to hold, that counts the pixels it gives."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.dtype, self.read = shape, np.dtype("u1"), 0

    def __getitem__(self, key: Any) -> np.ndarray:
        sides = [range(n)[k] for n, k in zip(self.shape, key, strict=True)]
        window = np.zeros([len(s) for s in sides if isinstance(s, range)], "u1")
        self.read += window.size
        return window


@pytest.mark.parametrize("shape", [(1, 200_000, 200_000), (100_000, 2000, 2000)])
def test_sample_reads_little_of_a_huge_image(shape: tuple[int, ...]) -> None:
    data = Counted(shape)
    Image("a", data, "ZYX").sample()
    assert data.read < 70_000_000


def test_nan_is_no_error(tmp_path: Path) -> None:
    data = np.full((8, 9), np.nan, "f4")
    tifffile.imwrite(tmp_path / "a.tif", data)
    window = open_image(tmp_path / "a.tif").read((), slice(0, 8), slice(0, 9))
    assert np.isnan(window).all()


@pytest.mark.parametrize("axes", ["Y", "XY", "YY", "QX", "ZYX", "YXZ"])
def test_image_refuses_axes_that_do_not_fit(axes: str) -> None:
    with pytest.raises(ImageError, match="mine has shape"):
        Image("mine", np.zeros((8, 9)), axes)


def test_opening_a_tiff_loads_no_torch_qt_napari_or_zarr(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels(8, 9))
    code = (
        "import sys; from napari_unet.io.open import open_image; "
        "open_image(sys.argv[1]).sample(); "
        "print(sorted({'torch', 'qtpy', 'napari', 'zarr', 'dask'} & set(sys.modules)))"
    )
    path = os.pathsep.join(sys.path)
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.tif")],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("folder", "axes"),
    [
        ("bbbc030_dic_cho", "YX"),
        ("bbbc039_u2os", "YX"),
        ("camvid_rgb", "YXC"),
        ("dsb2018", "YX"),
        ("dsb2018_histology", "YXC"),
        ("ecoli_phase_trpl", "ZYX"),
        ("isbi2012_em", "YX"),
        ("mouse_embryo_3d", "ZYX"),
        ("ovule_cells_3d", "ZYX"),
        ("ovule_nuclei_3d", "ZYX"),
        ("phc_u373", "YX"),
        ("phc_u373_movie", "ZYX"),
        ("stardist_3d", "ZYX"),
        ("vnc_sstem_3d", "ZYX"),
        ("wbc_jtsc", "YXC"),
    ],
)
def test_real_images_open(folder: str, axes: str) -> None:
    paths = sorted((SHARED / folder / "images").glob("*.tif"))
    if not paths:
        pytest.skip(f"the images of {folder} are not on this machine")
    image = open_image(paths[0])
    assert image.axes == axes
    plane = tuple(n // 2 for n in image.stack_shape)
    window = image.read(plane, slice(10, 40), slice(5, 50))
    whole = tifffile.imread(paths[0])[plane]
    expected = np.moveaxis(whole, -1, 0) if image.rgb else whole[None]
    np.testing.assert_array_equal(window, expected[:, 10:40, 5:50])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    with pytest.raises(ImageError, match=r"pipe\.tif is neither a file"):
        open_image(tmp_path / "pipe.tif")


def test_a_jpeg_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (90, 90), np.uint8)
    whole = imagecodecs.jpeg_encode(noise)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=r"half\.jpg was cut off"):
        open_image(path)


def huge_png(path: Path) -> None:
    row = b"\0" + bytes(60_000)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row) for _ in range(20_000)) + packer.flush()
    about = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", about), (b"IDAT", packed), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        check = struct.pack(">I", zlib.crc32(kind + data))
        content += struct.pack(">I", len(data)) + kind + data + check
    path.write_bytes(content)


def huge_jpeg(path: Path) -> None:
    content = imagecodecs.jpeg_encode(pixels(8, 9))
    size, larger = struct.pack(">HH", 8, 9), struct.pack(">HH", 65_500, 65_500)
    path.write_bytes(content.replace(size, larger, 1))


def huge_bmp(path: Path) -> None:
    content = imagecodecs.bmp_encode(pixels(8, 9))
    size, larger = struct.pack("<ii", 9, 8), struct.pack("<ii", 60_000, 60_000)
    assert size in content
    path.write_bytes(content.replace(size, larger, 1))


@pytest.mark.parametrize("write", [huge_png, huge_jpeg, huge_bmp])
def test_picture_of_gigabytes_in_a_small_file_is_refused(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    write(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png would unpack from \d+ bytes to"):
        open_image(tmp_path / "a.png")


def test_planes_in_files_that_are_not_there_are_missed(tmp_path: Path) -> None:
    names = [tmp_path / f"part{i}.ome.tif" for i in range(2)]
    uuids = [f"urn:uuid:0000000{i}-0000-4000-8000-000000000000" for i in range(2)]
    planes = "".join(
        f'<TiffData FirstZ="{i}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name.name}">{uuid}</UUID></TiffData>'
        for i, (name, uuid) in enumerate(zip(names, uuids, strict=True))
    )
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{}">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
        'Type="uint8" SizeX="40" SizeY="30" SizeZ="2" SizeC="1" SizeT="1">'
        '<Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        f"{planes}</Pixels></Image></OME>"
    )
    for name, uuid in zip(names, uuids, strict=True):
        data = np.full((30, 40), 7, np.uint8)
        tifffile.imwrite(name, data, description=xml.format(uuid), metadata=None)
    assert open_image(names[0]).shape == (2, 30, 40)
    names[1].unlink()
    with pytest.raises(ImageError, match=r"part0\.ome\.tif is one of several files"):
        open_image(names[0])


def test_size_beyond_any_disk_is_damage(tmp_path) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(2, 8, 8), dtype="u1")
    mark = tmp_path / "a.zarr" / "zarr.json"
    about = json.loads(mark.read_text())
    mark.write_text(json.dumps({**about, "shape": [2**62, 8, 8]}))
    with pytest.raises(ImageError, match="more than any disk holds"):
        open_image(tmp_path / "a.zarr")
