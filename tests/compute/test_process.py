"""A compute process does what a thread does, and survives, or is replaced, always."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from helpers import compute_jobs
from helpers.compute_jobs import (
    Unreadable,
    alive,
    counting,
    doubling,
    failing,
    hurting,
    loaded,
    making,
    passing_on,
    printing,
    reading,
    sleeping,
    stubborn,
    until,
)

from napari_unet.compute.call import STILL, Call, Here, Kept
from napari_unet.compute.life import Patience
from napari_unet.compute.process import ComputeProcess, chosen
from napari_unet.compute.run import JobError
from napari_unet.errors import ComputeError, ImageError, MemoryBudgetError
from napari_unet.io.image import Image

SOON = Patience(tick=0.1, silent=20, lost=60)


@pytest.fixture
def process():
    process = ComputeProcess(patience=SOON)
    yield process
    process.stop()
    until(lambda: process.state.kind == "stopped")


def finish(run):
    """Return what a run yields, and what it returns."""
    events = []
    while True:
        try:
            event = next(run)
        except StopIteration as end:
            return events, end.value
        if event is not STILL:
            events.append(event)


def first(run):
    """Return the first event of a run that goes on."""
    while (event := next(run)) is STILL:
        pass
    return event


def works(process):
    """Return whether a call comes to its end, and who did it."""
    events, pid = finish(process.run(Call(counting, 3)))
    return events == [0, 1, 2] and pid


# --- what crosses -------------------------------------------------------------------


def test_events_and_result_are_those_of_the_call_in_order(process):
    events, pid = finish(process.run(Call(counting, 500)))
    assert events == list(range(500))
    assert pid == process.state.pid != os.getpid()
    assert process.state.starts == 1


def test_calls_run_one_after_the_other_in_one_process(process):
    assert works(process) == works(process)
    until(lambda: process.state.kind == "ready")


@pytest.mark.parametrize("form", ["numpy", "fortran", "view"])
def test_arrays_of_the_request_are_read_and_written_where_they_are(process, form):
    source = np.arange(12, dtype=np.int32).reshape(3, 4)
    source = {"numpy": source, "fortran": np.asfortranarray(source)}.get(
        form, np.repeat(source, 2, axis=1)[:, ::2]
    )
    target = np.zeros((3, 4), np.int32)
    call = Call(doubling, (source, target, Kept("test")))
    events, (array, sums, _) = finish(process.run(call))
    assert array is target
    assert all(there is target for there, _ in events)
    np.testing.assert_array_equal(target, 2 * source)
    np.testing.assert_array_equal([row for _, row in events], target)
    np.testing.assert_array_equal(sums, target.sum(axis=1))


def test_a_cache_stays_in_the_process_and_is_empty_in_the_next(process):
    def runs():
        array = np.zeros((1, 1))
        return finish(process.run(Call(doubling, (array, array, kept))))[1][2]

    kept = Kept("runs")
    assert (runs(), runs()) == (1, 2)
    assert kept == {}
    process.stop()
    assert runs() == 1


def test_an_array_that_is_made_here_can_be_filled_there(process):
    made = []

    def make(shape, dtype):
        made.append(np.zeros(shape, dtype))
        return made[-1]

    events, result = finish(process.run(Call(making, (Here(make), (2, 3)))))
    assert events[0] is result is made[0]
    assert (made[0] == 7).all()
    assert made[0].dtype == np.int32


def test_an_image_in_memory_there_is_not_that_of_its_file(process, tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((4, 4)))
    memory, lazy = np.zeros((4, 4)), da.zeros((4, 4))
    images = [Image("a", data, "YX", source=path) for data in (memory, lazy)]
    call = Call(compute_jobs.watching, images)
    there, _ = finish(process.run(call))
    here, _ = finish(call())
    assert there == here == ["as it was", "changed"]


def test_what_the_viewer_cannot_do_is_raised_where_it_was_asked_for(process):
    (error, reason), _ = finish(process.run(Call(reading, Unreadable())))
    assert isinstance(error, ImageError)
    assert str(error) == "Row 3 is damaged."
    assert error.options == ("axes",)
    assert reason == "No space left on device"


@pytest.mark.parametrize(
    ("what", "kind", "options"),
    [
        ("image", ImageError, ("axes",)),
        ("memory", MemoryBudgetError, ("memory",)),
        ("array", MemoryError, None),
    ],
)
def test_errors_of_ours_come_back_as_themselves(process, what, kind, options):
    run = process.run(Call(failing, what))
    assert first(run) == 1
    with pytest.raises(kind) as caught:
        finish(run)
    assert type(caught.value) is kind
    assert getattr(caught.value, "options", None) == options
    assert works(process)


def test_a_defect_comes_back_in_words_and_says_where(process):
    with pytest.raises(JobError, match="ValueError: a defect") as caught:
        finish(process.run(Call(failing, "defect")))
    assert 'raise ValueError("a defect")' in caught.value.trace
    assert works(process)


def test_a_request_that_cannot_be_pickled_says_so_and_the_next_one_works(process):
    with pytest.raises((AttributeError, TypeError, Exception), match="pickle"):
        finish(process.run(Call(counting, lambda: None)))
    assert works(process)


def test_it_imports_what_is_warm_before_the_first_call_and_no_more():
    process = ComputeProcess(["wave", "colorsys"])
    process.start()
    until(lambda: process.state.kind == "ready")
    names = ["wave", "colorsys", "torch", "napari", "qtpy"]
    assert finish(process.run(Call(loaded, names)))[1] == ["wave", "colorsys"]
    process.stop()


def test_it_runs_behind_the_viewer(process):
    pid = works(process)
    assert os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0)


# --- cancelled ----------------------------------------------------------------------


def test_a_cancelled_call_stops_and_the_process_goes_on(process):
    run = process.run(Call(sleeping, 0.01))
    assert first(run) == 1
    left = list(run.remaining())
    assert left == list(range(2, 2 + len(left)))  # none is lost, and none comes twice
    until(lambda: process.state.kind == "ready")
    assert works(process)
    assert process.state.starts == 1


def test_a_call_that_waits_is_cancelled_at_once_and_the_other_goes_on(process):
    run = process.run(Call(sleeping, 0.01))
    assert first(run) == 1
    waits = process.run(Call(counting, 3, behind=True))
    assert next(waits) is STILL
    began = time.monotonic()
    waits.close()
    assert time.monotonic() - began < SOON.cancel
    assert first(run) == 2
    run.close()
    assert process.state.starts == 1


def test_two_calls_proceed_side_by_side(process):
    run, other = process.run(Call(sleeping, 0.01)), process.run(Call(sleeping, 0.01))
    assert first(run) == first(other) == 1
    for _ in range(50):
        first(run)
    assert first(other) > 1
    run.close()
    other.close()
    assert process.state.starts == 1


def test_a_call_that_is_behind_waits_until_the_others_have_ended(process):
    behind = process.run(Call(sleeping, 0.01, behind=True))
    assert first(behind) == 1
    run = process.run(Call(sleeping, 0.01))
    assert first(run) == 1
    taker = threading.Thread(target=lambda: [first(run) for _ in range(100)])
    taker.start()
    seen = [event for event in islice(behind, 12) if event is not STILL]
    assert len(seen) < 7  # those that were under way
    taker.join()
    run.close()
    assert first(behind) == 2 + len(seen)
    behind.close()


def test_a_call_that_rests_lets_others_pass_and_goes_on_where_it_was(process):
    run, other = process.run(Call(sleeping, 0.01)), Call(counting, 3, behind=True)
    assert first(run) == 1
    run.rest(rests=True)
    assert finish(process.run(other))[0] == [0, 1, 2]
    rest = [event for event in islice(run, 10) if event is not STILL]
    assert next(run) is STILL
    run.rest(rests=False)
    assert first(run) == 2 + len(rest)
    run.rest(rests=True)
    left = len(rest) + 2 + len(list(run.remaining()))  # it can be cancelled
    assert left < 20
    assert process.state.starts == 1


def test_a_call_that_nobody_waits_for_is_not_ended_by_force():
    process = ComputeProcess(patience=replace(SOON, cancel=0.1))
    run = process.run(Call(stubborn, 0.5, quiet=True))
    assert first(run) == "begun"
    run.close()
    assert works(process)
    assert process.state.starts == 1
    process.stop()


def test_pixels_of_two_calls_do_not_get_mixed_up(process):
    sizes = [2**22, 2**16, 2**23, 2**10] * 4  # bytes: more than the memory holds
    runs = [iter(process.run(Call(passing_on, sizes))) for _ in range(2)]
    for size in sizes:
        for run in runs:
            np.testing.assert_array_equal(first(run), np.arange(size, dtype=np.uint8))


def test_a_call_that_does_not_stop_is_ended_with_its_process_in_3_seconds():
    process = ComputeProcess()
    run = process.run(Call(stubborn, 60))
    assert first(run) == "begun"
    pid = process.state.pid
    began = time.monotonic()
    run.close()
    assert 2.9 < time.monotonic() - began < 4
    until(lambda: not alive(pid))
    assert works(process) not in (False, pid)
    assert process.state.starts == 2
    process.stop()


def test_a_viewer_that_takes_nothing_holds_the_call_up(process):
    run = process.run(Call(sleeping, 0))
    assert first(run) == 1
    time.sleep(1)  # thousands of events, if it did not wait
    assert len(list(run.remaining())) < 10


# --- killed, hung, broken ------------------------------------------------------------


def test_killed_in_a_call_it_says_so_and_the_next_call_works(process):
    run = process.run(Call(sleeping, 0.01))
    assert first(run) == 1
    os.kill(process.state.pid, signal.SIGKILL)
    with pytest.raises(ComputeError, match=r"has ended: it was ended by signal 9\b"):
        finish(run)
    assert works(process)
    assert process.state.starts == 2


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGABRT"])
def test_a_call_that_kills_its_process_is_told_from_others(process, name):
    with pytest.raises(ComputeError, match=f"signal {int(getattr(signal, name))}"):
        finish(process.run(Call(hurting, name)))
    assert works(process)


def test_killed_while_idle_nobody_notices(process):
    pid = works(process)
    os.kill(pid, signal.SIGKILL)
    assert works(process) not in (False, pid)
    assert process.state.starts == 2


def test_one_that_hangs_is_not_responding_and_is_replaced(process):
    run = process.run(Call(sleeping, 0.01))
    assert first(run) == 1
    pid = process.state.pid
    until(lambda: process.state.kind == "busy")
    os.kill(pid, signal.SIGSTOP)
    until(lambda: process.state.kind == "silent")
    with pytest.raises(ComputeError, match="has not responded for 6 s"):
        finish(run)
    assert not alive(pid)
    assert works(process) not in (False, pid)


def test_one_that_responds_again_goes_on(process):
    run = process.run(Call(sleeping, 0.01))
    assert first(run) == 1
    os.kill(process.state.pid, signal.SIGSTOP)
    until(lambda: process.state.kind == "silent")
    os.kill(process.state.pid, signal.SIGCONT)
    until(lambda: process.state.kind == "busy")
    assert first(run) > 1
    run.close()
    assert process.state.starts == 1


def test_a_call_for_one_that_hangs_goes_to_the_next(process):
    pid = works(process)
    os.kill(pid, signal.SIGSTOP)
    assert works(process) not in (False, pid)


def test_cancel_of_one_that_hangs_takes_3_seconds(process):
    run = process.run(Call(sleeping, 0.01))
    assert first(run) == 1
    os.kill(process.state.pid, signal.SIGSTOP)
    began = time.monotonic()
    run.close()
    assert time.monotonic() - began < SOON.cancel + 1
    assert works(process)


def test_one_that_ends_as_it_starts_says_why_and_how_to_do_without():
    process = ComputeProcess(["napari_unet.that_is_not_there"])
    for _ in range(2):
        with pytest.raises(ComputeError) as caught:
            finish(process.run(Call(counting, 3)))
        assert "does not start" in str(caught.value)
        assert "No module named 'napari_unet.that_is_not_there'" in str(caught.value)
        assert "NAPARI_UNET_COMPUTE=thread" in str(caught.value)
        assert process.state.kind == "stopped"


def test_one_that_cannot_be_started_says_why(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    process = ComputeProcess()
    with pytest.raises(ComputeError, match="No such file"):
        finish(process.run(Call(counting, 3)))


def test_stopped_it_is_gone_and_the_next_call_starts_it(process):
    pid = works(process)
    process.stop()
    assert until(lambda: not alive(pid)) < 3
    assert process.state.kind == "stopped"
    assert works(process) not in (False, pid)


@pytest.mark.parametrize("job", [sleeping, stubborn])
def test_stopped_in_a_call_it_ends_within_3_seconds_and_stays_away(job):
    process = ComputeProcess()
    run = process.run(Call(job, 60))
    first(run)
    pid = process.state.pid
    process.stop()
    assert until(lambda: not alive(pid)) < 3.5
    with pytest.raises(ComputeError, match="it was stopped"):
        finish(run)
    assert process.state.kind == "stopped"


def test_it_ends_with_the_object_that_it_belongs_to():
    process = ComputeProcess()
    pid = works(process)
    del process
    assert until(lambda: not alive(pid)) < 3


def test_two_have_nothing_to_do_with_each_other(process):
    other = ComputeProcess()
    run, second = process.run(Call(sleeping, 0.01)), other.run(Call(sleeping, 0.01))
    assert (first(run), first(second)) == (1, 1)
    os.kill(process.state.pid, signal.SIGKILL)
    with pytest.raises(ComputeError):
        finish(run)
    assert first(second) == 2
    second.close()
    assert works(process) != works(other)
    other.stop()


# --- its parent -----------------------------------------------------------------------

PROGRAM = """
import sys, time
from napari_unet.compute.call import STILL, Call
from napari_unet.compute.process import ComputeProcess
from helpers.compute_jobs import {job}
process = ComputeProcess()
run = process.run(Call({job}, {request}))
while (event := next(run)) is STILL:
    pass
