"""Painting in a TIFF: in memory at once, in the file a moment later, whole."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.stacks import EXACT, STACK, batch, write_image
from helpers.tables import MEASURE, table

from napari_unet.errors import OutputError
from napari_unet.io.open import open_image
from napari_unet.io.tiff_labels import TiffLabels

TIFF = replace(STACK, format="ome-tiff")


@pytest.fixture
def result(tmp_path: Path, bright_model: Path) -> Path:
    """Return a pyramid of objects in a stack, as a batch writes it."""
    target = tmp_path / "out.ome.tif"
    batch(write_image(tmp_path / "cells.ome.tif", "ZYX"), target, bright_model, TIFF)
    return target


def check(path: Path, expected: np.ndarray) -> None:
    """Every level of the file is that of `expected`."""
    with tifffile.TiffFile(path) as file:
        levels = file.series[0].levels
        assert len(levels) > 1
        for number, level in enumerate(levels):
            step = 2**number
            np.testing.assert_array_equal(level.asarray(), expected[:, ::step, ::step])


@pytest.mark.parametrize("kind", ["objects", "classes"])
def test_what_is_put_back_leaves_the_same_bytes(
    tmp_path: Path, bright_model: Path, kind: str
) -> None:
    target, segment = tmp_path / "out.ome.tif", replace(EXACT, output=kind)
    source = write_image(tmp_path / "cells.ome.tif", "TZYX")
    batch(source, target, bright_model, replace(TIFF, segment=segment))
    before = target.read_bytes()
    labels = TiffLabels(target, "cells")
    assert labels.dtype == (np.int32 if kind == "objects" else np.uint8)
    here = (0, 1, slice(3, 9), slice(10, 90))
    old = labels[here].copy()
    labels[here] = 99
    labels.settle()
    assert target.read_bytes() != before
    labels[here] = old
    labels.settle()
    assert target.read_bytes() == before


def test_file_follows_by_itself_in_all_levels(result: Path) -> None:
    labels = TiffLabels(result, "cells")
    labels[1, 20:60, 30:90] = 70_000  # more than the 16 bits that it was stored in
    assert labels.unsaved
    expected = np.array(labels)
    labels._timer.join()
    assert not labels.unsaved
    check(result, expected)
    assert open_image(result).scale[-1] == pytest.approx(0.25)


def test_python_waits_for_the_file(result: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from napari_unet.io.tiff_labels import TiffLabels\n"
        "TiffLabels(Path(sys.argv[1]), 'cells')[0, :700, :700] = 4321"
    )
    subprocess.run([sys.executable, "-c", code, result], check=True)
    assert (tifffile.imread(result)[0, :700, :700] == 4321).all()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs permissions")
def test_folder_that_takes_nothing_is_told_before_anybody_paints(result: Path) -> None:
    result.parent.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="no file can be made"):
            TiffLabels(result, "cells")
    finally:
        result.parent.chmod(0o700)


def test_full_disk_leaves_the_old_file_and_the_next_stroke_tries_again(
    result: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, part = result.parent, Path.replace
    before, labels, said = result.read_bytes(), TiffLabels(result, "cells"), []
    labels.on_failure = said.append

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    labels[0, :50, :50] = 9
    labels._timer.join()
    assert "No space left on device" in str(said[0])
    assert labels.unsaved
    assert result.read_bytes() == before
    assert not [*folder.glob("*.part")]
    monkeypatch.setattr(Path, "replace", part)
    labels[0, 60:70, :50] = 9
    labels.settle()
    check(result, np.array(labels))


@pytest.mark.parametrize("what", ["changed", "removed"])
def test_file_of_another_program_is_not_written_over(result: Path, what: str) -> None:
    labels = TiffLabels(result, "cells")
    labels[0, :50, :50] = 9
    if what == "changed":
        result.write_bytes(b"somebody else's")
    else:
        result.unlink()
    with pytest.raises(OutputError, match="changed or removed by another program"):
        labels.settle()
    assert not labels.unsaved
    if what == "changed":
        assert result.read_bytes() == b"somebody else's"
    else:
        assert not result.exists()


def test_labels_that_take_too_much_memory_are_told(
    result: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_unet.io.tiff_labels._MOST", 10**6)
    with pytest.raises(OutputError, match=r"MB of labels.*OME-Zarr"):
        TiffLabels(result, "cells")


def test_table_is_made_again_after_somebody_painted_and_not_before(
    tmp_path: Path, bright_model: Path
) -> None:
    source, target = write_image(tmp_path / "cells.ome.tif", "ZYX"), "out.ome.tif"
    options = replace(MEASURE, format="ome-tiff")
    batch(source, tmp_path / target, bright_model, options)
    before = (tmp_path / "out.csv").stat().st_mtime_ns
    batch(source, tmp_path / target, bright_model, options)
    assert (tmp_path / "out.csv").stat().st_mtime_ns == before
    labels = TiffLabels(tmp_path / target, "cells")
    labels[0, 100:140, 100:150] = 9999
    labels.settle()
    batch(source, tmp_path / target, bright_model, options)
    found = table(tmp_path / "out.csv")
    assert found["area"][found["label"] == 9999] == [40 * 50]
