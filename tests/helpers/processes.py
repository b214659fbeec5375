"""Processes: one that is no more, and ones that have loaded already what takes seconds.

A program that loads torch anew needs seconds before it does anything. Where that is
not what a test is about, `Forked` starts it as a copy of a server that has loaded it,
and has done nothing else: a process of its own, to be killed, limited and read from.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

__all__ = ["CLI", "Forked", "dead_process", "until"]

CLI = "import sys; from napari_unet.cli import main; sys.exit(main())"
_SERVER = get_context("forkserver")
_SERVER.set_forkserver_preload(
    ["napari_unet.batch.files", "napari_unet.cli.commands", "napari_unet.io.save"]
)


class Forked:
    """A program in a process of its own: what `python -c CODE WORDS` would be.

    It has the environment and the folder of whoever starts it.

    Attributes
    ----------
    stdout
        What it writes, to be read as it comes.
    """

    def __init__(self, code: str, *words: object) -> None:
        reader, writer = _SERVER.Pipe(duplex=False)
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - see `end`
        errors = Connection(os.dup(self._errors.fileno()), readable=False)
        about = code, [str(word) for word in words], Path.cwd(), {**os.environ}
        self._process = _SERVER.Process(target=_become, args=(*about, writer, errors))
        self._process.start()
        writer.close()
        errors.close()
        with reader:
            self.stdout = os.fdopen(os.dup(reader.fileno()))

    @property
    def returncode(self) -> int | None:
        """What it ended with, the negative of a signal that killed it; else None."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def end(self) -> tuple[str, str]:
        """Wait until it has ended; return what it wrote to stdout, and to stderr."""
        with self.stdout, self._errors:
            said = self.stdout.read()
            self._process.join()
            self._errors.seek(0)
            return said, self._errors.read()


def _become(
    code: str,
    words: list[str],
    folder: Path,
    environment: dict[str, str],
    *streams: Connection,
) -> None:
    """Be that program."""
    for number, stream in enumerate(streams, start=1):
        os.dup2(stream.fileno(), number)
        stream.close()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *words]
    exec(compile(code, "<forked>", "exec"), {"__name__": "__main__"})


def until(condition: Callable[[], Any]) -> None:
    """Wait until something is so; pytest's time limit ends that."""
    while not condition():
        time.sleep(0.01)


def dead_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid
