"""The reader, the writer and the samples, through napari's own doors."""

from importlib.resources import files as package_files

import numpy as np
import pytest
import tifffile
import zarr
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.utils.notifications import notification_manager
from npe2 import PluginManifest

from napari_unet.errors import ImageError, OutputError
from napari_unet.io.save import save_labels
from napari_unet.io.suffixes import TIFFS
from napari_unet.ui import reader_writer as our_files
from napari_unet.ui.reader_writer import layers_of, reader, sample, write_labels

MANIFEST = PluginManifest.from_file(
    str(package_files("napari_unet").joinpath("napari.yaml"))
)


def opened(path):
    read = reader(str(path))
    assert read is not None
    viewer = ViewerModel()
    for data, meta, kind in read(str(path)):
        getattr(viewer, f"add_{kind}")(data, **meta)
    return list(viewer.layers)


def test_manifest_names_functions_that_exist():
    MANIFEST.validate_imports()
    assert MANIFEST.name == "napari-unet-annotator"
    assert MANIFEST.display_name == "U-Net"


@pytest.mark.parametrize(
    ("name", "ours"),
    [("a.tif", True), ("a.TIFF", True), ("a.ome.zarr/", True), ("a.png", False)],
)
def test_reader_takes_tiff_and_zarr_only(name, ours):
    assert (reader(name) is not None) == ours


@pytest.mark.parametrize("suffix", TIFFS)
def test_names_of_microscopes_are_offered_and_opened(tmp_path, suffix):
    """Those that napari asks a plugin for, and those that it takes, are the same."""
    data = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50)
    path = tmp_path / f"cells{suffix.upper()}"
    tifffile.imwrite(tmp_path / "a.tif", data, metadata=None)
    if suffix != ".ndpi":  # which counts in 8 bytes, told by its name alone
        (tmp_path / "a.tif").rename(path)
        (layer,) = opened(path)
        assert (np.asarray(layer.data) == data).all()
    (ours,) = MANIFEST.contributions.readers
    assert f"*{suffix}" in ours.filename_patterns


def test_what_is_not_shown_of_a_file_is_said_in_the_window(window):
    path = window.folder / "cells.BTF"
    for shape in ((40, 50), (30, 20)):
        tifffile.imwrite(path, np.ones(shape, np.uint8), append=True)
    before = len(notification_manager.records)
    window.viewer.open(str(path), plugin=MANIFEST.name)
    (said,) = notification_manager.records[before:]
    assert said.message == "cells.BTF holds 2 images; this is the first of them."
    assert window.viewer.layers[-1].data.shape == (40, 50)


def test_channels_in_one_pixel_get_a_layer_each(tmp_path):
    data = np.random.default_rng(0).integers(0, 999, (32, 40, 3)).astype(np.uint16)
    text = "ImageJ=1.53t\nchannels=3\nmode=composite\n"
    path = tmp_path / "composite.tif"
    tifffile.imwrite(path, data, photometric="rgb", metadata=None, description=text)
    layers = opened(path)
    assert [layer.ndim for layer in layers] == [2, 2, 2]
    for i, layer in enumerate(layers):
        assert (np.asarray(layer.data) == data[..., i]).all()


def test_pixel_size_and_axes_reach_the_layer(tmp_path):
    data = np.arange(3 * 40 * 50, dtype=np.uint16).reshape(3, 40, 50)
    tifffile.imwrite(
        tmp_path / "stack.tif",
        data,
        imagej=True,
        resolution=(4, 4),
        metadata={"axes": "ZYX", "spacing": 2.0, "unit": "um"},
    )
    (layer,) = opened(tmp_path / "stack.tif")
    assert isinstance(layer, Image)
    assert layer.name == "stack"
    assert tuple(layer.scale) == (2.0, 0.25, 0.25)
    assert {str(unit) for unit in layer.units} == {"micrometer"}
    assert layer.axis_labels == ("z", "y", "x")
    assert (np.asarray(layer.data) == data).all()
    assert layer.contrast_limits[0] < 100
    assert layer.contrast_limits[1] > 5900


