"""Results are refused before the work, or arrive whole, or leave nothing behind."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from helpers.processes import Forked

from napari_unet.errors import OutputError
from napari_unet.io.save import check_output, create_labels, save_labels

FORMATS = ("tif", "ome.tif", "ome.tiff", "ome.zarr")
AXES = ("YX", "XY", "TYX", "ZYX", "TZYX", "ZTYX", "YXZ")
KINDS = {"objects": "int32", "classes": "uint8", "probabilities": "float16"}
SIZES = {"T": 2, "Z": 3, "Y": 37, "X": 530, "C": 3}  # X: more than one tile
STEPS = {"T": 2.5, "Z": 1.5, "Y": 0.25, "X": 0.325, "C": 1.0}
UNITS = {"T": "second", "Z": "micrometer", "Y": "micrometer", "X": "micrometer"}
CLASSES = ("background", "interior", "boundary")
PLAIN = {"axes": "YX", "scale": (1.0, 1.0), "units": ("pixel",) * 2, "name": "labels"}


def make(kind: str, axes: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Labels of one kind, and what is said about them."""
    axes = f"C{axes}" if kind == "probabilities" else axes
    shape = [SIZES[axis] for axis in axes]
    values = np.random.default_rng(7).random(shape)
    top = {"objects": 500, "classes": 4, "probabilities": 1}[kind]
    return (values * top).astype(KINDS[kind]), {
        "axes": axes,
        "scale": [STEPS[axis] for axis in axes],
        "units": [UNITS.get(axis, "pixel") for axis in axes],
        "name": "cells",
        "channel_names": CLASSES if kind == "probabilities" else (),
    }


def read_back(path: Path) -> tuple[np.ndarray, str]:
    """Pixels and axes of a file, read by the library that owns the format."""
    if path.suffix == ".zarr":
        level = zarr.open_group(path, mode="r")["0"]
        return level[...], "".join(level.metadata.dimension_names).upper()
    with tifffile.TiffFile(path) as file:
        return file.series[0].asarray(), file.series[0].axes


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axes", AXES)
def test_pixels_and_axes_come_back(
    tmp_path: Path, suffix: str, kind: str, axes: str
) -> None:
    labels, about = make(kind, axes)
    path = tmp_path / f"out.{suffix}"
    save_labels(path, labels, **about)
    pixels, found = read_back(path)
    assert sorted(found) == sorted(about["axes"])
    wanted = np.transpose(labels, [about["axes"].index(axis) for axis in found])
    np.testing.assert_array_equal(pixels, wanted)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ["tif", "ome.zarr"])
def test_temporary_array_is_written_like_numpy(tmp_path: Path, suffix: str) -> None:
    labels, about = make("objects", "TZYX")
    stored = create_labels(labels.shape, labels.dtype, limit=0, folder=tmp_path)
    stored[...] = labels
    save_labels(tmp_path / f"out.{suffix}", stored, **about)
    np.testing.assert_array_equal(read_back(tmp_path / f"out.{suffix}")[0], labels)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("out.png", ".ome.zarr", id="suffix"),
        pytest.param("out", ".tif", id="no-suffix"),
        pytest.param("out.zarr", ".ome.zarr", id="bare-zarr"),
        pytest.param("missing/out.tif", "no folder", id="no-folder"),
        pytest.param("note.txt/out.tif", "no folder", id="folder-is-a-file"),
        pytest.param("there.tif", "exists already", id="file-exists"),
        pytest.param("there.ome.zarr", "exists already", id="zarr-exists"),
    ],
)
def test_bad_output_is_refused(tmp_path: Path, name: str, words: str) -> None:
    for entry in ("note.txt", "there.tif"):
        (tmp_path / entry).write_text("mine")
    (tmp_path / "there.ome.zarr").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError) as caught:
        check_output(tmp_path / name, overwrite=False)
    assert words in str(caught.value)
    assert name in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc")
def test_folder_that_takes_no_files_is_refused() -> None:
    with pytest.raises(OutputError, match=r"no file can be made in '/proc'"):
        check_output("/proc/out.tif", overwrite=False)


def test_too_little_room_is_refused_with_both_amounts(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"may need 5000\.0 TB and only .* are free"):
        check_output(tmp_path / "out.tif", overwrite=False, nbytes=5 * 10**15)


