"""One table of objects for all files of a batch, for spreadsheets and R."""

import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from napari_unet._files import fsync_tree
from napari_unet.errors import OutputError

__all__ = ["NAME", "check_ours", "write_all"]

NAME = "all-files.csv"
_ODD = "backslashreplace"  # names of files need not be text
_FIRST = "file"  # the column in front, as in the report


def check_ours(path: Path) -> None:
    """Raise unless a table of all files may be written there.

    Raises
    ------
    OutputError
        If another program's file is there.
    """
    columns = _columns(path) if path.exists() else [_FIRST, "label"]
    if columns[:1] != [_FIRST] or "label" not in columns:
        raise OutputError(
            f"'{path}' is no table of ours and would be replaced. Choose another "
            "output folder, or rename the file."
        )


def write_all(path: Path, part: Path, tables: Sequence[tuple[str, Path]]) -> None:
    """Write the rows of all tables into one, with the name of the file in front.

    Memory holds a row. Where tables have different columns, as of images with more
    channels, what a file lacks is empty.

    Parameters
    ----------
    part
        Where it lies until it is complete, on the same disk.
    tables
        Name of a file, and its table as CSV.

    Raises
    ------
    OutputError
        If a table cannot be read, or the disk does not take it.
    """
    try:
        columns = dict.fromkeys(c for _, table in tables for c in _columns(table))
        with part.open("w", newline="", encoding="utf-8", errors=_ODD) as out:
            writer = csv.DictWriter(out, [_FIRST, *columns], lineterminator="\n")
            writer.writeheader()
            for name, table in tables:
                writer.writerows({_FIRST: name, **row} for row in _rows(table))
        fsync_tree(part)
        os.replace(part, path)
    except (OSError, csv.Error) as error:
        with suppress(OSError):  # of a disk that is gone; the next run writes it anew
            part.unlink(missing_ok=True)
        raise OutputError(
            f"'{path}' could not be written ({error}). The tables of the files are "
            "complete. Make room, and start again: nothing is computed twice."
        ) from error


def _columns(table: Path) -> list[str]:
    with table.open(newline="", encoding="utf-8", errors=_ODD) as file:
        return next(csv.reader(file), [])


def _rows(table: Path) -> Iterator[dict[str, str]]:
    with table.open(newline="", encoding="utf-8", errors=_ODD) as file:
        yield from csv.DictReader(file)