print(process.state.pid, flush=True)
"""


def program(folder: Path, job: str, request: str, more: str = ""):
    """Start a script that has no `__main__` guard; return it, and its process's pid."""
    script = folder / "script.py"
    script.write_text(PROGRAM.format(job=job, request=request) + more)
    path = [str(Path(compute_jobs.__file__).parents[1]), *sys.path]
    started = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        text=True,
    )
    assert started.stdout is not None
    return started, int(started.stdout.readline())


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
@pytest.mark.parametrize(("job", "asked"), [("sleeping", "0.01"), ("stubborn", "60")])
def test_killed_parent_takes_it_along_within_3_seconds(tmp_path, job, asked, stopped):
    parent, pid = program(tmp_path, job, asked, "time.sleep(60)")
    assert alive(pid)
    if stopped:
        os.kill(pid, signal.SIGSTOP)
    parent.kill()
    assert until(lambda: not alive(pid)) < 3
    parent.communicate()


def test_parent_that_ends_in_the_midst_of_a_call_takes_it_along(tmp_path):
    parent, pid = program(tmp_path, "stubborn", "60")
    assert parent.wait(10) == 0
    assert until(lambda: not alive(pid)) < 3
    parent.communicate()


def test_script_without_a_guard_is_not_run_again(tmp_path):
    parent, _ = program(tmp_path, "counting", "3", "print('end')")
    assert parent.communicate()[0] == "end\n"


