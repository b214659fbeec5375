"""Session: state of one viewer shared by its docks: jobs, results, models."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from napari_unet.annotation.reviews import ImageReviews
from napari_unet.compute.call import Call, Kept, emptying
from napari_unet.compute.process import ComputeProcess, chosen
from napari_unet.project.project import Project
from napari_unet.ui.choosers import ModelChooser
from napari_unet.ui.job import Job
from napari_unet.ui.result_layer import Result

__all__ = ["WARM", "Session", "session_of"]

# What the first click needs of modules; the compute process has them by then.
WARM = (
    "napari_unet.annotation.resegment",
    "napari_unet.annotation.around",
    "napari_unet.annotation.calls",
    "napari_unet.annotation.start",
    "napari_unet.annotation.improve",
    "napari_unet.annotation.keep_learning",
    "napari_unet.segmentation.predict",
    "napari_unet.labels.measures",
)


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
        Loaded models by where they came from; the compute process has its own.
    lessons, sights
        Lessons that can go on, and views that Live has read, by name; the compute
        process has its own.
    process
        The compute process; None where everything runs in threads.
    projects
        Those that somebody has open, by their folders: two of one folder would
        overwrite each other.
    reviews
        Those of its images that somebody has open, by folder and key.
    on_start, on_end
        Called when a job has begun, and when it has ended.
    choosers
        Lists of models that are kept up to date.
    in_use
        The model that was used last; empty before.
    copies
        Files of models that were saved, and may be chosen.
    folders, keys
        By image layer: the folder of its project, and how that calls the image.
    recent
        The project that was painted in last; None before.
    undecided
        Image layers that nobody has chosen a project for.
    fixed
        Names and files of models whose results are kept: no better one takes their
        place.
    names
        What image layers that are in no file were called at first.
    begun
        Image layers whose project holds nothing from an earlier session that is not
        shown.
    emptying
        Jobs that let go of something; nothing waits for them.
    recording
        What listens to strokes on results; see `recording.recording_of`.
    docks
        Those that are open, one of each kind.
    """

    jobs: list[Job] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    models: dict[Any, Any] = field(default_factory=lambda: Kept("models"))
    lessons: Kept = field(default_factory=lambda: Kept("lessons"))
    sights: Kept = field(default_factory=lambda: Kept("sights"))
    process: ComputeProcess | None = field(default_factory=lambda: chosen(WARM))
    projects: WeakValueDictionary[Path, Project] = field(
        default_factory=WeakValueDictionary
    )
    reviews: WeakValueDictionary[tuple[Path, str], ImageReviews] = field(
        default_factory=WeakValueDictionary
    )
    on_start: list[Callable[[], None]] = field(default_factory=list)
    on_end: list[Callable[[], None]] = field(default_factory=list)
    choosers: list[ModelChooser] = field(default_factory=list)
    in_use: str = ""
    copies: list[str] = field(default_factory=list)
    folders: WeakKeyDictionary[Any, Path] = field(default_factory=WeakKeyDictionary)
    keys: WeakKeyDictionary[Any, str] = field(default_factory=WeakKeyDictionary)
    recent: Path | None = None
    undecided: WeakSet[Any] = field(default_factory=WeakSet)
    fixed: set[str] = field(default_factory=set)
    names: WeakKeyDictionary[Any, str] = field(default_factory=WeakKeyDictionary)
    begun: WeakSet[Any] = field(default_factory=WeakSet)
    emptying: set[Job] = field(default_factory=set)
    recording: Any = None
    docks: dict[type, Any] = field(default_factory=dict)

    def open_dock(self, kind: type, dock: Any) -> None:
        """Remember a dock; the first click in it finds the compute process warm."""
        self.docks[kind] = dock
        if self.process is not None:
            self.process.start()

    def close_dock(self, kind: type) -> None:
        """Forget a dock that is gone; with the last one the compute process ends."""
        self.docks.pop(kind, None)
        if self.process is not None and not self.docks:
            self.process.stop()

    def waited(self, since: float) -> float:
        """Return for how many seconds after `since` the compute process has started."""
        return 0.0 if self.process is None else self.process.waited(since)

    def start(self, job: Job) -> None:
        """Start `job` and remember it until it ends."""
        self.jobs.append(job)
        job.ended.connect(lambda: self._end(job))
        job.start()
        for told in tuple(self.on_start):
            told()

    def empty(self, kept: Kept) -> None:
        """Let go of all that a cache holds, in the compute process, too."""
        kept.clear()
        process = self.process
        if process is not None and process.state.kind != "stopped":
            job = Job(Call(emptying, kept, quiet=True), None, None, process)
            self.emptying.add(job)
            job.ended.connect(lambda: self.emptying.discard(job))
            job.start()

    def forget(self, job: Job) -> None:
        """Remember a job no longer whose dock is gone: it cannot tell that it ends."""
        if job in self.jobs:
            self._end(job)

    def open_project(self, folder: Path) -> Project:
        """Return the project of a folder; the same one while somebody has it.

        Raises
        ------
        CorrectionError
            If it cannot be one, may not be read, or a newer version wrote it.
        """
        project = self.projects.get(folder)
        if project is None:
            project = self.projects[folder] = Project.open(folder)
        return project

    def reviews_of(self, project: Project, key: str) -> ImageReviews:
        """Return what was reviewed of an image; the same while somebody has it."""
        place = project.folder, key
        found = self.reviews.get(place)
        if found is None or found.project is not project:
            found = self.reviews[place] = ImageReviews(project, key)
        return found

    def keep_up(self, chooser: ModelChooser) -> None:
        """Keep a list of models up to date, with what was made before it, too."""
        for path in self.copies:
            chooser.offer(path)
        if self.in_use:
            chooser.add(self.in_use)
        self.choosers.append(chooser)

    def announce(self, model: str) -> None:
        """Tell all docks of a model that is in use now."""
        self.in_use = model
        for chooser in self.choosers:
            chooser.add(model)

    def offer(self, model: str) -> None:
        """Tell all docks of a model file; the one in use stays."""
        self.copies.append(model)
        for chooser in self.choosers:
            chooser.offer(model)

    def shown(self) -> list[Result]:
        """Return the results of which the layer is in the viewer."""
        return [result for result in self.results if result.shown]

    def new_result(self, source: Any, model: str) -> Result:
        """Return a result that no other run goes into."""
        self._forget_closed()  # of a TIFF they hold all of it
        result = Result(source, model)
        self.results.append(result)
        return result

    def result_for(
        self, source: Any, model: str, output: str | None, *, only: bool
    ) -> Result:
        """Return the result of `model` on the layer `source`; a new one if need be.

        One that the user painted on, or removed, is left alone; and, if `only` a part
        is filled or strokes on it are kept, one that holds another kind of output.
        """
        self._forget_closed()
        for result in self.results:
            same = result.source() is source and result.model == model and result.usable
            kept = only or result.reviews is not None
            if same and (not kept or result.output in (None, output)):
                return result
        return self.new_result(source, model)

    def _forget_closed(self) -> None:
        kept = (r for r in self.results if r.shown or r.layer is None or r.unsaved)
        self.results = list(kept)

    def tell(self) -> None:
        """Tell all docks to look again at what there is."""
        for told in tuple(self.on_end):
            told()

    def _end(self, job: Job) -> None:
        self.jobs.remove(job)
        self.tell()


_sessions: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()


def session_of(viewer: Any) -> Session:
    """Return the session of `viewer`; it lives as long as the viewer."""
    return _sessions.setdefault(viewer, Session())
