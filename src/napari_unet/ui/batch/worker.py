"""Planning and running a batch for the dock, in the thread.

No Qt, no layers: a `BatchRequest` goes in, plans, progress and reports come out, whose
reasons say what would help as the dock calls it.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet._steps import Steps
from napari_unet.errors import hinted
from napari_unet.events import BatchReport, StackProgress, StackReport
from napari_unet.options import BatchOptions
from napari_unet.ui.hints import BATCH

if TYPE_CHECKING:
    from napari_unet.batch.files import FilePlan

__all__ = ["BatchRequest", "batching", "looking"]


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

    for plan in plan_files(
        request.inputs, request.folder, request.options, model=request.model
    ):
        yield replace(plan, reason=hinted(plan.reason, plan.options, BATCH))


def batching(
    request: BatchRequest, settle: Callable[[], None]
) -> Generator[StackProgress | StackReport, None, BatchReport]:
    """Segment all files, one after the other.

    Parameters
    ----------
    settle
        Returns once the files in the folder have what was painted on them.
    """
    from napari_unet.batch.files import segment_files
    from napari_unet.network.threads import spare_cores

    settle()
    spare_cores()  # the viewer needs one too
    job = segment_files(
        request.inputs, request.folder, request.options, model=request.model
    )
    for event in (run := Steps(job)):
        if isinstance(event, StackReport):
            reason = hinted(event.reason, event.options, BATCH)
            event = replace(event, reason=reason)
        yield event
    return run.result
