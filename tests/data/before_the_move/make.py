"""Maker of the files in this folder; runs with the code of commit 450cee9 alone."""

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import numpy as np
import tifffile
import torch
from napari_unet.images import Image
from napari_unet.lesson import train
from napari_unet.model import Model, load, save
from napari_unet.pipeline import segment_file
from napari_unet.ui.improving import ImproveRequest, improving
from napari_unet.ui.segmenting import Request
from napari_unet.unet import UNet, UNetSpec
from napari_unet.verbs import Verb
from torch import nn

from napari_unet.batch import segment_stack
from napari_unet.options import BatchOptions, SegmentOptions, TrainOptions
from napari_unet.project import Project

OBJECTS = ("background", "interior", "boundary")
CLASSES = ("background", "cell")
EXACT = SegmentOptions(precision="fp32", device="cpu")
LEVELS = (10, 110, 200)  # of background, of a cell's rim, and within
OFF = 1e-3  # of a logit, that changes no label


def cells(shape: tuple[int, ...], seed: int, levels=LEVELS) -> np.ndarray:
    """Return planes (..., Y, X) of round cells with a rim, some of which touch."""
    random = np.random.default_rng(seed)
    *planes, height, width = shape
    yy, xx = np.mgrid[:height, :width]
    image = np.full(shape, levels[0], np.int64)
    for y in range(12, height - 8, 21):
        for x in range(12, width - 8, 19):
            radius = random.integers(7, 11)
            away = (yy - y) ** 2 + (xx - x) ** 2
            image[..., away <= radius**2] = levels[1]
            image[..., away <= (radius - 2) ** 2] = levels[2]
    if planes:
        image[-1] = np.roll(image[-1], 3, axis=-1)
    return image + random.integers(0, 5, shape)


def by_hand(classes: tuple[str, ...], off: float = 0.0) -> Model:
    """Return a model that goes by intensity alone: 0 is the darkest, 1 the brightest.

    A rim is from 0.25 to 0.7, a cell beyond.
    """
    torch.manual_seed(0)
    spec = UNetSpec(classes=classes, width=2, depth=1)
    net = UNet(spec).eval()
    with torch.no_grad():
        for block in (net.encoder[0], net.decoder[-1]):
            for layer in block:
                if isinstance(layer, nn.Conv2d):
                    layer.weight.zero_()
                    layer.weight[0, 0, 1, 1] = 1
        net.head.weight.zero_()
        net.head.bias.zero_()
        slopes, at = (
            ((0, 32, 12), (0, 17, 3)) if len(classes) == 3 else ((0, 8), (0, 4))
        )
        for k, (slope, start) in enumerate(zip(slopes, at, strict=True)):
            net.head.weight[k, 0, 0, 0] = slope
            net.head.bias[k] = off * k - start
    return Model(net, card={"diameter": 20, "min_size": 4, "data": "none"}, name="hand")


