"""Public `batch` and `batch_iter`: many files, or large stacks, into a folder."""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Unpack

from napari_unet._api.images import model_name
from napari_unet._api.results import Progress, ProgressCall, drive
from napari_unet._api.settings import BatchSettings, batch_options, named
from napari_unet._steps import Steps
from napari_unet.events import BatchReport, StackReport
from napari_unet.options import DEFAULT_MODEL, BatchOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_unet.network.model import Model

__all__ = ["batch", "batch_iter"]

_Path = str | os.PathLike[str]


def batch(
    inputs: _Path | Sequence[_Path],
    out_folder: _Path,
    options: BatchOptions | None = None,
    *,
    model: "Model | _Path" = DEFAULT_MODEL,
    progress: ProgressCall | None = None,
    **settings: Unpack[BatchSettings],
) -> BatchReport:
    """Segment files, folders and globs into a folder, in bounded memory.

    Interrupted in any way, the same call goes on from what is finished. A file that
    cannot be done stops no other; the report says why. With `workers` a script needs
    the guard ``if __name__ == "__main__":``, as for `multiprocessing`.

    Parameters
    ----------
    inputs
        Files, folders of images, patterns such as ``"data/*.tif"``; one or several.
    out_folder
        Where the labels go, with ``report.csv`` and ``report.json``.
    options, settings
        How: either options, or the fields of `BatchOptions` and `SegmentOptions` as
        keywords, such as ``measure=True, diameter=30``.
    model
        A model, or the name or file of one. Workers on other machines need a name, or a
        file that is there too.
    progress
        Called with a `Progress` whenever something is finished and on the disk. What it
        raises cancels; what is finished is kept.

    Returns
    -------
    report
        ``files``, a `StackReport` each; ``count("failed")``; ``seconds``, ``notes``.

    Raises
    ------
    OptionsError
        If there is nothing to do, or a value cannot work.
    ModelError
        If there is no such model.
    OutputError
        If nothing can be written to the folder.

    Examples
    --------
    >>> import napari_unet as nu
    >>> report = nu.batch(nu.sample_path("nuclei"), "results", measure=True)
    >>> [(file.target.name, file.state) for file in report.files]
    [('nuclei.ome.zarr', 'done')]
    """
    run = batch_iter(inputs, out_folder, options, model=model, **settings)
    return drive(run, progress)


def batch_iter(
    inputs: _Path | Sequence[_Path],
    out_folder: _Path,
    options: BatchOptions | None = None,
    *,
    model: "Model | _Path" = DEFAULT_MODEL,
    **settings: Unpack[BatchSettings],
) -> Steps[Progress, BatchReport]:
    """Segment files in a loop; leaving the loop keeps what is finished.

    Takes what `batch` takes. The report is in the attribute ``result`` at the end. The
    ``event`` of a step is a `StackReport` when a file ends.
    """
    how = batch_options(options, settings)
    return Steps(named(batch_iter, _batching(inputs, out_folder, how, model)))


def _batching(
    inputs: _Path | Sequence[_Path],
    folder: _Path,
    options: BatchOptions,
    model: "Model | _Path",
) -> Generator[Progress, None, BatchReport]:
    from napari_unet.batch.files import segment_files
    from napari_unet.batch.inputs import find_inputs

    words = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    total, ended = len(find_inputs(words)), 0
    with _file(model) as name:
        job = segment_files(words, folder, options, model=name)
        for event in (run := Steps(job)):
            if isinstance(event, StackReport):
                ended += 1
                yield Progress(event.state, ended / total, event)
            else:
                share = event.done / max(event.total, 1)
                yield Progress(event.phase, (ended + share) / total, event)
    return run.result


@contextmanager
def _file(model: "Model | _Path") -> "Iterator[str]":
    """Yield name or file of a model; one that is in memory alone is saved meanwhile."""
    if isinstance(model, str | os.PathLike):
        yield model_name(model)
        return
    from napari_unet.network.model import save

    with TemporaryDirectory(prefix="napari-unet-") as folder:
        file = Path(folder) / f"{Path(model.name).name or 'model'}.safetensors"
        save(model, file)
        yield str(file)
