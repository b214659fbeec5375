"""A folder of more labelled images than can be held: some first, the others later."""

import itertools
import tracemalloc

import numpy as np
import pytest
import tifffile

from napari_unet.errors import CorrectionError
from napari_unet.io.open import open_image
from napari_unet.project.corrections import IGNORE
from napari_unet.project.label_files import read_folder, targets_from_labels
from napari_unet.project.label_folder import LabelFolder
from napari_unet.project.lazy_corrections import Drawn
from napari_unet.training.examples import read_examples

CELLS = ("background", "cell")
NUCLEI = ("background", "interior", "boundary")
EVERYTHING = 10**9


def write(folder, name: str, pixels, labels) -> None:
    for kind, array in (("images", pixels), ("labels", labels)):
        (folder / kind).mkdir(exist_ok=True)
        tifffile.imwrite(folder / kind / name, array, photometric="minisblack")


def fill(folder, count: int = 6, shape=(600, 560), dtype="u1"):
    """Write images of which every pixel is labelled, and return the folders."""
    for number in range(count):
        rng = np.random.default_rng(number)
        labels = np.zeros(shape, dtype)
        for value in range(1, 2 if dtype == "u1" else 30):
            y, x = (int(rng.integers(0, n - 40)) for n in shape)
            labels[y : y + 40, x : x + 40] = value
        pixels = rng.integers(0, 4000, shape).astype("u2")
        write(folder, f"{number:03}.tif", pixels, labels)
    return folder / "images", folder / "labels"


def squares(folder: LabelFolder, room: int) -> Drawn:
    found, more = folder.corrections(room)
    assert isinstance(found, Drawn)
    assert more is not None
    return found


def test_folder_that_can_be_held_is_read_as_it_always_was(tmp_path) -> None:
    folders = fill(tmp_path)
    found, more = LabelFolder(*folders, CELLS, seed=3).corrections(EVERYTHING)
    assert more is None
    usual = read_folder(*folders, CELLS)
    assert [c.spot for c in found] == [c.spot for c in usual]
    for one, other in zip(found, usual, strict=True):
        np.testing.assert_array_equal(one.target, other.target)


@pytest.mark.parametrize(("dtype", "classes"), [("u1", CELLS), ("u2", NUCLEI)])
def test_squares_say_what_whole_planes_say(
    tmp_path, tiny_model, dtype, classes
) -> None:
    folders = fill(tmp_path, dtype=dtype)
    boundary = 2 if classes == NUCLEI else None
    folder = LabelFolder(*folders, classes, boundary, seed=1)
    _, more = folder.corrections(10**6)
    assert more is not None
    usual = read_folder(*folders, classes, boundary)
    whole = {c.spot[0]: c.target for c in usual}
    seen = {c.spot[0]: e.image for c, e in zip(usual, _examples(usual), strict=True)}
    covered = {name: np.zeros(target.shape, int) for name, target in whole.items()}
    for found in itertools.islice(more.draws, 24):  # four squares of each
        assert found is not None
        name, _, y, x = found.spot
        box = slice(y, y + found.target.shape[0]), slice(x, x + found.target.shape[1])
        np.testing.assert_array_equal(found.target, whole[name][box])
        covered[name][box] += 1
        (example,) = _examples([found])
        top, left = found.cut[1]
        rows, columns = example.target.shape
        around = slice(top, top + rows), slice(left, left + columns)
        np.testing.assert_array_equal(example.image, seen[name][(slice(None), *around)])
    assert sum(int((c > 0).sum()) for c in covered.values()) > 0.9 * 6 * 600 * 560


def _examples(corrections):
    from napari_unet.network.model import load

    return read_examples(load("nuclei"), corrections)


def test_first_squares_are_of_different_images(tmp_path) -> None:
    folder = LabelFolder(*fill(tmp_path), CELLS, seed=1)
    found = squares(folder, 10**7)
    assert 1 < len(found) < 6
    assert len({c.spot[0] for c in found}) == len(found)
    again = squares(LabelFolder(*fill(tmp_path), CELLS, seed=1), 10**7)
    assert [c.spot for c in again] == [c.spot for c in found]
    other = squares(LabelFolder(*fill(tmp_path), CELLS, seed=2), 10**7)
    assert [c.spot for c in other] != [c.spot for c in found]


def test_planes_of_one_stack_come_one_by_one(tmp_path) -> None:
    shape = (30, 200, 200)
    pixels = np.random.default_rng(0).integers(0, 999, shape).astype("u2")
    labels = np.full(shape, IGNORE, np.uint8)
    labels[::3, 50:120] = 1
    write(tmp_path, "stack.tif", pixels, labels)
    folder = LabelFolder(tmp_path / "images", tmp_path / "labels", CELLS)
    found = squares(folder, 3 * 10**6)
    planes = [c.place[0][0] for c in found]
    assert len(set(planes)) == len(planes) > 1
    assert {plane % 3 for plane in planes} == {0}


def test_class_that_is_not_in_a_square_tells_what_its_numbers_mean(tmp_path) -> None:
    labels = np.zeros((1100, 1100), np.uint8)
    labels[:100, :100] = 2  # so that 1 is the first class, and not any
    labels[900:1000, 900:1000] = 1
    write(tmp_path, "a.tif", np.zeros((1100, 1100), "u2"), labels)
    folder = LabelFolder(tmp_path / "images", tmp_path / "labels", NUCLEI, 2)
    _, more = folder.corrections(10**5)
    assert more is not None
    found = [c.target for c in itertools.islice(more.draws, 9) if c is not None]
    values = [set(np.unique(target).tolist()) for target in found]
    assert {0, 1} in values
    whole = targets_from_labels(labels, NUCLEI, 2, "a.tif")
    assert set().union(*values) == set(np.unique(whole).tolist())


def test_what_cannot_be_read_later_is_noted_and_left_out(tmp_path) -> None:
    images, labels = fill(tmp_path)
    folder = LabelFolder(images, labels, CELLS)
    _, more = folder.corrections(10**6)
    assert more is not None
    (images / "004.tif").write_bytes(b"broken")
    found = list(itertools.islice(more.draws, 60))
    assert found.count(None) == 10
    held, note = folder.notes
    assert "images cannot be held at once" in held
    assert "004.tif" in note


def test_nothing_labelled_is_said(tmp_path) -> None:
    labels = np.full((5000, 4000), IGNORE, np.uint8)
    write(tmp_path, "a.tif", np.zeros((5000, 4000), "u1"), labels)
    folder = LabelFolder(tmp_path / "images", tmp_path / "labels", CELLS)
    with pytest.raises(CorrectionError, match="No image in"):
        folder.corrections(EVERYTHING)


def test_memory_does_not_grow_with_the_folder(tmp_path) -> None:
    taken = []
    for count in (8, 32):
        folders = fill(tmp_path, count, (400, 400))
        tracemalloc.start()
        found, _ = LabelFolder(*folders, CELLS).corrections(6 * 10**6)
        _examples(found)
        taken.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert taken[1] < 1.1 * taken[0]
    assert open_image(folders[0] / "031.tif").shape == (400, 400)
