"""How a job that segments fills a result, from whichever dock it was started."""

from typing import Any

from .outcome import about
from .result import Result
from .segmenting import Outcome, Step

__all__ = ["Filler"]


class Filler:
    """Shows the steps of one run in one result, which is locked while tiles arrive.

    Attributes
    ----------
    step
        The latest one; None before the first, and after an outcome.
    """

    def __init__(self, viewer: Any, result: Result, *, later: bool = False) -> None:
        """Take the result; lock it at once, or `later`, when the first step comes."""
        self._viewer, self.result = viewer, result
        self.step: Step | None = None
        result.taken = True
        if not later:
            self._lock()

    def take(self, step: Step) -> None:
        """Take a step; `refresh` shows it. Before anything is done there is nothing."""
        if not step.progress:
            return
        self.step = step
        self.result.show(self._viewer, step.array)
        self._lock()
        if step.key is not None:
            self.result.add(step.key)

    def refresh(self) -> None:
        """Show what was taken since the last time."""
        self.result.refresh()

    def finish(self, outcome: Outcome) -> None:
        """Show the whole result of the run, and let the user paint again."""
        self.result.complete(about(outcome), outcome)
        self.step = None
        self._unlock()

    def stop(self) -> None:
        """Show what there is of a run that did not come to its end."""
        if self.step is not None:
            self.result.stopped(self.step.last_id)

    def release(self) -> None:
        """Let go of the result, however the run ended."""
        self.result.taken = False
        if self.result.busy:
            self._unlock()

    def _lock(self) -> None:
        self.result.busy = True
        self.result.lock(True)  # strokes would be painted over

    def _unlock(self) -> None:
        self.result.forget_strokes()  # undoing them would bring old labels back
        self.result.busy = False
        self.result.lock(False)
