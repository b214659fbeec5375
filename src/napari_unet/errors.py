"""Error classes: one family under UNetError, whose messages are sentences for users."""

__all__ = [
    "CorrectionError",
    "ImageError",
    "MemoryBudgetError",
    "ModelError",
    "OptionsError",
    "OutputError",
    "StoppedError",
    "UNetError",
    "sentence",
]


class UNetError(Exception):
    """Base of every error that napari-unet raises on purpose; its text is for users."""


class ImageError(UNetError):
    """An image cannot be opened, read, or does not fit the model."""


class ModelError(UNetError):
    """A model file is missing, damaged, not ours, or describes no possible net."""


class CorrectionError(UNetError):
    """Corrections do not fit their image or the model, or there are too few."""


class OptionsError(UNetError):
    """An option has a value that cannot work, such as a device that does not exist."""


class OutputError(UNetError):
    """A result cannot be written where it was asked for."""


class MemoryBudgetError(OptionsError):
    """The memory that is allowed is too small for one tile."""


class StoppedError(UNetError):
    """Somebody pressed Ctrl-C; what is finished is kept."""


def sentence(error: Exception) -> str:
    """Return an error in words: ours as it is, one of the system with its file.

    Of anything else, a defect, as it can be reported.
    """
    if isinstance(error, UNetError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.filename:
        return (
            f"'{error.filename}' cannot be used ({error.strerror or error}). Check the "
            "name, and whether you may read and write there."
        )
    return f"Something unexpected went wrong ({type(error).__name__}: {error})."
