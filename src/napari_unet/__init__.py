"""U-Net annotation for napari: segment, correct, improve.

Scripts say ``import napari_unet as nu``; `docs/guide.md` and `examples` show how. What
is named here is loaded when it is first used: importing this package loads neither
numpy nor torch nor Qt nor napari.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_unet._api.batch import batch, batch_iter
    from napari_unet._api.images import load_model, open_image
    from napari_unet._api.results import Progress, Segmentation
    from napari_unet._api.segment import measure, segment, segment_iter
    from napari_unet._api.strokes import write_strokes
    from napari_unet._api.train import train, train_iter
    from napari_unet.errors import UNetError
    from napari_unet.options import BatchOptions, SegmentOptions, TrainOptions
    from napari_unet.project.project import Project
    from napari_unet.sample_data import sample_path

try:
    __version__ = version("napari-unet-annotator")
except PackageNotFoundError:  # a source tree on sys.path that was never installed
    __version__ = "0+unknown"

__all__ = [
    "BatchOptions",
    "Progress",
    "Project",
    "SegmentOptions",
    "Segmentation",
    "TrainOptions",
    "UNetError",
    "__version__",
    "batch",
    "batch_iter",
    "load_model",
    "measure",
    "open_image",
    "sample_path",
    "segment",
    "segment_iter",
    "train",
    "train_iter",
    "write_strokes",
]

_HOMES = {
    "_api.batch": ("batch_iter",),
    "_api.images": ("load_model", "open_image"),
    "_api.results": ("Progress", "Segmentation"),
    "_api.segment": ("measure", "segment", "segment_iter"),
    "_api.strokes": ("write_strokes",),
    "_api.train": ("train", "train_iter"),
    "errors": ("UNetError",),
    "options": ("BatchOptions", "SegmentOptions", "TrainOptions"),
    "project.project": ("Project",),
    "sample_data": ("sample_path",),
}


def __getattr__(name: str) -> Any:
    if name == "batch":  # the package of this name, which can be called
        return import_module("napari_unet.batch")
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"napari_unet.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
