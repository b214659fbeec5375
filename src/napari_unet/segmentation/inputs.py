"""Model input: channels, intensity normalisation and scale of an image for a model."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import ImageError, OptionsError
from napari_unet.io.image import Image
from napari_unet.network.model import Model, UNetSpec
from napari_unet.network.normalization import LUMA, Intensities, Scaling
from napari_unet.options import SegmentOptions
from napari_unet.segmentation.resample import Axis, resample
from napari_unet.tiling import Box, Tile, round_up

__all__ = ["ModelInput", "model_input"]


@dataclass(frozen=True, slots=True)
class ModelInput:
    """An image as one model sees it.

    Attributes
    ----------
    channels
        Which channels of the image are read.
    grey
        Colours are mixed to one grey channel.
    repeat
        How often the one channel is repeated.
    axes
        The plane's Y and X axis, resampled from the image's pixels to the net's.
    notes
        Sentences that tell the user what was done to fit image and model together.
    """

    image: Image
    scaling: Scaling
    channels: tuple[int, ...]
    grey: bool
    repeat: int
    axes: tuple[Axis, Axis]
    notes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a plane as the net sees it."""
        return self.axes[0].target, self.axes[1].target

    @property
    def decoded(self) -> int:
        """How many channels are held, in two copies, to read those that are wanted."""
        if self.image.axes.endswith("C"):  # samples of a pixel lie together
            return 2 * self.image.channels
        return 2 * (max(self.channels) - min(self.channels) + 1)

    @property
    def resampled(self) -> bool:
        """Whether the net's pixels are other than the image's."""
        return any(axis.source != axis.target for axis in self.axes)

    def needs(self, box: Box) -> Box:
        """Return the net's pixels that the image's pixels `box` depend on."""
        if not self.resampled:
            return box
        y, x = (a.back().needs(b) for a, b in zip(self.axes, box, strict=True))
        return y, x

    def halo(self, spec: UNetSpec) -> int:
        """Return how far a window reaches beyond what is wanted, in the net's pixels.

        Results that are interpolated back need neighbours beyond the net's own halo.
        """
        y, x = self.axes
        support = max(y.back().support, x.back().support) if self.resampled else 0
        return spec.halo + round_up(support, spec.stride)

    def intensities(
        self,
        plane: tuple[int, ...] | None = None,
        sample: NDArray[np.generic] | None = None,
    ) -> Intensities:
        """Return the intensities of the whole image, or of one `plane` only.

        Where `image` is a crop, `sample` (C, N) holds raw pixels of the whole, of all
        its channels.
        """
        if sample is None:
            sample = self.image.sample(self.channels, plane=plane)
        else:
            sample = sample[list(self.channels)]
        return self.scaling.measure(self._mix(sample))

    def read(
        self,
        plane: tuple[int, ...],
        box: Box,
        intensities: Intensities,
    ) -> tuple[NDArray[np.float32], bool]:
        """Return a window as the net sees it, and whether every pixel of it was finite.

        Parameters
        ----------
        plane
            Position along the image's other axes.
        box
            (Y, X) slices in the net's pixels.

        Returns
        -------
        window
            (C, Y, X) float32.
        finite
            False if a pixel was NaN or infinite; such pixels count as background.
        """
        y, x = box
        need = (self.axes[0].needs(y), self.axes[1].needs(x)) if self.resampled else box
        raw = self._mix(self.image.read(plane, *need, self.channels))
        finite = raw.dtype.kind != "f" or bool(np.isfinite(raw).all())
        window = intensities.apply(raw)
        if self.resampled:
            matrices = (
                axis.weights(have, wanted)
                for axis, have, wanted in zip(self.axes, need, box, strict=True)
            )
            window = resample(window, *matrices)
        if self.repeat > 1:
            window = np.repeat(window, self.repeat, axis=0)
        return window, finite

    def window(
        self, plane: tuple[int, ...], tile: Tile, intensities: Intensities
    ) -> tuple[NDArray[np.float32], bool]:
        """Return a tile's whole window (C, Y, X), padded for the net; see `read`."""
        window, finite = self.read(plane, tile.read, intensities)
        if any(tile.pad):
            below, right = tile.pad
            window = np.pad(window, ((0, 0), (0, below), (0, right)), mode="reflect")
        return np.ascontiguousarray(window), finite

    def _mix(self, raw: NDArray[np.generic]) -> NDArray[np.generic]:
        if not self.grey:
            return raw
        mixed = np.tensordot(np.asarray(LUMA, np.float32), raw.astype(np.float32), 1)
        return np.asarray(mixed[None])


def model_input(model: Model, image: Image, options: SegmentOptions) -> ModelInput:
    """Decide what `model` sees of `image`.

    Raises
    ------
    ImageError
        If the channels do not fit, or a channel must be chosen.
    OptionsError
        If a diameter is given, but the model does not state its own.
    """
    channels, grey, repeat, notes = _channels(model, image, options)
    notes = (*image.notes, *notes)
    factor = _factor(model, options)
    y, x = (Axis(n, max(1, round(n * factor))) for n in image.plane_shape)
    if factor != 1:
        notes = (*notes, f"The image was scaled by {factor:.4g} for the model.")
    return ModelInput(image, model.scaling, channels, grey, repeat, (y, x), notes)


def _factor(model: Model, options: SegmentOptions) -> float:
    if options.diameter is None:
        return _sane(options.scale or 1.0)
    if model.diameter is None:
        raise OptionsError(
            f"The model {model.name} does not state the diameter that it was trained "
            "for. Give a scale instead of a diameter."
        )
    return _sane(model.diameter / options.diameter)


def _sane(factor: float) -> float:
    if not 0.02 <= factor <= 20:
        raise OptionsError(
            f"The image would be scaled by {factor:.3g} for the model; 0.02 to 20 is "
            "possible. Check the object diameter, or the scale."
        )
    return factor


def _channels(
    model: Model, image: Image, options: SegmentOptions
) -> tuple[tuple[int, ...], bool, int, tuple[str, ...]]:
    """Return the channels to read, whether to mix them, how often to repeat, notes."""
    wanted = model.spec.in_channels
    available = 3 if image.rgb else image.channels
    if options.channel is not None:
        available, image = 1, replace(image, rgb=False)
        chosen: tuple[int, ...] = (image.channel_index(options.channel),)
    else:
        chosen = tuple(range(available))
    if available == wanted:
        return chosen, False, 1, ()
    if image.rgb and wanted == 1:
        return chosen, True, 1, ("The RGB image was turned grey for the model.",)
    if available == 1 and wanted == 3:
        note = "The grey image was repeated for the model's three colour channels."
        return chosen, False, 3, (note,)
    seen = f"{image.title} has axes {image.axes!r} with {available} channels"
    if wanted == 1:
        raise ImageError(
            f"{seen} ({image.channel_list}); the model {model.name} takes 1. Choose a "
            "channel.",
            option="channel",
        )
    raise ImageError(
        f"{seen}; the model {model.name} takes {wanted}. Choose another model."
    )
