"""`import napari_unet as nu`: what is taken, what comes back, what a cancel keeps."""

import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
import tifffile

import napari_unet as nu
from napari_unet._api.settings import BatchSettings, SegmentSettings, TrainSettings
from napari_unet.errors import CorrectionError, ImageError, OptionsError, OutputError
from napari_unet.io.open import open_image
from napari_unet.network.model import load
from napari_unet.options import BatchOptions, SegmentOptions, TrainOptions
from napari_unet.training import fine_tune, schedule


class EnoughError(Exception):
    """What a script raises to stop a verb."""


@pytest.fixture(scope="module")
def blobs():
    """A plane of two bright squares."""
    plane = np.full((64, 96), 100, np.uint16)
    plane[10:30, 10:30] = plane[30:50, 60:80] = 900
    return plane


def test_names_are_there_without_torch():
    code = (
        "import sys, napari_unet as nu; found = [getattr(nu, n) for n in nu.__all__];"
        "print('torch' in sys.modules, set(nu.__all__) <= set(dir(nu)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        (SegmentSettings, [SegmentOptions]),
        (TrainSettings, [TrainOptions]),
        (BatchSettings, [SegmentOptions, BatchOptions]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_option_is_a_setting_of_the_same_type(settings, options):
    found = {f.name: f.type for kind in options for f in fields(kind)}
    found.pop("segment", None)
    assert settings.__annotations__ == found


def test_options_and_settings_together_are_refused(blobs, tiny_model, tmp_path):
    with pytest.raises(OptionsError, match=r"the settings min_size were both given"):
        nu.segment(tiny_model, blobs, SegmentOptions(), min_size=3)
    with pytest.raises(OptionsError, match=r"both given"):
        nu.train(tmp_path / "m.safetensors", TrainOptions(), seconds=1)
    with pytest.raises(OptionsError, match=r"both given"):
        nu.batch(tmp_path, tmp_path / "out", BatchOptions(), measure=True)


def test_unknown_setting_is_named_with_those_there_are(blobs, tiny_model):
    with pytest.raises(OptionsError, match=r"no setting 'diametre'.*diameter"):
        nu.segment(tiny_model, blobs, diametre=3)
    with pytest.raises(OptionsError, match=r"of the wrong kind"):
        nu.segment(tiny_model, blobs, diameter="30")


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((8, 9), None, ("YX", False, (8, 9))),
        ((8, 9, 3), None, ("YXC", True, (8, 9, 3))),
        ((8, 9, 3), "YXZ", ("ZYX", False, (3, 8, 9))),
        ((2, 8, 9), "CYX", ("CYX", False, (2, 8, 9))),
        ((5, 2, 8, 9), "tzyx", ("TZYX", False, (5, 2, 8, 9))),
    ],
    ids=str,
)
def test_arrays_become_images(shape, axes, expected):
    array = np.arange(np.prod(shape), dtype="u2").reshape(shape)
    image = nu.open_image(array, axes)
    assert (image.axes, image.rgb, image.shape) == expected
    assert np.asarray(image.data).sum() == array.sum()


def test_array_of_unclear_axes_is_refused():
    with pytest.raises(ImageError, match=r"\(5, 8, 9\).*axes='ZYX'"):
        nu.open_image(np.zeros((5, 8, 9)))


def test_scale_and_units_are_of_all_axes_but_the_channels():
    image = nu.open_image(
        np.zeros((2, 8, 9)), "CYX", scale=(0.5, 0.25), units="um", channel_names="ab"
    )
    assert image.scale == (1.0, 0.5, 0.25)
    assert image.units == ("pixel", "micrometer", "micrometer")
    assert image.channel_names == ("a", "b")
    with pytest.raises(OptionsError, match="scale has 3 entries"):
        nu.open_image(image, scale=(1, 1, 1))
    turned = nu.open_image(np.zeros((8, 9, 5)), "YXZ", scale=(0.5, 0.25, 2))
    assert turned.axes == "ZYX"
    assert turned.scale == (2.0, 0.5, 0.25)
    assert nu.open_image(np.zeros((8, 9)), scale=0.5).scale == (0.5, 0.5)


def test_file_array_and_image_give_the_same_labels(blobs, bright_model, tmp_path):
    path = tmp_path / "blobs.tif"
    tifffile.imwrite(path, blobs)
    sources = path, str(path), blobs, open_image(path)
    results = [nu.segment(bright_model, source) for source in sources]
    assert [r.objects for r in results] == [2] * 4
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].labels, other.labels)


