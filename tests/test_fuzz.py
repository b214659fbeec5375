"""A few hundred of the damaged inputs of `make fuzz`, in this process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.__main__ import __file__ as main_file
from fuzz.targets import Ground

CASES = 500
GROUPS = 4
ODD = """
import os
class Escape(Exception): pass
class Ground:
    def __init__(self, folder): pass
    make = classmethod(lambda cls, folder: cls(folder))
    def run(self, number):
        if number == 1:
            raise Escape("KeyError")
        if number == 3:
            while True: pass
        if number == 4:
            os.abort()
        return "_fine"
"""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground.make(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("group", range(GROUPS))
def test_only_sentences_come_out_of_damaged_input(ground: Ground, group: int) -> None:
    size = CASES // GROUPS
    for number in range(group * size, (group + 1) * size):
        ground.run(number)


def test_ground_is_whole(ground: Ground) -> None:
    """Else every input would be refused, and nothing could be found."""
    assert {path.name for path in (ground.folder / "good").iterdir()} >= {
        *("plain.tif", "imagej.tif", "ome.ome.tif", "packed.tif", "grey.png"),
        *("array.zarr", "tiny.safetensors", "kept.training", "cells.unet"),
        "out.ome.zarr",
    }


def test_what_is_no_sentence_hangs_or_dies_is_found(
    ground: Ground, tmp_path: Path
) -> None:
    """The watch sees all of it: in a package of that name that does nothing else."""
    package = tmp_path / "fuzz"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copy(main_file, package)
    (package / "targets.py").write_text(ODD)
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", "6"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    *lines, last = done.stdout.splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["escape", "hang", "death"]
    assert "begin 3" in lines[1]
    assert "begin 4" in lines[2]
    assert "1 escapes, 1 hangs, 1 deaths, 0 over 1 GB" in last
    assert "3 fine" in last
    assert done.returncode == 1
