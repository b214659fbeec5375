"""Decompression bomb check: unpacked sizes of Zarr chunks, from codec headers alone.

Only this file knows the headers of the compressors that a Zarr may use. It looks at the
bytes and not at what the array says of them, since that may be wrong on purpose.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

__all__ = ["unpacks_to_more"]

_DEFLATE = 1032  # times, at most, that deflate makes anything smaller
_HARMLESS = 2**28  # bytes of memory that need no look at every byte
_STEP = 2**16  # bytes that are unpacked at a time, to be forgotten
_BLOCK = 2**17  # bytes that one block of zstd unpacks to at most
_ZSTD = 0xFD2FB528
_SKIPPED = range(0x184D2A50, 0x184D2A60)  # frames of zstd that hold no pixels


def unpacks_to_more(data: memoryview, limit: int) -> bool:
    """Return whether packed bytes would take more than `limit` bytes when unpacked.

    Bytes that are packed in no way known here would not.

    Raises
    ------
    ValueError
        If they are cut off in a way that some decoders never come back from.
    """
    if _number(data, 0, 4) == _ZSTD:
        return _zstd_size(data) > limit
    if len(data) >= 16 and _number(data, 12, 4) == len(data):
        return _number(data, 4, 4) > limit  # Blosc notes both sizes
    start = bytes(data[:6])
    for magic, opened in _STREAMS.items():
        if start.startswith(magic):
            little = opened is _inflater and len(data) * _DEFLATE <= _HARMLESS
            return not little and _streams_more(opened, data, limit)
    return False


def _number(data: memoryview, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _zstd_size(data: memoryview) -> int:
    """Return what all frames unpack to at most (RFC 8878, section 3.1)."""
    total = at = 0
    while at < len(data):
        if _number(data, at, 4) in _SKIPPED:
            at += 8 + _number(data, at + 4, 4)
            continue
        if _number(data, at, 4) != _ZSTD or at + 6 > len(data):
            raise ValueError("something else follows what is packed")
        size, at = _frame(data, at + 4)
        total += size
    return total


def _frame(data: memoryview, at: int) -> tuple[int, int]:
    """Return what one frame unpacks to at most, and where it ends."""
    about = data[at]
    single, checked = about >> 5 & 1, about >> 2 & 1
    at += 2 - single + (0, 1, 2, 4)[about & 3]
    width = (single, 2, 4, 8)[about >> 6]
    said = _number(data, at, width) + 256 * (width == 2)
    at += width
    found, last = 0, 0
    while not last:
        if at + 3 > len(data):
            raise ValueError("it was cut off")
        head = _number(data, at, 3)
        last, kind, size = head & 1, head >> 1 & 3, head >> 3
        at += 3 + (1 if kind == 1 else size)  # one byte that is repeated
        found += size if kind < 2 else _BLOCK
    at += 4 * checked
    if at > len(data):
        raise ValueError("it was cut off")
    return said if width else found, at


def _inflater() -> Any:
    return zlib.decompressobj(47)  # zlib or gzip, whichever it is


_STREAMS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": _inflater,
    b"\x78": _inflater,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lzma.LZMADecompressor,
    b"\x5d\0\0": lzma.LZMADecompressor,
}


def _streams_more(opened: Callable[[], Any], data: memoryview, limit: int) -> bool:
    """Return whether a stream, or several in a row, unpack to more than `limit`."""
    stream, total, fed = opened(), 0, b""
    try:
        for start in range(0, len(data), _STEP):
            fed += data[start : start + _STEP]
            while fed or not stream.eof:
                part = stream.decompress(fed, _STEP)
                total += len(part)
                if total > limit:
                    return True
                fed = getattr(stream, "unconsumed_tail", b"")
                if stream.eof:
                    fed, stream = stream.unused_data, opened()
                    if not fed:
                        break
                elif not part:
                    break  # it wants more
    except (zlib.error, OSError, EOFError, lzma.LZMAError):
        return False  # whoever unpacks it says so
    return False
