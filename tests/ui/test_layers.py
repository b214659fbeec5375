"""What napari's layers say, in our words. No window: the viewer model is enough."""

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image as ImageLayer
from napari.layers import Labels, Shapes

from napari_unet.errors import ImageError
from napari_unet.ui.layers import (
    as_image,
    axes_of,
    geometry,
    last_line,
    looked_at,
    move,
)
from napari_unet.ui.result_layer import Result


def layer(shape, labels=None, **keywords):
    return ImageLayer(np.zeros(shape, np.uint8), axis_labels=labels, **keywords)


@pytest.mark.parametrize(
    ("shape", "labels", "axes"),
    [
        ((4, 5), None, "YX"),
        ((3, 4, 5), None, "ZYX"),
        ((3, 4, 5), ("t", "y", "x"), "TYX"),
        ((3, 4, 5), ("Channel", "Y", "X"), "CYX"),
        ((3, 4, 5), ("plane", "row", "column"), "ZYX"),
        ((3, 4, 5), ("y", "y", "x"), "ZYX"),
        ((2, 3, 4, 5), None, "TZYX"),
        ((2, 3, 4, 5), ("c", "z", "y", "x"), "CZYX"),
    ],
)
def test_axes_come_from_the_labels_if_they_make_sense(shape, labels, axes):
    assert axes_of(layer(shape, labels)) == axes
    assert as_image(layer(shape, labels)).axes == axes


def test_colours_are_a_last_axis():
    colours = ImageLayer(
        np.zeros((2, 4, 5, 3), np.uint8), rgb=True, scale=(3, 0.5, 0.5)
    )
    image = as_image(colours)
    assert (image.axes, image.rgb, image.channels) == ("ZYXC", True, 3)
    assert image.label_shape == (2, 4, 5)
    assert image.label_scale == (3, 0.5, 0.5)


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (layer((2, 2, 2, 2, 4, 5)), "has 6 axes"),
        (layer((2, 3, 4, 5), ("t", "c", "y", "x")), "makes a layer of every channel"),
        (layer((2, 3, 2, 4, 5)), "makes a layer of every channel"),
    ],
)
def test_a_layer_that_cannot_be_segmented_says_why(bad, sentence):
    with pytest.raises(ImageError, match=sentence):
        as_image(bad)


def test_scale_and_units_are_kept_and_level_0_of_a_pyramid_is_taken():
    level = da.zeros((64, 96), dtype=np.uint16)
    pyramid = ImageLayer(
        [level, level[::2, ::2]], multiscale=True, scale=(0.5, 0.25), units=("um", "um")
    )
    image = as_image(pyramid)
    assert image.shape == (64, 96)
    assert image.scale == (0.5, 0.25)
    assert image.units == ("micrometer", "micrometer")
    assert Labels(np.zeros((64, 96), int), **geometry(pyramid)).scale[1] == 0.25


def test_geometry_of_channels_leaves_out_their_axis():
    channels = layer(
        (2, 3, 4, 5),
        ("c", "z", "y", "x"),
        scale=(1, 2, 3, 4),
        translate=(9, 5, 6, 7),
        affine=np.diag([1, 1, 2, 1, 1]),
    )
    labels = Labels(np.zeros((3, 4, 5), int), **geometry(channels))
    assert tuple(labels.scale) == (2, 3, 4)
    assert tuple(labels.translate) == (5, 6, 7)
    assert labels.axis_labels == ("z", "y", "x")
    assert tuple(labels.affine.scale) == (1, 2, 1)


def test_geometry_keeps_rotation_and_affine():
    turned = layer((4, 5), rotate=30, shear=[0.2], affine=np.diag([2, 3, 1]))
    labels = Labels(np.zeros((4, 5), int), **geometry(turned))
    point = (3, 2)
    assert labels.data_to_world(point) == pytest.approx(turned.data_to_world(point))


def test_plane_follows_the_sliders_in_world_coordinates():
    viewer = ViewerModel()
    movie = viewer.add_image(
        np.zeros((4, 6, 32, 32), np.uint8),
        scale=(1, 2, 0.5, 0.5),
        translate=(0, 10, 0, 0),
    )
    viewer.dims.set_point(0, 3)
    viewer.dims.set_point(1, 14)
    assert looked_at(viewer, movie).plane == (3, 2)


def test_view_is_what_the_canvas_shows_clipped_to_the_image():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((100, 200), np.uint8), scale=(2, 2))
    corners = np.array([[40, 100], [120, 600]])
    image._update_draw(1, corners, (600, 800))
    assert looked_at(viewer, image).box == (slice(20, 61), slice(50, 200))


def test_view_in_a_pyramid_is_in_pixels_of_level_0():
    viewer = ViewerModel()
    level = np.zeros((1024, 1024), np.uint8)
    image = viewer.add_image([level, level[::4, ::4]], multiscale=True)
    image._update_draw(4, np.array([[0, 0], [1024, 1024]]), (100, 100))
    assert looked_at(viewer, image).box == (slice(0, 1024), slice(0, 1024))


