"""A generator gives its events, then its result; leaving it early cancels it."""

from collections.abc import Generator

import pytest

from napari_unet._steps import Steps


def counting(n: int, seen: list[str]) -> Generator[int, None, str]:
    try:
        yield from range(n)
    finally:
        seen.append("closed")
    return "all"


def test_events_come_first_and_then_the_result() -> None:
    run = Steps(counting(3, []))
    assert list(run) == [0, 1, 2]
    assert run.result == "all"
    assert list(run) == []  # it has ended
    assert run.result == "all"


def test_finish_runs_to_the_result() -> None:
    assert Steps(counting(3, [])).finish() == "all"


def test_there_is_no_result_before_the_end() -> None:
    run = Steps(counting(3, []))
    for event in run:
        if event == 1:
            break
    with pytest.raises(AttributeError):
        _ = run.result


@pytest.mark.parametrize("how", ["break", "raise"])
def test_leaving_the_loop_closes_the_verb_at_once(how) -> None:
    seen: list[str] = []
    try:
        for _ in Steps(counting(3, seen)):
            if how == "raise":
                raise ValueError
            break
    except ValueError:
        pass
    assert seen == ["closed"]
