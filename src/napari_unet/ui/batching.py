"""What the thread does for the dock U-Net: Batch; torch is loaded there, not before.

No Qt, no layers: a `BatchRequest` goes in, plans, progress and reports come out.
"""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.events import BatchReport, StackProgress, StackReport
from napari_unet.options import BatchOptions

if TYPE_CHECKING:
    from napari_unet.batchfolder import FilePlan

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
    from napari_unet.batchfolder import plan_files

    yield from plan_files(
        request.inputs, request.folder, request.options, model=request.model
    )


def batching(
    request: BatchRequest,
) -> Generator[StackProgress | StackReport, None, BatchReport]:
    """Segment all files, one after the other."""
    from napari_unet.batchfolder import segment_files
    from napari_unet.threads import spare_cores

    spare_cores()  # the viewer needs one too
    return (
        yield from segment_files(
            request.inputs, request.folder, request.options, model=request.model
        )
    )
