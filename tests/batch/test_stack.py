"""A stack done in steps, interrupted anywhere, equals the whole done at once."""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from helpers.processes import Forked
from helpers.stacks import (
    EXACT,
    STACK,
    arrays,
    bare,
    batch,
    blobs,
    finish,
    left_over,
    multiscale,
    read,
    same_partition,
    whole,
    write_image,
)

from napari_unet.batch import steps as stack_steps
from napari_unet.batch.loaded_model import LoadedModel
from napari_unet.batch.setup import prepare
from napari_unet.batch.stack import segment_stack
from napari_unet.errors import ImageError, OptionsError, OutputError, UNetError
from napari_unet.io.open import open_image
from napari_unet.network.model import load
from napari_unet.options import BatchOptions, SegmentOptions


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_image(tmp_path / "cells.ome.tif", "ZYX")


@pytest.fixture(params=["tiles", "planes"])
def stack(
    request: pytest.FixtureRequest, tmp_path: Path, bright_model: Path
) -> tuple[Path, BatchOptions]:
    """An image and options: planes of many tiles, or written by another thread."""
    behind = request.param == "planes"
    path = tmp_path / "cells.ome.tif"
    write_image(path, "ZYX", Z=12 if behind else 3)
    segment_ = replace(EXACT, tile=None if behind else 300)
    options = replace(STACK, segment=segment_)
    plan = prepare(path, options, LoadedModel(str(bright_model))).plan
    assert plan.behind is behind
    return path, options


