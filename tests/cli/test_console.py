"""What the command line prints: nothing that does anything to a terminal."""

import os
import sys
import threading

import pytest

from napari_unet.cli import console

ODD = "a\x1b]0;owned\x07.tif"
SHOWN = "a\\x1b]0;owned\\x07.tif"


@pytest.mark.parametrize("err", [False, True])
def test_lines_are_printed_and_all_else_is_escaped(capfd, err) -> None:
    console.say(f"{ODD}\n2 done", err=err)
    printed = capfd.readouterr()
    assert (printed.err if err else printed.out) == f"{SHOWN}\n2 done\n"


@pytest.mark.skipif(os.name != "posix", reason="has no terminals to try")
@pytest.mark.parametrize("step", [None, "b" + ODD])
def test_bar_on_a_terminal_escapes_what_it_shows(monkeypatch, step) -> None:
    master, slave = os.openpty()
    shown: list[bytes] = []

    def read() -> None:
        try:
            while data := os.read(master, 4096):
                shown.append(data)
        except OSError:  # so a terminal ends on Linux
            pass

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with console.progress(ODD) as show:
            if step:
                show(step, 0.5)
        monkeypatch.undo()
    reader.join()
    os.close(master)
    text = b"".join(shown).decode()
    assert ("b" * bool(step)) + SHOWN in text
    assert "\x1b]0" not in text
