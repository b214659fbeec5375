"""A job ends exactly once, on every way out, and its signals come in the GUI thread."""

import os
import threading

import pytest
from helpers.compute_jobs import counting, failing, hurting, sleeping, until
from qtpy.QtCore import QObject, QThread

from napari_unet.compute.call import Call
from napari_unet.compute.process import ComputeProcess
from napari_unet.errors import ImageError
from napari_unet.ui.hints import BATCH
from napari_unet.ui.job import Job

WAIT = 10_000  # ms: far more than needed, for a busy computer


def record(job):
    """Return a list that fills with what the job tells."""
    seen = []
    job.started.connect(lambda: seen.append(("started", None)))
    job.yielded.connect(lambda event: seen.append(("yielded", event)))
    job.finished.connect(lambda result: seen.append(("finished", result)))
    job.failed.connect(lambda sentence: seen.append(("failed", sentence)))
    job.cancelled.connect(lambda: seen.append(("cancelled", None)))
    job.ended.connect(lambda: seen.append(("ended", None)))
    return seen


def run(qtbot, work, process=None):
    job = Job(work, None, BATCH, process)
    seen = record(job)
    with qtbot.waitSignal(job.ended, timeout=WAIT):
        job.start()
    return seen


def endless(closed):
    try:
        number = 0
        while True:
            number += 1
            yield number
    finally:
        closed.set()


def test_result_comes_after_all_events(qtbot):
    def work():
        yield from "abc"
        return 7

    assert run(qtbot, work) == [
        ("started", None),
        *(("yielded", letter) for letter in "abc"),
        ("finished", 7),
        ("ended", None),
    ]


