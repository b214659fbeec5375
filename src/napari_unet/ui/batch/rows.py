"""Rows of a batch: files, their states and the time left; no Qt."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_unet.batch.inputs import find_inputs
from napari_unet.errors import OptionsError
from napari_unet.events import Phase, StackProgress, StackReport
from napari_unet.ui.batch.worker import BatchRequest

if TYPE_CHECKING:
    from napari_unet.batch.files import FilePlan

__all__ = ["BatchRow", "BatchRows", "State"]

State = Literal["ready", "refused", "running", "stopped", "done", "skipped", "failed"]

_TILES = 0.9  # share of the time that tiles take where anything comes after them
_AFTER: tuple[Phase, ...] = ("linking", "measuring", "writing")


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One file.

    Attributes
    ----------
    state
        ``"refused"``: it cannot be done as it is; ``"stopped"``: it is begun, and goes
        on with the next start.
    doing
        What is done to it now; empty between files.
    fraction
        How much of it is done, 0 to 1.
    reason
        A sentence about a state that is not good.
    objects, seconds
        What came out, and how long it took; None if that is not known.
    tiles, memory, disk
        What it takes, in tiles and bytes; 0 before it was looked at.
    target, run
        Its result, once there is one, and what made it.
    """

    source: Path
    state: State = "ready"
    doing: str = ""
    fraction: float = 0.0
    reason: str = ""
    objects: int | None = None
    seconds: float | None = None
    tiles: int = 0
    memory: int = 0
    disk: int = 0
    target: Path | None = None
    run: BatchRequest | None = None

    @property
    def ended(self) -> bool:
        """Whether the run is over with it."""
        return self.state in ("done", "skipped", "failed")


@dataclass(slots=True)
class _Pace:
    """How fast the work goes on: what was done in this run, since its first event."""

    began: float | None = None  # seconds into the run
    now: float = 0.0
    gained: float = 0.0  # in tiles

    def note(self, seconds: float, tiles: float) -> None:
        if self.began is None:  # loading took until here
            self.began, tiles = seconds, 0.0
        self.now = seconds
        self.gained += tiles

    def needs(self, tiles: float) -> float | None:
        """Return the seconds that so many tiles will take; None if nobody knows."""
        if self.began is None or not self.gained:
            return None
        return (self.now - self.began) / self.gained * tiles


