"""Targets: what labels in files and on screen say, and what they leave open."""

import numpy as np
import pytest
import tifffile

from napari_unet.errors import CorrectionError
from napari_unet.io.image import Image
from napari_unet.project.corrections import FOREGROUND, IGNORE, Correction, strokes
from napari_unet.project.label_files import read_folder, targets_from_labels

CELLS = ("background", "cell")
NUCLEI = ("background", "interior", "boundary")


def test_strokes_are_pieces_of_one_class() -> None:
    target = np.full((6, 8), IGNORE, np.uint8)
    target[0, 0] = target[1, 1] = 1  # touch at a corner
    target[1, 2] = 0  # touches, but says something else
    target[5, 5:7] = 1
    numbers, count = strokes(target)
    assert count == 3
    assert numbers[0, 0] == numbers[1, 1] != numbers[5, 5] == numbers[5, 6]
    assert numbers[1, 2] not in (0, numbers[0, 0], numbers[5, 5])
    assert (numbers == 0).sum() == 48 - 5


@pytest.mark.parametrize(
    ("labels", "classes", "boundary", "expected"),
    [
        (np.array([[0, 1, 255]], np.uint8), CELLS, None, [0, 1, IGNORE]),
        (np.array([[0, 7, 9]], np.uint16), CELLS, None, [0, 1, 1]),
        (np.array([[0, 7, 9]], np.uint16), ("b", "x", "y"), None, [0, 254, 254]),
        (np.array([[0, 1, 255]], np.uint8), NUCLEI, 2, [0, FOREGROUND, IGNORE]),
        (np.array([[0, 1, 2]], np.uint8), NUCLEI, 2, [0, 1, 2]),
        (np.array([[False, True]]), CELLS, None, [0, 1]),
    ],
    ids=["classes", "instances", "which?", "0/1", "all three", "bool"],
)
def test_labels_become_targets(labels, classes, boundary, expected) -> None:
    found = targets_from_labels(labels, classes, boundary, "labels.tif")
    assert found.dtype == np.uint8
    assert found.tolist() == [expected]


def test_instances_become_interior_and_boundary() -> None:
    labels = np.zeros((9, 9), np.uint16)
    labels[2:7, 2:7] = 3
    found = targets_from_labels(labels, NUCLEI, 2, "labels.tif")
    assert found[4, 4] == 1
    assert found[2, 4] == 2
    assert found[0, 0] == 0


def test_boundary_may_stand_before_the_interior() -> None:
    labels = np.zeros((9, 9), np.uint16)
    labels[2:7, 2:7] = 3
    classes = ("background", "boundary", "interior")
    found = targets_from_labels(labels, classes, 1, "labels.tif")
    assert (found[4, 4], found[2, 4], found[0, 0]) == (2, 1, 0)


def test_counts_are_pixels_of_each_class_and_of_any_foreground() -> None:
    target = np.array([[0, 1, 1, FOREGROUND, IGNORE]], np.uint8)
    found = Correction(Image("a", np.zeros((1, 5)), "YX"), target).counts(3)
    assert found.tolist() == [1, 2, 0, 1]


def test_unknown_class_is_named() -> None:
    labels = np.array([[0, 5]], np.uint8)
    with pytest.raises(
        CorrectionError, match=r"a\.tif has a pixel of class 5.*2 classes.*16 bits"
    ):
        targets_from_labels(labels, CELLS, None, "a.tif")


def test_fractions_are_no_labels() -> None:
    with pytest.raises(CorrectionError, match="float32; labels are whole numbers"):
        targets_from_labels(np.zeros((2, 2), np.float32), CELLS, None, "a.tif")


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int64])
def test_numbers_below_zero_are_no_labels(dtype) -> None:
    with pytest.raises(CorrectionError, match="-1; labels are 0 or more"):
        targets_from_labels(np.array([[0, -1]], dtype), CELLS, None, "a.tif")


def test_labels_in_colour_are_named(tmp_path) -> None:
    for name, shape in (("images", (8, 9)), ("labels", (8, 9, 3))):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "a.tif", np.zeros(shape, np.uint8))
    with pytest.raises(CorrectionError, match="3 channels or colours"):
        read_folder(tmp_path / "images", tmp_path / "labels", CELLS)