def test_every_channel_gets_a_layer_with_its_name(tmp_path):
    data = np.random.default_rng(0).integers(0, 999, (2, 3, 32, 40), np.uint16)
    tifffile.imwrite(
        tmp_path / "two.ome.tif",
        data,
        metadata={"axes": "CZYX", "Channel": {"Name": ["DAPI", "GFP"]}},
    )
    layers = opened(tmp_path / "two.ome.tif")
    assert [layer.name.split()[-1] for layer in layers] == ["DAPI", "GFP"]
    for layer, channel in zip(layers, data, strict=True):
        assert layer.axis_labels == ("z", "y", "x")
        assert (np.asarray(layer.data) == channel).all()


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours_are_shown_as_colours(tmp_path, planar):
    data = np.random.default_rng(0).integers(0, 255, (32, 40, 3), np.uint8)
    written = data if planar == "contig" else np.moveaxis(data, -1, 0)
    tifffile.imwrite(
        tmp_path / "rgb.tif", written, photometric="rgb", planarconfig=planar
    )
    (layer,) = opened(tmp_path / "rgb.tif")
    assert layer.rgb
    assert (np.asarray(layer.data) == data).all()


def test_large_pyramid_is_lazy(tmp_path, monkeypatch):
    level = np.random.default_rng(0).integers(0, 255, (512, 512), np.uint8)
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as file:
        file.write(level, tile=(128, 128), subifds=1)
        file.write(level[::2, ::2], tile=(128, 128), subfiletype=1)
    monkeypatch.setattr(our_files, "_IN_MEMORY", 1000)
    (layer,) = opened(tmp_path / "pyramid.tif")
    assert layer.multiscale
    assert not isinstance(layer.data[0], np.ndarray)
    assert (np.asarray(layer.data[0][100:140, 7:9]) == level[100:140, 7:9]).all()


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".ome.zarr"])
@pytest.mark.parametrize("axes", ["YX", "ZYX", "TZYX"])
def test_labels_come_back_as_they_were_written(tmp_path, suffix, axes):
    shape = (2, 3, 40, 50)[-len(axes) :]
    data = np.random.default_rng(0).integers(0, 300, shape, np.int32)
    units = tuple({"T": "second"}.get(axis, "micrometer") for axis in axes)
    scale = tuple({"T": 5.0, "Z": 2.0}.get(axis, 0.5) for axis in axes)
    layer = Labels(
        data, name="cells", scale=scale, units=units, axis_labels=tuple(axes.lower())
    )
    data_, meta, _ = layer.as_layer_data_tuple()
    (written,) = write_labels(str(tmp_path / f"out{suffix}"), data_, meta)
    (back,) = opened(written)
    assert isinstance(back, Labels)
    assert np.array_equal(np.squeeze(np.asarray(_level0(back))), data)
    assert tuple(back.scale) == pytest.approx(scale)
    assert tuple(str(unit) for unit in back.units) == units
    assert back.axis_labels == tuple(axes.lower())


def _level0(layer):
    return layer.data[0] if layer.multiscale else layer.data


def test_integer_image_is_no_labels_unless_the_file_says_so(tmp_path):
    tifffile.imwrite(tmp_path / "cells_labels.tif", np.ones((8, 8), np.int32))
    (layer,) = opened(tmp_path / "cells_labels.tif")
    assert isinstance(layer, Image)


def test_labels_inside_an_ome_zarr_come_along(tmp_path):
    from yaozarrs import validate_zarr_store

    folder = tmp_path / "cells.ome.zarr"
    image = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    _write_image(folder, image)
    labels = (image > 99).astype(np.int32)
    save_labels(
        folder / "labels" / "nuclei.ome.zarr",
        labels,
        axes="YX",
        scale=(1, 1),
        units=("pixel", "pixel"),
        name="nuclei",
    )
    validate_zarr_store(folder)
    first, second = opened(folder)
    assert isinstance(first, Image)
    assert isinstance(second, Labels)
    assert (np.asarray(_level0(second)) == labels).all()


def _write_image(folder, data):
    import zarr

    group = zarr.create_group(folder, zarr_format=3)
    group.create_array("0", data=data)
    axes = [{"name": axis, "type": "space"} for axis in "yx"]
    transform = [{"type": "scale", "scale": [1.0, 1.0]}]
    datasets = [{"path": "0", "coordinateTransformations": transform}]
    multiscale = {"axes": axes, "datasets": datasets}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    inside = zarr.create_group(folder / "labels", zarr_format=3)
    inside.attrs["ome"] = {"version": "0.5", "labels": ["nuclei.ome.zarr"]}


