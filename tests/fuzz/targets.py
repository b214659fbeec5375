"""What is given damaged input: every reader, with what is done with what it returns."""

import contextlib
import io
import os
import random
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import tifffile
import torch
import zarr
from PIL import Image as Pillow

from fuzz.mutator import (
    mutated_bytes,
    mutated_json,
    mutated_tensors,
    mutated_words,
    mutated_zip,
)
from napari_unet.batch.loaded_model import LoadedModel
from napari_unet.batch.record import ResultPaths
from napari_unet.batch.stack import plan_stack_file, segment_stack
from napari_unet.cli import commands
from napari_unet.errors import UNetError
from napari_unet.io.image import Image
from napari_unet.io.open import open_image
from napari_unet.network.model import Model, UNet, UNetSpec, load, save
from napari_unet.network.summary import describe as facts
from napari_unet.options import BatchOptions, SegmentOptions
from napari_unet.project.corrections import Correction
from napari_unet.project.project import Project
from napari_unet.training.augment import Batch, PatchSampler
from napari_unet.training.checkpoint import read_checkpoint, write_checkpoint
from napari_unet.training.examples import read_examples
from napari_unet.training.fine_tune import Trained
from napari_unet.training.run import describe
from napari_unet.training.standing import standing
from napari_unet.training.trainer import Trainer

__all__ = ["Escape", "Ground"]

_BOX = slice(0, 20), slice(10, 30)
_UNEXPECTED = "Something unexpected went wrong"


class Escape(Exception):
    """Something other than a sentence came out."""


