"""Stacks on the disk, what a batch makes of them, and how results are compared."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet._steps import Steps
from napari_unet.batch.stack import segment_stack
from napari_unet.events import StackProgress, StackReport
from napari_unet.io.open import open_image
from napari_unet.network.model import load
from napari_unet.options import BatchOptions, SegmentOptions
from napari_unet.segmentation.predict import segment

EXACT = SegmentOptions(precision="fp32", tile=300, min_size=3)


STACK = BatchOptions(EXACT)


SIZES = {"T": 2, "C": 2, "Z": 3, "Y": 600, "X": 530}  # 3 x 3 tiles


def blobs(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.uint16]:
    """Smooth bright spots of any form, some of them large, everywhere."""
    noise = np.random.default_rng(seed).random(shape)
    smooth = ndimage.gaussian_filter(noise, (*[0.6] * (len(shape) - 2), 4, 4))
    low, high = smooth.min(), smooth.max()
    return ((smooth - low) / (high - low) * 60000).astype(np.uint16)


def write_image(
    path: Path, axes: str, seed: int = 0, step: str = "", **sizes: int
) -> Path:
    """Write spots whose pixels are 0.25 µm wide, and `step` apart in Z: "2 µm"."""
    values = blobs(tuple((SIZES | sizes)[axis] for axis in axes), seed)
    about = {"axes": axes, "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm"}
    if step:
        about |= {"PhysicalSizeY": 0.25, "PhysicalSizeYUnit": "µm"}
        about |= zip(("PhysicalSizeZ", "PhysicalSizeZUnit"), step.split(), strict=True)
    tifffile.imwrite(path, values, ome=True, photometric="minisblack", metadata=about)
    return path


def finish(job: Any) -> tuple[list[Any], Any]:
    """Run a generator to its end; return its events and its result."""
    run = Steps(job)
    return list(run), run.result


def batch(
    source: Path, target: Path, model: Path, options: BatchOptions = STACK
) -> tuple[list[StackProgress], StackReport]:
    return finish(segment_stack(source, target, options, model=str(model)))


def whole(source: Path, model: Path, options: SegmentOptions) -> Any:
    """The result of one window over every whole plane."""
    options = replace(options, tile=None)
    return finish(segment(load(model), open_image(source), options))[1]


def read(path: Path, level: int = 0) -> NDArray[Any]:
    return np.asarray(zarr.open_group(path, mode="r")[str(level)][...])


def arrays(path: Path) -> dict[str, bytes]:
    """Every file of a result."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file()
    }


def same_partition(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether two arrays of ids differ only by a permutation of the ids."""
    pairs = np.unique(np.stack((a.ravel(), b.ravel())), axis=1)
    one_to_one = all(len(np.unique(side)) == pairs.shape[1] for side in pairs)
    return one_to_one and bool(((a == 0) == (b == 0)).all())


def left_over(folder: Path) -> list[str]:
    """What lies beside the results and the ledgers."""
    hidden = folder / ".napari-unet"
    return [
        p.name for p in hidden.iterdir() if p.suffix != ".jsonl" and p.name != "lock"
    ]


def bare(folder: Path, values: NDArray[Any], version: int, shards: Any) -> None:
    """A Zarr array without any word about axes."""
    zarr.create_array(
        folder, data=values, chunks=(1, 64, 64), shards=shards, zarr_format=version
    )


def multiscale(folder: Path, values: NDArray[Any], version: int, shards: Any) -> None:
    group = zarr.create_group(folder, zarr_format=version)
    array = group.create_array(
        "0", shape=values.shape, dtype=values.dtype, chunks=(1, 64, 64), shards=shards
    )
    array[:, :64] = values[:, :64]  # the other chunks are missing
    axes = [{"name": n, "type": "space"} for n in "zyx"]
    step = [{"type": "scale", "scale": [2.0, 0.5, 0.5]}]
    data = [{"path": "0", "coordinateTransformations": step}]
    about = {"multiscales": [{"axes": axes, "datasets": data, "version": "0.4"}]}
    group.attrs.update(about if version == 2 else {"ome": about | {"version": "0.5"}})
