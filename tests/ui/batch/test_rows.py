"""What the table knows of a run: states, how much is done, how long the rest takes."""

from pathlib import Path

import pytest

from napari_unet.batch.files import FilePlan
from napari_unet.errors import OptionsError
from napari_unet.events import StackProgress, StackReport
from napari_unet.options import BatchOptions
from napari_unet.ui.batch.rows import BatchRows
from napari_unet.ui.batch.worker import BatchRequest


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{name}.tif" for name in "abc"]
    for path in paths:
        path.touch()
    return paths


@pytest.fixture
def rows(files):
    """Three files of 10, 20 and 30 tiles; a run has begun."""
    rows = BatchRows()
    rows.add(files)
    for path, tiles in zip(files, (10, 20, 30), strict=True):
        rows.plan(FilePlan(path, path.with_suffix(".zarr"), tiles, 100 * tiles, tiles))
    rows.begin(files, request(files))
    return rows


def request(inputs, **options):
    return BatchRequest(tuple(inputs), Path("out"), BatchOptions(**options), "nuclei")


def tile(path, done, total, phase="segmenting", fraction=0.0):
    return StackProgress(path, phase, fraction, done, total, None)


def ended(path, state="done", reason=""):
    done = 99 if state == "done" else 0
    target = path.with_suffix(".zarr")
    return StackReport(path, target, state, reason, tiles_done=done, seconds=2.0)


def test_files_and_folders_are_added_once(tmp_path, files):
    rows = BatchRows()
    assert rows.add([files[1], tmp_path]) == 3
    assert rows.add([tmp_path]) == 0
    assert [row.source.name for row in rows.rows] == ["b.tif", "a.tif", "c.tif"]
    rows.remove([0, 2])
    assert [row.source.name for row in rows.rows] == ["a.tif"]
    with pytest.raises(OptionsError, match="nothing to segment"):
        rows.add([tmp_path / "none"])


def test_need_is_the_largest_memory_and_the_sum_of_the_disk(rows):
    assert (rows.memory, rows.disk) == (3000, 60)


def test_fraction_is_by_tiles_over_all_files(rows, files):
    assert rows.fraction == 0
    rows.take(tile(files[0], 5, 10), 1)
    assert rows.fraction == pytest.approx(5 / 60)
    rows.take(ended(files[0], "failed", "bad"), 2)
    assert rows.fraction == pytest.approx(10 / 60)  # no more is to be done with it
    rows.take(tile(files[1], 10, 20), 3)
    assert rows.fraction == pytest.approx(20 / 60)
    assert rows.number == (2, 3)
    assert rows.current.source == files[1]


def test_phases_after_the_tiles_leave_a_part_for_themselves(files):
    rows = BatchRows()
    rows.add(files[:1])
    rows.begin(files[:1], request(files[:1], measure=True))
    rows.take(tile(files[0], 10, 10), 1)
    assert rows.fraction == pytest.approx(0.9)
    rows.take(tile(files[0], 10, 10, "measuring", 0.5), 1)
    assert 0.9 < rows.fraction < 1
    assert rows.current.doing == "measuring"
    rows.take(ended(files[0]), 2)
    assert rows.fraction == 1


def test_remaining_time_follows_the_rate_of_this_run(rows, files):
    assert rows.remaining is None
    rows.take(tile(files[0], 1, 10), 30.0)  # after loading, which does not count
    assert rows.remaining is None
    rows.take(tile(files[0], 3, 10), 34.0)
    assert rows.remaining == pytest.approx(2.0 * 57)  # 2 s each, 57 tiles left


def test_what_earlier_runs_did_does_not_make_it_look_fast(rows, files):
    rows.take(tile(files[0], 1, 10), 1.0)
    rows.take(tile(files[0], 2, 10), 2.0)
    rows.take(ended(files[0], "skipped"), 2.0)
    rows.take(tile(files[1], 20, 20), 3.0)  # 19 of them are from yesterday
    assert rows.remaining == pytest.approx(1.0 * 30)


def test_many_small_files_have_a_rate_too(tmp_path):
    paths = [tmp_path / f"{i}.tif" for i in range(10)]
    for path in paths:
        path.touch()
    rows = BatchRows()
    rows.add(paths)
    rows.begin(paths, request(paths))
    for i, path in enumerate(paths[:5]):
        rows.take(tile(path, 1, 1), i)
        rows.take(ended(path), i)
    assert rows.remaining == pytest.approx(5.0)


def test_file_that_was_stopped_keeps_its_progress(rows, files):
    rows.take(tile(files[0], 5, 10), 1)
    rows.stop()
    assert [row.state for row in rows.rows] == ["stopped", "ready", "ready"]
    assert rows.rows[0].fraction == 0.5
    rows.begin(files, request(files))
    assert rows.fraction == pytest.approx(5 / 60)


def test_plan_marks_what_cannot_be_done_until_it_can(files):
    rows = BatchRows()
    rows.add(files)
    rows.plan(FilePlan(files[0], files[0], reason="It is empty."))
    assert (rows.rows[0].state, rows.rows[0].reason) == ("refused", "It is empty.")
    rows.plan(FilePlan(files[0], files[0], 4))
    assert (rows.rows[0].state, rows.rows[0].reason) == ("ready", "")


def test_bad_files_stay_marked_when_a_run_begins(files):
    rows = BatchRows()
    rows.add(files)
    rows.plan(FilePlan(files[0], files[0], reason="It is empty."))
    rows.plan(FilePlan(files[1], files[1], 10))
    rows.begin(files, request(files))
    first = rows.rows[0]
    assert (first.state, first.reason) == ("refused", "It is empty.")
    rows.take(ended(files[0], "failed", "It is empty."), 1)
    rows.take(tile(files[1], 5, 10), 2)
    assert rows.fraction == pytest.approx(15 / 30)  # nothing is left of the first
    rows.stop()
    rows.begin(files, request(files))
    assert rows.rows[0].state == "refused"
    rows.take(tile(files[0], 1, 10), 1)  # somebody has mended it
    assert (rows.rows[0].state, rows.rows[0].reason) == ("running", "")


def test_image_that_became_a_folder_is_told(tmp_path):
    zarr = tmp_path / "a.zarr"
    zarr.mkdir()
    (zarr / ".zgroup").touch()
    rows = BatchRows()
    rows.add([zarr])
    with pytest.raises(OptionsError, match=r"a\.zarr is a folder of images now"):
        rows.begin([zarr / "inside.tif"], request([zarr]))
    assert rows.rows[0].state == "ready"
