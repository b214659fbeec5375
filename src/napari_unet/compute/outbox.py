"""Outbox: what goes to the viewer, as far as it and the memory take it."""

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_unet.compute.arena import Arena, Ring
from napari_unet.compute.channel import Channel, Frame, Kind, Part, dump

__all__ = ["Outbox"]

_AHEAD = 4  # frames of a job that the viewer has not taken yet; then it waits
_SMALL = 2**14  # bytes that are not worth a place in the shared memory


@dataclass(slots=True)
class _Sent:
    job: int
    places: int = 0  # in the ring
    taken: bool = False


class Outbox:
    """Sends values, whose arrays go through shared memory as long as there is room."""

    def __init__(self, channel: Channel, arena: Arena) -> None:
        self._channel, self._memory = channel, arena.up
        self._ring = Ring(arena.half)
        self._turn, self._room = threading.Lock(), threading.Condition()
        self._sent: deque[_Sent] = deque()  # in their order, as the ring is
        self._ahead: Counter[int] = Counter()  # frames not taken yet, by job
        self._gone = False

    def full(self, job: int) -> bool:
        """Whether the viewer has to take frames of a job before there are more."""
        return self._ahead[job] >= _AHEAD and not self._gone

    def wait(self, job: int) -> None:
        """Wait until the viewer has taken one."""
        with self._room:
            self._room.wait_for(lambda: not self.full(job))

    def post(
        self, kind: Kind, job: int, value: Any, name: Callable[[Any], Any] | None = None
    ) -> None:
        """Send a value as soon as there is room for it; see `channel.dump`."""
        body, buffers = dump(value, name)
        self.wait(job)
        with self._turn, self._room:
            sent = _Sent(job)
            self._sent.append(sent)
            self._ahead[job] += 1
            parts = tuple(self._place(buffer, sent) for buffer in buffers)
            self._channel.send(Frame(kind, job, body, parts))

    def took(self, job: int) -> None:
        """Free the room of the frame of a job that was sent first."""
        with self._room:
            next(x for x in self._sent if x.job == job and not x.taken).taken = True
            self._ahead[job] -= 1
            while self._sent and self._sent[0].taken:
                for _ in range(self._sent.popleft().places):
                    self._ring.give_back()
            self._room.notify_all()

    def abandon(self) -> None:
        """Wait no more: nobody will take anything."""
        with self._room:
            self._gone = True
            self._room.notify_all()

    def _place(self, buffer: memoryview, sent: _Sent) -> Part:
        """Put a buffer into the shared memory if there is room for it now.

        Waiting for room would hold up jobs whose frames are taken meanwhile.
        """
        size = len(buffer)
        start = self._ring.take(size) if size >= _SMALL else None
        if start is None:
            return buffer
        self._memory[start : start + size] = buffer
        sent.places += 1
        return start, size