def test_interactive_interpreter_has_no_main_file(tmp_path):
    code = PROGRAM.format(job="counting", request="3")
    path = [str(Path(compute_jobs.__file__).parents[1]), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", f"exec({code!r})"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        cwd=tmp_path,
        text=True,
        check=False,
    )
    assert done.stdout.strip().isdecimal(), done.stderr


def test_module_beside_the_user_is_not_taken_for_one_of_the_library(tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong one')")
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        process = ComputeProcess()
        assert works(process)
        process.stop()
    finally:
        os.chdir(before)


def test_what_others_print_as_python_starts_does_no_harm(tmp_path, monkeypatch):
    code = "import os; os.write(1, b'hello napari-unet' * 1000); print('more')"
    (tmp_path / "sitecustomize.py").write_text(code)
    path = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{path}")
    process = ComputeProcess()
    assert works(process)
    process.stop()


def test_what_a_call_prints_does_no_harm(process):
    assert finish(process.run(Call(printing, "out")))[0] == [0, 1, 2]


# --- the choice -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "frozen", "some"),
    [("process", False, True), ("thread", False, False), ("", False, True),
     ("process", True, False)],
)  # fmt: skip
def test_environment_chooses(monkeypatch, choice, frozen, some):
    monkeypatch.setenv("NAPARI_UNET_COMPUTE", choice)
    monkeypatch.setattr(sys, "frozen", frozen, raising=False)
    process = chosen(())
    assert (process is not None) == some
