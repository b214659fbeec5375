"""Sample images: paths of ours with their truths, and scikit-image's real ones."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import ImageError

__all__ = ["SAMPLES", "read_truth", "sample_path", "skimage_samples", "truth_path"]

SAMPLES: dict[str, str] = {
    "nuclei": "nuclei.tif",
    "nuclei_movie": "nuclei_movie.tif",
    "tissue_rgb": "tissue_rgb.tif",
}
"""Names of our own sample images, and their files."""

_FOLDER = Path(__file__).parent
# Real images that lie inside scikit-image's wheel: its other samples are downloaded.
# The name here, and the function of skimage.data that loads it.
_REAL = {
    "cell": "cell",
    "coins": "coins",
    "immunohistochemistry": "immunohistochemistry",
    "microaneurysms": "microaneurysms",
    "retina": "retina",
}


def sample_path(name: str) -> Path:
    """Return the file of the sample image `name`, one of `SAMPLES`.

    Raises
    ------
    ImageError
        If there is no such sample, or its file was not installed.
    """
    if name not in SAMPLES:
        raise ImageError(
            f"There is no sample image {name!r}. Choose one of: {', '.join(SAMPLES)}."
        )
    return _installed(_FOLDER / SAMPLES[name])


def truth_path(name: str) -> Path:
    """Return the file with the truth of the sample image `name`, one of `SAMPLES`.

    The truth of ``"tissue_rgb"`` is classes (uint8: 0 lumen, 1 cytoplasm, 2 nucleus);
    the other truths are objects (uint16: 0 background, 1, 2, ...; in the movie an
    object keeps its id over time).

    Raises
    ------
    ImageError
        If there is no such sample, or its file was not installed.
    """
    image = sample_path(name)
    return _installed(image.with_name(f"{image.stem}_truth{image.suffix}"))


def read_truth(name: str) -> NDArray[np.integer[Any]]:
    """Return the truth of the sample image `name` as an array; see `truth_path`."""
    import tifffile  # heavy: not at import

    truth: NDArray[np.integer[Any]] = tifffile.imread(truth_path(name))
    return truth


def skimage_samples() -> dict[str, Callable[[], NDArray[np.uint8]]]:
    """Return names and loaders of the real images that scikit-image brings along.

    Nothing is downloaded. A loader returns (Y, X) or, for ``"immunohistochemistry"``
    and ``"retina"``, (Y, X, 3), both uint8. Empty where scikit-image is missing.
    """
    try:
        data = import_module("skimage.data")
    except ImportError:
        return {}
    return {name: getattr(data, function) for name, function in _REAL.items()}


def _installed(path: Path) -> Path:
    if not path.is_file():
        raise ImageError(
            f"The sample file {path.name} is missing from this installation. "
            "Install napari-unet-annotator again."
        )
    return path