def test_result_saves_scale_and_units(blobs, bright_model, tmp_path):
    image = nu.open_image(blobs[None], "ZYX", scale=(2, 0.5, 0.5), units="micrometer")
    result = nu.segment(load(bright_model), image)
    assert (result.axes, result.scale) == ("ZYX", (2.0, 0.5, 0.5))
    assert result.units == ("micrometer",) * 3
    result.save(tmp_path / "labels.ome.zarr")
    kept = open_image(tmp_path / "labels.ome.zarr")
    assert (kept.scale, kept.units) == (result.scale, result.units)
    np.testing.assert_array_equal(np.asarray(kept.data[:]), result.labels)


def test_probabilities_know_their_channels(blobs, bright_model, tmp_path):
    result = nu.segment(bright_model, blobs, output="probabilities")
    assert (result.axes, result.objects) == ("CYX", None)
    assert result.channel_names == ("background", "interior", "boundary")
    assert len(result.scale) == len(result.units) == 3
    result.save(tmp_path / "p.ome.tif")
    assert open_image(tmp_path / "p.ome.tif").channel_names == result.channel_names


def test_result_is_not_saved_over_its_image(blobs, bright_model, tmp_path):
    path = tmp_path / "blobs.tif"
    tifffile.imwrite(path, blobs)
    result = nu.segment(bright_model, path)
    with pytest.raises(nu.UNetError, match="the image itself"):
        result.save(path, overwrite=True)


def test_what_progress_raises_cancels_and_finished_planes_stay(blobs, bright_model):
    stack = np.stack([blobs] * 4)
    out = np.zeros(stack.shape, np.int32)
    seen = []

    def stop(step):
        seen.append(step)
        if getattr(step.event, "plane", None) == (2,):
            raise EnoughError

    with pytest.raises(EnoughError):
        nu.segment(bright_model, stack, axes="TYX", out=out, progress=stop)
    assert {step.stage for step in seen} <= {"segmenting", "joining"}
    fractions = [step.fraction for step in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] < 1
    assert [bool(plane.any()) for plane in out][:2] == [True, True]
    assert not out[3].any()


def test_loop_over_a_segmentation_has_its_result_at_the_end(blobs, bright_model):
    steps = list(run := nu.segment_iter(bright_model, blobs))
    assert steps[-1].fraction == 1
    assert run.result.objects == 2


def test_table_of_objects_has_the_scale_of_the_labels(blobs, bright_model):
    image = nu.open_image(blobs, scale=(0.5, 0.5), units="micrometer")
    result = nu.segment(bright_model, image)
    table = nu.measure(result, blobs)
    assert len({len(column) for column in table.values()}) == 1
    assert table["label"].tolist() == [1, 2]
    np.testing.assert_allclose(table["area_physical"], table["area"] / 4)
    assert table["intensity_max"].tolist() == [900, 900]


def test_channel_of_a_table_is_chosen_by_name(blobs, bright_model):
    image = nu.open_image(np.stack([blobs, blobs * 2]), "CYX", channel_names=("a", "b"))
    result = nu.segment(bright_model, image, channel="a")
    table = nu.measure(result, image, channel="b")
    assert table["intensity_max"].tolist() == [1800, 1800]
    assert {"intensity_max_0", "intensity_max_1"} <= set(nu.measure(result, image))


def test_table_without_objects_has_the_same_columns(blobs, bright_model):
    result = nu.segment(bright_model, blobs, min_size=10_000)
    table = nu.measure(result, blobs)
    full = nu.measure(nu.segment(bright_model, blobs), blobs)
    assert result.objects == 0
    assert {name: len(column) for name, column in table.items()} == dict.fromkeys(
        full, 0
    )


def test_score_is_in_the_table_where_a_least_one_is_in_force(blobs, bright_model):
    cells = blobs.copy()
    cells[30:50, 60:80] = 700
    assert "score" not in nu.measure(nu.segment(bright_model, cells), cells)
    both = nu.segment(bright_model, cells, min_score=0.01)
    sure, less = nu.measure(both, cells)["score"]
    assert 0.4 < less < sure <= 1
    assert "interior" not in nu.measure(both, cells)
    one = nu.segment(bright_model, cells, min_score=(sure + less) / 2)
    assert nu.measure(one, cells)["score"].tolist() == [sure]
    none = nu.segment(bright_model, cells, min_score=0.01, min_size=10_000)
    assert list(nu.measure(none, cells)) == list(nu.measure(both, cells))


