"""Two programs in one folder: each has its turn, and nothing of either is lost."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_unet import _locks
from napari_unet._locks import turn, turn_lock
from napari_unet.batch.ledger import locked
from napari_unet.errors import OutputError
from napari_unet.io.image import Image
from napari_unet.io.open import open_image
from napari_unet.project.corrections import IGNORE
from napari_unet.project.project import Project

STROKES = 60
PROGRAM = """
import sys
import numpy as np
from napari_unet.io.open import open_image
from napari_unet.project.project import Project
image, folder, row = open_image(sys.argv[1]), sys.argv[2], int(sys.argv[3])
project = Project.open(folder)
key = project.add_image(image)
def stroke(column):
    box = slice(row, row + 1), slice(column, column + 1)
    one = np.ones((1, 1), np.uint8)
    project.write(key, (), box, (one, one.astype(np.int32)))
    project.flush()
print("ready", flush=True)
sys.stdin.readline()
"""
PAINT = """
for column in range(int(sys.argv[4])):
    stroke(column)
    if not column % 10:
        project.add_model(f"{row}-{column}", b"weights")
        project.update(settings={f"{row}-{column}": column})
"""
FOR_EVER = """
import itertools
for column in itertools.count():
    stroke(column % 200)
    print(column, flush=True)
"""


@pytest.fixture
def image(tmp_path: Path) -> Image:
    pixels = np.random.default_rng(0).integers(0, 4000, (300, 300)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "cells.tif", pixels)
    return open_image(tmp_path / "cells.tif")


def program(code: str, *words: object) -> "subprocess.Popen[str]":
    found = subprocess.Popen(
        [sys.executable, "-c", PROGRAM + code, *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert found.stdout is not None
    assert found.stdout.readline() == "ready\n"
    return found


def begin(job: "subprocess.Popen[str]") -> None:
    assert job.stdin is not None
    job.stdin.write("\n")
    job.stdin.flush()


def test_two_programs_that_paint_on_one_block_lose_no_stroke(tmp_path, image) -> None:
    folder = tmp_path / "cells.unet"
    jobs = [program(PAINT, image.source, folder, row, STROKES) for row in (10, 20)]
    for job in jobs:
        begin(job)
    for job in jobs:
        job.communicate()
        assert job.returncode == 0
    project = Project.open(folder)
    key = project.add_image(image)
    target, _ = project.read(key, (), (slice(0, 40), slice(0, 100)))
    assert (target != IGNORE).sum(1).tolist() == [
        STROKES if row in (10, 20) else 0 for row in range(40)
    ]
    names = {f"{row}-{column}" for row in (10, 20) for column in range(0, STROKES, 10)}
    assert {model.name for model in project.index.models} == names
    assert set(project.index.settings) == names
    assert not project.notes


@pytest.mark.skipif(os.name != "posix", reason="has no SIGKILL")
def test_killed_program_is_in_nobodys_way(tmp_path, image, monkeypatch) -> None:
    monkeypatch.setattr(_locks, "_WAIT", 1.0)
    folder = tmp_path / "cells.unet"
    for row in range(5):  # most of its time it has its turn
        job = program(FOR_EVER, image.source, folder, row)
        begin(job)
        assert job.stdout is not None
        job.stdout.readline()
        job.send_signal(signal.SIGKILL)
        job.communicate()
        project = Project.open(folder)
        key = project.add_image(image)
        one = np.ones((1, 1), np.uint8)
        at = slice(row, row + 1), slice(250, 251)
        project.write(key, (), at, (one, one.astype(np.int32)))
        project.flush()
    target, _ = Project.open(folder).read(key, (), (slice(0, 5), slice(0, 256)))
    assert (target[:, 250] == 1).all()
    assert (target[:, 0] == 1).all()


def test_stroke_waits_in_memory_while_another_program_hangs(
    tmp_path, image, monkeypatch
) -> None:
    monkeypatch.setattr(_locks, "_WAIT", 0.05)
    project = Project.open(tmp_path / "cells.unet")
    key = project.add_image(image)
    one = np.ones((1, 1), np.uint8)
    box = slice(0, 1), slice(0, 1)
    project.write(key, (), box, (one, one.astype(np.int32)))
    project.folder.mkdir()
    with turn_lock(project.folder / ".lock", 0):  # it hangs in its turn
        with pytest.raises(OutputError, match="Another program has been writing to"):
            project.flush()
        with pytest.raises(OutputError, match="Another program has been writing to"):
            project.add_model("v1", b"weights")
        assert project.unsaved
    project.flush()
    project.add_model("v1", b"weights")
    again = Project.open(project.folder)
    assert (again.read(key, (), box)[0] == 1).all()
    assert [model.name for model in again.index.models] == ["v1"]


def test_without_locks_something_is_saved_all_the_same(tmp_path) -> None:
    (tmp_path / ".lock").mkdir()  # nothing that can be locked
    with turn(tmp_path):
        pass


def test_folder_of_a_batch_is_held_by_one_job(tmp_path) -> None:
    with (
        locked(tmp_path / "base"),
        pytest.raises(OutputError, match="Another run is writing to"),
        locked(tmp_path / "base"),
    ):
        pass
    with locked(tmp_path / "base"):
        pass
