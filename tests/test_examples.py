"""The examples of the repository run as they are, on small real images."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_unet.sample_data import sample_path, truth_path

ROOT = Path(__file__).parent.parent
EXAMPLES = {
    "segment_one_file": ("images/a.tif", "labels.ome.tif", "objects.csv"),
    "segment_a_folder": ("images", "results"),
    "own_classes_from_label_files": ("images", "labels", "mine.safetensors", "0.5"),
    "strokes_from_a_script": ("images/a.tif", "a.unet", "better.safetensors", "0.5"),
    "walk_through_a_stack": (),
    "dask_cluster": ("images", "results", "1"),
}
MADE = {
    "segment_one_file": ("labels.ome.tif", "objects.csv"),
    "segment_a_folder": ("results/a.ome.tif", "results/all-files.csv"),
    "own_classes_from_label_files": (
        "mine.safetensors",
        "mine.safetensors-results/b.ome.tif",
    ),
    "strokes_from_a_script": ("a.unet/project.json", "better.safetensors"),
    "walk_through_a_stack": ("walk.ome.zarr/zarr.json",),
    "dask_cluster": ("results/a.ome.zarr", "results/b.ome.zarr"),
}


@pytest.fixture
def folder(tmp_path):
    """Two corners of a sample image, and sparse labels for one of them."""
    pixels = tifffile.imread(sample_path("nuclei"))
    cells = tifffile.imread(truth_path("nuclei")) > 0
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for name, at in {"a": slice(0, 96), "b": slice(96, 192)}.items():
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", pixels[at, at])
    labels = np.full((96, 96), 255, np.uint8)
    labels[40:44] = cells[40:44, :96]
    tifffile.imwrite(tmp_path / "labels" / "a.tif", labels)
    return tmp_path


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(name, folder):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py", *EXAMPLES[name]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert [file for file in MADE[name] if not (folder / file).exists()] == []


def test_every_example_is_run_and_short():
    files = sorted((ROOT / "examples").glob("*.py"))
    assert {file.stem for file in files} == set(EXAMPLES)
    assert [f.name for f in files if len(f.read_text().splitlines()) >= 30] == []
