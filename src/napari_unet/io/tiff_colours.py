"""Colours of a TIFF: those that can be read, transparency, palettes that are none."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_unet.errors import ImageError
from napari_unet.io.axes import arrange

__all__ = ["check_colours", "colour_map", "without_alpha"]

# What a pixel means, as TIFF counts it: white is zero, black is zero, RGB, palette,
# YCbCr (JPEG); and two that microscopes use for raw grey data.
_PHOTOMETRIC = (0, 1, 2, 3, 6, 32803, 34892)
_ALPHA = (1, 2)  # of samples that are no colours
_RAMP = 0.9  # of a palette, of which the rest marks something


def check_colours(page: tifffile.TiffPage, path: Path) -> None:
    """Ask whether the colours of a page can be shown.

    Raises
    ------
    ImageError
        If they are for printing, or of a kind that is not known here.
    """
    if page.photometric == 5:
        raise ImageError(
            f"{path.name} has CMYK colours, which are for printing. Save it as RGB."
        )
    if (
        page.photometric == 6
        and page.compression not in tifffile.TIFF.IMAGE_COMPRESSIONS
    ):
        raise ImageError(
            f"{path.name} has YCbCr colours without JPEG, which cannot be read here. "
            "Save it as RGB."
        )
    if page.photometric not in _PHOTOMETRIC:
        raise ImageError(
            f"{path.name} has colours of the kind {page.photometric!s}, which "
            "cannot be read here. Save it as RGB."
        )


def without_alpha(
    levels: Sequence[Any], axes: str, page: tifffile.TiffPage
) -> tuple[Sequence[Any], str]:
    """Return grey levels, or numbers of colours, without how transparent they are."""
    extra = tuple(page.extrasamples)
    if page.samplesperpixel != 2 or len(extra) != 1 or extra[0] not in _ALPHA:
        return levels, axes
    at = axes.find("S")
    if at < 0 or levels[0].shape[at] != 2:
        return levels, axes
    order = tuple(i for i in range(len(axes)) if i != at)
    return [arrange(level, order) for level in levels], axes.replace("S", "")


def colour_map(
    tiff: tifffile.TiffFile, page: tifffile.TiffPage
) -> NDArray[np.uint8] | None:
    """Return the colours (N, 3) or greys (N,) of a palette; None if numbers are grey.

    ImageJ saves how a grey image is shown as a colour map: that is no palette.
    """
    if page.photometric != 3 or page.colormap is None or tiff.is_imagej:
        return None
    colours: NDArray[Any] = np.asarray(page.colormap).T
    if colours.max(initial=0) > 255:  # 16 bits a colour, as the standard asks
        colours = colours >> 8
    colours = colours.astype("u1")
    if _marked(colours):
        return None
    greys = _greys(colours)
    if greys is None:
        return colours
    steps = np.diff(greys.astype(int))
    return None if (steps >= 0).all() or (steps <= 0).all() else greys


def _marked(colours: NDArray[np.uint8]) -> bool:
    """Whether colours (N, 3) are a ramp of greys, but for what is darkest or brightest.

    HiLo marks both, programs for cameras what is overexposed.
    """
    at = np.flatnonzero((colours == colours[:, :1]).all(1))
    if len(at) < max(_RAMP * len(colours), 65):
        return False
    inner = _greys(colours[at[0] : at[-1] + 1])
    steps = np.diff([] if inner is None else inner.astype(int))
    return len(steps) > 0 and bool((steps > 0).all() or (steps < 0).all())


def _greys(colours: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return the greys (N,) that colours (N, 3) are; None if one is no grey."""
    grey: NDArray[np.uint8] = colours[:, 0]
    return grey if (colours == grey[:, None]).all() else None
