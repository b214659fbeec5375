"""Room in shared memory: never given twice, and a way out where there is none."""

import os
import resource
import sys

import numpy as np
import pytest
from helpers.compute_jobs import passing_on
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.compute.arena import Ring, make_arena, open_arena
from napari_unet.compute.call import STILL, Call
from napari_unet.compute.process import ComputeProcess

SIZES = [10, 2**14, 2**16 + 1, 2**20, 2**24, 2**24 + 1, 5 * 2**20, 0]


@given(st.lists(st.integers(0, 40), max_size=60))
def test_what_is_taken_of_a_ring_never_overlaps(lengths):
    ring, taken = Ring(64), []
    for length in lengths:
        if length > 30:  # a third of them give back
            if taken:
                taken.pop(0)
                ring.give_back()
            continue
        start = ring.take(length)
        if start is None:
            assert taken
            continue
        here = range(start, start + length)
        assert not here or (here[0] >= 0 and here[-1] < 64)
        assert all(not set(here) & set(other) for other in taken)
        taken.append(here)


def test_all_of_an_empty_ring_can_be_taken_again_and_again():
    ring = Ring(8)
    for _ in range(3):
        assert ring.take(8) == 0
        assert ring.take(1) is None
        ring.give_back()


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_two_openers_see_the_same_bytes(kind, monkeypatch):
    if kind == "file":  # as on macOS
        monkeypatch.delattr(os, "memfd_create")
    arena = make_arena(4096)
    assert arena.kind == kind
    other = open_arena(arena.kind, 4096, arena.handle)
    arena.down[5], other.up[6] = 50, 60
    arena.close_handle()
    assert (other.down[5], arena.up[6]) == (50, 60)
    assert len(arena.down) == len(other.up) == 4096


@pytest.fixture
def _no_shared_memory():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("_no_shared_memory")
def test_without_shared_memory_pixels_go_through_the_pipe():
    check_passing("pipe")


def test_pixels_cross_in_memory():
    check_passing("memory")


def test_where_memory_cannot_be_shared_a_file_is(monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    check_passing("file")


def check_passing(kind):
    process = ComputeProcess()
    run = process.run(Call(passing_on, SIZES))
    arrays = [event for event in run if event is not STILL]
    assert process.state.pixels == kind
    assert [a.size for a in arrays] == SIZES
    for array in arrays:
        np.testing.assert_array_equal(array, np.arange(array.size, dtype=np.uint8))
        array[:1] = 0  # it is nobody else's
    process.stop()


if sys.platform != "linux":
    pytestmark = pytest.mark.skip("knows Linux's names")
