"""The sample images: that they are there, what they hold, and how they were made."""

import subprocess
import sys
from pathlib import Path

import make_samples
import numpy as np
import pytest
import tifffile
from skimage.filters import threshold_otsu

from napari_unet.errors import ImageError
from napari_unet.sample_data import (
    SAMPLES,
    read_truth,
    sample_path,
    skimage_samples,
    truth_path,
)

FORMS = {
    "nuclei": ("YX", (512, 512), "uint16", "uint16"),
    "nuclei_movie": ("TYX", (8, 256, 256), "uint16", "uint16"),
    "tissue_rgb": ("YXS", (512, 512, 3), "uint8", "uint8"),
}


def test_every_sample_is_described_here() -> None:
    assert set(FORMS) == set(SAMPLES)


@pytest.mark.parametrize("name", FORMS)
def test_sample_has_its_axes_shape_and_type(name: str) -> None:
    axes, shape, dtype, truth_dtype = FORMS[name]
    with tifffile.TiffFile(sample_path(name)) as tiff:
        series = tiff.series[0]
        assert (series.axes, series.shape, str(series.dtype)) == (axes, shape, dtype)
    truth = read_truth(name)
    assert str(truth.dtype) == truth_dtype
    assert truth.shape == (shape[:-1] if axes.endswith("S") else shape)


@pytest.mark.parametrize("name", ["nuclei", "nuclei_movie"])
def test_fluorescence_states_its_pixel_size(name: str) -> None:
    for path in (sample_path(name), truth_path(name)):
        with tifffile.TiffFile(path) as tiff:
            metadata = tiff.imagej_metadata or {}
            assert metadata["unit"] == "um"
            per_um = tiff.pages.first.get_resolution()
            assert per_um == pytest.approx((1 / 0.325, 1 / 0.325))


def test_movie_states_its_interval() -> None:
    with tifffile.TiffFile(sample_path("nuclei_movie")) as tiff:
        assert tiff.imagej_metadata is not None
        assert tiff.imagej_metadata["finterval"] == 300


@pytest.mark.parametrize("name", FORMS)
def test_truth_is_numbered_without_gaps(name: str) -> None:
    found = np.unique(read_truth(name))
    assert found.tolist() == list(range(len(found)))


def test_nuclei_are_many_and_some_touch() -> None:
    truth = read_truth("nuclei").astype(int)
    assert 80 <= truth.max() <= 150
    sizes = np.bincount(truth.ravel())[1:]
    assert 22 <= np.sqrt(4 / np.pi * np.median(sizes)) <= 28
    pairs = set()
    for a, b in ((truth[1:], truth[:-1]), (truth[:, 1:], truth[:, :-1])):
        side = (a != b) & (a > 0) & (b > 0)
        pairs |= {frozenset(pair) for pair in zip(a[side], b[side], strict=True)}
    assert len(pairs) >= 10


def test_truth_follows_what_is_bright() -> None:
    image = tifffile.imread(sample_path("nuclei"))
    truth = read_truth("nuclei") > 0
    bright = image > threshold_otsu(image)
    assert 2 * (truth & bright).sum() / (truth.sum() + bright.sum()) > 0.85
    assert np.median(image[truth]) > 2 * np.median(image[~truth])


def test_movie_bleaches_and_shows_one_division() -> None:
    movie, truth = (
        tifffile.imread(sample_path("nuclei_movie")),
        read_truth("nuclei_movie"),
    )
    means = movie.mean((1, 2))
    assert (np.diff(means) < 0).all()
    there = [[bool((frame == label).any()) for frame in truth] for label in (1, 2, 3)]
    assert there[0] == [True] * 4 + [False] * 4
    assert there[1] == there[2] == [False] * 4 + [True] * 4


def test_tissue_is_dark_in_nuclei_and_white_in_lumina() -> None:
    image, truth = tifffile.imread(sample_path("tissue_rgb")), read_truth("tissue_rgb")
    lumen, cytoplasm, nucleus = (image[truth == k].mean(0) for k in range(3))
    assert lumen.min() > 225
    assert (nucleus < cytoplasm).all()
    assert (cytoplasm < lumen).all()
    assert cytoplasm[0] > cytoplasm[2] > cytoplasm[1]  # pink
    assert nucleus[2] > nucleus[0] > nucleus[1]  # violet


def test_samples_are_small_and_compressed() -> None:
    files = [p(name) for name in SAMPLES for p in (sample_path, truth_path)]
    assert sum(path.stat().st_size for path in files) < 5_000_000
    for path in files:
        with tifffile.TiffFile(path) as tiff:
            assert tiff.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE


def test_script_makes_the_movie_again() -> None:
    movie, truth = make_samples.make_movie(np.random.default_rng(make_samples.SEED + 1))
    stored = tifffile.imread(sample_path("nuclei_movie"))
    # Another processor may round a last digit the other way: not one pixel in 10000.
    assert np.mean(movie != stored) < 1e-4
    assert np.mean(truth != read_truth("nuclei_movie")) < 1e-4


def test_script_writes_fiji_files(tmp_path: Path) -> None:
    data = np.arange(12, dtype=np.uint16).reshape(3, 4)
    make_samples.save_for_fiji(tmp_path / "a.tif", data, {"axes": "YX", "unit": "um"})
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.is_imagej
        assert tiff.asarray().tolist() == data.tolist()


@pytest.mark.parametrize("find", [sample_path, truth_path])
def test_unknown_sample_is_refused_by_name(find: object) -> None:
    assert callable(find)
    with pytest.raises(
        ImageError, match=r"'mitosis'.*nuclei, nuclei_movie, tissue_rgb"
    ):
        find("mitosis")


def test_real_images_load_without_a_network() -> None:
    shapes = {name: load().shape for name, load in skimage_samples().items()}
    assert shapes["coins"] == (303, 384)
    assert shapes["cell"] == (660, 550)
    assert shapes["immunohistochemistry"] == (512, 512, 3)
    import skimage

    carried = Path(skimage.__file__).parent / "data"
    names = {path.stem for path in carried.iterdir()}
    assert {"coins", "cell", "ihc", "microaneurysms", "retina"} <= names


def test_import_is_light() -> None:
    code = (
        "import sys, napari_unet.sample_data as s; s.sample_path('nuclei');"
        "sys.exit(bool({'torch', 'qtpy', 'napari', 'skimage', 'tifffile'} "
        "& set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