def test_zarr_gets_the_suffix_that_says_ome(tmp_path):
    layer = Labels(np.ones((40, 50), np.int32))
    data, meta, _ = layer.as_layer_data_tuple()
    (written,) = write_labels(str(tmp_path / "out.zarr"), data, meta)
    assert written == str(tmp_path / "out.ome.zarr")


def test_labels_that_cannot_be_written_say_why(tmp_path):
    layer = Labels(np.ones((2, 2, 2, 2, 4, 4), np.int32), name="deep")
    data, meta, _ = layer.as_layer_data_tuple()
    with pytest.raises(OutputError, match="deep has 6 axes"):
        write_labels(str(tmp_path / "out.tif"), data, meta)
    assert not list(tmp_path.iterdir())


def test_bad_file_says_why(tmp_path):
    (tmp_path / "empty.tif").touch()
    with pytest.raises(ImageError, match=r"empty\.tif"):
        layers_of(tmp_path / "empty.tif")


@pytest.mark.parametrize("key", [s.key for s in MANIFEST.contributions.sample_data])
def test_every_sample_opens_as_a_layer(key):
    viewer = ViewerModel()
    for data in sample(key):
        viewer.add_layer(Layer.create(*data))
    assert viewer.layers[0].name == key
    assert viewer.layers[0].ndim == (3 if key == "nuclei_movie" else 2)


def test_labels_with_a_channel_axis_open_over_their_image(tmp_path):
    path = tmp_path / "cells.ome.zarr"
    image = np.random.default_rng(0).integers(0, 99, (1, 40, 50)).astype(np.uint16)
    write_image(path, image)
    labels = path / "labels"
    write_image(labels / "cells", (image > 50).astype(np.uint8), {"image-label": {}})
    write_image(labels / "two", np.zeros((2, 40, 50), np.uint8), {"image-label": {}})
    group = zarr.open_group(labels, mode="a")
    group.attrs["ome"] = {"version": "0.5", "labels": ["cells", "two"]}
    layers = opened(path)
    assert [type(layer) for layer in layers] == [Image, Labels]
    np.testing.assert_array_equal(np.asarray(layers[1].data), image[0] > 50)


def write_image(path, data, more=None):
    group = zarr.open_group(path, mode="w")
    group.create_array("0", data=data)
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space"} for name in "yx"]
    scale = [{"type": "scale", "scale": [1.0, 0.5, 0.5]}]
    sets = [{"path": "0", "coordinateTransformations": scale}]
    multiscales = [{"axes": axes, "datasets": sets}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales, **(more or {})}


def test_saving_under_another_name_overwrites_nothing(tmp_path):
    data = np.ones((40, 50), np.int32)
    there = tmp_path / "cells.ome.zarr"
    write_image(there, np.ones((1, 40, 50), np.float32))
    with pytest.raises(OutputError, match=r"cells\.ome\.zarr"):
        write_labels(str(tmp_path / "cells.zarr"), data, {"name": "cells"})
    assert zarr.open_group(there)["0"].dtype == np.float32


def test_field_of_a_plate_opens_though_it_is_called_0(tmp_path):
    field = tmp_path / "plate.zarr" / "B" / "03" / "0"
    write_image(field, np.ones((1, 40, 50), np.uint16))
    (layer,) = opened(field)
    assert tuple(layer.scale) == (0.5, 0.5)
    assert reader(str(tmp_path)) is None  # a folder, but no Zarr


def test_labels_of_a_part_lie_where_they_were_written(tmp_path):
    layer = Labels(
        np.ones((2, 40, 50), np.int32),
        scale=(2, 0.5, 0.5),
        translate=(8, 15, 20.5),
        units=("micrometer",) * 3,
        axis_labels=("z", "y", "x"),
    )
    data, meta, _ = layer.as_layer_data_tuple()
    (written,) = write_labels(str(tmp_path / "part.ome.zarr"), data, meta)
    (back,) = opened(written)
    assert tuple(back.translate) == (8, 15, 20.5)
    assert tuple(back.scale) == (2, 0.5, 0.5)
