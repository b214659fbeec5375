"""`napari-unet train`: labelled files in, one model file out, every refusal first."""

import json

import numpy as np
import pytest
import tifffile

from napari_unet.cli import main
from napari_unet.corrections import IGNORE
from napari_unet.errors import CorrectionError, OutputError
from napari_unet.lesson import train_folder
from napari_unet.model import load, save
from napari_unet.options import TrainOptions
from napari_unet.transfer import new_model


@pytest.fixture
def folder(tmp_path):
    """Two images of dark squares, sparse labels for both, and one image without."""
    rng = np.random.default_rng(0)
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for name in ("a", "b", "c"):
        truth = np.zeros((96, 128), np.uint8)
        truth[20:50, 30:60] = truth[60:90, 80:110] = 1
        pixels = (900 - 300.0 * truth + rng.normal(0, 20, truth.shape)).astype("u2")
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", pixels)
        if name != "c":
            target = np.full_like(truth, IGNORE)
            target[22:26, 10:50] = truth[22:26, 10:50]
            tifffile.imwrite(tmp_path / "labels" / f"{name}.tif", target)
    return tmp_path


@pytest.fixture
def small(tmp_path, tiny_model):
    path = tmp_path / "small.safetensors"
    save(new_model(tiny_model, ("background", "cell")), path)
    return path


def words(folder, *more) -> list[str]:
    found = ["train", "--images", str(folder / "images")]
    return [*found, "--labels", str(folder / "labels"), *map(str, more)]


def test_train_writes_a_model_and_says_what_it_came_to(folder, small, capsys) -> None:
    out = folder / "better.safetensors"
    more = "--model", small, "--seconds", 3, "-o", out, "--json"
    assert main(words(folder, *more)) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["published"] is True
    assert said["score_after"] > said["score_before"]
    assert said["classes"] == ["background", "cell"]
    assert said["steps"] >= 0
    model = load(out)
    assert model.spec.classes == ("background", "cell")
    assert "320 reviewed pixels of 2 planes" in model.card["history"][-1]


def test_new_classes_and_channels_begin_from_the_parent(folder, capsys) -> None:
    for path in (folder / "images").iterdir():
        tifffile.imwrite(path, np.stack([tifffile.imread(path).astype("u1")] * 3, -1))
    out = folder / "new.safetensors"
    more = "--new", "background,square", "--seconds", 0.1, "-o", out, "--json"
    assert main(words(folder, *more)) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == ["background", "square"]
    assert load(out).spec.in_channels == 3


def test_model_that_is_right_already_stays(folder, small, capsys) -> None:
    first, second = folder / "1.safetensors", folder / "2.safetensors"
    assert main(words(folder, "--model", small, "--seconds", 3, "-o", first)) == 0
    capsys.readouterr()
    for path in (folder / "labels").iterdir():  # nonsense: noise cannot be learned
        noise = np.random.default_rng(1).integers(0, 2, (96, 128)).astype("u1")
        tifffile.imwrite(path, noise)
    train_folder(
        folder / "images",
        folder / "labels",
        second,
        model=str(first),
        options=TrainOptions(seconds=0.1, device="cpu"),
    )
    assert load(second).spec == load(first).spec


def test_existing_output_is_refused_before_anything_is_read(folder) -> None:
    out = folder / "there.safetensors"
    out.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        train_folder("nowhere", "nowhere", out, model="nuclei")
    assert out.read_bytes() == b"mine"
    with pytest.raises(OutputError, match=r"must end in \.safetensors"):
        train_folder("nowhere", "nowhere", folder / "x.pt", model="nuclei")


def test_images_of_different_channels_are_named(folder) -> None:
    pixels = np.zeros((96, 128, 3), np.uint8)
    tifffile.imwrite(folder / "images" / "a.tif", pixels)
    with pytest.raises(CorrectionError, match=r"a\.tif: 3, b\.tif: 1"):
        train_folder(
            folder / "images",
            folder / "labels",
            folder / "x.safetensors",
            model="nuclei",
            classes=["background", "cell"],
        )


def test_unknown_class_ends_with_a_sentence(folder, capsys) -> None:
    target = np.full((96, 128), 7, np.uint8)
    tifffile.imwrite(folder / "labels" / "a.tif", target)
    more = "--new", "background,cell", "-o", folder / "x.safetensors"
    assert main(words(folder, *more)) == 2
    assert "a.tif has a pixel of class 7" in capsys.readouterr().err
