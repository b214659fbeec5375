"""An OME-TIFF is shown with its other files: those that are there, and ours to read."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.tiffs import (
    UUID,
    dataset,
    in_files,
    ome_image,
    ome_xml,
    planes,
    write_pages,
)

from napari_unet.errors import ImageError
from napari_unet.io.ome_dataset import files_together
from napari_unet.io.open import open_image


def companions(folder: Path, names: list[str]) -> np.ndarray:
    """Write planes that know only the name of the file which describes them."""
    data = planes(len(names), 40, 50)
    inside = in_files(names, "Z")
    text = ome_xml(ome_image(inside, Z=len(names)), uuid=f"{UUID}9")
    (folder / "cells.companion.ome").write_text(text)
    for i, name in enumerate(names):
        pointer = f'<BinaryOnly MetadataFile="cells.companion.ome" UUID="{UUID}9"/>'
        write_pages(folder / name, data[i : i + 1], ome_xml(pointer, uuid=f"{UUID}{i}"))
    return data


@pytest.mark.parametrize("opened", [0, 2])
def test_planes_with_a_companion_are_one_image(tmp_path: Path, opened: int) -> None:
    data = companions(tmp_path, ["a.ome.tif", "b.ome.tif", "c.ome.tif"])
    image = open_image(tmp_path / f"{'abc'[opened]}.ome.tif")
    assert (image.axes, image.scale) == ("ZYX", (1.0, 0.5, 0.5))
    np.testing.assert_array_equal(image.data[...], data)
    assert "one of 3 files" in " ".join(image.notes)


def test_plane_whose_companion_is_gone_opens_alone(tmp_path: Path) -> None:
    data = companions(tmp_path, ["a.ome.tif", "b.ome.tif"])
    (tmp_path / "cells.companion.ome").unlink()
    image = open_image(tmp_path / "b.ome.tif")
    np.testing.assert_array_equal(image.data[...], data[1])
    assert "'cells.companion.ome', is not there" in " ".join(image.notes)


def test_companion_that_is_a_tiff_describes_it_too(tmp_path: Path) -> None:
    names = ["a.ome.tif", "b.ome.tif"]
    data = dataset(tmp_path, names)
    pointer = f'<BinaryOnly MetadataFile="a.ome.tif" UUID="{UUID}0"/>'
    write_pages(tmp_path / "b.ome.tif", data[1:], ome_xml(pointer, uuid=f"{UUID}1"))
    image = open_image(tmp_path / "b.ome.tif")
    np.testing.assert_array_equal(image.data[...], data)


def test_whole_dataset_is_said(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    image = open_image(tmp_path / "t1.ome.tif")
    np.testing.assert_array_equal(image.data[...], data)
    assert image.notes == (
        "t1.ome.tif is one of 2 files of an image; all of them are shown together.",
    )


@pytest.mark.parametrize("name", ["../t1.ome.tif", "/{}/t1.ome.tif", "..\\t1.ome.tif"])
def test_names_that_lead_out_of_the_folder_are_not_followed(
    tmp_path: Path, name: str
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    name = name.format(tmp_path)
    data = planes(2, 40, 50)
    write_pages(tmp_path / "t1.ome.tif", data[1:], ome_xml(uuid=f"{UUID}1"))
    text = ome_xml(ome_image(in_files(["t0.ome.tif", name]), T=2), uuid=f"{UUID}0")
    write_pages(inner / "t0.ome.tif", data[:1], text)
    with pytest.raises(ImageError, match=r"1 of its 2 planes .* out of the folder"):
        open_image(inner / "t0.ome.tif")


def test_missing_file_is_named(tmp_path: Path) -> None:
    dataset(tmp_path, ["t0.ome.tif", "t1.ome.tif", "t2.ome.tif"])
    (tmp_path / "t1.ome.tif").unlink()
    with pytest.raises(ImageError, match=r"1 of its 3 planes .*'t1\.ome\.tif'"):
        open_image(tmp_path / "t2.ome.tif")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_pipe_in_the_place_of_a_file_does_not_hang(tmp_path: Path) -> None:
    dataset(tmp_path)
    (tmp_path / "t1.ome.tif").unlink()
    os.mkfifo(tmp_path / "t1.ome.tif")
    with pytest.raises(ImageError, match=r"not there \('t1\.ome\.tif' is one\)"):
        open_image(tmp_path / "t0.ome.tif")


def positions(folder: Path) -> np.ndarray:
    """Write three images, each in a file of its own; all files speak of all images."""
    data = planes(3, 40, 50)
    parts = [
        '<TiffData IFD="0" PlaneCount="1">'
        f'<UUID FileName="p{i}.ome.tif">{UUID}{i}</UUID></TiffData>'
        for i in range(3)
    ]
    images = [
        ome_image(f'<Channel ID="C" Name="dye {i}"/>{part}')
        for i, part in enumerate(parts)
    ]
    for i in range(3):
        text = ome_xml(*images, uuid=f"{UUID}{i}")
        write_pages(folder / f"p{i}.ome.tif", data[i : i + 1], text)
    return data


def test_the_image_that_lies_in_the_file_is_shown(tmp_path: Path) -> None:
    data = positions(tmp_path)
    (tmp_path / "p0.ome.tif").unlink()  # the others are whole without it
    for i in (1, 2):
        image = open_image(tmp_path / f"p{i}.ome.tif")
        np.testing.assert_array_equal(image.data[...], data[i])
        assert image.channel_names == (f"dye {i}",)
        assert f"this is number {i + 1} of them" in " ".join(image.notes)


def test_files_that_are_shown_together_are_known(tmp_path: Path) -> None:
    dataset(tmp_path)
    one, two = tmp_path / "t0.ome.tif", tmp_path / "t1.ome.tif"
    assert files_together(one) == files_together(two) == {one, two}
    positions(tmp_path)
    assert files_together(tmp_path / "p1.ome.tif") == {tmp_path / "p1.ome.tif"}
    (tmp_path / "no.ome.tif").write_text("no image")
    assert files_together(tmp_path / "no.ome.tif") == {tmp_path / "no.ome.tif"}


def test_renamed_file_is_whole_without_its_old_name(tmp_path: Path) -> None:
    text = ome_xml(ome_image(in_files(["old.ome.tif"])))
    path = write_pages(tmp_path / "new.ome.tif", planes(1, 40, 50), text)
    assert open_image(path).shape == (40, 50)


def test_text_that_is_no_xml_is_left_aside(tmp_path: Path) -> None:
    text = ome_xml(ome_image(T=3)).replace("<TiffData/>", "<TiffData>")
    path = write_pages(tmp_path / "a.ome.tif", planes(3, 40, 50), text)
    image = open_image(path)
    assert image.shape == (3, 40, 50)
    assert "OME-XML of a.ome.tif cannot be read" in " ".join(image.notes)


HUGE = {
    "planes": ome_image(T=10_000, Z=10_000),
    "one_element": ome_image('<TiffData PlaneCount="100000000"/>'),
    "in_other_files": ome_image(
        in_files(["t0.ome.tif", "t1.ome.tif"]), T=10_000, Z=10_000
    ),
}


@pytest.mark.parametrize("image", HUGE.values(), ids=HUGE)
def test_planes_that_no_file_can_hold_are_not_believed(
    tmp_path: Path, image: str
) -> None:
    data = dataset(tmp_path)
    path = write_pages(tmp_path / "a.ome.tif", data[:1], ome_xml(image))
    assert open_image(path).shape == (40, 50)


def test_axis_of_countless_parts_is_not_believed(tmp_path: Path) -> None:
    modulo = (
        '<StructuredAnnotations><XMLAnnotation ID="A" Namespace="x/modulo"><Value>'
        '<Modulo><ModuloAlongT Type="phase" Start="0" End="90000000"/></Modulo>'
        "</Value></XMLAnnotation></StructuredAnnotations>"
    )
    path = tmp_path / "a.ome.tif"
    write_pages(path, planes(1, 40, 50), ome_xml(modulo, ome_image()))
    assert open_image(path).shape == (40, 50)


def test_more_pages_than_the_text_says_are_told(tmp_path: Path) -> None:
    text = ome_xml(ome_image(T=2))
    image = open_image(write_pages(tmp_path / "a.ome.tif", planes(3, 40, 50), text))
    assert image.shape == (2, 40, 50)
    assert image.notes == (
        "a.ome.tif holds 3 planes, but its text speaks of 2: the other 1 is not shown.",
    )


def test_fewer_pages_than_the_text_says_are_shown_and_told(tmp_path: Path) -> None:
    text = ome_xml(ome_image(T=12))
    path = write_pages(tmp_path / "a.ome.tif", planes(2, 40, 50), text)
    image = open_image(path)
    assert (image.axes, image.scale) == ("ZYX", (1.0, 0.5, 0.5))
    assert "more planes than there are" in " ".join(image.notes)
    content = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[1].dataoffsets[0]
    path.write_bytes(content[: start + 900])
    with pytest.raises(ImageError, match="cut off"):
        open_image(path)


LACKING = {
    "order": (' DimensionOrder="XYCZT"', ""),
    "order_of_three": ("XYCZT", "XYZ"),
    "time": (' SizeT="1"', ""),
    "empty_time": ('SizeT="1"', 'SizeT=""'),
    "no_time": ('SizeT="1"', 'SizeT="0"'),
    "fraction": ('SizeZ="3"', 'SizeZ="3.0"'),
    "where": ("<TiffData/>", ""),
    "type": (' Type="uint16"', ""),
}


@pytest.mark.parametrize(("old", "new"), LACKING.values(), ids=LACKING)
def test_text_that_lacks_something_is_understood(
    tmp_path: Path, old: str, new: str
) -> None:
    channels = '<Channel Name="DAPI"/><Channel Name="GFP"/>'
    text = ome_xml(ome_image(f"{channels}<TiffData/>", C=2, Z=3))
    assert old in text
    data = planes(6, 40, 50)
    path = write_pages(tmp_path / "a.ome.tif", data, text.replace(old, new))
    image = open_image(path)
    assert (image.axes, image.channel_names) == ("ZCYX", ("DAPI", "GFP"))
    assert image.scale[-1] == 0.5
    assert image.notes == ()
    np.testing.assert_array_equal(image.data[...], data.reshape(3, 2, 40, 50))


BEYOND = {
    "start": '<TiffData IFD="1" PlaneCount="3"/>',
    "all": '<TiffData IFD="7" PlaneCount="3"/>',
    "gap": '<TiffData FirstZ="0" IFD="0"/><TiffData FirstZ="2" IFD="2"/>',
}


@pytest.mark.parametrize("inside", BEYOND.values(), ids=BEYOND)
def test_planes_that_are_in_no_file_are_not_looked_for(
    tmp_path: Path, inside: str
) -> None:
    data = planes(3, 40, 50)
    text = ome_xml(ome_image(inside, Z=3))
    image = open_image(write_pages(tmp_path / "a.ome.tif", data, text))
    np.testing.assert_array_equal(image.data[...], data)


def test_text_without_sizes_is_left_aside(tmp_path: Path) -> None:
    data = planes(3, 40, 50)
    text = ome_xml(ome_image(Z=3)).replace(' SizeX="50"', "")
    image = open_image(write_pages(tmp_path / "a.ome.tif", data, text))
    np.testing.assert_array_equal(image.data[...], data)
    assert "makes no sense" in " ".join(image.notes)
