"""Text of the result line, and metadata of the result layer."""

from typing import Any

from napari_unet.annotation.resegment import Outcome, Step

__all__ = ["about", "cancelled_line", "counted", "result_line"]

_NOTED = 0.5  # seconds of starting PyTorch that the line tells of


def result_line(outcome: Outcome, waited: float, process: float = 0.0) -> str:
    """Return the line that tells what came out, how long it took, and where.

    Parameters
    ----------
    waited
        Seconds since the click.
    process
        Those of them in which the compute process has started.
    """
    result = outcome.result
    if result.objects is None:
        named = (f"{i} {name}" for i, name in enumerate(outcome.classes) if i)
        what = "Classes: " + ", ".join(named)
    else:
        what = counted(f"{result.objects}", outcome.planes, linked=outcome.linked)
    took = _seconds(waited)
    starting = max(outcome.starting, process)
    if starting >= _NOTED:
        took += f", {_seconds(starting)} of it starting PyTorch"
    lines = [f"{what} · {took} · {result.reason}", *result.notes]
    return "\n".join(lines)


def counted(number: str, planes: int, *, linked: bool) -> str:
    """Return how many objects there are in so many planes.

    Objects that are not `linked` through planes count in each of them.

    >>> counted("32", 51, linked=True), counted("211", 51, linked=False)
    ('32 objects in 51 planes', '211 objects, counted per plane')
    """
    objects = f"{number} object{'' if number == '1' else 's'}"
    if planes == 1:
        return objects
    return objects + (f" in {planes} planes" if linked else ", counted per plane")


def cancelled_line(step: Step | None) -> str:
    """Return the line that tells what a cancelled run leaves."""
    if step is None or not step.progress:
        return "Cancelled."
    return f"Cancelled: {100 * step.progress:.0f} % is done; its labels are kept."


def about(outcome: Outcome) -> dict[str, Any]:
    """Return what the layer's metadata say about the run."""
    result = outcome.result
    return {
        "complete": True,
        "model": result.model,
        "output": result.output,
        "objects": result.objects,
        "classes": outcome.classes,
        "boundary": outcome.boundary,
        "seconds": result.seconds,
        "device": result.device,
        "reason": result.reason,
        "notes": result.notes,
    }


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} min"
