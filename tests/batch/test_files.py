"""Many files, one folder, one report; from Python and from the command line."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import zarr
from helpers.many_files import command, lines, write_image
from helpers.processes import CLI, Forked, until
from helpers.tiffs import dataset

from napari_unet._steps import Steps
from napari_unet.batch import files as batchfolder
from napari_unet.batch.all_tables import write_all
from napari_unet.batch.files import plan_files, segment_files
from napari_unet.cli import commands
from napari_unet.errors import ModelError, OutputError
from napari_unet.events import BatchReport, StackProgress, StackReport
from napari_unet.io.open import open_image
from napari_unet.options import BatchOptions, SegmentOptions

EXACT = SegmentOptions(precision="fp32", min_size=3)
OPTIONS = BatchOptions(EXACT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images, the second of which is none."""
    images = tmp_path / "images"
    images.mkdir()
    write_image(images / "a.tif")
    (images / "b.tif").write_bytes(b"II*\0 and no more")
    write_image(images / "c.tif", planes=2)
    return images


def run(job: Any) -> tuple[list[Any], BatchReport]:
    run = Steps(job)
    return list(run), run.result


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "report.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_bad_file_is_reported_and_the_others_are_done(
    tmp_path: Path, folder: Path, bright_model: Path
) -> None:
    out = tmp_path / "new" / "out"
    events, report = run(segment_files([folder], out, OPTIONS, model=str(bright_model)))
    assert [file.state for file in report.files] == ["done", "failed", "done"]
    assert [e for e in events if isinstance(e, StackReport)] == list(report.files)
    assert any(isinstance(event, StackProgress) for event in events)
    rows = table(out)
    assert list(rows[0]) == ["file", "state", "reason", "objects", "seconds"]
    assert [row["objects"] for row in rows] == ["9", "", "18"]
    assert "b.tif" in rows[1]["reason"]
    assert rows[1]["file"] == str(folder / "b.tif")
    about = json.loads((out / "report.json").read_text())
    assert about["options"]["segment"]["min_size"] == 3
    assert [row["state"] for row in about["files"]] == ["done", "failed", "done"]
    assert sorted(p.name for p in out.iterdir()) == [
        ".napari-unet",
        "a.ome.zarr",
        "c.ome.zarr",
        "report.csv",
        "report.json",
    ]
    assert open_image(out / "c.ome.zarr").axes == "ZYX"


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there")
def test_name_that_is_no_text_stops_nothing(tmp_path: Path, bright_model: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    good, odd, bad = (
        os.fsdecode(name) for name in (b"a.tif", b"b\xff.tif", b"\xfe.tif")
    )
    for name in (good, odd):
        write_image(images / name)
    (images / bad).write_bytes(b"II*\0 and no more")
    out = tmp_path / "out"
    job = Forked(CLI, "batch", images, "-o", out, "--model", bright_model)
    said, _ = job.end()
    assert job.returncode == 1
    assert "2 done, 1 failed" in said
    assert "\\xfe.tif: \\xfe.tif is damaged" in said
    rows = table(out)
    assert [Path(row["file"]).name for row in rows] == [
        "a.tif",
        "b\\xff.tif",
        "\\xfe.tif",
    ]
    assert [row["state"] for row in rows] == ["done", "done", "failed"]
    assert [row["objects"] for row in rows] == ["9", "9", ""]
    result = open_image(out / odd.replace(".tif", ".ome.zarr"))
    assert result.read((), slice(None), slice(None)).max() == 9


FULL = """
import resource, sys
from napari_unet import cli
resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))
sys.exit(cli.main(["batch", *sys.argv[1:]]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on file sizes")
def test_full_disk_is_said_of_every_file(
    tmp_path: Path, folder: Path, bright_model: Path
) -> None:
    job = Forked(FULL, folder, "-o", tmp_path / "out", "--model", bright_model)
    said = job.end()[0].splitlines()
    assert job.returncode == 1
    assert [line.partition(":")[0] for line in said[:3]] == ["a.tif", "b.tif", "c.tif"]
    assert "File too large" in said[0]
    assert "report.csv' could not be saved: the disk is full" in said[3]
    assert said[4].startswith("0 done, 3 failed")


def test_dataset_in_several_files_is_done_once(
    tmp_path: Path, bright_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset(tmp_path, [f"t{i}.ome.tif" for i in range(3)])
    out = tmp_path / "out"
    words = ["batch", tmp_path, "-o", out, "--model", bright_model]
    assert commands.main(list(map(str, words))) == 0
    assert [Path(row["file"]).name for row in table(out)] == ["t0.ome.tif"]
    assert open_image(out / "t0.ome.zarr").shape[0] == 3
    assert "t0.ome.tif is one of 3 files of an image" in capsys.readouterr().out


def test_one_table_holds_the_objects_of_all_files(
    tmp_path: Path, folder: Path, bright_model: Path
) -> None:
    out = tmp_path / "out"
    options = BatchOptions(EXACT, measure=True)
    write_image(folder / "d.tif")
    run(segment_files([folder], out, options, model=str(bright_model)))
    with (out / "all-files.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:2] == ["file", "label"]
    counts = Counter(Path(row["file"]).name for row in rows)
    assert counts == {"a.tif": 9, "c.tif": 18, "d.tif": 9}
    assert [row["z"] for row in rows] == [""] * 9 + ["0"] * 9 + ["1"] * 9 + [""] * 9
    with (out / "c.csv").open(newline="") as file:
        own = list(csv.DictReader(file))
    assert [{k: v for k, v in r.items() if k in own[0]} for r in rows[9:27]] == own
    (out / "all-files.csv").write_text("mine,1\n")
    with pytest.raises(OutputError, match="no table of ours"):
        run(segment_files([folder], out, options, model=str(bright_model)))
    assert (out / "all-files.csv").read_text() == "mine,1\n"


def test_table_that_can_neither_be_written_nor_removed_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("label,area\n1,2\n")
    part = tmp_path / "part"
    part.mkdir()  # nothing opens that as a file, or removes it like one
    with pytest.raises(OutputError, match=r"all\.csv' could not be written"):
        write_all(tmp_path / "all.csv", part, [("a.tif", tmp_path / "a.csv")])


def test_one_table_holds_linked_objects_once(
    tmp_path: Path, folder: Path, bright_model: Path
) -> None:
    out = tmp_path / "out"
    options = BatchOptions(EXACT, measure=True, link_z=True)
    _, report = run(segment_files([folder], out, options, model=str(bright_model)))
    with (out / "all-files.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    counts = Counter(Path(row["file"]).name for row in rows)
    objects = {f.source.name: f.objects for f in report.files if f.state != "failed"}
    assert counts == objects
    planes = {name: set() for name in objects}
    for row in rows:
        planes[Path(row["file"]).name].add(row["planes"])
    assert planes == {"a.tif": {""}, "c.tif": {"2"}}  # in a there is no Z


def test_format_that_is_left_open_follows_the_size_and_what_is_there(
    tmp_path: Path, folder: Path, bright_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batchfolder, "_LARGE", 90 * 90)  # c.tif has two planes
    out, options = tmp_path / "out", BatchOptions(EXACT, format="auto")
    model = str(bright_model)
    plans = [
        plan.target.name for plan in plan_files([folder], out, options, model=model)
    ]
    _, report = run(segment_files([folder], out, options, model=model))
    names = [file.target.name for file in report.files]
    assert names == plans == ["a.ome.tif", "b.ome.tif", "c.ome.zarr"]
    assert [file.state for file in report.files] == ["done", "failed", "done"]
    monkeypatch.setattr(batchfolder, "_LARGE", 0)  # what is complete is left alone
    _, report = run(segment_files([folder], out, options, model=model))
    assert [f.target.name for f in report.files] == names
    assert [file.state for file in report.files] == ["skipped", "failed", "skipped"]


def test_folder_of_images_and_results_in_one(folder: Path, bright_model: Path) -> None:
    for expected in ("done", "skipped"):
        job = segment_files([folder], folder, OPTIONS, model=str(bright_model))
        _, report = run(job)
        assert [file.source.name for file in report.files] == [
            "a.tif",
            "b.tif",
            "c.tif",
        ]
        assert report.files[0].state == expected


def test_other_programs_report_is_not_replaced(
    tmp_path: Path, folder: Path, bright_model: Path
) -> None:
    (tmp_path / "report.csv").write_text("mine\n1\n")
    with pytest.raises(OutputError, match="another program's"):
        run(segment_files([folder], tmp_path, OPTIONS, model=str(bright_model)))


def test_image_in_its_own_output_is_not_damaged(
    folder: Path, bright_model: Path
) -> None:
    import zarr

    zarr.create_array(folder / "z.ome.zarr", data=np.ones((50, 50), "u1"))
    options = BatchOptions(EXACT, overwrite=True)
    job = segment_files(
        [folder / "z.ome.zarr"], folder, options, model=str(bright_model)
    )
    _, report = run(job)
    assert "is the image itself" in report.files[0].reason
    assert (zarr.open_array(folder / "z.ome.zarr", mode="r")[...] == 1).all()


def test_what_can_be_known_before_is_refused_before(
    tmp_path: Path, folder: Path
) -> None:
    with pytest.raises(ModelError):
        run(segment_files([folder], tmp_path / "out", OPTIONS, model="nothing"))
    assert not (tmp_path / "out").exists()


def test_plan_says_what_is_needed_and_writes_nothing(
    tmp_path: Path, folder: Path, bright_model: Path
) -> None:
    out = tmp_path / "out"
    a, b, c = plan_files([folder], out, OPTIONS, model=str(bright_model))
    assert (a.tiles, c.tiles) == (1, 2)
    assert a.memory > 50e6
    assert c.disk == 2 * a.disk > 0
    assert "b.tif" in b.reason
    assert not out.exists()


def test_fifty_tiny_files_leave_none_open(tmp_path: Path, bright_model: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    first = write_image(images / "00.tif", size=30).read_bytes()
    for number in range(1, 50):
        (images / f"{number:02}.tif").write_bytes(first)
    job = segment_files([images], tmp_path / "out", OPTIONS, model=str(bright_model))
    before = len(psutil.Process().open_files())
    _, report = run(job)
    assert len(psutil.Process().open_files()) == before
    assert report.count("done") == 50
    assert [row["objects"] for row in table(tmp_path / "out")] == ["1"] * 50


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(["a.tif", "c.tif"], 0, id="good"),
        pytest.param(["."], 1, id="one-bad"),
        pytest.param(["no.tif"], 2, id="nothing"),
        pytest.param(["a.tif", "--model", "none"], 2, id="no-model"),
        pytest.param(["a.tif", "--output", "classes", "--measure"], 2, id="options"),
        pytest.param(["a.tif", "--format", "png"], 2, id="format"),
        pytest.param(["a.tif", "--workers", "0"], 2, id="workers"),
    ],
)
def test_exit_codes(
    tmp_path: Path,
    folder: Path,
    bright_model: Path,
    words: list[str],
    code: int,
    capsys,
) -> None:
    files = [folder / w if "tif" in w or w == "." else w for w in words]
    model = [] if "--model" in words else ["--model", bright_model]
    argv = ["batch", *files, "-o", tmp_path / "out", *model]
    assert commands.main([str(word) for word in argv]) == code
    said = capsys.readouterr()
    assert ("Error: " in said.err) == (code == 2)


def test_json_is_one_object_on_one_line(
    tmp_path: Path, folder: Path, bright_model: Path
) -> None:
    out = tmp_path / "out"
    words = command(folder, "-o", out, "--model", bright_model, "--json")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.count("\n") == 1
    about = json.loads(done.stdout)
    expected = {"files": 3, "done": 2, "failed": 1, "tiles_done": 3, "tiles_resumed": 0}
    assert about | expected == about
    assert about["objects"] == 27
    assert "b.tif" in about["reasons"][str(folder / "b.tif")]
    for name in ("peak_rss_mb", "seconds", "megapixels_per_second"):
        assert about[name] > 0


def test_dry_run_says_the_memory_and_writes_nothing(
    tmp_path: Path, folder: Path, bright_model: Path, capsys
) -> None:
    out = tmp_path / "out"
    words = ["batch", folder, "-o", out, "--model", bright_model, "--dry-run"]
    assert commands.main([*map(str, words)]) == 1
    said = capsys.readouterr().out
    assert "a.tif -> a.ome.zarr · 1 tile · " in said
    assert "MB of memory" in said
    assert commands.main([*map(str, words), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["memory_mb"] > 50
    assert not out.exists()


def test_reasons_name_the_flags_that_would_help(
    tmp_path: Path, folder: Path, bright_model: Path, capsys
) -> None:
    """Those of plan and run, as text and as JSON; the report knows no command line."""
    (folder / "b.tif").unlink()
    words = ["batch", folder, "-o", tmp_path / "out", "--model", bright_model]
    words = [*map(str, words), "--memory", "1MB"]
    for more in ([], ["--json"], ["--dry-run"], ["--dry-run", "--json"]):
        assert commands.main([*words, *more]) == 1
        said = capsys.readouterr().out
        assert said.count("raise the memory that may be used (--memory).") == 2
    reasons = {row["reason"] for row in table(tmp_path / "out")}
    assert all("may be used." in reason for reason in reasons)


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_finishes_the_tile_and_says_how_to_go_on(
    tmp_path: Path, bright_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = write_image(tmp_path / "big.tif", size=700, planes=15)
    out = tmp_path / "out"
    words = ["batch", image, "-o", out, "--model", bright_model, "--tile", 300]
    words = [*map(str, words), "--json"]
    job = Forked(CLI, *words)
    ledger = out / ".napari-unet" / "big.ome.zarr.jsonl"
    until(lambda: job.returncode is not None or lines(ledger) > 5)
    job.send_signal(signal.SIGINT)
    said, error = job.end()
    assert (job.returncode, said) == (130, "")
    assert "tiles of big.tif. What is finished is kept: the same command" in error
    assert error.count("\n") == 1
    assert commands.main(words) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["tiles_resumed"] >= 5
    assert about["tiles_done"] > 0


def predicted(*words: Any) -> float:
    """Return how much memory a program of its own is said to take, in MB."""
    words = command(*words, "--dry-run")
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["memory_mb"])


@pytest.mark.skipif(sys.platform != "linux", reason="VmHWM is Linux's")
def test_memory_is_what_was_predicted_or_less_and_does_not_grow_with_the_stack(
    tmp_path: Path, bright_model: Path
) -> None:
    peaks = []
    for planes in (4, 32):  # the whole would be 80 MB more
        image = write_image(tmp_path / f"{planes}.tif", size=1200, planes=planes)
        words = [image, "-o", tmp_path / "out", "--model", bright_model, "--json"]
        words += ["--memory", "700MB"]
        planned = predicted(*words)
        done = subprocess.run(
            command(*words), capture_output=True, text=True, check=True
        )
        peaks.append(json.loads(done.stdout)["peak_rss_mb"])
        assert peaks[-1] < planned < 700
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.skipif(sys.platform != "linux", reason="VmHWM is Linux's")
def test_memory_for_one_file_is_enough_for_one_after_the_other(
    tmp_path: Path, bright_model: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in "abc":
        write_image(tmp_path / "in" / f"{name}.tif", size=1500, planes=1)
    words = [tmp_path / "in", "-o", tmp_path / "out", "--model", bright_model]
    words += ["--tile", "512", "--json"]
    limit = predicted(*words) + 5  # two programs are never equal
    done = subprocess.run(
        command(*words, "--memory", f"{limit}MB"),
        capture_output=True,
        text=True,
        check=False,
    )
    about = json.loads(done.stdout)
    assert (about["done"], about["reasons"]) == (3, {})
    assert about["peak_rss_mb"] < limit


@pytest.mark.parametrize("verb", ["segment", "batch"])
def test_chunk_larger_than_the_memory_is_refused_before_it_is_read(
    tmp_path: Path, bright_model: Path, verb: str
) -> None:
    image = tmp_path / "one_chunk.zarr"
    shape = (100, 1024, 1024)
    zarr.create_array(image, shape=shape, chunks=shape, dtype="uint16")
    (chunk := image / "c/0/0/0").parent.mkdir(parents=True)
    chunk.write_bytes(bytes(10**6))  # nothing that could be unpacked
    words = [sys.executable, "-m", "napari_unet.cli", verb, str(image)]
    words += ["-o", str(tmp_path / "out.ome.zarr"), "--model", str(bright_model)]
    for memory, reason in (("600MB", "too little for one tile"), ("2GB", "damaged")):
        done = subprocess.run(
            [*words, "--memory", memory], capture_output=True, text=True, check=False
        )
        assert reason in done.stdout + done.stderr


def test_complete_files_stay_complete_with_too_little_memory(
    tmp_path: Path, folder: Path, bright_model: Path
) -> None:
    name, out = str(bright_model), tmp_path / "out"
    _, before = run(segment_files([folder], out, model=name))
    little = BatchOptions(SegmentOptions(memory=10**8))
    plans = list(plan_files([folder], out, little, model=name))
    _, after = run(segment_files([folder], out, little, model=name))
    assert [f.state for f in before.files] == ["done", "failed", "done"]
    assert [f.state for f in after.files] == ["skipped", "failed", "skipped"]
    assert [f.objects for f in after.files] == [f.objects for f in before.files]
    assert [bool(plan.reason) for plan in plans] == [False, True, False]


def test_too_little_memory_is_refused_before_the_work(
    tmp_path: Path, folder: Path, bright_model: Path
) -> None:
    options = BatchOptions(SegmentOptions(memory=10**8))
    job = segment_files([folder], tmp_path / "out", options, model=str(bright_model))
    _, report = run(job)
    assert "too little for one tile" in report.files[0].reason
    assert not (tmp_path / "out" / "a.ome.zarr").exists()
