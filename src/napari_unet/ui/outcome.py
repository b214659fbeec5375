"""Text of the result line, and metadata of the result layer."""

from typing import Any

from napari_unet.annotation.resegment import Outcome, Step

__all__ = ["about", "cancelled_line", "result_line"]


def result_line(outcome: Outcome, waited: float) -> str:
    """Return the line that tells what came out, how long it took, and where.

    Parameters
    ----------
    waited
        Seconds since the click.
    """
    result = outcome.result
    if result.objects is None:
        named = (f"{i} {name}" for i, name in enumerate(outcome.classes) if i)
        what = "Classes: " + ", ".join(named)
    else:
        what = f"{result.objects} object{'' if result.objects == 1 else 's'}"
        if outcome.planes > 1:
            through = f" in {outcome.planes} planes"
            what += through if outcome.linked else ", counted per plane"
    lines = [f"{what} · {_seconds(waited)} · {result.reason}", *result.notes]
    return "\n".join(lines)


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
