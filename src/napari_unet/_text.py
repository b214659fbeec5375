"""Plain text from untrusted names and cards, safe for files and terminals."""

import re

__all__ = ["plain"]

# Control characters, the halves of characters that no text can hold, and what a line
# ends with elsewhere.
_ODD = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
_BYTES = range(0xDC80, 0xDD00)  # how Python keeps a byte of a name that is not UTF-8


def plain(text: str) -> str:
    r"""Return text that every file and every terminal takes.

    What is no character that can be seen is escaped, as in ``a\xff.tif``.
    """
    return _ODD.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number in _BYTES:
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
