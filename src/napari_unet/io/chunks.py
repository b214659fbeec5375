"""Chunk cache budget: memory for decoded strips, tiles and chunks beside a window.

A file is decoded in pieces: strips, tiles, chunks. Those that the next windows will
want are kept, and a piece is in memory more than once while it is decoded.
"""

from dataclasses import replace

from napari_unet.io.image import Image

__all__ = ["decoding_bytes", "keeping", "reading_bytes", "rooms"]

_CACHE = 64 * 2**20  # bytes that are kept at least; of a TIFF at most
_MOST = 2**29  # bytes of chunks that are kept, so that none is decoded twice
_TIMES = 2  # a piece beside the kept ones: packed, decoded, and where it is copied to


def rooms(image: Image) -> list[int]:
    """Return how many bytes of decoded pieces may be kept, the best first."""
    data = image.data
    piece, slab = getattr(data, "piece", 0), getattr(data, "slab", 0)
    sizes = [slab, piece] if slab <= _MOST else [piece]
    return list(dict.fromkeys(max(size, _CACHE) for size in sizes))


def decoding_bytes(image: Image) -> int:
    """Return what a piece takes while it is decoded."""
    return _TIMES * int(getattr(image.data, "piece", 0))


def reading_bytes(image: Image, room: int) -> int:
    """Return what reading takes if `room` bytes of decoded pieces are kept."""
    return room + decoding_bytes(image)


def keeping(image: Image, room: int) -> Image:
    """Return the same image, of which `room` bytes of decoded pieces are kept."""
    if not hasattr(image.data, "keeping"):
        return image
    data = image.data.keeping(room)
    return replace(image, data=data, levels=(data, *image.levels[1:]))