@dataclass(slots=True)
class BatchRows:
    """All files of the dock, in their order.

    Attributes
    ----------
    rows
        One for each file.
    """

    rows: list[BatchRow] = field(default_factory=list)
    _places: dict[Path, int] = field(default_factory=dict)
    _running: list[int] = field(default_factory=list)  # rows, in the order of the run
    _at: int = 0  # in `_running`
    _fresh: bool = True  # the file has no event of this run yet
    _began: float = 0.0
    _pace: _Pace = field(default_factory=_Pace)
    _after: int = 0  # phases that come after the tiles
    _run: BatchRequest | None = None

    def add(self, words: Sequence[Path]) -> int:
        """Add files and those in folders, each once; return how many are new.

        Raises
        ------
        OptionsError
            If there is no image among them.
        """
        found = find_inputs([word.absolute() for word in words])
        new = [path for path in found if path not in self._places]
        self._set([*self.rows, *map(BatchRow, new)])
        return len(new)

    def remove(self, numbers: Iterable[int]) -> None:
        """Take rows away; files are not touched."""
        gone = set(numbers)
        self._set([row for i, row in enumerate(self.rows) if i not in gone])

    def plan(self, plan: "FilePlan") -> int | None:
        """Note what a file will take; return its row, None if it has none any more."""
        number = self._places.get(plan.source)
        if number is None:
            return None
        row = self.rows[number]
        if row.state in ("ready", "refused"):
            state: State = "refused" if plan.reason else "ready"
            row = replace(row, state=state, reason=plan.reason)
        self.rows[number] = replace(
            row, tiles=plan.tiles, memory=plan.memory, disk=plan.disk
        )
        return number

    def begin(self, inputs: Sequence[Path], run: BatchRequest) -> None:
        """Note that a run over `inputs` begins.

        Raises
        ------
        OptionsError
            If they are not the files in the list any more.
        """
        if new := [path for path in inputs if path not in self._places]:
            raise OptionsError(
                f"{new[0].parent} is a folder of images now; it was an image when it "
                "was added. Remove it from the list, and add it again."
            )
        options, self._run = run.options, run
        self._running = [self._places[path] for path in inputs]
        self._at, self._fresh, self._began, self._pace = 0, True, 0.0, _Pace()
        tiff = options.format != "ome-zarr"
        self._after = sum((options.measure, options.link_z, tiff))
        for i, row in enumerate(self.rows):
            keep = row.fraction if row.state == "stopped" else 0.0
            if row.state in ("refused", "failed"):  # tried again, but known to be bad
                self.rows[i] = replace(row, state="refused", fraction=keep)
            else:
                self.rows[i] = replace(row, state="ready", reason="", fraction=keep)

    def take(self, event: StackProgress | StackReport, seconds: float) -> int:
        """Note an event that came `seconds` into the run; return its row."""
        place = self._running[self._at]
        row = self.rows[place]
        if isinstance(event, StackReport):
            new = self._ended(row, event, seconds)
            self._at, self._fresh, self._began = self._at + 1, True, seconds
        else:
            new = self._went_on(row, event, seconds)
            self._fresh = False
        self.rows[place] = new
        return place

    def stop(self) -> None:
        """Note that the run is over, whatever was running."""
        for i, row in enumerate(self.rows):
            if row.state == "running":
                self.rows[i] = replace(row, state="stopped", doing="", seconds=None)
        self._running = []

    @property
    def number(self) -> tuple[int, int]:
        """Which file is being done, counted from 1, and how many there are."""
        return min(self._at + 1, len(self._running)), len(self._running)

    @property
    def current(self) -> BatchRow | None:
        """The file that is being done."""
        if self._at < len(self._running):
            return self.rows[self._running[self._at]]
        return None

    @property
    def fraction(self) -> float:
        """How much of the run is done, 0 to 1."""
        mean = self._mean()
        rows = (self.rows[i] for i in self._running)
        total = sum(r.tiles or mean for r in rows if r.state != "refused")
        return 1 - self._left() / total if total else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds that the rest of the run will take; None if nobody knows."""
        return self._pace.needs(self._left())

    @property
    def memory(self) -> int:
        """Bytes that the process will need at most; 0 before anything was looked at."""
        return max((row.memory for row in self.rows), default=0)

    @property
    def disk(self) -> int:
        """Bytes that results and work files will take at most."""
        return sum(row.disk for row in self.rows)

    def _set(self, rows: list[BatchRow]) -> None:
        self.rows = rows
        self._places = {row.source: i for i, row in enumerate(rows)}

    def _left(self) -> float:
        """Return how many tiles are left in the run."""
        mean = self._mean()
        rows = (self.rows[i] for i in self._running)
        rows = (r for r in rows if not r.ended and r.state != "refused")
        return sum((r.tiles or mean) * (1 - r.fraction) for r in rows)

    def _mean(self) -> float:
        """Return the tiles of a file that was not looked at: the mean of the others."""
        known = [row.tiles for row in self.rows if row.tiles]
        return sum(known) / len(known) if known else 1.0

    def _went_on(self, row: BatchRow, event: StackProgress, seconds: float) -> BatchRow:
        row = replace(row, tiles=event.total)
        share = _TILES if self._after else 1.0
        done = share * event.done / event.total
        doing = ""
        if event.phase in _AFTER and self._after:
            done = max(row.fraction, share + (1 - share) * event.fraction / 2)
            doing = event.phase
        before = row.fraction
        if self._fresh:  # what earlier runs did, is no measure of this one
            before = max(done - share / event.total, 0.0)
        self._pace.note(seconds, max(done - before, 0.0) * event.total)
        return replace(
            row,
            state="running",
            reason="",
            doing=doing,
            fraction=done,
            objects=event.objects,
            seconds=seconds - self._began,
        )

    def _ended(self, row: BatchRow, report: StackReport, seconds: float) -> BatchRow:
        left = (row.tiles or report.tiles_done) * (1 - row.fraction)
        self._pace.note(seconds, min(left, report.tiles_done))
        made = report.state != "failed"
        return replace(
            row,
            state=report.state,
            doing="",
            fraction=1.0,
            reason=report.reason,
            objects=report.objects,
            seconds=report.seconds,
            target=report.target if made else row.target,
            run=self._run if made else row.run,
        )