def test_correction_outside_its_image_is_refused() -> None:
    image = Image("a", np.zeros((8, 8), np.uint8), "YX")
    with pytest.raises(CorrectionError, match="Was the image changed since"):
        Correction(image, np.zeros((8, 8), np.uint8), corner=(1, 0))


def write(folder, name: str, array) -> None:
    folder.mkdir(exist_ok=True)
    tifffile.imwrite(folder / name, array, photometric="minisblack")


def test_folder_pairs_images_and_labels_by_name(tmp_path) -> None:
    images, labels = tmp_path / "images", tmp_path / "labels"
    for name in ("a.tif", "b.tif", "stack.tif"):
        shape = (4, 16, 20) if name == "stack.tif" else (16, 20)
        write(images, name, np.zeros(shape, np.uint16))
    write(labels, "a.TIFF", np.ones((16, 20), np.uint8))
    stack = np.full((4, 16, 20), IGNORE, np.uint8)
    stack[1, 2, 3] = 1
    write(labels, "stack.tif", stack)
    found = read_folder(images, labels, CELLS)
    assert [(c.source, c.plane) for c in found] == [("a", ()), ("stack", (1,))]
    assert found[1].reviewed.sum() == 1


def test_labels_of_another_shape_are_named(tmp_path) -> None:
    write(tmp_path / "images", "a.tif", np.zeros((16, 20), np.uint8))
    write(tmp_path / "labels", "a.tif", np.zeros((16, 21), np.uint8))
    with pytest.raises(CorrectionError, match=r"a\.tif have shape \(16, 21\)"):
        read_folder(tmp_path / "images", tmp_path / "labels", CELLS)


def test_text_beside_an_image_is_no_image(tmp_path) -> None:
    images, labels = tmp_path / "images", tmp_path / "labels"
    write(images, "a.tif", np.zeros((16, 20), np.uint16))
    (images / "a.txt").write_text("exposure 20 ms")
    (images / "a.xml").write_text("<exposure/>")
    write(images, ".a.tif", np.zeros((9, 9), np.uint16))
    write(labels, "a.tif", np.ones((16, 20), np.uint8))
    (found,) = read_folder(images, labels, CELLS)
    assert found.image.title == "a.tif"


def test_ome_in_a_name_and_other_points_do_not_matter(tmp_path) -> None:
    import zarr

    images, labels = tmp_path / "images", tmp_path / "labels"
    write(images, "a.1.ome.tif", np.zeros((16, 20), np.uint16))
    zarr.create_array(
        images / "b.2.ome.zarr", shape=(16, 20), chunks=(16, 20), dtype="u1"
    )
    for name in ("a.1.tif", "b.2.png"):
        write(labels, name, np.ones((16, 20), np.uint8))
    write(labels, "a.tif", np.ones((9, 9), np.uint8))
    found = read_folder(images, labels, CELLS)
    assert [c.source for c in found] == ["a.1", "b.2"]


def test_images_are_not_their_own_labels(tmp_path) -> None:
    write(tmp_path / "images", "a.tif", np.zeros((16, 20), np.uint8))
    again = tmp_path / "images" / ".." / "images"
    with pytest.raises(CorrectionError, match="a folder of their own"):
        read_folder(tmp_path / "images", again, CELLS)


def test_place_is_that_in_the_whole_image() -> None:
    image = Image("a", np.zeros((4, 30, 40), np.uint8), "ZYX")
    target = np.zeros((5, 6), np.uint8)
    whole = Correction(image, target, (3,), (20, 30))
    assert whole.place == ((3,), (20, 30))
    crop = Image("a", np.zeros((25, 26), np.uint8), "YX")
    cut = Correction(crop, target, corner=(10, 12), cut=((3,), (10, 18)))
    assert cut.place == whole.place


def test_folder_without_labels_is_named(tmp_path) -> None:
    write(tmp_path / "images", "a.tif", np.zeros((16, 20), np.uint8))
    (tmp_path / "labels").mkdir()
    with pytest.raises(CorrectionError, match=r"No image in .*images has labels"):
        read_folder(tmp_path / "images", tmp_path / "labels", CELLS)
    with pytest.raises(CorrectionError, match="There is no folder"):
        read_folder(tmp_path / "images", tmp_path / "nowhere", CELLS)