@pytest.mark.parametrize(
    ("axes", "change"),
    [
        pytest.param("YX", {}, id="plane"),
        pytest.param("ZYX", {}, id="stack"),
        pytest.param("TCZYX", {"channel": 1}, id="five-axes"),
        pytest.param("YX", {"tile": 200}, id="many-windows-a-tile"),
        pytest.param("YX", {"scale": 1.3}, id="enlarged"),
        pytest.param("YX", {"scale": 0.7, "tile": 300}, id="reduced"),
        pytest.param("ZYX", {"per_plane": True}, id="per-plane"),
        pytest.param("YX", {"threshold": 0.7}, id="threshold"),
        pytest.param("ZYX", {"min_score": 0.7}, id="least-score"),
        pytest.param("YX", {"min_score": 0.7, "scale": 1.3}, id="least-score-enlarged"),
    ],
)
def test_objects_are_those_of_whole_planes(
    tmp_path: Path, bright_model: Path, axes: str, change: dict[str, Any]
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", axes)
    options = replace(EXACT, **change)
    target = tmp_path / "out.ome.zarr"
    events, report = batch(source, target, bright_model, BatchOptions(options))
    expected = whole(source, bright_model, options)
    labels = read(target)
    assert labels.dtype == np.int32
    wanted = np.asarray(expected.labels)
    assert labels.shape == wanted.shape
    for plane in np.ndindex(labels.shape[:-2]):
        assert same_partition(labels[plane], wanted[plane])
    assert report.objects == expected.objects > 20
    assert np.array_equal(np.unique(labels), np.arange(report.objects + 1))
    assert report.tiles_done == events[-1].total > np.prod(labels.shape[:-2])
    assert left_over(tmp_path) == []


def test_plane_that_is_joined_in_blocks_has_the_same_objects(
    tmp_path: Path, bright_model: Path
) -> None:
    source, target = tmp_path / "large.tif", tmp_path / "out.ome.zarr"
    tifffile.imwrite(source, blobs((2, 1100, 900)))
    setup = prepare(source, STACK, LoadedModel(str(bright_model)))
    assert max(setup.plan.side) < max(setup.plan.block) < 900
    job = segment_stack(source, target, STACK, model=str(bright_model))
    for event in job:
        if event.phase == "joining" and 0 < event.fraction < 1:
            break  # between two blocks of the first plane
    job.close()
    _, report = batch(source, target, bright_model)
    assert report.tiles_resumed > 0
    expected = whole(source, bright_model, EXACT)
    for found, wanted in zip(read(target), np.asarray(expected.labels), strict=True):
        assert same_partition(found, wanted)
    assert np.array_equal(np.unique(read(target)), np.arange(expected.objects + 1))


@pytest.mark.parametrize("kind", ["classes", "probabilities"])
def test_other_outputs_are_those_of_whole_planes(
    tmp_path: Path, bright_model: Path, kind: Any
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "TZYX")
    options = replace(EXACT, output=kind)
    target = tmp_path / "out.ome.zarr"
    _, report = batch(source, target, bright_model, BatchOptions(options))
    expected = np.asarray(whole(source, bright_model, options).labels)
    if kind == "probabilities":  # the file has time first
        expected = np.moveaxis(expected, 0, 1)
    found = read(target)
    assert report.objects is None
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert len(np.unique(found)) > 2


def test_levels_keep_every_second_pixel_and_the_metadata(
    tmp_path: Path, bright_model: Path
) -> None:
    source = write_image(tmp_path / "cells.ome.tif", "TZYX")
    target = tmp_path / "out.ome.zarr"
    batch(source, target, bright_model)
    np.testing.assert_array_equal(read(target, 1), read(target)[..., ::2, ::2])
    labels = open_image(target)
    assert labels.axes == "TZYX"
    assert [level.shape[-1] for level in labels.levels] == [530, 265]
    assert labels.scale[-1] == pytest.approx(0.25)
    assert labels.units[-1] == "micrometer"
    about = zarr.open_group(target, mode="r").attrs["ome"]
    assert "image-label" in about


@pytest.mark.parametrize("link_z", [True, False])
def test_interrupted_anywhere_it_goes_on_to_the_same_bytes(
    tmp_path: Path, stack: tuple[Path, BatchOptions], bright_model: Path, link_z: bool
) -> None:
    image, options = stack
    options = replace(options, link_z=link_z)
    events, report = batch(image, tmp_path / "one.ome.zarr", bright_model, options)
    expected = arrays(tmp_path / "one.ome.zarr")
    resumed = []
    for stop in range(1, len(events), 13):
        target = tmp_path / str(stop) / "two.ome.zarr"
        target.parent.mkdir()
        job = segment_stack(image, target, options, model=str(bright_model))
        for _ in zip(range(stop), job, strict=False):
            pass
        job.close()
        assert not target.exists()
        _, again = batch(image, target, bright_model, options)
        resumed.append(again.tiles_resumed)
        assert again.tiles_done + again.tiles_resumed == report.tiles_done
        assert again.objects == report.objects
        assert arrays(target) == expected
        assert left_over(target.parent) == []
    assert resumed[-1] > resumed[0] > 0
    assert resumed[-1] == report.tiles_done or not link_z  # there is work after tiles


def test_plane_that_the_disk_did_not_take_is_written_by_the_next_run(
    tmp_path: Path,
    stack: tuple[Path, BatchOptions],
    bright_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image, options = stack
    target, other = tmp_path / "two.ome.zarr", tmp_path / "one" / "two.ome.zarr"
    other.parent.mkdir()
    batch(image, other, bright_model, options)
    write, calls = stack_steps.write_levels, iter(range(100))

    def full(*args: Any) -> Any:
        if next(calls) == 1:
            raise OutputError("The disk is full.")
        return (yield from write(*args))

    monkeypatch.setattr(stack_steps, "write_levels", full)
    with pytest.raises(OutputError, match="disk is full"):
        batch(image, target, bright_model, options)
    assert not target.exists()
    batch(image, target, bright_model, options)
    assert arrays(target) == arrays(other)


KILLED = """
import sys
from napari_unet.batch.stack import segment_stack
from napari_unet.options import BatchOptions, SegmentOptions
tile = int(sys.argv[4]) or None
segment = SegmentOptions(precision="fp32", tile=tile, min_size=3)
options = BatchOptions(segment, link_z=True, measure=True)
for event in segment_stack(*sys.argv[1:3], options, model=sys.argv[3]):
    print(event.done, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="has no SIGKILL")
def test_killed_ten_times_at_random_moments_it_ends_with_the_same_bytes(
    tmp_path: Path, stack: tuple[Path, BatchOptions], bright_model: Path
) -> None:
    image, options = stack
    options = replace(options, link_z=True, measure=True)
    target, other = tmp_path / "out.ome.zarr", tmp_path / "calm" / "out.ome.zarr"
    other.parent.mkdir()
    events, report = batch(image, other, bright_model, options)
    chance = np.random.default_rng(1)
    tile = options.segment.tile or 0
    for _ in range(10):
        job = Forked(KILLED, image, target, bright_model, tile)
        for _ in range(int(chance.integers(1, len(events) // 10))):
            if not job.stdout.readline():
                break
        job.send_signal(signal.SIGKILL)
        job.end()
    _, last = batch(image, target, bright_model, options)
    assert last.objects == report.objects
    assert last.tiles_resumed > 0 or last.state == "skipped"
    assert arrays(target) == arrays(other)
    table, calm = (path.parent / "out.csv" for path in (target, other))
    assert table.read_bytes() == calm.read_bytes()
    assert left_over(tmp_path) == []


def replace_image(image: Path, model: Path) -> None:
    write_image(image, "ZYX", seed=1)


def replace_model(image: Path, model: Path) -> None:
    import torch

    from napari_unet.network.model import save

    net = load(model)
    with torch.no_grad():
        net.net.head.bias[1] += 1
    save(net, model)


@pytest.mark.parametrize("complete", [False, True], ids=["unfinished", "complete"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"min_size": 4}, "option min_size (was 3, now 4)", id="min_size"),
        pytest.param({"min_score": 0.5}, "min_score (was None, now 0.5)", id="score"),
        pytest.param({"output": "classes"}, "option output", id="output"),
        pytest.param({"tile": 420}, "option tile (was 300, now 420)", id="tile"),
        pytest.param({"precision": "bf16"}, "float32", id="precision"),
        pytest.param({"link_z": True}, "link_z (was False, now True)", id="link_z"),
        pytest.param(replace_image, "the image was written to", id="image"),
        pytest.param(replace_model, "the model", id="model"),
    ],
)
def test_what_changed_meanwhile_is_named_and_refused(
    tmp_path: Path, image: Path, bright_model: Path, change: Any, words: str, complete
) -> None:
    model = tmp_path / "model.safetensors"
    model.write_bytes(bright_model.read_bytes())
    target = tmp_path / "out.ome.zarr"
    job = segment_stack(image, target, STACK, model=str(model))
    for _ in job if complete else range(3):
        next(job, None)
    job.close()
    before = arrays(target)
    options = STACK
    if isinstance(change, dict):
        mine = {k: v for k, v in change.items() if k == "link_z"}
        theirs = {k: v for k, v in change.items() if k != "link_z"}
        options = replace(STACK, **mine, segment=replace(EXACT, **theirs))
    else:
        change(image, model)
    with pytest.raises(OutputError) as caught:
        batch(image, target, model, options)
    assert words in str(caught.value)
    assert caught.value.options == ("overwrite",)
    assert arrays(target) == before
    _, report = batch(image, target, model, replace(options, overwrite=True))
    assert report.state == "done"
    assert report.tiles_resumed == 0


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (0, {"tile": [[0, 0], 64]}),
        (0, {"tile": None}),
        (0, {"engine": [3, "float32"]}),
        (0, {"engine": []}),
        (1, {"tile": [1]}),
        (1, {"tile": -1}),
        (1, {"plane": 0}),
    ],
    ids=str,
)
def test_damaged_ledger_is_set_aside_told_and_begun_anew(
    tmp_path: Path, image: Path, bright_model: Path, line: int, change: Any
) -> None:
    target = tmp_path / "out.ome.zarr"
    job = segment_stack(image, target, STACK, model=str(bright_model))
    next(job)
    job.close()
    ledger = tmp_path / ".napari-unet" / "out.ome.zarr.jsonl"
    lines = [json.loads(text) for text in ledger.read_text().splitlines()]
    lines[line] |= change
    damaged = "".join(json.dumps(entry) + "\n" for entry in lines)
    ledger.write_text(damaged)
    _, report = batch(image, target, bright_model)
    assert (report.state, report.tiles_resumed) == ("done", 0)
    assert "out.ome.zarr.jsonl is damaged" in report.notes[0]
    assert ledger.with_name(ledger.name + ".damaged").read_text() == damaged


def test_ledger_of_another_cut_is_begun_anew(
    tmp_path: Path, image: Path, bright_model: Path
) -> None:
    target, other = tmp_path / "out.ome.zarr", tmp_path / "other.ome.zarr"
    job = segment_stack(image, target, STACK, model=str(bright_model))
    next(job)
    job.close()
    ledger = tmp_path / ".napari-unet" / "out.ome.zarr.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    first = json.loads(lines[0])
    first["tile"][0] = [2 * side for side in first["tile"][0]]
    ledger.write_text(json.dumps(first) + "\n" + "".join(lines[1:]))
    _, report = batch(image, target, bright_model)
    batch(image, other, bright_model)
    assert (report.state, report.tiles_resumed) == ("done", 0)
    np.testing.assert_array_equal(read(target), read(other))


def test_ledger_of_a_newer_version_is_left_alone(
    tmp_path: Path, image: Path, bright_model: Path
) -> None:
    target = tmp_path / "out.ome.zarr"
    ledger = tmp_path / ".napari-unet" / "out.ome.zarr.jsonl"
    ledger.parent.mkdir()
    ledger.write_text('{"format": 99}\n')
    with pytest.raises(OutputError, match="newer version"):
        batch(image, target, bright_model)
    assert ledger.read_text() == '{"format": 99}\n'


def test_memory_may_change_between_runs(
    tmp_path: Path, image: Path, bright_model: Path
) -> None:
    segment_ = replace(EXACT, tile=None)
    target = tmp_path / "out.ome.zarr"
    job = segment_stack(image, target, BatchOptions(segment_), model=str(bright_model))
    next(job)
    job.close()
    more = BatchOptions(replace(segment_, memory=20 * 10**9))
    _, report = batch(image, target, bright_model, more)
    assert report.tiles_resumed > 0


def test_complete_result_is_left_alone_even_when_corrected_by_hand(
    tmp_path: Path, image: Path, bright_model: Path
) -> None:
    target = tmp_path / "out.ome.zarr"
    batch(image, target, bright_model)
    zarr.open_group(target, mode="r+")["0"][0, :5, :5] = 77
    _, report = batch(image, target, bright_model)
    assert (report.state, report.tiles_done) == ("skipped", 0)
    assert "complete" in report.reason
    assert (read(target)[0, :5, :5] == 77).all()
    _, report = batch(image, target, bright_model, replace(STACK, overwrite=True))
    assert report.state == "done"
    assert not (read(target)[0, :5, :5] == 77).any()


def test_overwriting_goes_on_after_an_interruption_and_keeps_the_old_until_then(
    tmp_path: Path, image: Path, bright_model: Path
) -> None:
    target = tmp_path / "out.ome.zarr"
    batch(image, target, bright_model)
    before = arrays(target)
    options = replace(STACK, overwrite=True, segment=replace(EXACT, min_size=50))
    job = segment_stack(image, target, options, model=str(bright_model))
    for _ in range(4):
        next(job)
    job.close()
    assert arrays(target) == before
    _, report = batch(image, target, bright_model, options)
    assert report.tiles_resumed >= 3
    assert arrays(target) != before


def test_result_that_was_removed_is_made_again(
    tmp_path: Path, image: Path, bright_model: Path
) -> None:
    import shutil

    target = tmp_path / "out.ome.zarr"
    batch(image, target, bright_model)
    before = arrays(target)
    shutil.rmtree(target)
    _, report = batch(image, target, bright_model)
    assert report.state == "done"
    assert arrays(target) == before


def test_foreign_file_of_that_name_is_not_replaced(
    tmp_path: Path, image: Path, bright_model: Path
) -> None:
    target = tmp_path / "out.ome.zarr"
    zarr.create_array(target, shape=(4,), dtype="u1")
    with pytest.raises(OutputError, match="exists already"):
        batch(image, target, bright_model)


def test_linked_objects_are_the_components_of_the_volume(
    tmp_path: Path, image: Path, bright_model: Path
) -> None:
    target = tmp_path / "out.ome.zarr"
    options = replace(STACK, link_z=True, segment=replace(EXACT, min_size=0))
    _, report = batch(image, target, bright_model, options)
    planes = np.asarray(whole(image, bright_model, options.segment).labels)
    pairs = set()
    for low, high in pairwise(planes):
        both = (low > 0) & (high > 0)
        pairs |= set(zip(low[both].tolist(), high[both].tolist(), strict=True))
    parent = list(range(planes.max() + 1))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for a, b in pairs:
        parent[root(a)] = root(b)
    expected = np.array([root(i) for i in range(len(parent))])[planes]
    labels = read(target)
    assert same_partition(labels, expected)
    assert np.array_equal(np.unique(labels), np.arange(report.objects + 1))
    assert len(np.unique(expected)) < planes.max()  # some were linked
    np.testing.assert_array_equal(read(target, 1), labels[..., ::2, ::2])


def test_linking_is_no_other_job_where_there_is_nothing_to_link(
    tmp_path: Path, bright_model: Path
) -> None:
    """The window joins objects through Z unless somebody takes the box away."""
    options = replace(STACK, link_z=True)
    for axes, then in (("TYX", "skipped"), ("ZYX", None)):
        source = write_image(tmp_path / f"{axes}.ome.tif", axes, Y=90, X=80)
        target = tmp_path / f"{axes}.ome.zarr"
        batch(source, target, bright_model, options)
        if then is None:
            with pytest.raises(OutputError, match=r"link_z \(was True, now False\)"):
                batch(source, target, bright_model, STACK)
        else:
            assert batch(source, target, bright_model, STACK)[1].state == then


def test_time_points_are_not_linked(tmp_path: Path, bright_model: Path) -> None:
    source = write_image(tmp_path / "movie.ome.tif", "TZYX")
    target = tmp_path / "out.ome.zarr"
    batch(source, target, bright_model, replace(STACK, link_z=True))
    labels = read(target)
    first, second = (set(np.unique(part)) - {0} for part in labels)
    assert first
    assert not first & second


def test_only_objects_can_be_linked_or_measured(
    tmp_path: Path, image: Path, bright_model: Path
) -> None:
    for name in ("link_z", "measure"):
        with pytest.raises(OptionsError, match=f"{name} is about objects"):
            BatchOptions(SegmentOptions(output="classes"), **{name: True})


def hold(folder: Path, image: Path, model: Path) -> Any:
    """A run that has begun and is paused."""
    job = segment_stack(image, folder / "first.ome.zarr", STACK, model=str(model))
    next(job)
    return job


def test_second_run_into_one_folder_is_refused(
    tmp_path: Path, image: Path, bright_model: Path
) -> None:
    job = hold(tmp_path, image, bright_model)
    with pytest.raises(OutputError, match="Another run is writing to"):
        batch(image, tmp_path / "second.ome.zarr", bright_model)
    job.close()
    _, report = batch(image, tmp_path / "second.ome.zarr", bright_model)
    assert report.state == "done"


def truncate(image: Path, out: Path) -> None:
    os.truncate(image, image.stat().st_size // 2)


def swap(image: Path, out: Path) -> None:
    other = write_image(image.with_name("other.ome.tif"), "ZYX", seed=1)
    other.replace(image)


def remove_image(image: Path, out: Path) -> None:
    image.unlink()


def remove_output(image: Path, out: Path) -> None:
    import shutil

    gone = out.rename(out.with_name("gone"))  # at once, whoever writes there meanwhile
    shutil.rmtree(gone)


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        pytest.param(truncate, ImageError, "cells.ome.tif", id="input-truncated"),
        pytest.param(swap, ImageError, "was changed while", id="input-replaced"),
        pytest.param(remove_image, ImageError, "cells.ome.tif", id="input-removed"),
        pytest.param(remove_output, OutputError, "was removed", id="output-removed"),
    ],
)
def test_fault_in_the_middle_is_one_sentence(
    tmp_path: Path,
    bright_model: Path,
    damage: Callable[[Path, Path], None],
    error: type[UNetError],
    words: str,
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    image = write_image(tmp_path / "in" / "cells.ome.tif", "ZYX")
    target = tmp_path / "out" / "cells.ome.zarr"
    job = segment_stack(image, target, STACK, model=str(bright_model))
    next(job)
    damage(image, target.parent)
    with pytest.raises(error) as caught:
        finish(job)
    assert words in str(caught.value)
    assert not target.exists()


FULL = """
import resource, sys
from napari_unet.batch.stack import segment_stack
from napari_unet.errors import OutputError
from napari_unet.options import BatchOptions, SegmentOptions
segment = SegmentOptions(precision="fp32", tile=300, output="probabilities")
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]),) * 2)
try:
    for _ in segment_stack(*sys.argv[1:3], BatchOptions(segment), model=sys.argv[3]):
        pass
