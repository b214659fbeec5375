"""Error classes: one family under UNetError, whose messages are sentences for users.

They name no flag, no dock and no button. What would help is an option, by its name in
the code; each front end has a table of what it calls that, and says so by `hinted`.
"""

from collections.abc import Iterable, Mapping

__all__ = [
    "ComputeError",
    "CorrectionError",
    "ImageError",
    "MemoryBudgetError",
    "ModelError",
    "OptionsError",
    "OutputError",
    "StoppedError",
    "UNetError",
    "hinted",
    "sentence",
]


class UNetError(Exception):
    """Base of every error that napari-unet raises on purpose; its text is for users.

    Parameters
    ----------
    message
        Whole sentences, true for every front end.
    option
        What would help, such as ``"memory"``, or several: keywords of the Python API,
        or what only a viewer has, such as ``"save"``.

    Attributes
    ----------
    options
        The same, as a tuple.
    """

    def __init__(self, message: str, *, option: str | tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.options = (option,) if isinstance(option, str) else option


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


class ComputeError(UNetError):
    """The process that computes cannot be started, or has ended too soon."""


class MemoryBudgetError(OptionsError):
    """The memory that is allowed is too small for one tile."""


class StoppedError(UNetError):
    """Somebody pressed Ctrl-C; what is finished is kept."""


def hinted(text: str, options: Iterable[str], names: Mapping[str, str]) -> str:
    """Return a text that says in parentheses what the options are called here.

    >>> hinted("Allow more memory.", ["memory"], {"memory": "--memory"})
    'Allow more memory (--memory).'
    >>> hinted("Allow more memory.", ["memory"], {})
    'Allow more memory.'
    """
    found = [names[option] for option in options if option in names]
    return f"{text.removesuffix('.')} ({', '.join(found)})." if found else text


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
