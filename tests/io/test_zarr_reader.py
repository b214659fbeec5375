"""OME-Zarr of every version, and what else a Zarr folder may be."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_unet.errors import ImageError
from napari_unet.io.open import open_image

RNG = np.random.default_rng(2)
KINDS = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
UNITS = {"t": "second", "z": "micrometer", "y": "micrometer", "x": "nanometer"}


def pixels(*shape: int) -> np.ndarray:
    return RNG.integers(0, 60_000, shape).astype("u2")


def axes_of(names: str) -> list[dict[str, str]]:
    return [
        {"name": n, "type": KINDS[n]} | ({"unit": UNITS[n]} if n in UNITS else {})
        for n in names
    ]


def multiscale(names: str, count: int) -> dict[str, Any]:
    """Describe a pyramid whose steps are 1, 2, 3, ... along the axes, times 10."""
    steps = [float(i + 1) for i in range(len(names))]
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [{"type": "scale", "scale": steps}],
        }
        for level in range(count)
    ]
    whole = [{"type": "scale", "scale": [10.0] * len(names)}]
    return {
        "axes": axes_of(names),
        "datasets": datasets,
        "coordinateTransformations": whole,
    }


def write(
    path: Path, version: str, data: np.ndarray, attributes: dict[str, Any]
) -> Path:
    """Write `data` and a half-size level as an image of OME-Zarr `version`."""
    new = version == "0.5"
    group = zarr.open_group(path, mode="w", zarr_format=3 if new else 2)
    for level in range(2):
        part = data[..., :: 2**level, :: 2**level]
        chunks = (1,) * (data.ndim - 2) + (16, 16)
        array = group.create_array(
            str(level), shape=part.shape, dtype=part.dtype, chunks=chunks
        )
        array[...] = part
    group.attrs.update(
        {"ome": attributes | {"version": version}} if new else attributes
    )
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("names", ["yx", "cyx", "zyx", "tyx", "czyx", "tcyx", "tczyx"])
def test_image_comes_back_with_axes_scale_units_and_levels(
    tmp_path: Path, version: str, names: str
) -> None:
    data = pixels(*({"t": 3, "c": 2, "z": 4, "y": 40, "x": 50}[n] for n in names))
    attributes: dict[str, Any] = {"multiscales": [multiscale(names, 2)]}
    if "c" in names:
        attributes["omero"] = {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}
    path = write(tmp_path / "cells.ome.zarr", version, data, attributes)
    image = open_image(path)
    assert (image.name, image.axes, image.source) == ("cells", names.upper(), path)
    assert image.scale == tuple(
        1.0 if n == "c" else 10.0 * (i + 1) for i, n in enumerate(names)
    )
    assert image.units == tuple(UNITS.get(n, "pixel") for n in names)
    assert image.channel_names == (("DAPI", "GFP") if "c" in names else ())
    assert not image.rgb
    np.testing.assert_array_equal(image.levels[1][...], data[..., ::2, ::2])
    plane = tuple(n - 1 for n in image.stack_shape)
    window = image.read(plane, slice(10, 33), slice(7, 50))
    order = [names.index(n) for n in "tzcyx" if n in names]
    moved = data.transpose(order).reshape(*image.stack_shape, image.channels, 40, 50)
    np.testing.assert_array_equal(window, moved[plane][:, 10:33, 7:50])
    again = pickle.loads(pickle.dumps(image))
    np.testing.assert_array_equal(
        again.read(plane, slice(10, 33), slice(7, 50)), window
    )


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_labels_inside_open_by_themselves(tmp_path: Path, version: str) -> None:
    path = tmp_path / "cells.ome.zarr"
    attributes: dict[str, Any] = {"multiscales": [multiscale("yx", 2)]}
    write(path, version, pixels(40, 50), attributes)
    new = version == "0.5"
    group = zarr.open_group(path / "labels", mode="w", zarr_format=3 if new else 2)
    group.attrs.update(
        {"ome": {"labels": ["nuclei"]}} if new else {"labels": ["nuclei"]}
    )
    labels = RNG.integers(0, 9, (40, 50)).astype("i4")
    write(path / "labels" / "nuclei", version, labels, attributes | {"image-label": {}})
    image = open_image(path / "labels" / "nuclei")
    assert (image.name, image.axes, image.scale) == ("nuclei", "YX", (10.0, 20.0))
    np.testing.assert_array_equal(image.data[...], labels)
    with pytest.raises(ImageError, match=r"Open one of: labels/nuclei"):
        open_image(path / "labels")


def test_image_of_another_writer_opens(tmp_path: Path) -> None:
    yaozarrs = pytest.importorskip("yaozarrs")
    v05 = pytest.importorskip("yaozarrs.write.v05")
    axes = [
        yaozarrs.v05.TimeAxis(name="t", unit="second"),
        yaozarrs.v05.ChannelAxis(name="c"),
        yaozarrs.v05.SpaceAxis(name="y", unit="micrometer"),
        yaozarrs.v05.SpaceAxis(name="x", unit="micrometer"),
    ]
    scale = yaozarrs.v05.ScaleTransformation(scale=[2.0, 1.0, 0.5, 0.25])
    dataset = yaozarrs.v05.Dataset(path="0", coordinateTransformations=[scale])
    image = yaozarrs.v05.Image(
        multiscales=[yaozarrs.v05.Multiscale(axes=axes, datasets=[dataset])]
    )
    data = pixels(3, 2, 40, 50)
    path = tmp_path / "other.zarr"
    v05.write_image(path, image, data, writer="zarr")
    found = open_image(path)
    assert (found.axes, found.scale) == ("TCYX", (2.0, 1.0, 0.5, 0.25))
    assert found.units == ("second", "pixel", "micrometer", "micrometer")
    np.testing.assert_array_equal(found.data[...], data)


@pytest.mark.parametrize(
    ("axes", "expected"),
    [(None, "TCZYX"), (["t", "c", "z", "y", "x"], "TCZYX")],
    ids=["0.2_without_axes", "0.3_names_only"],
)
def test_old_versions_open(tmp_path: Path, axes: Any, expected: str) -> None:
    entry: dict[str, Any] = {"datasets": [{"path": "0"}]}
    if axes:
        entry["axes"] = axes
    data = pixels(1, 2, 3, 40, 50)
    path = write(tmp_path / "old.zarr", "0.4", data, {"multiscales": [entry]})
    image = open_image(path)
    assert (image.axes, image.scale) == (expected, (1.0,) * 5)


def test_converted_series_opens_its_first(tmp_path: Path) -> None:
    path = tmp_path / "series.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    data = pixels(40, 50)
    write(path / "0", "0.4", data, {"multiscales": [multiscale("yx", 2)]})
    image = open_image(path)
    assert image.name == "series"
    np.testing.assert_array_equal(image.data[...], data)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_plain_array_opens(tmp_path: Path, zarr_format: Any) -> None:
    data = pixels(3, 40, 50)
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=data.shape, dtype="u2", zarr_format=zarr_format
    )
    array[...] = data
    image = open_image(tmp_path / "a.zarr")
    assert image.axes == "ZYX"
    np.testing.assert_array_equal(image.data[...], data)


def test_huge_image_is_read_by_its_window(tmp_path: Path) -> None:
    path = tmp_path / "huge.zarr"
    group = zarr.open_group(path, mode="w")
    shape, chunks = (100, 50_000, 50_000), (1, 256, 256)
    array = group.create_array("0", shape=shape, dtype="u2", chunks=chunks)
    array[70, 40_000:40_010, 9] = 5
    group.attrs["ome"] = {"multiscales": [multiscale("zyx", 1)], "version": "0.5"}
    image = open_image(path)
    assert image.read((70,), slice(39_990, 40_020), slice(0, 20)).sum() == 50


def plate(group: zarr.Group) -> None:
    group.attrs["plate"] = {"wells": [{"path": "B/03"}]}


def well(group: zarr.Group) -> None:
    group.attrs["well"] = {"images": [{"path": "0"}]}


def arrays(group: zarr.Group) -> None:
    group.create_array("raw", shape=(4, 5), dtype="u1")


def missing_level(group: zarr.Group) -> None:
    group.attrs["multiscales"] = [multiscale("yx", 1)]


def wrong_axes(group: zarr.Group) -> None:
    group.create_array("0", shape=(4, 5), dtype="u1")
    group.attrs["multiscales"] = [multiscale("zyx", 1)]


@pytest.mark.parametrize(
    ("fill", "sentence"),
    [
        (plate, r"odd\.zarr is a plate .*odd\.zarr/B/03/0"),
        (well, r"odd\.zarr is a well .*odd\.zarr/0"),
        (arrays, r"without an OME-Zarr image in it\. Open one of: odd\.zarr/raw"),
        (lambda group: None, "It is empty"),
        (missing_level, "names the array '0', which is not there"),
        (wrong_axes, r"names 3 axes for an array of shape \(4, 5\)"),
    ],
    ids=["plate", "well", "arrays", "empty", "missing_level", "wrong_axes"],
)
def test_group_that_is_no_image_says_what_to_open(
    tmp_path: Path, fill: Any, sentence: str
) -> None:
    fill(zarr.open_group(tmp_path / "odd.zarr", mode="w", zarr_format=2))
    with pytest.raises(ImageError, match=sentence):
        open_image(tmp_path / "odd.zarr")


@pytest.mark.parametrize("content", ["", "{", '{"zarr_format": 3}', "[]"])
def test_damaged_metadata_is_a_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "damaged.zarr"
    path.mkdir()
    (path / "zarr.json").write_text(content)
    with pytest.raises(ImageError, match=r"damaged\.zarr"):
        open_image(path)


def test_damaged_multiscale_is_a_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "damaged.zarr", "0.4", pixels(8, 9), {})
    (path / ".zattrs").write_text(json.dumps({"multiscales": [{"axes": ["y", "x"]}]}))
    with pytest.raises(ImageError, match=r"damaged\.zarr"):
        open_image(path)


def test_cut_off_chunk_is_a_sentence_when_it_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.zarr",
        "0.5",
        pixels(40, 50),
        {"multiscales": [multiscale("yx", 2)]},
    )
    chunk = path / "0" / "c" / "1" / "1"
    chunk.write_bytes(chunk.read_bytes()[:20])
    image = open_image(path)
    with pytest.raises(ImageError, match=r"a\.zarr: rows 0 to 40 cannot be read"):
        image.read((), slice(0, 40), slice(0, 50))


@pytest.mark.parametrize(
    ("multiscales", "sentence"),
    [([], "without an OME-Zarr image"), ([{"axes": []}], "names the array '0'")],
)
def test_image_without_arrays_is_named(
    tmp_path: Path, multiscales: list[Any], sentence: str
) -> None:
    group = zarr.open_group(tmp_path / "empty.zarr", mode="w")
    group.attrs["ome"] = {"multiscales": multiscales, "version": "0.5"}
    with pytest.raises(ImageError, match=sentence):
        open_image(tmp_path / "empty.zarr")


def look(path: Path, data: np.ndarray, more: dict[str, Any], **change: Any) -> Any:
    """Write an image of which something of the description is changed; open it."""
    names = "czyx"[-data.ndim :]
    attributes = {"multiscales": [multiscale(names, 2) | change], **more}
    return open_image(write(path, "0.4", data, attributes))


@pytest.mark.parametrize(
    "omero", [None, {"channels": None}, {"channels": [None]}, [], "none"], ids=str
)
def test_channels_that_are_not_described_have_no_names(
    tmp_path: Path, omero: Any
) -> None:
    image = look(tmp_path / "a.zarr", pixels(2, 1, 8, 9), {"omero": omero})
    assert (image.axes, image.channel_names, image.notes) == ("CZYX", (), ())
    assert image.scale[-1] == 40


@pytest.mark.parametrize("scale", [[1.0, 0.16, 0.16], None, ["a"] * 4, [np.nan] * 4])
def test_scale_that_does_not_fit_is_left_out_and_named(
    tmp_path: Path, scale: Any
) -> None:
    overall = [{"type": "scale", "scale": scale}]
    image = look(
        tmp_path / "a.zarr", pixels(2, 1, 8, 9), {}, coordinateTransformations=overall
    )
    assert image.scale == (1.0, 2.0, 3.0, 4.0)
    (note,) = image.notes
    assert "a.zarr has a scale of" in note
    assert "4 axes" in note


@pytest.mark.parametrize("nothing", [None, [None], "", {}])
def test_transformations_that_are_none_change_nothing(
    tmp_path: Path, nothing: Any
) -> None:
    image = look(
        tmp_path / "a.zarr", pixels(8, 9), {}, coordinateTransformations=nothing
    )
    assert (image.scale, image.notes) == ((1.0, 2.0), ())


def test_translation_is_where_the_first_pixel_lies(tmp_path: Path) -> None:
    moved = [
        {"type": "scale", "scale": [2.0, 0.5]},
        {"type": "translation", "translation": [30.0, 5.0]},
    ]
    overall = [
        {"type": "scale", "scale": [10.0, 10.0]},
        {"type": "translation", "translation": [1.0, 2.0]},
    ]
    image = look(
        tmp_path / "a.zarr",
        pixels(8, 9),
        {},
        datasets=[{"path": "0", "coordinateTransformations": moved}],
        coordinateTransformations=overall,
    )
    assert (image.scale, image.translate) == ((20.0, 5.0), (301.0, 52.0))


def test_levels_from_coarse_to_fine_are_turned_and_named(tmp_path: Path) -> None:
    data = pixels(8, 9)
    sets = multiscale("yx", 2)["datasets"][::-1]
    image = look(tmp_path / "a.zarr", data, {}, datasets=sets)
    assert [level.shape for level in image.levels] == [(8, 9), (4, 5)]
    assert image.notes == ("a.zarr lists its levels from coarse to fine.",)


def test_coarser_level_that_is_gone_is_named(tmp_path: Path) -> None:
    sets = multiscale("yx", 3)["datasets"]
    image = look(tmp_path / "a.zarr", pixels(8, 9), {}, datasets=sets)
    assert len(image.levels) == 2
    assert image.notes == ("a.zarr names the level '2', which is not there.",)


@pytest.mark.parametrize(
    "shape", [(10**9, 1, 8, 9), (1, 10**9, 8, 9), (1, 1, 10**9, 10**9)], ids=str
)
def test_size_that_no_image_has_is_refused(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path = write(
        tmp_path / "a.zarr",
        "0.5",
        pixels(1, 1, 8, 9),
        {"multiscales": [multiscale("czyx", 1)]},
    )
    mark = path / "0" / "zarr.json"
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {"shape": shape}))
    with pytest.raises(ImageError, match=r"a\.zarr .* 10\d* "):
        open_image(path)