except OutputError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
@pytest.mark.parametrize("limit", [20, 600, 20_000])
def test_full_disk_is_one_sentence_and_room_lets_it_go_on(
    tmp_path: Path, image: Path, bright_model: Path, limit: int
) -> None:
    target = tmp_path / "out.ome.zarr"
    job = Forked(FULL, image, target, bright_model, limit)
    said, errors = job.end()
    assert (job.returncode, said.count("\n")) == (0, 1), said + errors
    assert "Make room" in said or "full" in said
    assert not target.exists()
    options = BatchOptions(replace(EXACT, output="probabilities", min_size=None))
    _, report = batch(image, target, bright_model, options)
    assert report.state == "done"
    other = tmp_path / "calm.ome.zarr"
    batch(image, other, bright_model, options)
    assert arrays(target) == arrays(other)


def test_read_only_input_is_read(tmp_path: Path, image: Path, bright_model: Path):
    image.chmod(0o444)
    _, report = batch(image, tmp_path / "out.ome.zarr", bright_model)
    assert report.state == "done"


def test_names_may_hold_spaces_and_any_letters(
    tmp_path: Path, bright_model: Path
) -> None:
    folder = tmp_path / "Zellen é 细胞 [1]"
    folder.mkdir()
    source = write_image(folder / "µ m (2) Ö.ome.tif", "YX")
    _, report = batch(source, folder / "µ m (2) Ö.ome.zarr", bright_model)
    assert report.objects > 0
    _, report = batch(source, folder / "µ m (2) Ö.ome.zarr", bright_model)
    assert report.state == "skipped"


