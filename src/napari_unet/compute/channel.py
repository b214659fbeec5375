"""Channel: frames between two processes, through two pipes and shared memory.

A frame is what is pickled and the buffers of its arrays, each of which lies in shared
memory or follows in the pipe.
"""

import io
import pickle
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import IO, Any

__all__ = ["Channel", "Frame", "Kind", "Part", "dump", "load", "whole_frame"]

_HEAD = struct.Struct("<BIQI")  # kind, job, bytes of the pickle, number of buffers
_HELLO = b"\0napari-unet\0"  # before the first frame: whoever starts Python may print
_PART = struct.Struct("<qQ")  # where a buffer begins in shared memory, or -1; bytes

Buffer = bytearray | memoryview
Part = Buffer | tuple[int, int]


class Kind(IntEnum):
    """What a frame is; which side sends it."""

    PING = 1  # viewer: are you there?
    PONG = 2  # process
    READY = 3  # process: all that takes long to import is imported
    JOB = 4  # viewer: a `Call` to run
    CANCEL = 5  # viewer
    BEGUN = 6  # process: the job runs from now on
    EVENT = 7  # process: what the job yielded
    ASK = 8  # process: something that only the viewer has
    REPLY = 9  # viewer
    TOOK = 10  # viewer: one more of EVENT, ASK and END was taken out of the memory
    END = 11  # process: how the job ended
    REST = 12  # viewer: the job shall have no turns
    GO_ON = 13  # viewer: it shall have turns again


@dataclass(frozen=True, slots=True)
class Frame:
    """One message.

    Attributes
    ----------
    job
        The number of the job that it is about; 0 for none.
    body
        What is pickled; empty for nothing.
    parts
        The buffers that belong to it: bytes, or start and length in shared memory.
    """

    kind: Kind
    job: int = 0
    body: bytes = b""
    parts: tuple[Part, ...] = ()


class Channel:
    """Frames out of one pipe and into another; any thread may send."""

    def __init__(self, reading: IO[bytes], writing: IO[bytes]) -> None:
        self._reading, self._writing = reading, writing
        self._lock = threading.Lock()

    def greet(self) -> None:
        """Tell the other side's `meet` that frames follow."""
        with self._lock:
            self._writing.write(_HELLO)
            self._writing.flush()

    def meet(self) -> None:
        """Skip what is none of ours.

        Raises
        ------
        EOFError
            If nothing is.
        """
        seen = b""
        while seen != _HELLO:
            seen = (seen + self._read(1))[-len(_HELLO) :]

    def send(self, frame: Frame) -> None:
        """Send a frame.

        Raises
        ------
        OSError
            If nobody reads any more.
        """
        head = [_HEAD.pack(frame.kind, frame.job, len(frame.body), len(frame.parts))]
        for part in frame.parts:
            place = part if isinstance(part, tuple) else (-1, len(part))
            head.append(_PART.pack(*place))
        with self._lock:
            self._writing.write(b"".join(head))
            self._writing.write(frame.body)
            for part in frame.parts:
                if not isinstance(part, tuple):
                    self._writing.write(part)
            self._writing.flush()

    def receive(self) -> Frame:
        """Return the next frame; one thread alone may wait for it.

        Raises
        ------
        EOFError
            If nobody writes any more.
        """
        kind, job, length, count = _HEAD.unpack(self._read(_HEAD.size))
        places = [_PART.unpack(self._read(_PART.size)) for _ in range(count)]
        body = bytes(self._read(length))
        parts = tuple(
            (start, size) if start >= 0 else self._read(size) for start, size in places
        )
        return Frame(Kind(kind), job, body, parts)

    def close(self) -> None:
        """Write no more: the other side's `receive` ends."""
        with self._lock:
            self._writing.close()

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        view, done = memoryview(data), 0
        while done < size:
            count = self._reading.readinto(view[done:])  # type: ignore[attr-defined]
            if not count:
                raise EOFError
            done += count
        return data


def dump(
    value: Any, name: Callable[[Any], Any] | None = None
) -> tuple[bytes, list[memoryview]]:
    """Return a value pickled, and the buffers of its arrays, which are not copied.

    Parameters
    ----------
    name
        Returns what stands for an object that does not travel; None for one that does.
    """
    stream, buffers = io.BytesIO(), list[pickle.PickleBuffer]()
    _Pickler(stream, name, buffers.append).dump(value)
    return stream.getvalue(), [buffer.raw() for buffer in buffers]


def load(
    frame: Frame, memory: memoryview, find: Callable[[Any], Any] | None = None
) -> Any:
    """Return the value of a frame; its buffers are copied out of the shared `memory`.

    Parameters
    ----------
    find
        Returns the object that a name of `dump` stands for.
    """
    buffers = [
        bytearray(memory[part[0] : part[0] + part[1]])
        if isinstance(part, tuple)
        else part
        for part in frame.parts
    ]
    return _Unpickler(frame.body, buffers, find).load()


def whole_frame(
    kind: Kind, job: int, value: Any, name: Callable[[Any], Any] | None = None
) -> Frame:
    """Return a frame that needs no shared memory."""
    body, buffers = dump(value, name)
    return Frame(kind, job, body, tuple(buffers))


class _Pickler(pickle.Pickler):
    def __init__(
        self,
        stream: io.BytesIO,
        name: Callable[[Any], Any] | None,
        keep: Callable[[pickle.PickleBuffer], Any],
    ) -> None:
        super().__init__(stream, 5, buffer_callback=keep)
        self._name = name

    def persistent_id(self, value: Any) -> Any:
        return None if self._name is None else self._name(value)


class _Unpickler(pickle.Unpickler):
    def __init__(
        self,
        body: bytes,
        buffers: Sequence[Buffer],
        find: Callable[[Any], Any] | None,
    ) -> None:
        super().__init__(io.BytesIO(body), buffers=buffers)
        self._find = find

    def persistent_load(self, name: Any) -> Any:
        if self._find is None:
            raise pickle.UnpicklingError(f"nothing is known of {name!r}")
        return self._find(name)
