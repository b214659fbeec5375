"""How many cores a thread computes on, and how it gives way."""

import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest
import torch

from napari_unet.network.threads import give_way

_T = TypeVar("_T")


def in_thread(call: Callable[[], _T]) -> _T:
    found: list[_T] = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


def quiet() -> int:
    give_way()
    return torch.get_num_threads()


def test_thread_that_gives_way_computes_on_one_core_and_others_on_as_many_as_before():
    torch.set_num_threads(3)
    assert in_thread(quiet) == 1
    assert torch.get_num_threads() == 3
    assert in_thread(torch.get_num_threads) == 3


def test_thread_that_gives_way_goes_on_to_when_others_take_more():
    def busy() -> int:
        give_way()
        in_thread(lambda: torch.set_num_threads(3))
        return torch.get_num_threads()

    assert in_thread(busy) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority there")
def test_only_the_thread_that_gives_way_has_a_lower_priority():
    def own() -> int:
        give_way()
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert in_thread(own) == min(19, before + 10)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
