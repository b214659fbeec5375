"""Large results live in a temporary folder that goes when they go."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_unet.errors import OutputError
from napari_unet.io.label_array import create_labels


def test_small_labels_are_numpy_zeros() -> None:
    labels = create_labels((3, 40, 50), "int32")
    assert isinstance(labels, np.ndarray)
    assert (labels.shape, labels.dtype, labels.any()) == ((3, 40, 50), np.int32, False)


def test_limit_counts_bytes(tmp_path: Path) -> None:
    at, above = (
        create_labels((10, 10), "int32", limit=limit, folder=tmp_path)
        for limit in (400, 399)
    )
    assert isinstance(at, np.ndarray)
    assert not isinstance(above, np.ndarray)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "float16"])
def test_large_labels_slice_like_numpy(tmp_path: Path, dtype: str) -> None:
    shape = (2, 3, 700, 530)
    labels = create_labels(shape, dtype, limit=0, folder=tmp_path)
    twin = np.zeros(shape, dtype)
    rng = np.random.default_rng(5)
    for key in [
        (0, 2, slice(10, 690), slice(500, 530)),
        (1, -1, slice(0, 512), slice(0, 512)),
        (..., slice(0, 5), slice(3, 4)),
        (slice(None), 1, slice(100, 200), 7),
        (0, 0),
    ]:
        part = (rng.random(twin[key].shape) * 100).astype(dtype)
        labels[key], twin[key] = part, part
        np.testing.assert_array_equal(labels[key], twin[key])
    labels[1, 0, :4, :4] = 1
    twin[1, 0, :4, :4] = 1
    assert (labels.shape, labels.dtype) == (twin.shape, twin.dtype)
    np.testing.assert_array_equal(labels[...], twin)


def test_temporary_folder_goes_with_the_array(tmp_path: Path) -> None:
    labels = create_labels((600, 600), "int32", limit=0, folder=tmp_path)
    labels[...] = 1
    assert len(list(tmp_path.iterdir())) == 1
    del labels
    gc.collect()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", ["", "; raise SystemExit(3)", "; 1 / 0"])
def test_temporary_folder_goes_when_python_exits(tmp_path: Path, end: str) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from napari_unet.io.label_array import create_labels\n"
        "a = create_labels((9, 9), 'int32', limit=0, folder=Path(sys.argv[1]))\n"
        f"a[...] = 1; print(len(list(Path(sys.argv[1]).iterdir()))){end}"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "1\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_full_disk_is_a_sentence_and_leaves_no_folder(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from napari_unet.errors import OutputError\n"
        "from napari_unet.io.label_array import create_labels\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "try: create_labels((9, 9), 'int32', limit=0, folder=Path(sys.argv[1]))\n"
        "except OutputError as error: sys.stdout.write(str(error))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert "Temporary labels cannot be kept in" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        OutputError, match=r"missing.*choose an output folder with room"
    ):
        create_labels((9, 9), "int32", limit=0, folder=tmp_path / "missing")