@dataclass(frozen=True)
class Ground:
    """A folder of whole files, and room to damage copies of them."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Ground":
        """Write one of everything, as the programs themselves write it."""
        good = folder / "good"
        good.mkdir(parents=True)
        pixels = np.random.default_rng(0).integers(0, 999, (2, 40, 60)).astype("u2")
        tifffile.imwrite(good / "plain.tif", pixels[0])
        axes = {"axes": "ZYX"}
        tifffile.imwrite(good / "imagej.tif", pixels, imagej=True, metadata=axes)
        tifffile.imwrite(good / "ome.ome.tif", pixels, metadata=axes, tile=(16, 16))
        tifffile.imwrite(good / "packed.tif", pixels[0], compression="zlib")
        Pillow.fromarray(pixels[0].astype("u1")).save(good / "grey.png")
        Pillow.fromarray(pixels[0].astype("u1")).save(good / "grey.jpg")
        zarr.create_array(good / "array.zarr", data=pixels, chunks=(1, 40, 60))
        torch.manual_seed(0)
        net = UNet(UNetSpec(1, ("background", "cell"), width=4, depth=2)).eval()
        card = {
            "diameter": 12,
            "min_size": 3,
            "min_score": 0.25,
            "history": ["made"],
            "strokes": 3,
        }
        save(Model(net, card=card), good / "tiny.safetensors")
        write_checkpoint(
            good / "kept.training", "task", _numbers(), _trainer()[0].state()
        )
        _paint(good / "cells.unet", good / "plain.tif")
        model = str(good / "tiny.safetensors")
        for name in ("out.ome.zarr", "begun.ome.zarr"):
            run = segment_stack(good / "imagej.tif", good / name, model=model)
            for event in run:
                if name[0] == "b" and event.done:
                    run.close()  # one of two tiles is done
        return cls(folder)

    def run(self, number: int) -> str:
        """Give damaged input of this number to its target; return the target's name.

        Raises
        ------
        Escape
            If anything but a child of UNetError comes out.
        """
        kinds = (
            *(_image, _model, _training, _image, _project, _image, _model, _ledger),
            *(_image, _training, _image, _command),
        )
        kind = kinds[number % len(kinds)]
        place = self.folder / "bad"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        here = Path.cwd()
        os.chdir(place)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kind(self.folder / "good", place, random.Random(number))
        except UNetError:
            pass
        except Exception as error:
            raise Escape(f"{kind.__name__} {number}: {error!r:.200}") from error
        finally:
            os.chdir(here)
        return kind.__name__


def _damage(
    file: Path, change: Callable[[bytes, random.Random], bytes], chance: random.Random
) -> None:
    file.write_bytes(change(file.read_bytes(), chance))


def _image(good: Path, place: Path, chance: random.Random) -> None:
    names = sorted(p for p in good.iterdir() if p.suffix in (".tif", ".png", ".jpg"))
    source = chance.choice([*names, good / "array.zarr"])
    file = place / source.name
    if source.is_dir():
        shutil.copytree(source, file)
        if chance.random() < 0.5:
            _damage(file / "zarr.json", mutated_json, chance)
        else:
            parts = sorted(p for p in file.rglob("*") if p.is_file())
            _damage(chance.choice(parts), mutated_bytes, chance)
    else:
        shutil.copy(source, file)
        _damage(file, mutated_bytes, chance)
    image = open_image(file)
    plane = next(image.planes())
    image.read(plane, *(slice(0, min(n, 50)) for n in image.plane_shape))
    image.sample(limit=1000)


def _model(good: Path, place: Path, chance: random.Random) -> None:
    file = Path(shutil.copy(good / "tiny.safetensors", place))
    data = mutated_tensors(file.read_bytes(), "napari_unet", chance)
    file.write_bytes(data)
    model = load(file)
    facts(model)
    standing(model.card)
    assert model.diameter is None or model.diameter > 0
    assert model.min_size >= 0
    assert 0 <= model.min_score <= 1
    assert all(isinstance(name, str) for name in model.spec.classes)
    describe(Trained(model, True, 0.5, 0.6, "", 1, 1.0), [])
    save(model, place / "again.safetensors")


def _paint(folder: Path, file: Path) -> None:
    project = Project.open(folder)
    image = open_image(file)
    key = project.add_image(image)
    shape = tuple(s.stop - s.start for s in _BOX)
    plane = (0,) * len(image.stack_shape)
    pixels = np.ones(shape, np.uint8), np.ones(shape, np.int32)
    project.write(key, plane, _BOX, pixels)
    project.flush()
    project.update(("background", "cell"), {"seen": {key: {"channel": 0}}})
    project.add_model(f"v{len(project.index.models)}", b"weights")


def _project(good: Path, place: Path, chance: random.Random) -> None:
    folder = Path(shutil.copytree(good / "cells.unet", place / "cells.unet"))
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size)
    file = chance.choice(files)
    if file.suffix == ".npz":
        _damage(file, lambda d, c: mutated_zip(d, c, {"about.npy"}), chance)
    else:
        text = file.suffix == ".json" and chance.random() < 0.7
        _damage(file, mutated_json if text else mutated_bytes, chance)
    project = Project.open(folder)
    for correction in project.corrections():
        correction.image.read((), slice(0, 1), slice(0, 1))
        assert correction.place
        assert correction.image.scale[-1] > 0
    if "newer version" in " ".join(project.notes):
        return
    _paint(folder, good / "plain.tif")
    if not chance.randrange(4):
        _paint(folder, good / "imagej.tif")
    again = Project.open(folder)
    again.corrections()
    target, _ = again.read(again.add_image(open_image(good / "plain.tif")), (), _BOX)
    assert (target == 1).all()


def _ledger(good: Path, place: Path, chance: random.Random) -> None:
    target = place / chance.choice(("out.ome.zarr", "begun.ome.zarr"))
    shutil.copytree(good / ".napari-unet", place / ".napari-unet")
    shutil.copytree(good / "out.ome.zarr", place / "out.ome.zarr")
    file = place / ".napari-unet" / f"{target.name}.jsonl"
    lines = file.read_bytes().splitlines()
    if chance.random() < 0.2:
        _damage(file, mutated_bytes, chance)
    else:
        at = chance.randrange(len(lines))
        lines[at] = mutated_json(lines[at], chance)
        file.write_bytes(b"\n".join(lines) + b"\n")
    options = BatchOptions(SegmentOptions(), overwrite=chance.random() < 0.5)
    model = str(good / "tiny.safetensors")
    source = good / "imagej.tif"
    plan_stack_file(source, ResultPaths(target), options, LoadedModel(model))
    if chance.randrange(2):
        return
    list(segment_stack(source, target, options, model=model))
    assert open_image(target).label_shape == (2, 40, 60)


@cache
def _trainer() -> tuple[Trainer, Batch]:
    torch.manual_seed(0)
    net = UNet(UNetSpec(1, ("background", "cell"), width=4, depth=1)).eval()
    image = Image("a", np.random.default_rng(0).random((32, 32)), "YX")
    target = (image.data > 0.5).astype(np.uint8)
    examples = read_examples(Model(net), [Correction(image, target)])
    batch = PatchSampler(examples, 32, 0, (2, 6)).batch()
    trainer = Trainer(net, net, 0.0, statistics=True)
    trainer.step(batch, 1e-3)
    return trainer, batch


def _numbers() -> dict[str, int]:
    return {"step": 2, "stale": 1, "cuts": 0}


def _training(good: Path, place: Path, chance: random.Random) -> None:
    file = Path(shutil.copy(good / "kept.training", place))
    file.write_bytes(mutated_tensors(file.read_bytes(), "napari-unet training", chance))
    trainer, batch = _trainer()
    with contextlib.suppress(ValueError):  # of which `fine_tune` makes a sentence
        found = read_checkpoint(file, "task")
        if found:
            trainer.restore(found[1], found[0]["step"])
            if not chance.randrange(8):
                trainer.step(batch, 1e-3)


def _command(good: Path, place: Path, chance: random.Random) -> None:
    for name in ("plain.tif", "tiny.safetensors"):
        shutil.copy(good / name, place)
    words = chance.choice(
        (
            "segment plain.tif -o out.tif --model tiny.safetensors --tile 64",
            "batch plain.tif -o out --model tiny.safetensors --dry-run --memory 2GB",
            "batch plain.tif -o out --model tiny.safetensors --measure --link-z",
            "info tiny.safetensors --shapes --size 64 --json",
            "train --images . --labels . --out new.safetensors --seconds 0",
            "segment plain.tif -o out.tif --model tiny.safetensors --diameter 9 --json",
        )
    ).split()
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = commands.main(mutated_words(words, chance))
    if code not in (0, 1, 2) or _UNEXPECTED in said.getvalue():
        raise Escape(f"exit {code}: {said.getvalue():.300}")