@pytest.mark.parametrize("change", ["3d", "transposed", "away"])
def test_view_is_none_where_no_plane_is_seen(change):
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((6, 32, 32), np.uint8))
    if change == "3d":
        viewer.dims.ndisplay = 3
    elif change == "transposed":
        viewer.dims.order = (1, 0, 2)
    else:
        image._update_draw(1, np.array([[500, 500], [600, 600]]), (600, 800))
    assert looked_at(viewer, image).box is None


def test_line_is_measured_in_pixels_of_the_image():
    image = layer((100, 100), scale=(0.5, 0.5))
    shapes = Shapes(ndim=2)
    assert last_line(shapes, image) is None
    shapes.add([[[0, 0], [50, 0]]], shape_type="line")
    shapes.add([[[0, 0], [3, 4]]], shape_type="line")
    shapes.add([[[0, 0], [9, 9]]], shape_type="rectangle")
    assert last_line(shapes, image) == pytest.approx(10)


def filled(viewer, shape=(40, 50), **keywords):
    image = viewer.add_image(np.zeros(shape, np.uint8), **keywords)
    result = Result(image, "nuclei")
    array = np.zeros(shape, np.int32)
    result.show(viewer, array)
    return image, result, array


def test_result_is_made_with_the_first_array_and_named_after_image_and_model():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((40, 50)), name="cells", scale=(2, 3))
    result = Result(image, "nuclei")
    assert len(viewer.layers) == 1
    result.show(viewer, np.zeros((40, 50), np.int32))
    assert viewer.layers[-1].name == "cells [nuclei]"
    assert tuple(viewer.layers[-1].scale) == (2, 3)
    assert viewer.layers.selection.active is image


def test_layer_of_the_user_with_the_same_name_is_left_alone():
    viewer = ViewerModel()
    mine = viewer.add_labels(np.ones((40, 50), int), name="cells [nuclei]")
    image = viewer.add_image(np.zeros((40, 50)), name="cells")
    Result(image, "nuclei").show(viewer, np.zeros((40, 50), np.int32))
    assert viewer.layers[-1].name == "cells [nuclei] 2"
    assert mine.data.all()


def test_painted_result_is_not_usable_any_more():
    _, result, _ = filled(ViewerModel())
    assert result.usable
    result.layer.paint((5, 5), 3)
    assert not result.usable


def test_replaced_data_and_removed_layer_are_not_usable():
    viewer = ViewerModel()
    _, result, _ = filled(viewer)
    result.layer.data = np.ones((40, 50), int)
    assert not result.usable
    _, other, _ = filled(viewer)
    viewer.layers.remove(other.layer)
    assert not other.usable
    other.add((slice(0, 5), slice(0, 5)))
    other.refresh()
    other.stopped(3)  # nothing to see, nothing to break


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_rerun_shows_the_new_array_in_the_same_layer(dtype):
    viewer = ViewerModel()
    _, result, _ = filled(viewer)
    new = np.ones((40, 50), dtype)
    result.show(viewer, new)
    assert len(viewer.layers) == 2
    assert result.layer.data is new
    assert result.usable


def test_undo_after_a_rerun_does_not_write_into_the_new_array():
    viewer = ViewerModel()
    _, result, _ = filled(viewer)
    result.layer.paint((5, 5), 3)
    new = np.zeros((40, 50), np.int32)
    result.show(viewer, new)
    result.layer.undo()
    assert not new.any()
    assert result.layer.data is new


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)], ids=["plain", "transposed"])
@pytest.mark.parametrize("kind", ["numpy", "zarr"])
def test_arriving_tile_is_drawn_where_it_belongs(kind, order, tmp_path):
    import zarr

    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((3, 40, 50), np.uint8))
    array = np.zeros((3, 40, 50), np.int32)
    if kind == "zarr":
        array = zarr.create_array(tmp_path / "a.zarr", shape=array.shape, dtype="i4")
    result = Result(image, "nuclei")
    result.show(viewer, array)
    viewer.dims.order = order
    viewer.dims.set_point(0, 1)
    key = (slice(1, 2), slice(8, 16), slice(20, 30))
    drawn = []
    result.layer.events.labels_update.connect(lambda event: drawn.append(event.offset))
    array[key] = 7
    result.add(key)
    result.add((slice(2, 3), slice(0, 8), slice(0, 8)))  # of a plane that is not shown
    result.refresh()
    shown = result.layer._slice.image.view
    expected = np.asarray(array[1])
    expected = expected if order == (0, 1, 2) else expected.T
    assert ((shown > 0) == (expected > 0)).all()
    assert drawn == [[8, 20] if order == (0, 1, 2) else [20, 8]]


def test_labels_that_lie_where_they_should_are_not_drawn_anew():
    image = ImageLayer(
        np.zeros((8, 9)), scale=(0.5, 0.5), units=("um", "um"), rotate=20
    )
    labels = Labels(np.zeros((8, 9), int), **geometry(image))
    drawn = []
    for event in (labels.events.set_data, labels.events.scale, labels.events.units):
        event.connect(lambda *_: drawn.append(1))
    labels.events.affine.connect(lambda *_: drawn.append(1))
    move(labels, geometry(image))
    assert not drawn
    image.scale, image.translate, image.rotate = (0.25, 0.5), (3, 4), 30
    move(labels, geometry(image))
    assert drawn
    for name in ("scale", "translate", "rotate"):
        np.testing.assert_array_equal(getattr(labels, name), getattr(image, name))
