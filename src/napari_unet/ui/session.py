"""What belongs to one viewer rather than to one dock: its jobs, results and models."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from .job import Job
from .result import Result

__all__ = ["Session", "session_of"]


@dataclass(slots=True)
class Session:
    """The state of one viewer, shared by its docks.

    Attributes
    ----------
    jobs
        Those that run.
    results
        The layers that models of this session filled.
    models
        Loaded models by where they came from.
    on_end
        Called when a job has ended.
    on_model
        Called with the file of a model that is new, or in use again.
    """

    jobs: list[Job] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    models: dict[Any, Any] = field(default_factory=dict)
    on_end: list[Callable[[], None]] = field(default_factory=list)
    on_model: list[Callable[[str], None]] = field(default_factory=list)

    def start(self, job: Job) -> None:
        """Start `job` and remember it until it ends."""
        self.jobs.append(job)
        job.ended.connect(lambda: self._end(job))
        job.start()

    def announce(self, model: str) -> None:
        """Tell all docks of a model file."""
        for told in tuple(self.on_model):
            told(model)

    def new_result(self, source: Any, model: str) -> Result:
        """Return a result that no other run goes into."""
        result = Result(source, model)
        self.results.append(result)
        return result

    def result_for(self, source: Any, model: str, output: str | None = None) -> Result:
        """Return the result of `model` on the layer `source`; a new one if need be.

        One that the user painted on, or removed, is left alone; and with `output`, one
        that holds another kind of output.
        """
        self.results = [result for result in self.results if result.usable]
        for result in self.results:
            same = result.source() is source and result.model == model
            if same and (output is None or result.output in (None, output)):
                return result
        return self.new_result(source, model)

    def _end(self, job: Job) -> None:
        self.jobs.remove(job)
        for told in tuple(self.on_end):
            told()


_sessions: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()


def session_of(viewer: Any) -> Session:
    """Return the session of `viewer`; it lives as long as the viewer."""
    return _sessions.setdefault(viewer, Session())
