"""The streamed table says what scikit-image says of the whole image."""

import importlib.util
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from helpers.nets import passing
from helpers.stacks import EXACT, batch, finish, left_over, read, write_image
from helpers.tables import MEASURE, table
from skimage.measure import regionprops_table

from napari_unet.batch import measures as stackmeasures
from napari_unet.batch.measures import join_tables, keep_table, measure_plane
from napari_unet.batch.stack import segment_stack
from napari_unet.batch.store import PlaneView
from napari_unet.errors import OutputError
from napari_unet.io.editable_zarr import EditableZarr
from napari_unet.io.image import Image
from napari_unet.io.open import open_image
from napari_unet.labels.measures import measure, measure_stack
from napari_unet.labels.solids import one_row_each
from napari_unet.network.model import Model, UNetSpec, save
from napari_unet.options import BatchOptions, SegmentOptions

LINKED = replace(MEASURE, link_z=True)
NAMES = {
    "label": "label",
    "area": "area",
    "centroid-0": "centroid_y",
    "centroid-1": "centroid_x",
    "bbox-0": "bbox_y0",
    "bbox-1": "bbox_x0",
    "bbox-2": "bbox_y1",
    "bbox-3": "bbox_x1",
    "eccentricity": "eccentricity",
    "solidity": "solidity",
    "axis_major_length": "major_axis",
    "axis_minor_length": "minor_axis",
}
INTENSITIES = ("intensity_mean", "intensity_min", "intensity_max")