@pytest.mark.parametrize("name", ["a.tif", "a.TIFF", "a.ome.tif", "a.b.ome.zarr"])
def test_good_output_is_accepted_and_not_made(tmp_path: Path, name: str) -> None:
    path = check_output(tmp_path / name, overwrite=False, nbytes=1000)
    assert path == tmp_path / name
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_overwrite_replaces_the_old_result(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out.{suffix}"
    for kind in ("objects", "classes"):
        labels, about = make(kind, "YX")
        save_labels(path, labels, **about, overwrite=True)
    np.testing.assert_array_equal(read_back(path)[0], labels)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def make_empty(folder: Path) -> None:
    """Make a folder with nothing in it."""
    folder.mkdir()


def make_photos(folder: Path) -> None:
    """Make a folder of other files."""
    folder.mkdir()
    (folder / "holiday.jpg").write_text("mine")


def make_mixed(folder: Path) -> None:
    """Make a zarr into which somebody put a note."""
    zarr.create_group(folder)
    (folder / "notes.txt").write_text("mine")


def make_lookalike(folder: Path) -> None:
    """Make a folder whose zarr.json is something else."""
    folder.mkdir()
    (folder / "zarr.json").write_text(json.dumps(["mine"]))


def make_file(path: Path) -> None:
    """Make a file where a folder is wanted."""
    path.write_text("mine")


@pytest.mark.parametrize(
    "maker", [make_empty, make_photos, make_mixed, make_lookalike, make_file]
)
def test_overwrite_spares_what_is_no_zarr(tmp_path: Path, maker: Any) -> None:
    path = tmp_path / "out.ome.zarr"
    maker(path)
    before = sorted(tmp_path.rglob("*"))
    labels, about = make("classes", "YX")
    with pytest.raises(OutputError, match="is not overwritten"):
        save_labels(path, labels, **about, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_overwrite_spares_a_folder_named_like_a_tiff(tmp_path: Path) -> None:
    (tmp_path / "out.tif").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path / "out.tif", overwrite=True)


class Breaking:
    """Labels whose reading fails after some blocks, as a failing disk does."""

    shape, dtype = (3, 40, 40), np.dtype("uint8")

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.reads = 0

    def __getitem__(self, key: Any) -> np.ndarray:
        self.reads += 1
        if self.reads > 2:
            raise self.error
        return np.ones((40, 40), np.uint8)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("suffix", ["tif", "ome.zarr"])
@pytest.mark.parametrize("old", [True, False], ids=["replacing", "new"])
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        pytest.param(ValueError("odd"), ValueError, id="foreign"),
        pytest.param(KeyboardInterrupt(), KeyboardInterrupt, id="ctrl-c"),
        pytest.param(GeneratorExit(), GeneratorExit, id="generator-closed"),
        pytest.param(OSError(5, "Input/output error"), OutputError, id="disk-error"),
    ],
)
def test_failure_midway_leaves_what_was_there(
    tmp_path: Path, suffix: str, old: bool, error: BaseException, raised: Any
) -> None:
    path = tmp_path / f"out.{suffix}"
    labels, about = make("classes", "ZYX")
    if old:
        save_labels(path, labels, **about)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(raised):
        save_labels(path, Breaking(error), **about, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before
    if old:
        np.testing.assert_array_equal(read_back(path)[0], labels)


FULL = """
import resource, sys
import numpy as np
from napari_unet.errors import OutputError
from napari_unet.io.save import save_labels
labels = np.random.default_rng(0).integers(0, 60000, (600, 600)).astype("int32")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    save_labels(sys.argv[1], labels, axes="YX", scale=(1, 1), units=("pixel",) * 2,
                name="cells", overwrite=True)
except OutputError as error:
    print(error)
"""

PEAK = """
import resource, sys
import numpy as np
from pathlib import Path
from napari_unet.io.save import create_labels, save_labels
path = Path(sys.argv[1])
labels = create_labels((10_000, 10_000), "int32", folder=path.parent)
labels[2000:2600, :] = np.arange(6_000_000).reshape(600, 10_000) // 100
save_labels(path.with_name("small." + path.name), np.ones((600, 600), "int32"),
            axes="YX", scale=(1, 1), units=("pixel",) * 2, name="cells")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
save_labels(path, labels, axes="YX", scale=(1, 1), units=("pixel",) * 2, name="cells")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def run(script: str, path: Path) -> str:
    """Run a script in a fresh interpreter and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
@pytest.mark.parametrize("suffix", ["tif", "ome.zarr"])
def test_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, suffix: str
) -> None:
    job = Forked(FULL, tmp_path / f"out.{suffix}")
    said, errors = job.end()
    assert job.returncode == 0, errors
    assert f"out.{suffix}' could not be written: the disk is full" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss counts kilobytes there")
