"""Public `open_image` and `load_model`, which take files, arrays or names."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet._api.settings import naming
from napari_unet.errors import ImageError, OptionsError
from napari_unet.io.axes import ArrayLike, arrange, check_axes, order_axes, unit_word
from napari_unet.io.image import Image
from napari_unet.io.open import open_image as open_file

if TYPE_CHECKING:
    from napari_unet.network.model import Model

__all__ = ["ImageSource", "load_model", "model_name", "open_image"]

ImageSource = Image | ArrayLike | str | os.PathLike[str]
_COLOURS = (3, 4)  # RGB, RGBA


def open_image(
    source: ImageSource,
    axes: str | None = None,
    *,
    scale: Sequence[float] | None = None,
    units: str | Sequence[str] | None = None,
    channel_names: Sequence[str] = (),
) -> Image:
    """Return an image from a file, lazily read, or from an array.

    Parameters
    ----------
    source
        A file (TIFF, PNG, JPEG, BMP), the folder of an OME-Zarr, or an array of real
        numbers (numpy, zarr, dask). Without `axes` an array of two axes is a plane (Y,
        X), and one of three whose last has length 3 or 4 is RGB (Y, X, S).
    axes
        One letter of ``TCZYX`` (or S, colour samples) for each axis, where the source
        does not say or is wrong, such as ``"ZYX"`` for a stack.
    scale
        Size of a pixel along each axis but C, in `units` and in the order of `axes`, or
        one for all; None takes what the file says, or 1.
    units
        One word such as ``"micrometer"`` for each of these axes, or one for all.
    channel_names
        One for each channel.

    Raises
    ------
    ImageError
        If there is no image, it is damaged, or its axes cannot be told.
    OptionsError
        If `scale` or `units` do not fit the axes.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_unet as nu
    >>> image = nu.open_image(nu.sample_path("nuclei"))
    >>> image.name, image.axes, image.shape
    ('nuclei', 'YX', (512, 512))
    >>> stack = nu.open_image(np.zeros((5, 64, 64)), "ZYX", scale=(1, 0.2, 0.2))
    >>> stack.axes, stack.scale
    ('ZYX', (1.0, 0.2, 0.2))
    """
    with naming(open_image):
        image = _opened(source, axes)
    named = image.label_axes if axes is None else _lettered(axes)
    if scale is not None:
        steps = dict(zip(named, _each(scale, named, image, "scale"), strict=True))
        found = tuple(float(steps.get(a, 1.0)) for a in image.axes)
        image = replace(image, scale=found)
    if units is not None:
        words = dict(zip(named, _each(units, named, image, "units"), strict=True))
        found_units = tuple(unit_word(words.get(a, "pixel")) for a in image.axes)
        image = replace(image, units=found_units)
    if channel_names:
        image = replace(image, channel_names=tuple(channel_names))
    return image


def _opened(source: ImageSource, axes: str | None) -> Image:
    if isinstance(source, Image):
        if axes is not None and axes.upper() != source.axes:
            raise OptionsError(
                f"{source.title} is open already, with the axes {source.axes}; they "
                f"cannot be {axes!r} now. Name them when you open it."
            )
        return source
    if isinstance(source, str | os.PathLike):
        return open_file(Path(source).expanduser(), axes)
    return _of_array(source, axes)


def _of_array(array: Any, axes: str | None) -> Image:
    """Return the image of an array, Y and X last."""
    data = array if hasattr(array, "dtype") else np.asarray(array)
    shape = tuple(data.shape)
    colours = len(shape) == 3 and shape[-1] in _COLOURS
    if axes is not None:
        letters = check_axes(axes, shape, "The array")
    elif len(shape) == 2 or colours:
        letters = "YXS" if colours else "YX"
    else:
        raise ImageError(
            f"The array has shape {shape}: what its axes are cannot be told. Name them "
            "with axes, as in axes='ZYX'."
        )
    rgb = "S" in letters and shape[letters.index("S")] in _COLOURS
    order = order_axes(letters)
    letters = letters.replace("S", "C")
    ordered = "".join(letters[i] for i in order)
    return Image("image", arrange(data, order), ordered, rgb=rgb)


def _lettered(axes: str) -> str:
    """Return the axes that have a scale, in the order in which they were named."""
    return "".join(letter for letter in axes.strip().upper() if letter not in "CS")


def _each(values: Any, axes: str, image: Image, what: str) -> Sequence[Any]:
    if isinstance(values, str | float | int):
        return [values] * len(axes)
    if len(values) != len(axes):
        raise OptionsError(
            f"{what} has {len(values)} entries; {image.title} has the axes {axes}. "
            "Give one for each."
        )
    return tuple(values)


def load_model(source: "Model | str | os.PathLike[str]") -> "Model":
    """Return a model: one that is shipped, by its name, or one in a file.

    Parameters
    ----------
    source
        ``"nuclei"``, a ``.safetensors`` file, or a model, which is returned. Nothing in
        a file is executed.

    Raises
    ------
    ModelError
        If there is no such model, or the file is damaged or not ours.

    Examples
    --------
    >>> import napari_unet as nu
    >>> model = nu.load_model("nuclei")
    >>> model.spec.classes
    ('background', 'interior', 'boundary')
    """
    from napari_unet.network.model import Model, load

    return source if isinstance(source, Model) else load(model_name(source))


def model_name(source: str | os.PathLike[str]) -> str:
    """Return the name or the file of a model, with the home folder written out."""
    return str(Path(source).expanduser())
