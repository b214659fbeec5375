"""Planning and running a batch for the dock, in the thread.

No Qt, no layers: a `BatchRequest` goes in, plans, progress and reports come out. What
they say in words of the command line is said in those of the dock.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet._steps import Verb
from napari_unet.errors import UNetError
from napari_unet.events import BatchReport, StackProgress, StackReport
from napari_unet.options import BatchOptions

if TYPE_CHECKING:
    from napari_unet.batch.files import FilePlan

__all__ = ["BatchRequest", "batching", "looking"]

_FIELDS = {  # longer words before those that are a part of them
    "--memory, or 'Memory' in the dock": "'Memory'",
    "--channel, or 'Channel' in the dock": "'Channel' in Advanced",
    "--memory": "'Memory'",
    "--overwrite": "'replace results that are there' in Advanced",
    "--output objects": "objects in 'Labels'",
    "--channel": "'Channel' in Advanced",
    "--axes": "'Axes' in Advanced",
    "--workers and --scheduler need": "'Workers' needs",
    "the same command goes": "Start goes",
}


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """Which files are to be segmented, and how.

    Attributes
    ----------
    folder
        Takes the results.
    model
        Name of a shipped model, or the path of a file.
    """

    inputs: tuple[Path, ...]
    folder: Path
    options: BatchOptions
    model: str


def looking(request: BatchRequest) -> Generator["FilePlan", None, None]:
    """Find out what every file will take; nothing is written."""
    from napari_unet.batch.files import plan_files

    with _translated():
        for plan in plan_files(
            request.inputs, request.folder, request.options, model=request.model
        ):
            yield replace(plan, reason=_here(plan.reason))


def batching(
    request: BatchRequest,
) -> Generator[StackProgress | StackReport, None, BatchReport]:
    """Segment all files, one after the other."""
    from napari_unet.batch.files import segment_files
    from napari_unet.network.threads import spare_cores

    spare_cores()  # the viewer needs one too
    job = segment_files(
        request.inputs, request.folder, request.options, model=request.model
    )
    with _translated():
        for event in (verb := Verb(job)):
            if isinstance(event, StackReport):
                event = replace(event, reason=_here(event.reason))
            yield event
    return verb.result


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except UNetError as error:
        raise type(error)(_here(str(error))) from error


def _here(sentence: str) -> str:
    """Return a sentence with the dock's fields in the place of options."""
    for option, name in _FIELDS.items():
        sentence = sentence.replace(option, name)
    return sentence