@pytest.mark.parametrize("axes", ["YX", "ZYX", "TCZYX"])
def test_figures_are_those_of_scikit_image(
    tmp_path: Path, bright_model: Path, axes: str
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", axes)
    target = tmp_path / "out.ome.zarr"
    segment = replace(EXACT, channel=1 if "C" in axes else None)
    _, report = batch(source, target, bright_model, replace(MEASURE, segment=segment))
    assert tmp_path / "out.csv" in report.tables
    found = table(tmp_path / "out.csv")
    image, labels = open_image(source), read(target)
    assert len(found["label"]) == report.objects == labels.max()
    whole = slice(0, 600), slice(0, 530)
    for plane in image.planes():
        here = np.ones(len(found["label"]), bool)
        for axis, at in zip(image.plane_axes.lower(), plane, strict=True):
            here &= found[axis] == at
        values = np.moveaxis(image.read(plane, *whole), 0, -1)
        wanted = regionprops_table(
            labels[plane],
            values,
            properties=(*{n.split("-")[0] for n in NAMES}, *INTENSITIES),
        )
        for theirs, ours in NAMES.items():
            np.testing.assert_allclose(found[ours][here], wanted[theirs], atol=2e-5)
        for name in INTENSITIES:
            for c in range(image.channels):
                ours = f"{name}_{c}" if image.channels > 1 else name
                np.testing.assert_allclose(found[ours][here], wanted[f"{name}-{c}"])
    np.testing.assert_allclose(found["area_physical"], found["area"] * 0.25)
    assert set(found["area_physical_unit"]) == {"pixel x micrometer"}  # Y is unknown
    assert (found["class"] == 1).all()


@pytest.mark.parametrize("axes", ["ZYX", "TZYX"])
def test_linked_objects_have_one_row_each(
    tmp_path: Path, bright_model: Path, axes: str
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", axes)
    target = tmp_path / "out.ome.zarr"
    _, report = batch(source, target, bright_model, LINKED)
    found = table(tmp_path / "out.csv")
    assert found["label"].tolist() == list(range(1, report.objects + 1))
    assert found["planes"].max() == 3
    labels, values = read(target), np.asarray(open_image(source).data[...])
    for t, volume in enumerate(labels.reshape(-1, 3, 600, 530)):
        raw = values.reshape(-1, 3, 600, 530)[t]
        here = found["t"] == t if "T" in axes else found["label"] > 0
        names = "label", "area", "bbox", "centroid"
        wanted = regionprops_table(volume, raw, properties=(*names, *INTENSITIES))
        pairs = {"label": "label", "area": "volume"}
        for i, axis in enumerate("zyx"):
            pairs[f"centroid-{i}"] = f"centroid_{axis}"
            pairs[f"bbox-{i}"], pairs[f"bbox-{i + 3}"] = (
                f"bbox_{axis}0",
                f"bbox_{axis}1",
            )
        for theirs, ours in (pairs | dict.fromkeys(INTENSITIES)).items():
            np.testing.assert_allclose(found[ours or theirs][here], wanted[theirs])
        cuts = np.stack(
            [np.bincount(p.ravel(), minlength=labels.max() + 1) for p in volume]
        )
        largest = cuts[:, wanted["label"]]
        assert found["area"][here].tolist() == largest.max(axis=0).tolist()
        assert found["z"][here].tolist() == largest.argmax(axis=0).tolist()
    assert {"class", "solidity"} <= set(found)
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("linked", [True, False])
def test_columns_of_a_stack_are_those_of_save_table(
    tmp_path: Path, bright_model: Path, linked: bool
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "ZYX")
    batch(
        source, tmp_path / "out.ome.zarr", bright_model, replace(LINKED, link_z=linked)
    )
    image, found = open_image(source), table(tmp_path / "out.csv")
    job = measure_stack(
        read(tmp_path / "out.ome.zarr"),
        image.planes(),
        image.read,
        axes="Z",
        **image.pixel_size,
    )
    expected = finish(job)[1]
    expected = one_row_each(expected) if linked else expected
    assert [n for n in found if n not in ("class", "solidity")] == list(expected)
    for name, column in expected.items():
        if name != "area_physical_unit":
            np.testing.assert_allclose(found[name], column, rtol=1e-12)


@pytest.mark.parametrize("step", ["2.0 µm", "2000.0 nm", "2.0 pixel", ""])
def test_volume_of_linked_objects_has_its_unit(
    tmp_path: Path, bright_model: Path, step: str
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "ZYX", 0, step, Y=120, X=130)
    batch(source, tmp_path / "out.ome.zarr", bright_model, LINKED)
    found = table(tmp_path / "out.csv")
    if not step or "pixel" in step:  # nobody knows how far apart planes are
        assert "planes" in found
        assert not [name for name in found if name.startswith("volume_physical")]
        return
    assert set(found["volume_physical_unit"].tolist()) == {"cubic micrometer"}
    np.testing.assert_allclose(
        found["volume_physical"], found["volume"] * 2 * 0.25 * 0.25
    )
    assert (found["planes"] > 1).any()


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="needs pyarrow")
def test_parquet_is_the_same_table(
    tmp_path: Path, bright_model: Path, linked: bool
) -> None:
    from pyarrow import parquet

    source = write_image(tmp_path / "cells.ome.tif", "ZYX")
    options = replace(LINKED, link_z=linked)
    batch(source, tmp_path / "out.ome.zarr", bright_model, options)
    found = parquet.read_table(tmp_path / "out.parquet").to_pydict()
    expected = table(tmp_path / "out.csv")
    assert list(found) == list(expected)
    for name, column in expected.items():
        np.testing.assert_array_equal(found[name], column)


@pytest.mark.parametrize("options", [MEASURE, LINKED], ids=["planes", "linked"])
def test_interrupted_measuring_ends_with_the_same_table(
    tmp_path: Path, bright_model: Path, options: BatchOptions
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "ZYX")
    target = tmp_path / "a" / "out.ome.zarr"
    target.parent.mkdir()
    batch(source, target, bright_model, options)
    other = tmp_path / "b" / "out.ome.zarr"
    other.parent.mkdir()
    job: Any = segment_stack(source, other, options, model=str(bright_model))
    for event in job:
        if event.phase == "measuring" and event.fraction > 0.5:
            break
    job.close()
    assert not other.with_name("out.csv").exists()
    batch(source, other, bright_model, options)
    first, second = (path.with_name("out.csv").read_bytes() for path in (target, other))
    assert first == second


def test_result_that_is_complete_can_be_measured_as_it_is_now(
    tmp_path: Path, bright_model: Path
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "ZYX")
    target = tmp_path / "out.ome.zarr"
    batch(source, target, bright_model, replace(MEASURE, measure=False))
    zarr.open_group(target, mode="r+")["0"][0, 100:140, 100:150] = 9999
    _, report = batch(source, target, bright_model, MEASURE)
    assert report.state == "skipped"
    found = table(tmp_path / "out.csv")
    assert found["area"][found["label"] == 9999] == [40 * 50]
    before = (tmp_path / "out.csv").read_bytes()
    batch(source, target, bright_model, MEASURE)
    assert (tmp_path / "out.csv").read_bytes() == before


def test_table_is_made_again_after_somebody_painted(
    tmp_path: Path, bright_model: Path
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "ZYX")
    target = tmp_path / "out.ome.zarr"
    _, first = batch(source, target, bright_model, MEASURE)
    os.utime(tmp_path / "out.csv", (1, 1))  # long ago
    os.utime(target / "zarr.json", (1, 1))
    before = (tmp_path / "out.csv").read_bytes()
    pyramid = EditableZarr(target)
    pyramid[0, 100:140, 100:150] = 9999
    pyramid[1, 100:140, 100:150] = 9998
    pyramid[2, 100:140, 100:150] = 9997
    pyramid.settle()
    batch(source, target, bright_model, replace(MEASURE, measure=False))
    assert (tmp_path / "out.csv").read_bytes() == before
    for _ in range(2):  # the second time nothing is left to measure
        _, report = batch(source, target, bright_model, MEASURE)
        found = table(tmp_path / "out.csv")
        assert found["area"][found["label"] == 9999] == [40 * 50]
        assert report.objects == len(set(found["label"].tolist())) != first.objects


@pytest.mark.parametrize("format_", ["ome-zarr", "ome-tiff"])
def test_classes_stay_when_a_table_is_made_again(tmp_path: Path, format_: Any) -> None:
    """What the net said of classes is long gone then: the table alone knows."""
    net = passing(UNetSpec(1, ("background", "one", "other"), width=4, depth=1))
    with torch.no_grad():
        net.head.weight[1, 0], net.head.weight[2, 0] = 20, 40
        net.head.bias.copy_(torch.tensor([0.0, -8.0, -22.0]))
    save(Model(net), tmp_path / "three.safetensors")
    source = write_image(tmp_path / "cells.ome.tif", "ZYX")
    target = tmp_path / ("out.ome.zarr" if format_ == "ome-zarr" else "out.ome.tif")
    objects = replace(MEASURE.segment, output="objects")
    options = replace(MEASURE, segment=objects, format=format_)
    batch(source, target, tmp_path / "three.safetensors", options)
    before = (tmp_path / "out.csv").read_bytes()
    assert set(table(tmp_path / "out.csv")["class"].tolist()) == {1, 2}
    os.utime(tmp_path / "out.csv", (1, 1))  # as a version before left it
    batch(source, target, tmp_path / "three.safetensors", options)
    assert (tmp_path / "out.csv").read_bytes() == before
    assert (tmp_path / "out.csv").stat().st_mtime > 1


@pytest.mark.parametrize("format_", ["ome-zarr", "ome-tiff"])
def test_table_by_planes_of_linked_objects_is_made_again(
    tmp_path: Path, bright_model: Path, format_: Any
) -> None:
    """A batch that a version without such tables had half done has one kind."""
    source = write_image(tmp_path / "cells.ome.tif", "ZYX")
    target = tmp_path / ("out.ome.zarr" if format_ == "ome-zarr" else "out.ome.tif")
    options = replace(LINKED, format=format_)
    batch(source, target, bright_model, options)
    wanted = (tmp_path / "out.csv").read_bytes()
    (tmp_path / "out.csv").write_text("z,label,area,bbox_y0\n0,1,2,3\n")
    _, report = batch(source, target, bright_model, options)
    assert report.state == "skipped"
    assert (tmp_path / "out.csv").read_bytes() == wanted
    assert report.objects == len(wanted.splitlines()) - 1


def write_parts(folder: Path, planes: int, objects: int, step: int) -> list[Path]:
    """Write tables of planes, in each of which ids begin by `step` later."""
    chance = np.random.default_rng(0)
    parts = []
    for z in range(planes):
        area = chance.integers(1, 99, objects)
        about = {f"bbox_{name}": area + z for name in ("y0", "x0", "y1", "x1")}
        rows = {"z": np.full(objects, z), "label": np.arange(1, objects + 1) + z * step}
        parts.append(folder / f"{z}.npz")
        keep_table(parts[-1], rows | {"area": area, "centroid_y": area / 3} | about)
    return parts


@pytest.mark.parametrize(("step", "many"), [(0, 500), (350, 500), (700, 2**15)])
def test_rows_are_joined_some_objects_at_a_time(
    tmp_path: Path, step: int, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = write_parts(tmp_path, 9, 700, step)
    tables = [dict(np.load(part)) for part in parts]
    at_once = {n: np.concatenate([t[n] for t in tables]) for n in tables[0]}
    wanted = one_row_each(at_once)
    monkeypatch.setattr(stackmeasures, "_MANY", many)
    joined = finish(join_tables(parts, None, tmp_path / "joined"))[1]
    assert len(joined) == -(-len(wanted["label"]) // many)
    found = [dict(np.load(part)) for part in joined]
    assert list(found[0]) == list(wanted)
    for name, column in wanted.items():
        own = np.concatenate([t[name] for t in found])
        np.testing.assert_allclose(own, column, rtol=1e-12)


@pytest.mark.parametrize("step", [0, 2000], ids=["long", "many"])
def test_memory_of_joining_does_not_grow_with_the_planes(
    tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stackmeasures, "_MANY", 2000)
    peaks = []
    for planes in (5, 40):
        folder = tmp_path / str(planes)
        folder.mkdir()
        parts = write_parts(folder, planes, 2000, step)
        tracemalloc.start()
        finish(join_tables(parts, None, folder / "joined"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    ids = 35 * 2000 * 8  # more of them, which are held
    assert peaks[1] < 1.2 * peaks[0] + 3 * ids


def test_table_of_somebody_else_stays_though_it_is_older(
    tmp_path: Path, bright_model: Path
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "YX")
    (tmp_path / "out.csv").write_text("mine")
    os.utime(tmp_path / "out.csv", (1, 1))
    for options in (replace(MEASURE, measure=False), MEASURE):
        batch(source, tmp_path / "out.ome.zarr", bright_model, options)
    assert (tmp_path / "out.csv").read_text() == "mine"


def test_planes_without_objects_leave_the_columns(
    tmp_path: Path, bright_model: Path
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "ZYX")
    segment = SegmentOptions(precision="fp32", tile=300, min_size=10**6)
    options = replace(MEASURE, segment=segment)
    batch(source, tmp_path / "out.ome.zarr", bright_model, options)
    [line] = (tmp_path / "out.csv").read_text().splitlines()
    assert line.startswith("z,label,area,area_physical,area_physical_unit,")
    assert line.endswith(",class,solidity")
    batch(source, tmp_path / "b.ome.zarr", bright_model, replace(options, link_z=True))
    [other] = (tmp_path / "b.csv").read_text().splitlines()
    assert other == f"{line},volume,planes,centroid_z,bbox_z0,bbox_z1"


def test_table_of_a_result_that_is_replaced_goes_with_it(
    tmp_path: Path, bright_model: Path
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "YX")
    target = tmp_path / "out.ome.zarr"
    batch(source, target, bright_model, MEASURE)
    segment = replace(EXACT, min_size=200)
    fewer = replace(MEASURE, measure=False, overwrite=True, segment=segment)
    batch(source, target, bright_model, fewer)
    assert not (tmp_path / "out.csv").exists()
    again = replace(MEASURE, segment=segment)
    _, report = batch(source, target, bright_model, again)
    assert len(table(tmp_path / "out.csv")["label"]) == report.objects


def test_class_is_the_most_frequent_one_in_the_object() -> None:
    chance = np.random.default_rng(0)
    labels = chance.integers(0, 30, (700, 90)).astype(np.int32)
    labels[labels == 7] = 0
    classes = chance.integers(0, 5, labels.shape).astype(np.uint8)
    classes[labels == 3] = 2  # nothing but boundary
    image = Image("cells", chance.random(labels.shape), "YX")
    job = measure_plane(
        PlaneView(labels, ()), PlaneView(classes, ()), image, (), boundary=2
    )
    found = finish(job)[1]
    expected = measure(labels, class_map=classes, boundary=2)
    np.testing.assert_array_equal(found["label"], expected["label"])
    np.testing.assert_array_equal(found["class"], expected["class"])
    assert found["class"][2] == 0


def test_table_of_somebody_else_is_not_replaced(
    tmp_path: Path, bright_model: Path
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "YX")
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(OutputError, match=r"out\.csv' exists already"):
        batch(source, tmp_path / "out.ome.zarr", bright_model, MEASURE)
    assert (tmp_path / "out.csv").read_text() == "mine"