def write_images(folder: Path) -> dict[str, dict]:
    """Write ten images, and return how each is to be segmented."""
    folder.mkdir()
    plain = {"photometric": "minisblack", "compression": "zlib"}

    def write(name: str, pixels: np.ndarray, **keywords) -> None:
        tifffile.imwrite(folder / name, pixels, **{**plain, **keywords})

    write("bytes.tif", cells((64, 80), 0).astype("u1"))
    write("words.tif", (100 * cells((64, 80), 1)).astype(">u2"), byteorder=">")
    write("floats.tif", cells((72, 64), 2).astype("f4") / 8 - 3)
    colours = np.repeat(cells((64, 64), 3)[..., None], 3, -1).astype("u1")
    write("colours.tif", colours, photometric="rgb")
    two = np.stack([cells((64, 64), 4)[::-1], cells((64, 64), 5)])
    about = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    write("channels.ome.tif", two.astype("u2"), metadata=about)
    about = {"axes": "ZYX", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm"}
    write("stack.ome.tif", cells((3, 48, 64), 6).astype("u1"), metadata=about)
    times = cells((2, 48, 64), 7).astype("i2")
    times[1] *= 3
    write("times.ome.tif", times, metadata={"axes": "TYX"})
    write("tiles.tif", cells((120, 130), 8).astype("u1"))
    write("large.tif", cells((80, 96), 9).astype("u1"))
    write("mask.tif", (cells((64, 64), 10) > 100).astype("u1"))
    return {
        "bytes.tif": {},
        "words.tif": {"model": "classes"},
        "floats.tif": {"options": {"output": "classes"}},
        "colours.tif": {"options": {"min_size": 30}},
        "channels.ome.tif": {"options": {"channel": "GFP"}},
        "stack.ome.tif": {"link_z": True},
        "times.ome.tif": {"options": {"per_plane": True}},
        "tiles.tif": {"options": {"tile": 64}},
        "large.tif": {"options": {"diameter": 10.0}},
        "mask.tif": {"model": "classes", "options": {"threshold": 0.75}},
    }


def segment_images(out: Path) -> None:
    how = write_images(out / "images")
    found, labels = {}, {}
    for name, asked in how.items():
        model = asked.pop("model", "objects")
        options = SegmentOptions(
            **{"precision": "fp32", "device": "cpu", **asked.pop("options", {})}
        )
        written = []
        for path in (out / f"{model}.safetensors", out / f"{model}.off.safetensors"):
            target = out / "labels.tif"
            segment_file(
                out / "images" / name,
                target,
                model=str(path),
                options=options,
                overwrite=True,
                **asked,
            )
            written.append(tifffile.imread(target))
            target.unlink()
        np.testing.assert_array_equal(*written)
        assert written[0].max() > 0
        labels[name] = written[0]
        found[name] = {"model": model, "options": asdict(options), **asked}
    np.savez_compressed(out / "labels.npz", **labels)
    (out / "images.json").write_text(json.dumps(found, indent=1))


def make_project(out: Path) -> None:
    """Paint on two images that a model knows nothing of, and let it learn."""
    project = Project.open(out / "project.unet")
    project.update(classes=OBJECTS, settings={"seen": {}, "note": "kept"})
    levels = 200, 110, 10
    first = Image("cells", cells((72, 88), 20, levels).astype("u1"), "YX")
    second = Image("stack", cells((2, 56, 60), 21, levels).astype("u2"), "ZYX")
    for image, plane in ((first, ()), (second, (1,))):
        key = project.add_image(image)
        raw = image.data[plane]
        truth = np.select([raw < 60, raw < 150], [1, 2], 0).astype(np.uint8)
        target = np.full(truth.shape, 255, np.uint8)
        target[10:14, 5:50], target[30:33, 10:40] = (
            truth[10:14, 5:50],
            truth[30:33, 10:40],
        )
        shown = np.where(target == 1, 7, 0).astype(np.int32)
        project.write(
            key, plane, tuple(slice(0, n) for n in truth.shape), (target, shown)
        )
    project.flush()
    view = Request(first, str(out / "objects.safetensors"), EXACT)
    request = ImproveRequest(project, view, TrainOptions(seconds=4, device="cpu"))
    verb = Verb(improving(request))
    list(verb)
    assert verb.result.published
    project.activate(verb.result.name)
    tell_project(out)


def tell_project(out: Path) -> None:
    """Write down the project as this code reads it."""
    project = Project.open(out / "project.unet")
    assert not project.notes
    arrays, told = {}, []
    for i, c in enumerate(project.corrections()):
        arrays |= {
            f"{i}.target": c.target,
            f"{i}.sample": c.sample,
            f"{i}.raw": c.image.data,
        }
        about = {
            name: getattr(c, name)
            for name in ("plane", "corner", "cut", "source", "key", "model", "time")
        }
        told.append(about | {"axes": c.image.axes})
        target, shown = project.read(c.key, c.cut[0], (slice(0, 50), slice(0, 60)))
        arrays |= {f"{i}.read": target, f"{i}.shown": shown}
    (record,) = project.index.models
    model = load(project.model_file(record.name))
    about = {"index": asdict(project.index), "corrections": told}
    about |= {"checksum": model.checksum(), "card": model.card}
    np.savez_compressed(out / "project.npz", **arrays)
    (out / "project.json").write_text(json.dumps(about, indent=1))


BATCH = BatchOptions(
    SegmentOptions(precision="fp32", device="cpu", tile=64), measure=True, link_z=True
)


def begin_batch(out: Path) -> None:
    """Segment a stack, and die when a plane and a part of the next is done."""
    target = out / "batch" / "stack.ome.zarr"
    with closing(
        segment_stack(
            out / "stack.tif", target, BATCH, model=str(out / "objects.safetensors")
        )
    ) as job:
        for event in job:
            ledger = (
                out / "batch" / ".napari-unet" / "stack.ome.zarr.jsonl"
            ).read_text()
            if event.done > event.total // 2 and '"plane": 0' in ledger:
                os._exit(9)


def make_batch(out: Path) -> None:
    (out / "batch").mkdir()
    pixels = cells((3, 100, 120), 30).astype("u1")
    about = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(
        out / "stack.tif",
        pixels,
        ome=True,
        photometric="minisblack",
        compression="zlib",
        metadata=about,
    )
    command = [sys.executable, str(Path(__file__).resolve()), "--die"]
    done = subprocess.run(command, check=False)
    assert done.returncode == 9
    (out / "batch" / ".napari-unet" / "lock").unlink(missing_ok=True)


class Enough(Exception):
    """Training has come far enough."""


def begin_training(out: Path) -> None:
    for folder in ("images", "labels"):
        (out / "learn" / folder).mkdir(parents=True)
    for i in range(3):
        pixels = cells((64, 64), 40 + i, (200, 110, 10)).astype("u1")
        truth = np.select([pixels < 60, pixels < 150], [1, 2], 0).astype("u1")
        tifffile.imwrite(
            out / "learn" / "images" / f"{i}.tif", pixels, compression="zlib"
        )
        tifffile.imwrite(
            out / "learn" / "labels" / f"{i}.tif", truth, compression="zlib"
        )
    kept, marks = out / "learned.safetensors.training", set()

    def report(doing: str, fraction: float | None) -> None:
        if kept.exists():
            marks.add(kept.stat().st_mtime_ns)
        if len(marks) > 2:
            raise Enough

    try:
        train(
            out / "learned.safetensors",
            images=out / "learn" / "images",
            labels=out / "learn" / "labels",
            model=str(out / "objects.safetensors"),
            options=TrainOptions(seconds=None),
            report=report,
        )
    except Enough:
        return
    raise AssertionError("training ended by itself")


def main(out: Path) -> None:
    for name, classes in (("objects", OBJECTS), ("classes", CLASSES)):
        save(by_hand(classes), out / f"{name}.safetensors")
        save(by_hand(classes, OFF), out / f"{name}.off.safetensors")
    segment_images(out)
    make_project(out)
    make_batch(out)
    begin_training(out)
    for file in out.glob("*.off.safetensors"):
        file.unlink()


if __name__ == "__main__":
    if sys.argv[1:] == ["--die"]:
        begin_batch(Path())
    else:
        os.chdir(sys.argv[1])  # files name each other, and no folder of this machine
        main(Path())
