"""`napari-unet train`: what people said in, one model file out, every refusal first."""

import itertools
import json
import re
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from napari_unet._steps import Steps
from napari_unet.annotation import train as training
from napari_unet.annotation.train import TrainRequest
from napari_unet.cli.commands import main
from napari_unet.errors import CorrectionError, OptionsError, OutputError
from napari_unet.io.open import open_image
from napari_unet.network.model import load, save
from napari_unet.network.transfer import new_model
from napari_unet.options import SegmentOptions, TrainOptions
from napari_unet.project import lazy_corrections
from napari_unet.project.corrections import FOREGROUND, IGNORE, Correction
from napari_unet.project.project import Project
from napari_unet.segmentation.predict import segment
from napari_unet.training import fine_tune, fine_tune_state, schedule
from napari_unet.training.checkpoint import read_checkpoint
from napari_unet.training.fine_tune import Trained
from napari_unet.training.run import describe
from napari_unet.training.to_file import TrainingOutcome

BRIEF = TrainOptions(seconds=0.1, device="cpu")


def train(target, *, report=lambda doing, fraction: None, **about) -> TrainingOutcome:
    """Train as the command line does."""
    return training.train(TrainRequest(target, **about), report)


def squares(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of dark squares, and where they are."""
    rng = np.random.default_rng(ord(name))
    truth = np.zeros((96, 128), np.uint8)
    truth[20:50, 30:60] = truth[60:90, 80:110] = 1
    return (900 - 300.0 * truth + rng.normal(0, 20, truth.shape)).astype("u2"), truth


@pytest.fixture
def folder(tmp_path):
    """Two images of dark squares, sparse labels for both, and one image without."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for name in ("a", "b", "c"):
        pixels, truth = squares(name)
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


@pytest.fixture
def project(folder, small):
    """A project with strokes on two images, in which a model of its own is in use."""
    found = Project.open(folder / "cells.unet")
    for name in ("a", "b"):
        key = found.add_image(open_image(folder / "images" / f"{name}.tif"))
        paint(found, key, squares(name)[1])
    found.update(("background", "cell"))
    found.add_model("v1", small)
    found.activate("v1")
    found.flush()
    return found.folder


def paint(project, key, values, box=(slice(22, 26), slice(10, 50))) -> None:
    part = values[box]
    project.write(key, (), box, (part.astype(np.uint8), part.astype(np.int32)))


def words(folder, *more) -> list[str]:
    found = ["train", "--images", str(folder / "images")]
    return [*found, "--labels", str(folder / "labels"), *map(str, more)]


def run(capsys, *said) -> tuple[int, str, str]:
    code = main([str(word) for word in said])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


# --- from a folder ----------------------------------------------------------------


def test_train_writes_a_model_and_says_what_it_came_to(folder, small, capsys) -> None:
    out = folder / "better.safetensors"
    more = "--model", small, "--seconds", 1, "-o", out, "--json"
    assert main(words(folder, *more)) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["published"] is True
    assert said["score_after"] >= said["score_before"]
    assert said["classes"] == ["background", "cell"]
    assert said["steps"] >= 0
    assert 0 < said["seconds"] < 60
    assert said["notes"] == []
    model = load(out)
    assert model.spec.classes == ("background", "cell")
    assert "320 reviewed pixels of 2 planes" in model.card["history"][-1]
    assert model.checksum() != load(small).checksum()


def test_train_says_it_in_words_too(folder, small, capsys) -> None:
    out = folder / "better.safetensors"
    more = "--model", small, "--seconds", 1, "-o", out
    code, said, _ = run(capsys, *words(folder, *more))
    assert code == 0
    assert said.startswith("better.safetensors: right on ")
    assert len(said.splitlines()) == 2


def test_train_says_what_it_is_that_whole_labels_are_judged_by(
    folder, small, capsys
) -> None:
    for name in ("a", "b"):
        tifffile.imwrite(folder / "labels" / f"{name}.tif", squares(name)[1])
    out = folder / "better.safetensors"
    more = "--model", small, "--seconds", 3, "-o", out
    code, said, _ = run(capsys, *words(folder, *more))
    assert code == 0
    assert said.startswith("better.safetensors: mean Dice of the classes ")
    assert "no pixel of which was learned" in said
    assert "mean Dice of the classes " in load(out).card["history"][-1]
    assert main([*words(folder, *more), "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["measure"] == "Dice"


def test_new_classes_and_channels_begin_from_the_parent(folder, capsys) -> None:
    for path in (folder / "images").iterdir():
        tifffile.imwrite(path, np.stack([tifffile.imread(path).astype("u1")] * 3, -1))
    out = folder / "new.safetensors"
    more = "--new", "background, square", "--seconds", 0.1, "-o", out, "--json"
    assert main(words(folder, *more)) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == ["background", "square"]
    assert load(out).spec.in_channels == 3


@pytest.mark.parametrize("seed", range(4))
def test_what_is_not_published_is_the_model_as_it_was(
    folder, small, capsys, seed
) -> None:
    random = np.random.default_rng(seed)
    for path in (folder / "labels").iterdir():  # noise cannot be learned
        tifffile.imwrite(path, random.integers(0, 2, (96, 128)).astype("u1"))
    out = folder / "x.safetensors"
    more = "--model", small, "--seconds", 0, "-o", out, "--json"
    code, shown, _ = run(capsys, *words(folder, *more))
    said, old, new = json.loads(shown), load(small), load(out)
    assert code == 0
    assert said["score_after"] >= said["score_before"]
    assert (new.checksum() != old.checksum()) == said["published"]
    assert (new.card != old.card) == said["published"]


def test_card_of_the_model_as_it_was_is_the_card_as_it_was(folder, small) -> None:
    model = replace(load(small), card={"diameter": 12.0, "history": ["a"]})
    trained = Trained(model, False, 0.9, 0.9, "", 3, 1.0)
    image = open_image(folder / "images" / "a.tif")
    corrections = [Correction(image, squares("a")[1])]
    assert describe(trained, corrections) == model.card
    history = describe(replace(trained, published=True), corrections)["history"]
    assert history[0] == "a"
    assert history[1].endswith("right on 90.0% of them, before on 90.0%")
    judged = Trained(model, True, 0.25, 0.75, "", 3, 1.0, "Dice")
    history = describe(judged, corrections)["history"]
    assert history[1].endswith("mean Dice of the classes 0.750, before 0.250")


def test_same_seed_gives_the_same_file(folder, small, monkeypatch) -> None:
    # Where time is short, fits are on fewer pixels: how many, the clock says.
    monkeypatch.setattr(fine_tune_state, "_FIRST", 60.0)
    files = [folder / f"{i}.safetensors" for i in range(3)]
    for path, seed in zip(files, (1, 1, 2), strict=True):
        options = TrainOptions(seconds=0, device="cpu", seed=seed)
        train(
            path,
            images=folder / "images",
            labels=folder / "labels",
            model=str(small),
            options=options,
        )
    one, again, other = (load(path).checksum() for path in files)
    assert one == again != other


def test_classes_of_zero_and_one_teach_a_model_with_a_boundary(
    folder, tiny_model, capsys
) -> None:
    nuclei = folder / "nuclei.safetensors"
    save(tiny_model, nuclei)
    for name in ("a", "b"):
        tifffile.imwrite(folder / "labels" / f"{name}.tif", squares(name)[1])
    out = folder / "better.safetensors"
    more = "--model", nuclei, "--seconds", 2, "-o", out, "--json"
    code, shown, _ = run(capsys, *words(folder, *more))
    said = json.loads(shown)
    assert code == 0
    assert said["published"]
    assert said["score_after"] >= said["score_before"]
    assert load(out).spec.classes == ("background", "interior", "boundary")
    before, after = (_share_found(folder, path) for path in (nuclei, out))
    assert after > 0.05 + before


def _share_found(folder, path) -> float:
    """Return how well a model tells squares from background where nobody painted."""
    image, truth = open_image(folder / "images" / "c.tif"), squares("c")[1]
    options = SegmentOptions(output="classes", device="cpu")
    found = Steps(segment(load(path), image, options)).finish().labels > 0
    return float(np.mean([(found == truth)[truth == v].mean() for v in (0, 1)]))


def test_objects_of_16_bits_are_labels_too(folder, small) -> None:
    for name in ("a", "b"):
        objects = squares(name)[1].astype(np.uint16)
        objects[60:] *= 300
        tifffile.imwrite(folder / "labels" / f"{name}.tif", objects)
    out = folder / "x.safetensors"
    source = {"images": folder / "images", "labels": folder / "labels"}
    lesson = train(out, **source, model=str(small), options=BRIEF)
    assert lesson.trained.published
    assert "24576 reviewed pixels of 2 planes" in load(out).card["history"][-1]


def test_masks_of_0_and_255_are_doubted(folder, small) -> None:
    for name in ("a", "b"):
        tifffile.imwrite(folder / "labels" / f"{name}.tif", squares(name)[1] * 255)
    lesson = train(
        folder / "x.safetensors",
        images=folder / "images",
        labels=folder / "labels",
        model=str(small),
        options=BRIEF,
    )
    assert "255 means that nobody looked" in lesson.notes[0]


def test_existing_output_is_refused_before_anything_is_read(folder) -> None:
    out = folder / "there.safetensors"
    out.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        train(out, images="nowhere", labels="nowhere")
    assert out.read_bytes() == b"mine"
    with pytest.raises(OutputError, match=r"must end in \.safetensors"):
        train(folder / "x.pt", project="nowhere")
    with pytest.raises(OutputError, match="There is no folder"):
        train(folder / "gone" / "x.safetensors", project="nowhere")


def test_place_that_takes_no_file_is_refused_before_anything_is_read(folder) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        train("/proc/x.safetensors", project="nowhere")
    (folder / "taken.safetensors").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        train(folder / "taken.safetensors", project="nowhere", overwrite=True)


@pytest.fixture
def long(folder, small, monkeypatch):
    """Return what trains without a time limit, to its end, in a few steps."""
    monkeypatch.setattr(fine_tune, "_CHECK", 2)
    monkeypatch.setattr(schedule, "_PATIENCE", 2)
    monkeypatch.setattr(schedule, "_CUTS", 2)
    for name in "abcde":
        pixels, truth = squares(name)
        tifffile.imwrite(folder / "images" / f"{name}.tif", pixels)
        tifffile.imwrite(folder / "labels" / f"{name}.tif", truth)

    def learn(name, report=lambda doing, fraction: None):
        return train(
            folder / f"{name}.safetensors",
            images=folder / "images",
            labels=folder / "labels",
            model=str(small),
            options=TrainOptions(seconds=None, device="cpu"),
            report=report,
            overwrite=True,
        )

    return learn


def checksum(folder, name):
    return load(folder / f"{name}.safetensors").checksum()


def interrupt(long) -> None:
    """Begin to train the model "broken", and press Ctrl-C after five steps."""
    steps = itertools.count()

    def report(doing, fraction):
        if next(steps) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        long("broken", report)


def test_training_that_was_interrupted_goes_on(folder, long) -> None:
    interrupt(long)
    assert (folder / "broken.safetensors.training").exists()
    counted, whole = [], []
    long("broken", lambda *told: counted.append(told))
    long("whole", lambda *told: whole.append(told))
    assert checksum(folder, "broken") == checksum(folder, "whole")
    assert len(counted) == len(whole) - 4
    assert not list(folder.glob("*.training"))


@pytest.fixture
def endless(folder, long, small):
    """Return what trains without a time limit, and is cancelled after some steps."""

    def learn(steps=None, seed=0):
        request = TrainRequest(
            folder / "x.safetensors",
            images=folder / "images",
            labels=folder / "labels",
            model=str(small),
            options=TrainOptions(seconds=None, device="cpu", seed=seed),
            keep_best=True,
        )
        with closing(training.train_steps(request)) as job:
            return sum(1 for _ in itertools.islice(job, steps))

    return learn


def test_training_whose_cancel_kept_the_best_goes_on(folder, long, endless) -> None:
    before = endless(6)
    assert (folder / "x.safetensors").exists()
    after = endless()  # what lies there is its own
    whole = []
    long("whole", lambda *told: whole.append(told))
    assert checksum(folder, "x") == checksum(folder, "whole")
    assert before + after == len(whole) + 2  # from step 4 on, after the same fit
    assert not list(folder.glob("*.training"))


def test_best_is_kept_however_often_training_is_cancelled(folder, endless) -> None:
    endless(6)
    best = checksum(folder, "x")
    endless(1)
    assert checksum(folder, "x") == best
    endless(2)
    assert checksum(folder, "x") == best


def test_file_that_no_cancel_has_left_is_not_replaced(folder, small, endless) -> None:
    endless(6)
    out = folder / "x.safetensors"
    kept = out.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        endless(seed=1)  # another training, which begins anew
    for other in (small.read_bytes(), b"mine", b""):
        out.write_bytes(other)
        with pytest.raises(OutputError, match="exists already"):
            endless()
        assert out.read_bytes() == other
    out.write_bytes(kept)
    state = out.with_name(f"{out.name}.training")
    whole = state.read_bytes()
    state.write_bytes(b"damaged")
    with pytest.raises(OutputError, match="exists already"):
        endless()
    assert out.read_bytes() == kept
    state.write_bytes(whole)
    endless()
    assert not state.exists()


def test_damaged_training_is_set_aside_told_and_begun_anew(folder, long) -> None:
    interrupt(long)
    kept = folder / "broken.safetensors.training"
    with safe_open(kept, framework="pt") as file:
        about = file.metadata()
    state = load_file(kept)
    state["net.0"] = state["net.0"][:1]
    save_file(state, kept, about)
    damaged = kept.read_bytes()
    (said,) = long("broken").notes
    assert "broken.safetensors.training is damaged" in said
    assert "It was begun anew." in said
    assert kept.with_name(kept.name + ".damaged").read_bytes() == damaged
    assert not kept.exists()


@pytest.mark.parametrize(
    "about",
    [
        *("", "[", "3", "{}", "[" * 100_000, '{"task": "x", "numbers": 3}'),
        '{"task": "x", "numbers": {"step": "1"}}',
        '{"task": "x", "numbers": {"step": 1e400}}',
        '{"task": "x", "numbers": {"step": 1, "stale": 0, "cuts": -1}}',
        '{"task": "x", "numbers": {"step": 1, "stale": 0, "cuts": true}}',
        '{"task": "x", "numbers": {"step": 9007199254740992, "stale": 0, "cuts": 0}}',
        '{"task": "x", "numbers": {"step": 1, "stale": 0}}',
    ],
    ids=[
        *("empty", "open", "number", "nothing", "deep", "no numbers", "text"),
        *("endless", "below 0", "true", "too many", "less"),
    ],
)
def test_header_of_training_that_makes_no_sense_is_damage(tmp_path, about) -> None:
    path = tmp_path / "x.training"
    save_file({"a": torch.zeros(1)}, path, {"napari-unet training": about})
    with pytest.raises(ValueError, match=r"no state of training|numbers"):
        read_checkpoint(path, "x")


@pytest.mark.parametrize("data", [b"", b"nothing", bytes(100), b"\xff" * 100])
def test_file_that_is_no_training_is_damage(tmp_path, data) -> None:
    path = tmp_path / "x.training"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="no state of training"):
        read_checkpoint(path, "x")


def test_training_whose_model_cannot_be_saved_is_not_lost(folder, long) -> None:
    long("whole")
    target = folder / "late.safetensors"

    def block(doing, fraction):
        (target / "full").mkdir(parents=True, exist_ok=True)  # nothing replaces that

    with pytest.raises(OutputError, match="could not be saved") as failed:
        long("late", block)
    kept = Path(re.search("kept as '(.*?)'", str(failed.value))[1])
    assert load(kept).checksum() == checksum(folder, "whole")
    shutil.rmtree(kept.parent)
    shutil.rmtree(target)
    steps = []
    long("late", lambda *told: steps.append(told))
    assert len(steps) == 1  # nothing was left to be learned: it was only judged
    assert checksum(folder, "late") == checksum(folder, "whole")
    assert not list(folder.glob("*.training"))


def test_objects_do_not_tell_several_new_classes_apart(folder, small) -> None:
    for name in "ab":
        truth = squares(name)[1].astype(np.uint16)
        tifffile.imwrite(folder / "labels" / f"{name}.tif", truth)
    lesson = train(
        folder / "x.safetensors",
        images=folder / "images",
        labels=folder / "labels",
        model=str(small),
        classes=["background", "cell", "debris"],
        options=BRIEF,
    )
    assert "cell, debris cannot be told apart" in lesson.notes[0]


def test_overwrite_replaces_the_old_file(folder, small, capsys) -> None:
    out = folder / "there.safetensors"
    out.write_bytes(b"mine")
    more = "--model", small, "--seconds", 0, "-o", out
    assert main(words(folder, *more)) == 2
    assert main(words(folder, *more, "--overwrite")) == 0
    assert load(out).spec.classes == ("background", "cell")


def test_images_of_different_channels_are_named(folder) -> None:
    pixels = np.zeros((96, 128, 3), np.uint8)
    tifffile.imwrite(folder / "images" / "a.tif", pixels)
    with pytest.raises(CorrectionError, match=r"a\.tif: 3, b\.tif: 1"):
        train(
            folder / "x.safetensors",
            images=folder / "images",
            labels=folder / "labels",
            classes=["background", "cell"],
        )


def test_unknown_class_ends_with_a_sentence(folder, capsys) -> None:
    target = np.full((96, 128), 7, np.uint8)
    tifffile.imwrite(folder / "labels" / "a.tif", target)
    more = "--new", "background,cell", "-o", folder / "x.safetensors"
    assert main(words(folder, *more)) == 2
    assert "a.tif has a pixel of class 7" in capsys.readouterr().err


def fill(folder, count: int = 12) -> None:
    """Add images of which every pixel is labelled."""
    for number in range(count):
        pixels, truth = squares(chr(100 + number))
        tifffile.imwrite(folder / "images" / f"more{number}.tif", pixels)
        tifffile.imwrite(folder / "labels" / f"more{number}.tif", truth)


def test_folder_that_cannot_be_held_is_learned_from_piece_by_piece(
    folder, small, monkeypatch
) -> None:
    monkeypatch.setattr(lazy_corrections, "ROOM", 10**6)
    fill(folder)
    lesson = train(
        folder / "x.safetensors",
        images=folder / "images",
        labels=folder / "labels",
        model=str(small),
        options=TrainOptions(seconds=1, device="cpu"),
    )
    assert lesson.trained.published
    assert "cannot be held at once" in lesson.notes[0]
    assert load(folder / "x.safetensors").spec.classes == ("background", "cell")


@pytest.mark.parametrize("room", [10**9, 10**6], ids=["held", "piece_by_piece"])
def test_what_of_an_image_is_not_read_is_said_once(
    folder, small, monkeypatch, capsys, room
) -> None:
    monkeypatch.setattr(lazy_corrections, "ROOM", room)
    fill(folder)
    pixels, _ = squares("d")
    with tifffile.TiffWriter(folder / "images" / "more0.tif") as file:
        file.write(pixels)
        file.write(pixels[:50, :40])
    more = "--model", small, "--seconds", 1, "-o", folder / "x.safetensors"
    code, said, _ = run(capsys, *words(folder, *more))
    assert code == 0
    note = "more0.tif holds 2 images; this is the first of them."
    assert said.splitlines().count(note) == 1
    assert ("cannot be held at once" in said) == (room < 10**9)


def test_memory_that_is_too_little_is_refused(folder, small, project, capsys) -> None:
    out = folder / "x.safetensors"
    source = words(folder), ["train", "--project", project]
    for said in source:
        code, _, error = run(capsys, *said, "-o", out, "--memory", "100MB")
        assert code == 2
        assert "100 MB of memory is too little to learn" in error
        assert "(--memory)." in error
    code, _, error = run(capsys, *words(folder), "-o", out, "--memory", "much")
    assert code == 2
    assert "not an amount of memory" in error
    assert not out.exists()
    more = "--model", small, "--seconds", 0, "-o", out, "--memory", "8GB"
    assert run(capsys, *words(folder, *more))[0] == 0


# --- from a project ---------------------------------------------------------------


def test_project_teaches_the_model_in_use(project, small, capsys) -> None:
    out = project.parent / "better.safetensors"
    said = "train", "--project", project, "--seconds", 1, "-o", out, "--json"
    code, shown, _ = run(capsys, *said)
    about = json.loads(shown)
    assert code == 0
    assert about["published"] is True
    assert about["score_after"] > about["score_before"]
    assert about["classes"] == ["background", "cell"]
    assert about["notes"] == []
    assert "320 reviewed pixels of 2 planes" in load(out).card["history"][-1]
    assert [m.name for m in Project.open(project).index.models] == ["v1"]


def test_project_and_folder_teach_the_same(project, folder, small) -> None:
    """What was painted in napari is what a folder of labels says."""
    options = TrainOptions(seconds=0, device="cpu")
    by_folder = train(
        folder / "1.safetensors",
        images=folder / "images",
        labels=folder / "labels",
        model=str(small),
        options=options,
    )
    by_project = train(folder / "2.safetensors", project=project, options=options)
    assert by_folder.trained.score_before == by_project.trained.score_before
    assert by_folder.trained.score_after == pytest.approx(
        by_project.trained.score_after, abs=0.01
    )


def test_models_of_a_project_have_names(project, small, tiny_model, capsys) -> None:
    found = Project.open(project)
    save(new_model(tiny_model, ("background", "cell"), seed=5), project / "w")
    found.add_model("v2", project / "w")
    out = project.parent / "x.safetensors"
    said = ["train", "--project", project, "--seconds", 0, "-o", out, "--overwrite"]
    for name in ("v1", "v2", small):
        assert run(capsys, *said, "--model", name)[0] == 0
    code, _, error = run(capsys, *said, "--model", "v3")
    assert code == 2
    assert "There is no model 'v3'" in error


def test_without_a_model_of_its_own_a_project_teaches_nuclei(project) -> None:
    found = Project.open(project)
    found.activate("")
    found.update(("background", "interior", "boundary"))
    lesson = train(project.parent / "x.safetensors", project=project, options=BRIEF)
    assert lesson.trained.model.spec.width == 16  # that of nuclei


def test_classes_of_project_and_model_must_be_the_same(project, capsys) -> None:
    out = project.parent / "x.safetensors"
    said = ["train", "--project", project, "--seconds", 0, "-o", out]
    code, _, error = run(capsys, *said, "--model", "nuclei")
    assert code == 2
    assert "has the classes background, cell; the model nuclei has" in error
    assert "or begin a new one: background,cell (--model, --new)." in error
    assert not out.exists()
    code, _, _ = run(
        capsys, *said, "--model", "nuclei", "--new", "background,cell", "--json"
    )
    assert code == 0
    assert load(out).spec.classes == ("background", "cell")


def test_new_names_for_the_classes_of_a_project(project, capsys) -> None:
    found = Project.open(project)
    found.update(("background", "cell", "debris"))
    out = project.parent / "x.safetensors"
    said = ["train", "--project", project, "--seconds", 0, "-o", out, "--new"]
    code, _, error = run(capsys, *said, "background,debris,cell")
    assert code == 2
    assert "Keep the project's order: background,cell,debris (--new)." in error
    assert run(capsys, *said, "background,cell")[0] == 0  # debris was never painted
    assert run(capsys, *said, "background,worm,debris", "--overwrite")[0] == 0
    assert load(out).spec.classes == ("background", "worm", "debris")


def test_class_that_was_painted_must_have_a_name(project, folder, capsys) -> None:
    found = Project.open(project)
    found.update(("background", "cell", "debris"))
    key = found.add_image(open_image(folder / "images" / "a.tif"))
    paint(found, key, np.full((96, 128), 2))
    found.flush()
    out = project.parent / "x.safetensors"
    said = ["train", "--project", project, "-o", out, "--new", "background,cell"]
    code, _, error = run(capsys, *said)
    assert code == 2
    assert "Pixels of class 2 (debris) were painted" in error
    assert error.endswith("(--new).\n")


def test_objects_that_were_painted_are_foreground(project, folder) -> None:
    found = Project.open(project)
    key = found.add_image(open_image(folder / "images" / "a.tif"))
    paint(found, key, np.full((96, 128), FOREGROUND), (slice(25, 40), slice(35, 50)))
    found.flush()
    lesson = train(
        project.parent / "x.safetensors",
        project=project,
        model="nuclei",
        classes=("background", "cell"),
        options=BRIEF,
    )
    assert lesson.trained.model.spec.classes == ("background", "cell")


def test_damaged_pieces_are_told_and_the_rest_is_used(project, capsys) -> None:
    block = min(project.glob("corrections/*/*.npz"))
    block.write_bytes(b"broken")
    said = ["train", "--project", project, "--seconds", 0, "--overwrite", "-o"]
    out = project.parent / "x.safetensors"
    code, shown, _ = run(capsys, *said, out, "--json")
    (note,) = json.loads(shown)["notes"]
    assert code == 0
    assert f"{block.name} is damaged" in note
    assert "160 reviewed pixels of 1 planes" in load(out).card["history"][-1]
    min(project.glob("corrections/*/*.npz")).write_bytes(b"broken too")
    code, _, error = run(capsys, *said, out)
    assert code == 2
    assert f"nothing to learn in '{project}'" in error
    assert "is damaged" in error


def test_notes_are_lines_of_their_own(project, capsys) -> None:
    min(project.glob("corrections/*/*.npz")).write_bytes(b"broken")
    out = project.parent / "x.safetensors"
    _, shown, _ = run(capsys, "train", "--project", project, "--seconds", 0, "-o", out)
    assert "is damaged" in shown.splitlines()[-1]


def test_no_project_is_a_sentence_and_none_is_made(folder, capsys) -> None:
    out = folder / "x.safetensors"
    (folder / "empty").mkdir()
    file = folder / "images" / "a.tif"
    code, _, error = run(capsys, "train", "--project", file, "-o", out)
    assert code == 2
    assert "cannot be opened as a project (Not a directory)" in error
    for name in ("gone", "empty", "images"):
        code, shown, error = run(capsys, "train", "--project", folder / name, "-o", out)
        assert (code, shown) == (2, "")
        assert f"{folder / name}' is no project of napari-unet" in error
    assert not list((folder / "empty").iterdir())
    assert not (folder / "gone").exists()
    Project.open(folder / "new.unet").update(("background", "cell"))
    code, _, error = run(capsys, "train", "--project", folder / "new.unet", "-o", out)
    assert code == 2
    assert "Paint over what is wrong in napari first" in error


def test_project_that_cannot_be_held_is_learned_from_piece_by_piece(
    project, monkeypatch
) -> None:
    monkeypatch.setattr(lazy_corrections, "ROOM", 10**6 // 4)
    lesson = train(project.parent / "x.safetensors", project=project, options=BRIEF)
    assert "1 of the 2 squares that were painted" in lesson.notes[0]
    assert lesson.trained.score_after >= lesson.trained.score_before


def test_exactly_one_source_is_given(folder, project, capsys) -> None:
    out = "-o", folder / "x.safetensors"
    i, n = ("--images", folder / "images"), ("--labels", folder / "labels")
    p = "--project", project
    for source in ((), i, n, (*p, *i), (*p, *n), (*p, *i, *n)):
        code, shown, error = run(capsys, "train", *source, *out)
        assert (code, shown) == (2, "")
        assert "Give either a project, or images and their labels" in error
        assert error.endswith("(--project, --images, --labels).\n")
        assert error.count("\n") == 1
    with pytest.raises(OptionsError, match="not clear"):
        train(folder / "x.safetensors")


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("background,,cell", "a class without a name"),
        ("", "a class without a name"),
        ("cell", "two or more different names"),
        ("background,cell,cell", "two or more different names"),
        ("background,boundary", "Choose another name"),
    ],
)
def test_classes_that_cannot_be_are_refused(folder, capsys, new, said) -> None:
    out = folder / "x.safetensors"
    code, _, error = run(capsys, *words(folder, "--new", new, "-o", out))
    assert code == 2
    assert said in error
    assert not out.exists()