@pytest.mark.parametrize("suffix", ["tif", "ome.zarr"])
def test_400_mb_are_written_in_little_memory(tmp_path: Path, suffix: str) -> None:
    peak_mb = float(run(PEAK, tmp_path / f"out.{suffix}"))
    assert peak_mb < 150
    written = read_back(tmp_path / f"out.{suffix}")[0]
    assert written.shape == (10_000, 10_000)
    assert written[2599, 9999] == 59_999
    names = {entry.name for entry in tmp_path.iterdir()}
    assert names == {f"out.{suffix}", f"small.out.{suffix}"}  # no temporary folder


@pytest.mark.parametrize("name", ["labels.tif", "labels.ome.zarr"])
def test_result_of_another_run_is_not_replaced_in_silence(tmp_path, name) -> None:
    target = tmp_path / name
    mine = np.ones((16, 16), np.int32)

    def save(path, labels) -> None:
        save_labels(path, labels, **PLAIN)

    class Slow:
        """Labels whose reading takes so long that another run is finished first."""

        shape, dtype = mine.shape, mine.dtype

        def __getitem__(self, key):
            if not target.exists():
                save(target, mine * 7)
            return mine[key]

    with pytest.raises(OutputError, match="came into being while it was computed"):
        save(target, Slow())
    assert read_back(target)[0].max() == 7
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_leftovers_of_killed_runs_are_swept(tmp_path) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    alive = os.getppid()
    theirs = {
        f"labels.tif.0a1b2c3d.{alive}.part",
        "labels.tif.notes.part",
        f"labels.tif.backup.{dead}.old",  # of people, whatever the number means
        f"labels.tif.{dead}.old",
    }
    for name in {f"labels.tif.0a1b2c3d.{dead}.{kind}" for kind in ("part", "old")}:
        (tmp_path / name).write_bytes(b"half")
    for name in theirs:
        (tmp_path / name).write_bytes(b"mine")
    for value in (1, 2):  # what was there before goes when there is something new
        labels = np.full((16, 16), value, np.int32)
        save_labels(tmp_path / "labels.tif", labels, **PLAIN, overwrite=True)
    assert {p.name for p in tmp_path.iterdir()} == {"labels.tif"} | theirs


@pytest.mark.parametrize("name", ["labels.tif", "labels.ome.zarr"])
def test_two_writers_of_one_result_share_no_part(tmp_path, name) -> None:
    """One finishes while the other has begun: both are whole, the last one stays."""
    target = tmp_path / name

    class Slow:
        shape, dtype, begun = (3, 40, 40), np.dtype("int32"), False

        def __getitem__(self, key):
            if not self.begun:
                self.begun = True
                other = np.full(self.shape, 7, np.int32)
                save_labels(target, other, **about, overwrite=True)
            return np.full((40, 40), 3, np.int32)

    _, about = make("classes", "ZYX")
    save_labels(target, Slow(), **about, overwrite=True)
    assert (read_back(target)[0] == 3).all()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["labels.tif", "labels.ome.zarr"])
def test_result_is_on_the_disk_before_it_has_its_name(
    tmp_path, name, monkeypatch
) -> None:
    settled, real = set(), os.fsync

    def fsync(file: int) -> None:
        assert not (tmp_path / name).exists()
        real(file)
        settled.add(os.fstat(file).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    labels, about = make("classes", "ZYX")
    save_labels(tmp_path / name, labels, **about)
    written = [tmp_path / name, *(tmp_path / name).rglob("*")]
    assert {path.stat().st_ino for path in written if path.is_file()} <= settled
