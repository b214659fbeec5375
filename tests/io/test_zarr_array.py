"""Windows of a Zarr: the right pixels, and no chunk decoded again for every plane."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from helpers.stacks import STACK

from napari_unet.batch.loaded_model import LoadedModel
from napari_unet.batch.setup import prepare
from napari_unet.errors import ImageError
from napari_unet.io.open import open_image
from napari_unet.io.zarr_array import ZarrArray

RNG = np.random.default_rng(5)
KEYS = [
    ...,
    (3, slice(5, 33), slice(0, 40)),
    (slice(None, None, -2), slice(30, 8, -3), 7),
    (slice(2, 2), 0, 0),
    (-1, ..., slice(-9, None)),
]


def write(path: Path, data: Any, chunks: tuple[int, ...], **how: Any) -> Path:
    """Write an array, plain to be found by its axes Z, Y and X."""
    names = None if how.get("zarr_format") == 2 else ("z", "y", "x")
    zarr.create_array(path, data=data, chunks=chunks, dimension_names=names, **how)
    return path


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize(
    ("chunks", "shards"),
    [((8, 16, 16), None), ((2, 16, 16), (4, 32, 32)), ((1, 16, 16), None)],
    ids=["deep", "deep_in_shards", "flat"],
)
def test_windows_are_those_of_numpy(
    tmp_path: Path, chunks: Any, shards: Any, key: Any
) -> None:
    data = RNG.integers(0, 999, (6, 40, 50)).astype("u2")
    path = write(tmp_path / "a.zarr", data, chunks, shards=shards)
    array = ZarrArray(zarr.open_array(path, mode="r"), "ZYX")
    for found in (array, pickle.loads(pickle.dumps(array)), array.keeping(0)):
        if "-2" not in repr(key) or found._keeps:  # zarr itself takes no such steps
            np.testing.assert_array_equal(found[key], data[key])


def test_chunk_of_many_planes_is_decoded_once(tmp_path: Path) -> None:
    data = RNG.integers(0, 999, (6, 40, 50)).astype("u2")
    path = write(tmp_path / "a.zarr", data, (6, 32, 32))
    image = open_image(path)
    whole = slice(0, 40), slice(0, 50)
    np.testing.assert_array_equal(image.read((0,), *whole)[0], data[0])
    for chunk in (path / "c").rglob("*"):
        chunk.is_file() and chunk.write_bytes(b"gone")
    np.testing.assert_array_equal(image.read((5,), *whole)[0], data[5])


def test_large_chunks_are_in_the_plan(tmp_path: Path, bright_model: Path) -> None:
    net = LoadedModel(str(bright_model))
    data = np.zeros((160, 256, 256), "u2")
    data[:, 10:20, 10:20] = 500
    plans = {
        deep: prepare(
            write(tmp_path / f"{deep}.zarr", data, (deep, 256, 256)), STACK, net
        )
        for deep in (1, 160)
    }
    more = plans[160].plan.memory - plans[1].plan.memory
    assert more > 0.9 * 2 * data.nbytes
    assert plans[160].plan.room >= data.nbytes


def describe(path: Path, **change: Any) -> None:
    mark = path / "zarr.json"
    mark.write_text(json.dumps(json.loads(mark.read_text()) | change))


def test_chunk_that_only_claims_to_be_huge_is_not_unpacked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zarr", np.ones((1, 64, 64), "u1"), (1, 64, 64))
    sides = {"chunk_shape": [1, 100_000, 100_000]}
    grid = {"name": "regular", "configuration": sides}
    describe(path, shape=[1, 100_000, 100_000], chunk_grid=grid)
    image = open_image(path)
    with pytest.raises(ImageError, match="is to hold 10000 MB"):
        image.read((0,), slice(0, 9), slice(0, 9))
    (path / "c" / "0" / "0" / "0").unlink()  # of nothing but background
    assert not image.read((0,), slice(0, 9), slice(0, 9)).any()


def test_chunk_of_a_shard_that_only_claims_to_be_huge_is_not_unpacked(
    tmp_path: Path,
) -> None:
    """The shard is large, but because of another chunk."""
    side = 2500
    data = np.zeros((3, side, side), "u1")
    data[0], data[1] = 1, RNG.integers(0, 256, (side, side))
    path = write(tmp_path / "a.zarr", data, (1, side, side), shards=(3, side, side))
    (codec,) = json.loads((path / "zarr.json").read_text())["codecs"]
    codec["configuration"]["chunk_shape"] = [1, 60_000, 60_000]
    sides = {"chunk_shape": [3, 60_000, 60_000]}
    grid = {"name": "regular", "configuration": sides}
    describe(path, shape=[3, 60_000, 60_000], chunk_grid=grid, codecs=[codec])
    image = open_image(path)
    assert (path / "c" / "0" / "0" / "0").stat().st_size * 2000 > 60_000**2
    with pytest.raises(ImageError, match=r"c/0/0/0 .* is to hold 3600 MB"):
        image.read((0,), slice(0, 9), slice(0, 9))
    assert not image.read((2,), slice(0, 9), slice(0, 9)).any()  # it is not stored
