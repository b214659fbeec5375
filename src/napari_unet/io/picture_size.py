"""Sizes of PNG, JPEG and BMP pictures, from their headers, without decoding."""

import struct

__all__ = ["bmp_size", "jpeg_size", "png_size"]

_PNG_SAMPLES = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}  # by kind of colour

_Size = tuple[int, int, int]  # rows, columns, bytes of a pixel


def png_size(content: bytes) -> _Size:
    """Return rows, columns and bytes of a pixel."""
    columns, rows, bits, kind = struct.unpack(">IIBB", content[16:26])
    return rows, columns, _PNG_SAMPLES.get(kind, 4) * (1 + (bits > 8))


def bmp_size(content: bytes) -> _Size:
    """Return rows, columns and bytes of a pixel."""
    columns, rows, _, bits = struct.unpack("<iiHH", content[18:30])
    return abs(rows), abs(columns), max(bits // 8, 1)


def jpeg_size(content: bytes) -> _Size:
    """Return rows, columns and bytes of a pixel; all 0 if the header is not there."""
    at = 2
    while at + 10 <= len(content):
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, rows, columns, samples = struct.unpack_from(">BHHB", content, at + 4)
            return rows, columns, samples * (1 + (bits > 8))
        at += 2 + length
    return 0, 0, 0
