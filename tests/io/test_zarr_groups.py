"""Zarr groups that are no image lead to the images in them, by names that are there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from helpers.stacks import multiscale
from napari.utils.notifications import notification_manager

from napari_unet.errors import ImageError
from napari_unet.io.open import open_image
from napari_unet.ui.reader_writer import layers_of

VERSIONS = pytest.mark.parametrize("version", [2, 3], ids=["0.4", "0.5"])


def planes(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4000, shape).astype(np.uint16)


def group(path: Path, version: int, **about: Any) -> Path:
    made = zarr.open_group(path, mode="w", zarr_format=version)
    made.attrs.update(about if version == 2 else {"ome": about})
    return path


def converted(path: Path, version: int, *names: str) -> np.ndarray:
    """Write a file of several images as bioformats2raw does; return the first one."""
    group(path, version, **{"bioformats2raw.layout": 3})
    data = planes(len(names), 2, 80, 80)
    for name, one in zip(names, data, strict=True):
        multiscale(path / name, one, version, None)
    return data[0]


@VERSIONS
def test_first_of_several_images_is_opened_and_the_others_are_told(
    tmp_path: Path, version: int
) -> None:
    data = converted(tmp_path / "a.zarr", version, "0", "1", "2")
    image = open_image(tmp_path / "a.zarr")
    np.testing.assert_array_equal(image.data[:, :64], data[:, :64])
    assert image.notes == ("a.zarr holds 3 images; this is the first of them.",)


@VERSIONS
def test_images_are_those_that_are_listed(tmp_path: Path, version: int) -> None:
    data = converted(tmp_path / "a.zarr", version, "left", "right")
    group(tmp_path / "a.zarr" / "OME", version, series=["left", "right"])
    image = open_image(tmp_path / "a.zarr")
    np.testing.assert_array_equal(image.data[:, :64], data[:, :64])
    assert "holds 2 images" in image.notes[0]


@pytest.mark.parametrize(
    "series", [["OME/.."], ["."], ["OME"], ["n" * 300], [], ["gone"], "0", None]
)
def test_list_that_names_no_image_leads_to_the_numbered_ones(
    tmp_path: Path, series: Any
) -> None:
    data = converted(tmp_path / "a.zarr", 2, "0")
    group(tmp_path / "a.zarr" / "OME", 2, series=series)
    if series == ["OME"]:  # it is inside, and no image
        with pytest.raises(ImageError, match="without an OME-Zarr image"):
            open_image(tmp_path / "a.zarr")
    else:
        image = open_image(tmp_path / "a.zarr")
        np.testing.assert_array_equal(image.data[:, :64], data[:, :64])


def test_images_outside_of_the_file_are_not_followed(tmp_path: Path) -> None:
    multiscale(tmp_path / "b.zarr", planes(2, 80, 80), 2, None)
    group(tmp_path / "a.zarr", 2, **{"bioformats2raw.layout": 3})
    group(tmp_path / "a.zarr" / "OME", 2, series=["../b.zarr"])
    with pytest.raises(ImageError, match="without an OME-Zarr image"):
        open_image(tmp_path / "a.zarr")


def test_labels_of_the_image_that_is_opened_come_along(tmp_path: Path) -> None:
    converted(tmp_path / "a.zarr", 2, "0", "1")
    labels = group(tmp_path / "a.zarr" / "0" / "labels", 2, labels=["cells", "gone"])
    multiscale(labels / "cells", planes(2, 80, 80), 2, None)
    notification_manager.records.clear()
    assert [kind for _, _, kind in layers_of(tmp_path / "a.zarr")] == [
        "image",
        "labels",
    ]
    said = " ".join(record.message for record in notification_manager.records)
    assert "holds 2 images" in said
    assert "'gone' that 0 names are not there" in said


def plate(path: Path, version: int, field: str) -> Path:
    """Write a plate of two wells, the first of which is not there."""
    group(path, version, plate={"wells": [{"path": "A/1"}, {"path": "B/03"}]})
    group(path / "B", version)
    group(path / "B" / "03", version, well={"images": [{"path": field}]})
    multiscale(path / "B" / "03" / field, planes(2, 80, 80), version, None)
    return path


@VERSIONS
@pytest.mark.parametrize("field", ["0", "field_1"])
@pytest.mark.parametrize("inside", ["", "B/03"])
def test_what_a_plate_or_a_well_suggests_can_be_opened(
    tmp_path: Path, version: int, field: str, inside: str
) -> None:
    path = plate(tmp_path / "plate.zarr", version, field) / inside
    with pytest.raises(ImageError) as refused:
        open_image(path)
    suggested = str(refused.value).rstrip(".").rsplit(maxsplit=1)[-1]
    assert open_image(path.parent / suggested).shape == (2, 80, 80)


@pytest.mark.parametrize(
    "said",
    [
        '{"zarr_format": 3, "node_type": "group"}',
        '{"zarr_format": 3, "node_type": "group", "attributes": null}',
        '{"zarr_format": 3, "node_type": "group", "attributes": {"ome": null}}',
        "[]",
        '{"attributes": {"ome": {"labels": [null, "", "a\\u0000b", {}, 1]}}}',
        json.dumps({"attributes": {"ome": {"labels": ["x" * 400, "."]}}}),
        '{"attributes": {"ome": {"labels": {"n": "n"}}}}',
    ],
)
def test_image_opens_whatever_its_labels_say(tmp_path: Path, said: str) -> None:
    multiscale(tmp_path / "a.zarr", planes(2, 80, 80), 3, None)
    labels = tmp_path / "a.zarr" / "labels"
    labels.mkdir()
    (labels / "zarr.json").write_text(said)
    ((_, _, kind),) = layers_of(tmp_path / "a.zarr")
    assert kind == "image"


@VERSIONS
def test_description_of_an_earlier_day_is_not_believed(
    tmp_path: Path, version: int
) -> None:
    """What is said once more for all of a Zarr lacks what came later."""
    path, data = tmp_path / "a.zarr", planes(2, 80, 80)
    made = group(path, version)
    zarr.consolidate_metadata(made, zarr_format=version)
    multiscale(tmp_path / "b.zarr", data, version, None)
    for entry in (tmp_path / "b.zarr").iterdir():
        if entry.name not in ("zarr.json", ".zgroup"):
            entry.rename(path / entry.name)
    if version == 3:
        about = json.loads((tmp_path / "b.zarr" / "zarr.json").read_text())
        old = json.loads((path / "zarr.json").read_text())
        (path / "zarr.json").write_text(
            json.dumps(old | {"attributes": about["attributes"]})
        )
    assert open_image(path).shape == data.shape


@pytest.mark.parametrize(
    ("change", "axes", "scale"),
    [
        ({"axes": "zyx"}, "ZYX", (2.0, 0.5, 0.5)),
        (
            {"axes": [{"name": f"dim_{i}", "type": "space"} for i in range(3)]},
            "ZYX",
            (2.0, 0.5, 0.5),
        ),
        (
            {
                "datasets": {
                    "path": "0",
                    "coordinateTransformations": {"type": "scale", "scale": [3, 2, 2]},
                }
            },
            "ZYX",
            (3.0, 2.0, 2.0),
        ),
        ({"metadata": None}, "ZYX", (2.0, 0.5, 0.5)),
    ],
    ids=["a word for axes", "no names", "one for a list", "null"],
)
@pytest.mark.parametrize("alone", [True, False])
def test_loose_descriptions_are_understood(
    tmp_path: Path, change: dict[str, Any], axes: str, scale: Any, alone: bool
) -> None:
    path = tmp_path / "a.zarr"
    multiscale(path, planes(2, 80, 80), 2, None)
    made = zarr.open_group(path, mode="a")
    (about,) = made.attrs["multiscales"]
    made.attrs["multiscales"] = about | change if alone else [None, about | change]
    image = open_image(path)
    assert (image.axes, image.scale, image.notes) == (axes, scale, ())
