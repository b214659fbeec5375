"""Names that are no text, and text that is more than that, are shown escaped."""

import pytest

from napari_unet._text import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zelle µ 細胞\u3000a.tif", "Zelle µ 細胞\u3000a.tif"),
        (b"a\xff.tif".decode(errors="surrogateescape"), "a\\xff.tif"),
        ("a\x1b[2Jb\r\n", "a\\x1b[2Jb\\x0d\\x0a"),
        ("\ud800 and \u2028", "\\ud800 and \\u2028"),
    ],
    ids=["text", "bytes", "control", "halves"],
)
def test_what_is_no_character_is_escaped(text, shown) -> None:
    assert plain(text) == shown
    plain(text).encode()