def test_what_cannot_be_measured_is_refused(blobs, bright_model):
    result = nu.segment(bright_model, blobs)
    with pytest.raises(ImageError, match=r"\(64, 96\)"):
        nu.measure(result, blobs[:32])
    classes = nu.segment(bright_model, blobs, output="classes")
    with pytest.raises(OptionsError, match="only objects"):
        nu.measure(classes, blobs)


def strokes_of(blobs):
    strokes = np.full(blobs.shape, 255, np.uint8)
    strokes[18:22, 4:40] = blobs[18:22, 4:40] > 500
    return strokes


def test_strokes_are_read_again_by_whoever_opens_the_project(blobs, tmp_path):
    project = nu.Project.open(tmp_path / "p.unet")
    strokes = strokes_of(blobs)
    count = nu.write_strokes(project, blobs, strokes, classes=("background", "cell"))
    (correction,) = nu.Project.open(tmp_path / "p.unet").corrections()
    assert count == correction.reviewed.sum() == (strokes != 255).sum()
    height, width = blobs.shape
    y, x = correction.place[1]
    target = correction.target[: height - y, : width - x]
    np.testing.assert_array_equal(target, strokes[y:, x:][: len(target)])


def test_strokes_of_a_plane_leave_the_others_alone(blobs, tmp_path):
    project = nu.Project.open(tmp_path / "p.unet")
    labels = np.stack([(blobs > 500) * 7, blobs * 0]).astype(np.int32)
    reviewed = np.zeros(labels.shape, bool)
    reviewed[0] = True
    names = ("background", "interior", "boundary")
    nu.write_strokes(
        project,
        np.stack([blobs] * 2),
        labels,
        classes=names,
        kind="objects",
        reviewed=reviewed,
        axes="ZYX",
    )
    (correction,) = project.corrections()
    assert correction.place[0] == (0,)
    assert set(np.unique(correction.target)) >= {0, 1, 2}


def test_errors_note_the_keywords_that_would_help(blobs, bright_model, tmp_path):
    """Those that the function has, once."""

    def notes(error):
        return getattr(error.value, "__notes__", [])

    two = np.stack([blobs, blobs])
    for segment in nu.segment, nu.segment_iter:
        with pytest.raises(ImageError, match=r"Choose a channel\.\n") as caught:
            list(segment(bright_model, two, axes="CYX"))
        assert notes(caught) == ["Keywords that would help: channel="]
    odd = tmp_path / "odd.tif"
    tifffile.imwrite(odd, np.zeros((2, 3, 8, 8), "u1"), metadata={"axes": "HRYX"})
    for openers in (nu.open_image, lambda path: nu.segment(bright_model, path)):
        with pytest.raises(ImageError, match=r"as in TZYX\.") as caught:
            openers(odd)
        assert notes(caught) == ["Keywords that would help: axes="]
    result = nu.segment(bright_model, blobs)
    result.save(tmp_path / "labels.tif")
    with pytest.raises(OutputError) as caught:
        result.save(tmp_path / "labels.tif")
    assert notes(caught) == ["Keywords that would help: overwrite="]
    folders = tmp_path / "images", tmp_path / "labels"
    for folder in folders:
        folder.mkdir()
        tifffile.imwrite(folder / "odd.tif", np.zeros((8, 8), "u1"))
    odd.replace(folders[0] / "odd.tif")
    with pytest.raises(ImageError, match=r"as in TZYX\.") as caught:
        nu.train(tmp_path / "m.safetensors", images=folders[0], labels=folders[1])
    assert notes(caught) == []  # it takes no axes
    with pytest.raises(OptionsError, match=r"images and their labels\.") as caught:
        nu.train(tmp_path / "m.safetensors")
    assert notes(caught) == ["Keywords that would help: project=, images=, labels="]


def test_strokes_that_do_not_fit_are_refused(blobs, tmp_path):
    project = nu.Project.open(tmp_path / "p.unet")
    with pytest.raises(CorrectionError, match="no classes yet"):
        nu.write_strokes(project, blobs, strokes_of(blobs))
    names = ("background", "cell")
    with pytest.raises(CorrectionError, match="hold 9"):
        nu.write_strokes(project, blobs, np.full(blobs.shape, 9), classes=names)
    with pytest.raises(CorrectionError, match=r"\(3, 3\)"):
        nu.write_strokes(project, blobs, np.zeros((3, 3), int), classes=names)
    strokes = strokes_of(blobs), names
    with pytest.raises(CorrectionError, match=r"reviewed has shape \(3,\)"):
        nu.write_strokes(project, blobs, strokes[0], classes=names, reviewed=[1, 0, 1])
    with pytest.raises(CorrectionError, match="kind is 'object'"):
        nu.write_strokes(project, blobs, strokes[0], classes=names, kind="object")
    assert not project.folder.exists()


