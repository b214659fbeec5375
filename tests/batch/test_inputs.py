"""Words become files, and files names that are the same every time."""

from pathlib import Path

import pytest
import zarr
from helpers.tiffs import dataset, ome_image, ome_xml, planes, write_pages

from napari_unet.batch.inputs import find_inputs, name_outputs
from napari_unet.errors import OptionsError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images, and what lies beside images."""
    for name in ("b.tif", "a.TIFF", "notes.txt", ".hidden.tif", "sub/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    zarr.create_group(tmp_path / "z.ome.zarr")
    return tmp_path


def found(folder: Path, *words: str) -> list[str]:
    paths = find_inputs([folder / word for word in words])
    return [str(path.relative_to(folder)) for path in paths]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["."], ["a.TIFF", "b.tif", "z.ome.zarr"], id="folder"),
        pytest.param(["b.tif", "."], ["b.tif", "a.TIFF", "z.ome.zarr"], id="each-once"),
        pytest.param(["*.tif"], ["b.tif"], id="glob"),
        pytest.param(["**/*.png"], ["sub/c.png"], id="deep-glob"),
        pytest.param(["z.ome.zarr"], ["z.ome.zarr"], id="zarr"),
        pytest.param(["b.tif", "no.tif"], ["b.tif", "no.tif"], id="missing"),
        pytest.param(["notes.txt"], ["notes.txt"], id="named"),
    ],
)
def test_words_become_files(
    folder: Path, words: list[str], expected: list[str]
) -> None:
    assert found(folder, *words) == expected


def test_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a[1].tif").write_bytes(b"")
    (tmp_path / "a1.tif").write_bytes(b"")
    assert found(tmp_path, "a[1].tif") == ["a[1].tif"]


def test_files_of_one_image_are_one_input(tmp_path: Path) -> None:
    names = [f"t{i}.ome.tif" for i in range(3)]
    dataset(tmp_path, names)
    write_pages(tmp_path / "other.ome.tif", planes(1, 8, 9), ome_xml(ome_image()))
    (tmp_path / "u.ome.tif").write_bytes(b"")
    assert found(tmp_path, ".") == ["other.ome.tif", "t0.ome.tif", "u.ome.tif"]
    assert found(tmp_path, "t2.ome.tif", ".")[:2] == ["t2.ome.tif", "other.ome.tif"]
    (tmp_path / "t1.ome.tif").unlink()  # each of them says so when its turn comes
    assert found(tmp_path, "t*") == ["t0.ome.tif", "t2.ome.tif"]


def test_results_are_no_inputs(folder: Path) -> None:
    (folder / ".napari-unet").mkdir()
    (folder / ".napari-unet" / "b.tif.jsonl").write_text("")
    assert "b.tif" not in found(folder, ".", "b.tif")


@pytest.mark.parametrize("words", [["no.tif"], ["*.czi"], ["sub2"], []])
def test_nothing_to_do_is_an_error(folder: Path, words: list[str]) -> None:
    with pytest.raises(OptionsError, match="nothing to segment"):
        find_inputs([folder / word for word in words])


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        pytest.param(["x/a.tif", "x/b.ome.tif"], ["a", "b"], id="stems"),
        pytest.param(["x/a.tif", "y/a.tif"], ["x_a", "y_a"], id="folders"),
        pytest.param(["x/a.tif", "y/A.tif"], ["x_a", "y_A"], id="case"),
        pytest.param(["x/a.tif", "x/a.png"], ["x_a.tif", "x_a.png"], id="suffixes"),
        pytest.param(
            ["x/r/a.tif", "y/r/a.tif"], ["x_r_a.tif", "y_r_a.tif"], id="far-folders"
        ),
        pytest.param(
            ["x/a.tif", "y/a.tif", "x_a.tif"],
            ["x_a.tif", "y_a", "w_x_a.tif"],
            id="chain",
        ),
        pytest.param(["x/a.v2.tif"], ["a.v2"], id="dots"),
    ],
)
def test_results_are_named_after_stems(
    tmp_path: Path, inputs: list[str], expected: list[str]
) -> None:
    paths = [tmp_path / "w" / name for name in inputs]
    names = [path.name for path in name_outputs(paths, Path("out"), "ome-zarr")]
    assert names == [f"{name}.ome.zarr" for name in expected]
    [tiff] = name_outputs(paths[:1], Path("out"), "ome-tiff")
    assert tiff.name.endswith(".ome.tif")
