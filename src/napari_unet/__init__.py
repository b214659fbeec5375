"""U-Net annotation for napari: segment, correct, improve.

Importing this package loads neither torch nor Qt nor napari.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("napari-unet-annotator")
except PackageNotFoundError:  # a source tree on sys.path that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