def test_more_events_than_fit_the_queue_all_arrive_in_order(qtbot):
    def work():
        yield from range(500)
        return "done"

    seen = run(qtbot, work)
    assert [event for name, event in seen if name == "yielded"] == list(range(500))
    assert seen[-2:] == [("finished", "done"), ("ended", None)]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ImageError("cells.tif is empty. Export it again."), "cells.tif is empty."),
        (RuntimeError("CUDA out of memory"), "CUDA out of memory"),
        (StopIteration("inside"), "unexpected"),
        (MemoryError(), "too little memory"),
        (ValueError(), "ValueError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
@pytest.mark.parametrize("when", ["before", "inside", "closing"])
def test_any_error_ends_in_one_sentence(qtbot, error, sentence, when):
    def steps():
        yield 1
        if when == "inside":
            raise error
        return 2

    class Unclosable:
        """A generator that fails when it is closed."""

        def __init__(self):
            self.steps = steps()

        def __next__(self):
            return next(self.steps)

        def close(self):
            raise error

    def work():
        if when == "before":
            raise error
        return Unclosable() if when == "closing" else steps()

    seen = run(qtbot, work)
    ends = [name for name, _ in seen if name in ("finished", "failed", "cancelled")]
    assert ends == ["failed"]
    assert sentence in dict(seen)["failed"]
    assert seen[-1] == ("ended", None)


def test_cancelled_verb_is_closed_and_ends_once(qtbot):
    closed = threading.Event()
    job = Job(lambda: endless(closed))
    seen = record(job)
    job.yielded.connect(job.cancel)
    with qtbot.waitSignal(job.ended, timeout=WAIT):
        job.start()
    assert closed.is_set()
    assert [name for name, _ in seen][-2:] == ["cancelled", "ended"]
    assert [name for name, _ in seen].count("ended") == 1
    assert not job.running


def test_signals_come_in_the_gui_thread_and_the_verb_runs_in_another(qtbot):
    def work():
        yield threading.get_ident()

    threads = []
    job = Job(work)
    job.yielded.connect(lambda ident: threads.append((ident, QThread.currentThread())))
    with qtbot.waitSignal(job.ended, timeout=WAIT):
        job.start()
    ident, shown_in = threads[0]
    assert ident != threading.get_ident()
    assert shown_in is job.thread()


def test_destroyed_parent_stops_the_verb(qtbot):
    closed = threading.Event()
    parent = QObject()
    job = Job(lambda: endless(closed), parent)
    with qtbot.waitSignal(job.yielded, timeout=WAIT):
        job.start()
    parent.deleteLater()
    qtbot.waitUntil(closed.is_set, timeout=WAIT)


def test_a_slot_that_fails_does_not_hide_the_end(qtbot, capture_errors):
    def work():
        yield 1

    job = Job(work)
    job.finished.connect(lambda _: 1 / 0)
    with qtbot.waitSignal(job.ended, timeout=WAIT):
        job.start()
    assert "ZeroDivisionError" in capture_errors()


@pytest.fixture
def capture_errors(qtbot):
    """Return what was raised in slots, so that it does not fail the test."""
    with qtbot.captureExceptions() as errors:
        yield lambda: " ".join(kind.__name__ for kind, *_ in errors)


def test_elapsed_stands_still_when_it_has_ended(qtbot):
    def work():
        yield 1

    job = Job(work)
    with qtbot.waitSignal(job.ended, timeout=WAIT):
        job.start()
    elapsed = job.elapsed
    assert 0 < elapsed == job.elapsed


def test_paused_verb_rests_and_goes_on_where_it_was(qtbot):
    closed, seen = threading.Event(), []
    job = Job(lambda: endless(closed))
    job.yielded.connect(seen.append)
    job.start()
    qtbot.waitUntil(lambda: len(seen) > 2, timeout=WAIT)
    job.pause()
    worked = job.elapsed
    qtbot.wait(300)  # what the work was at, and what waited, has arrived
    count = len(seen)
    qtbot.wait(300)
    assert len(seen) == count
    assert job.paused
    assert job.running
    assert job.elapsed == worked
    job.resume()
    qtbot.waitUntil(lambda: len(seen) > count, timeout=WAIT)
    assert seen == list(range(1, len(seen) + 1))
    job.cancel()
    qtbot.waitUntil(closed.is_set, timeout=WAIT)


def test_paused_job_can_be_cancelled(qtbot):
    closed = threading.Event()
    job = Job(lambda: endless(closed))
    job.pause()
    seen = record(job)
    with qtbot.waitSignal(job.ended, timeout=WAIT):
        job.start()
        job.cancel()
    assert [name for name, _ in seen] == ["started", "cancelled", "ended"]


# --- in a process ---------------------------------------------------------------------


@pytest.fixture
def process():
    process = ComputeProcess()
    yield process
    process.stop()


def test_call_tells_the_same_from_another_process(qtbot, process):
    seen = run(qtbot, Call(counting, 3), process)
    assert [event for event in seen if event[0] != "finished"] == [
        ("started", None),
        *(("yielded", number) for number in range(3)),
        ("ended", None),
    ]
    assert dict(seen)["finished"] == process.state.pid


@pytest.mark.parametrize("apart", [True, False])
def test_call_that_stays_runs_here(qtbot, process, apart):
    call = Call(counting, 3, apart=False)
    assert dict(run(qtbot, call, process if apart else None))["finished"] == os.getpid()
    assert process.state.starts == 0


@pytest.mark.parametrize("what", ["image", "array", "defect"])
def test_call_fails_with_the_same_sentence(qtbot, process, what):
    here, there = (run(qtbot, Call(failing, what), p) for p in (None, process))
    assert here == there
    assert [name for name, _ in there][-2:] == ["failed", "ended"]


def test_call_whose_process_dies_fails_with_a_sentence_that_says_so(qtbot, process):
    seen = run(qtbot, Call(hurting, "SIGKILL"), process)
    assert [name for name, _ in seen][-2:] == ["failed", "ended"]
    assert "ended by signal 9" in dict(seen)["failed"]


def test_cancelled_call_tells_all_that_it_did(qtbot, process):
    job = Job(Call(sleeping, 0), process=process)
    seen = record(job)
    job.yielded.connect(job.cancel)
    with qtbot.waitSignal(job.ended, timeout=WAIT):
        job.start()
    numbers = [event for name, event in seen if name == "yielded"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [name for name, _ in seen][-2:] == ["cancelled", "ended"]
    until(lambda: process.state.kind == "ready")
    assert process.state.starts == 1


def test_paused_call_rests_and_can_be_cancelled(qtbot, process):
    job = Job(Call(sleeping, 0), process=process)
    seen = record(job)
    job.start()
    qtbot.waitUntil(lambda: len(seen) > 2, timeout=WAIT)
    job.pause()
    qtbot.wait(300)
    count = len(seen)
    qtbot.wait(300)
    assert len(seen) == count
    with qtbot.waitSignal(job.ended, timeout=WAIT):
        job.cancel()
    assert process.state.starts == 1


def test_destroyed_parent_stops_the_call(qtbot, process):
    parent = QObject()
    job = Job(Call(sleeping, 0.01), parent, process=process)
    with qtbot.waitSignal(job.yielded, timeout=WAIT):
        job.start()
    assert process.state.kind == "busy"
    parent.deleteLater()
    qtbot.waitUntil(lambda: process.state.kind == "ready", timeout=WAIT)
