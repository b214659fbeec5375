"""What is saved while any one operation of the disk fails: the old or the new, whole.

Every test saves again and again, with a fault at the first operation, the second, and
so on until there is none.
"""

import os
import shutil
import time
from collections import deque
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import zarr
from helpers.faulty import FAULTS, Disk, every_fault
from helpers.processes import dead_process
from helpers.stacks import EXACT, arrays, blobs, finish

from napari_unet._files import sweep
from napari_unet.batch.files import segment_files
from napari_unet.batch.ledger import Ledger, read_ledger
from napari_unet.batch.levels import write_levels
from napari_unet.batch.store import (
    Layout,
    clear,
    create_store,
    fits,
    open_levels,
    scratch,
)
from napari_unet.events import BatchReport
from napari_unet.io.image import Image
from napari_unet.io.label_array import put
from napari_unet.io.open import open_image
from napari_unet.io.save import save_labels
from napari_unet.network.model import Model, load, save
from napari_unet.options import BatchOptions
from napari_unet.project.project import Project
from napari_unet.tiling import whole
from napari_unet.training.checkpoint import read_checkpoint, write_checkpoint

BOX = slice(250, 262), slice(10, 20)  # over the border of two blocks


@pytest.fixture(autouse=True)
def _dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is left over be that of a program that has ended."""
    number = dead_process()
    monkeypatch.setattr(os, "getpid", lambda: number)


def left_over(folder: Path) -> list[str]:
    """Return parts that are there, and stay when those of the dead are swept."""
    sweep(folder)
    ends = "part", "partial", "old", "damaged"
    return [p.name for p in folder.rglob("*") if p.name.endswith(ends)]


def parts(folder: Path, lasting: bool) -> list[str]:
    """Return what a fault may not leave; a disk that is dead leaves what is swept."""
    return [] if lasting else [p.name for p in folder.rglob("*.part")]


@pytest.mark.parametrize(("number", "lasting"), FAULTS)
def test_model(tmp_path: Path, tiny_model: Model, number: int, lasting: bool) -> None:
    file = tmp_path / "cells.safetensors"
    old, new = (replace(tiny_model, card={"diameter": d}) for d in (5, 6))
    save(old, file)
    for said in every_fault(tmp_path, number, lasting, lambda: save(new, file)):
        assert load(file).diameter == (5 if said else 6)
        assert not parts(tmp_path, lasting)
        assert not left_over(tmp_path)
        save(old, file)
        assert load(file).diameter == 5


@pytest.mark.parametrize(("number", "lasting"), FAULTS)
def test_state_of_training(tmp_path: Path, number: int, lasting: bool) -> None:
    file = tmp_path / "cells.safetensors.training"
    state = {"weight": torch.arange(9.0)}

    def write(step: int) -> None:
        write_checkpoint(file, "a", {"step": step, "stale": 0, "cuts": 0}, state)

    def step() -> int:
        found = read_checkpoint(file, "a")
        assert found is not None
        torch.testing.assert_close(found[1], state)
        return found[0]["step"]

    write(1)
    for said in every_fault(tmp_path, number, lasting, lambda: write(2)):
        assert step() == (1 if said else 2)
        assert not parts(tmp_path, lasting)
        assert not left_over(tmp_path)
        write(1)
        assert step() == 1


@pytest.mark.parametrize(("number", "lasting"), FAULTS)
def test_ledger(tmp_path: Path, number: int, lasting: bool) -> None:
    file = tmp_path / "cells.jsonl"
    noted: list[int] = []

    def write() -> None:
        with closing(Ledger(file)) as ledger:
            for n in range(len(ledger.entries), 4):
                ledger.append(tile=n)
                noted.append(n)
                ledger.sync()

    for said in every_fault(tmp_path, number, lasting, write):
        found = [entry["tile"] for entry in read_ledger(file)]
        assert found in (noted, [*noted, len(noted)])  # what was said to be, is there
        assert said or len(found) == 4
        write()
        assert [entry["tile"] for entry in read_ledger(file)] == [0, 1, 2, 3]
        file.unlink()
        noted.clear()


# --- labels ---------------------------------------------------------------------------


def at_rest(folder: Path) -> None:
    """Wait until nothing is written any more: threads of zarr outlive an error."""
    before = None
    while before != (now := {p: p.stat().st_mtime_ns for p in folder.rglob("*")}):
        before = now
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "lasting"), FAULTS)
@pytest.mark.parametrize("there", [True, False], ids=["replaced", "new"])
@pytest.mark.parametrize("suffix", [".tif", ".ome.zarr"])
def test_labels(
    tmp_path: Path, suffix: str, there: bool, number: int, lasting: bool
) -> None:
    target = tmp_path / f"cells{suffix}"

    def write(value: int, overwrite: bool = True) -> None:
        about = {"axes": "YX", "scale": (1, 1), "units": ("pixel",) * 2, "name": "n"}
        labels = np.full((8, 8), value, np.int32)
        save_labels(target, labels, **about, overwrite=overwrite)

    def value() -> int:
        found = (
            tifffile.imread(target)
            if suffix == ".tif"
            else np.asarray(zarr.open_group(target, mode="r")["0"][...])
        )
        assert found.shape == (8, 8)
        return int(np.unique(found).item())

    if there:
        write(1)
    for said in every_fault(tmp_path, number, lasting, lambda: write(2, there)):
        at_rest(tmp_path)
        moved = [p for p in tmp_path.iterdir() if f"'{p}'" in said and p != target]
        if moved:  # a folder that could neither be replaced nor moved back
            assert lasting
            assert not target.exists()
            moved[0].rename(target)
        if target.exists():
            assert value() == (1 if said else 2)
        else:
            assert said
            assert not there
        write(3)
        assert value() == 3
        assert [p.name for p in tmp_path.iterdir()] == [target.name]
        if there:
            write(1)
        else:
            (shutil.rmtree if target.is_dir() else os.unlink)(target)


# --- a project ------------------------------------------------------------------------


def paint(project: Project, image: Image, value: int) -> str:
    key = project.add_image(image)
    pixels = np.full((12, 10), value, np.uint8), np.full((12, 10), 7, np.int32)
    project.write(key, (), BOX, pixels)
    return key


def painted(project: Project, image: Image) -> set[int]:
    return set(np.unique(project.read(project.add_image(image), (), BOX)[0]).tolist())


@pytest.fixture
def image(tmp_path: Path) -> Image:
    folder = tmp_path / "data"
    folder.mkdir()
    values = np.random.default_rng(0).integers(0, 4000, (300, 64)).astype(np.uint16)
    tifffile.imwrite(folder / "cells.tif", values)
    return open_image(folder / "cells.tif")


@pytest.fixture
def base(tmp_path: Path, image: Image) -> Path:
    """A project with strokes of class 1 in two blocks, and a model."""
    project = Project.open(tmp_path / "base.unet")
    paint(project, image, 1)
    project.update(("background", "cell"))
    project.add_model("v1", b"one")
    project.flush()
    return project.folder


@pytest.mark.parametrize(("number", "lasting"), FAULTS)
@pytest.mark.parametrize("new", [2, 255], ids=["painted", "undone"])
def test_strokes(
    tmp_path: Path, base: Path, image: Image, new: int, number: int, lasting: bool
) -> None:
    folder, opened = tmp_path / "a.unet", []

    def work() -> None:
        opened[-1].flush()

    def begin() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(base, folder)
        shutil.rmtree(folder / "samples")  # they are owed, too
        opened.append(Project.open(folder))
        opened[-1].update(settings={"reached": new})
        paint(opened[-1], image, new)

    begin()
    for said in every_fault(folder, number, lasting, work):
        there = Project.open(folder)
        assert painted(there, image) <= ({1, new} if said else {new})
        assert there.model_file("v1").read_bytes() == b"one"
        assert there.index.settings == {"reached": new}
        assert not there.notes
        assert not parts(folder, lasting)
        opened[-1].flush()
        again = Project.open(folder)
        assert painted(again, image) == {new}
        assert list(folder.glob("samples/*.npz"))
        assert not again.notes
        assert not left_over(folder)
        begin()


CHANGES = {
    "begun": lambda p, image, file: (paint(p, image, 1), p.flush()),
    "model": lambda p, image, file: p.add_model("v2", b"two", parent="v1"),
    "renewed": lambda p, image, file: p.renew_model("v1", file, 0.5),
    "activated": lambda p, image, file: p.activate("v1"),
    "classes": lambda p, image, file: p.update(("background", "membrane")),
}


@pytest.mark.parametrize(("number", "lasting"), FAULTS)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_project(
    tmp_path: Path, base: Path, image: Image, change, number: int, lasting: bool
) -> None:
    folder, model = tmp_path / "a.unet", tmp_path / "data" / "best"
    model.write_bytes(b"new")
    begun = change is CHANGES["begun"]

    def seen() -> tuple[Any, ...]:
        project = Project.open(folder)
        about = project.index
        assert not project.notes
        content = [project.model_file(m.name).read_bytes() for m in about.models]
        assert set(content) <= {b"one", b"two", b"new"}
        return about.classes, about.active, content, painted(project, image)

    def begin() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        if not begun:
            shutil.copytree(base, folder)

    begin()
    before = seen()
    change(Project.open(folder), image, model)
    after = seen()
    first = [(*state[:3], {1, 255}) for state in (before, after)]  # of two blocks
    begin()
    for said in every_fault(
        folder, number, lasting, lambda: change(Project.open(folder), image, model)
    ):
        assert seen() in [after, *([before, *first[: 2 * begun]] if said else [])]
        assert not parts(folder, lasting)
        if seen() != after:
            change(Project.open(folder), image, model)
        assert seen() == after
        assert not left_over(folder)
        begin()


# --- shards ---------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "lasting"), FAULTS)
def test_shards(tmp_path: Path, number: int, lasting: bool) -> None:
    out, values = tmp_path / "out", blobs((40, 48))
    about = {"scale": (1.0,) * 3, "units": ("pixel",) * 3, "name": "cells"}
    layout = Layout("ZYX", (1, 40, 48), dtype="uint16", side=(40, 48), **about)

    def make() -> None:
        create_store(out / "labels.ome.zarr", layout)
        scratch(out / "classes", layout, "uint8")

    def write() -> None:
        if not fits(out / "labels.ome.zarr", layout):
            shutil.rmtree(out, ignore_errors=True)
            make()
        levels = open_levels(out / "labels.ome.zarr", layout)
        deque(write_levels([layout.view(a, (0,)) for a in levels], values), maxlen=0)
        classes = layout.view(scratch(out / "classes", layout, "uint8"), (0,))
        put(classes, whole((40, 48)), values > 9)
        classes.settle(whole((40, 48)))

    for _ in every_fault(out, number, lasting, write):
        at_rest(out)
        write()
        clear(out)
        labels, classes = (
            zarr.open_array(out / n) for n in ("labels.ome.zarr/0", "classes")
        )
        np.testing.assert_array_equal(labels[0], values)
        np.testing.assert_array_equal(classes[0], values > 9)
        assert not left_over(out)
        shutil.rmtree(out)


# --- a batch --------------------------------------------------------------------------

# One by one, all operations take minutes: `EVERY=1 pytest tests/test_faults.py`.
POINTS = 10**9 if "EVERY" in os.environ else 6


@pytest.mark.parametrize("kind", ["ome-zarr", "ome-tiff"])
@pytest.mark.parametrize(("number", "lasting"), FAULTS)
def test_batch(
    tmp_path: Path,
    bright_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: Any,
    number: int,
    lasting: bool,
) -> None:
    """What a run reports as done is whole, and the same command does all the rest."""
    monkeypatch.undo()  # it is asked how much memory this process takes
    sources = [tmp_path / f"{name}.tif" for name in "ab"]
    for seed, source in enumerate(sources):
        tifffile.imwrite(source, blobs((2, 40, 48), seed), metadata={"axes": "ZYX"})
    options = BatchOptions(EXACT, format=kind, link_z=True, measure=True)
    out, reports = tmp_path / "out", list[BatchReport]()

    def run(folder: Path = out) -> None:
        job = segment_files(sources, folder, options, model=str(bright_model))
        reports.append(finish(job)[1])

    def results(folder: Path) -> dict[str, bytes]:
        found = arrays(folder).items()
        return {n: b for n, b in found if not n.startswith((".napari-unet", "report"))}

    with Disk(tmp_path / "calm", 10**9, number, lasting) as calm:
        run(tmp_path / "calm")
    whole, count = results(tmp_path / "calm"), len(calm.asked)
    step = max(count // POINTS, 1)
    first = 1 + (2 * lasting + (kind == "ome-tiff")) * step // 4  # not always the same
    ledger = f"write {tmp_path / 'calm/.napari-unet'}/a.ome."
    last = max(i for i, name in enumerate(calm.asked, 1) if name.startswith(ledger))
    points = sorted({*range(first, count, step), last})  # `last`: the result is there
    for said in every_fault(out, number, lasting, run, points):
        at_rest(out)
        for file in [] if said else reports[-1].files:
            if file.state == "done":
                mine = f"{file.source.stem}."
                found = {n: b for n, b in results(out).items() if n.startswith(mine)}
                assert found == {n: b for n, b in whole.items() if n.startswith(mine)}
            else:
                assert file.reason.endswith(".")
                assert "Please report it" not in file.reason
        run()
        assert {file.state for file in reports[-1].files} <= {"done", "skipped"}
        assert not reports[-1].notes
        assert results(out) == whole
        assert not [p for p in (out / ".napari-unet").iterdir() if p.is_dir()]
        shutil.rmtree(out)
