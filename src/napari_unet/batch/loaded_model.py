"""A model loaded and prepared once for all files of a batch."""

from napari_unet.network.model import load
from napari_unet.network.predictor import Predictor, engine
from napari_unet.options import Precision

__all__ = ["LoadedModel"]


class LoadedModel:
    """A model from a name or a file, loaded once.

    Attributes
    ----------
    path
        What it was loaded from: other processes load it from there, too.
    model
        The model.
    checksum
        Of its weights.

    Raises
    ------
    ModelError
        If there is no such model, or it is damaged.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.model = load(path)
        self.checksum = self.model.checksum()
        self._engines: dict[tuple[str, Precision], Predictor] = {}

    def engine(self, device: str, precision: Precision) -> Predictor:
        """Return the net prepared for a device, the same one every time."""
        key = device, precision
        if key not in self._engines:
            self._engines[key] = engine(self.model, device, precision)
        return self._engines[key]