def test_training_returns_the_model_of_its_file(blobs, tiny_model, tmp_path):
    project = nu.Project.open(tmp_path / "p.unet")
    names = ("background", "cell")
    nu.write_strokes(project, blobs, strokes_of(blobs), classes=names)
    seen = []
    trained = nu.train(
        tmp_path / "cells.safetensors",
        project=project,
        model=tiny_model,
        new=names,
        seconds=0.2,
        device="cpu",
        progress=seen.append,
    )
    assert trained.model.spec.classes == names
    kept = load(tmp_path / "cells.safetensors")
    assert kept.checksum() == trained.model.checksum()
    assert {step.stage for step in seen} == {"learning"}


def test_cancelled_training_keeps_its_best(blobs, tiny_model, tmp_path):
    project = nu.Project.open(tmp_path / "p.unet")
    names, out = ("background", "cell"), tmp_path / "cells.safetensors"
    nu.write_strokes(project, blobs, strokes_of(blobs), classes=names)

    def stop(step):
        assert not out.exists()
        if step.event.model is not None:
            raise EnoughError

    with pytest.raises(EnoughError):
        nu.train(
            out, project=project, model=tiny_model, new=names, seconds=60, progress=stop
        )
    assert load(out).spec.classes == names


@pytest.mark.parametrize("last", [0, 3], ids=["at once", "after a look"])
def test_cancelled_training_goes_on_when_the_same_is_asked_for_again(
    blobs, tiny_model, tmp_path, monkeypatch, last
):
    monkeypatch.setattr(fine_tune, "_CHECK", 2)
    monkeypatch.setattr(schedule, "_PATIENCE", 2)
    monkeypatch.setattr(schedule, "_CUTS", 1)
    for name in "abcde":
        for folder in ("images", "labels"):
            (tmp_path / folder).mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", blobs + ord(name))
        truth = (blobs > 500).astype(np.uint8)
        tifffile.imwrite(tmp_path / "labels" / f"{name}.tif", truth)
    how = {
        "images": tmp_path / "images",
        "labels": tmp_path / "labels",
        "model": tiny_model,
        "new": ("background", "cell"),
        "seconds": None,
        "device": "cpu",
    }

    def stop(step):
        if step.event.step == last:
            raise EnoughError

    out = tmp_path / "cells.safetensors"
    with pytest.raises(EnoughError):
        nu.train(out, **how, progress=stop)
    assert load(out).spec.classes == how["new"]
    first = []
    trained = nu.train(out, **how, progress=lambda step: first.append(step.event.step))
    assert first[:2] == ([2, 3] if last else [0, 1])  # a look was at step 2
    assert trained.model.checksum() == load(out).checksum()
    whole = nu.train(tmp_path / "whole.safetensors", **how)
    assert whole.model.checksum() == trained.model.checksum()


def test_batch_is_called_though_its_package_has_the_name(blobs, bright_model, tmp_path):
    import napari_unet.batch.files

    assert napari_unet.batch.files.segment_files
    tifffile.imwrite(tmp_path / "a.tif", blobs)
    report = nu.batch(
        tmp_path / "a.tif",
        tmp_path / "out",
        model=load(bright_model),
        format="ome-tiff",
        min_size=5,
        measure=True,
    )
    assert [(f.state, f.objects) for f in report.files] == [("done", 2)]
    assert (tmp_path / "out" / "a.csv").exists()


def test_cancelled_batch_goes_on_from_its_finished_files(blobs, bright_model, tmp_path):
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.tif", blobs)
    where = str(tmp_path / "*.tif"), tmp_path / "out"

    def stop(step):
        if step.stage == "done":
            raise EnoughError

    with pytest.raises(EnoughError):
        nu.batch(*where, model=bright_model, progress=stop)
    steps = list(run := nu.batch_iter(*where, model=bright_model))
    assert [file.state for file in run.result.files] == ["skipped", "done"]
    assert [s.fraction for s in steps] == sorted(s.fraction for s in steps)
    assert steps[-1].fraction == 1
