"""Locks between programs that share a folder.

A turn is a lock of the operating system on an empty file, which ends with the process
that holds it, however that ends: nothing stale is ever in the way.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from napari_unet.errors import OutputError

__all__ = ["Timeout", "turn", "turn_lock"]

_WAIT = 20.0  # seconds; what is done in one turn takes milliseconds
_OFTEN = 0.005  # seconds between two tries
_EVERYONE = 0o666  # who may write to the folder may take turns there


def turn_lock(file: Path, wait: float) -> FileLock:
    """Return the lock that lies in `file`, which `wait` seconds are waited for.

    The thread that holds it may take it again. Taking it raises `Timeout` if another
    one, or another program, has it; OSError if the disk knows no locks.
    """
    return FileLock(file, timeout=wait, poll_interval=_OFTEN, mode=_EVERYONE)


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Let nobody else change the files of `folder` (made if need be) meanwhile.

    Where there are no locks, as on some drives of a network, it goes on without: that
    something is saved comes first, and whoever writes says best why it cannot be.

    Raises
    ------
    OutputError
        If another program does not end its own turn.
    """
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(turn_lock(folder / ".lock", _WAIT))
        except Timeout as error:
            raise OutputError(
                f"Another program has been writing to '{folder}' for {_WAIT:.0f} "
                "seconds. Close it, or wait until it has ended, then save again; "
                "nothing is lost meanwhile."
            ) from error
        except OSError:
            held.pop_all()
        yield
