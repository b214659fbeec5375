"""Files that are whole or not there, whoever else writes them, and what is swept."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from napari_unet.errors import OutputError
from napari_unet.safefile import set_aside, sweep, write_whole


def dead_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_two_writers_of_one_file_never_mix(tmp_path) -> None:
    file = tmp_path / "x.bin"
    write_whole(file, bytes(300_000))
    wrong: list[object] = []
    done = threading.Event()

    def write(value: int) -> None:
        for _ in range(150):
            try:
                write_whole(file, bytes([value]) * 300_000)
            except OutputError as error:
                wrong.append(error)

    def read() -> None:
        while not done.is_set():
            content = file.read_bytes()
            if len(content) != 300_000 or len(set(content)) != 1:
                wrong.append(len(content))

    writers = [threading.Thread(target=write, args=(value,)) for value in (1, 2)]
    reader = threading.Thread(target=read)
    reader.start()
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert not wrong
    assert [path.name for path in tmp_path.iterdir()] == ["x.bin"]


def test_unfinished_file_of_a_dead_program_is_swept(tmp_path, monkeypatch) -> None:
    def killed(file: int) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "corrections" / "cells"
    monkeypatch.setattr(os, "fsync", killed)
    monkeypatch.setattr(os, "getpid", dead_process)
    with pytest.raises(KeyboardInterrupt):
        write_whole(folder / "plane_0_0.npz", b"half")
    assert len(list(folder.iterdir())) == 1
    sweep(tmp_path)
    assert not list(folder.iterdir())


def test_unfinished_file_of_a_living_program_stays(tmp_path, monkeypatch) -> None:
    def stop(file: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "x.npz", b"half")
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "name", ["film.2020.part", "weights.bin.99999.part", "a.part", "12345.part"]
)
def test_files_of_other_programs_are_never_swept(tmp_path, name) -> None:
    for folder in (tmp_path, tmp_path / "models"):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("a download that goes on")
    sweep(tmp_path)
    assert (tmp_path / name).exists()
    assert (tmp_path / "models" / name).exists()


def test_every_damaged_file_is_kept(tmp_path) -> None:
    file = tmp_path / "project.json"
    notes = []
    for content in ("one", "two", "three"):
        file.write_text(content)
        notes.append(set_aside(file, ValueError("broken")))
    kept = sorted(tmp_path.iterdir())
    assert {path.read_text() for path in kept} == {"one", "two", "three"}
    assert all(any(f"'{path}'" in note for note in notes) for path in kept)


def test_damaged_file_that_cannot_be_renamed_is_named(tmp_path) -> None:
    gone = tmp_path / "gone" / "x.npz"
    assert f"it is kept as '{gone}'" in set_aside(gone, ValueError("broken"))
    assert not Path(gone).exists()