def test_long_strip(tmp_path: Path, bright_model: Path) -> None:
    source, target = tmp_path / "strip.tif", tmp_path / "strip.ome.zarr"
    values = np.tile(blobs((1000, 64)), (100, 1))
    tifffile.imwrite(source, values, rowsperstrip=512)
    options = replace(EXACT, tile=None)
    _, report = batch(source, target, bright_model, BatchOptions(options))
    assert read(target).shape == (100_000, 64)
    expected = whole(source, bright_model, options)
    assert same_partition(read(target), np.asarray(expected.labels))
    assert report.objects == expected.objects


def test_stack_of_one_plane(tmp_path: Path, bright_model: Path) -> None:
    source, target = tmp_path / "one.ome.zarr", tmp_path / "out.ome.zarr"
    group = zarr.create_group(source)
    group.create_array("0", data=blobs((1, 1, 1, 70, 90)))
    axes = [{"name": n} for n in "tczyx"]
    data = [{"path": "0", "coordinateTransformations": []}]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": data}]}
    _, report = batch(source, target, bright_model, replace(STACK, link_z=True))
    assert read(target).shape == (1, 1, 70, 90)
    assert report.objects == read(target).max() > 0


@pytest.mark.parametrize("maker", [bare, multiscale])
@pytest.mark.parametrize(
    ("version", "shards"),
    [
        pytest.param(2, None, id="v2"),
        pytest.param(3, None, id="v3"),
        pytest.param(3, (1, 128, 128), id="sharded"),
    ],
)
def test_zarrs_of_every_kind(
    tmp_path: Path, bright_model: Path, maker: Any, version: int, shards: Any
) -> None:
    source, target = tmp_path / "in.zarr", tmp_path / "out.ome.zarr"
    maker(source, blobs((2, 200, 200)), version, shards)
    _, report = batch(source, target, bright_model)
    expected = whole(source, bright_model, EXACT)
    assert report.objects == expected.objects > 0
    for found, wanted in zip(read(target), np.asarray(expected.labels), strict=True):
        assert same_partition(found, wanted)


def test_ledger_line_that_was_cut_short_does_not_count(
    tmp_path: Path, image: Path, bright_model: Path
) -> None:
    target = tmp_path / "out.ome.zarr"
    batch(image, tmp_path / "calm.ome.zarr", bright_model)
    job = segment_stack(image, target, STACK, model=str(bright_model))
    for _ in range(5):
        next(job)
    job.close()
    ledger = tmp_path / ".napari-unet" / "out.ome.zarr.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    assert json.loads(lines[-1])["tile"] >= 4
    ledger.write_bytes(b"".join(lines)[:-2])
    _, report = batch(image, target, bright_model)
    assert report.tiles_resumed == len(lines) - 2
    assert arrays(target) == arrays(tmp_path / "calm.ome.zarr")
