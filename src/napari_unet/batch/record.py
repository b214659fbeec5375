"""Paths of one stack's result and work files, and the header of its run.

Knows the names of all files beside a result, and whether a run that is found there is
the same job, so that it can be gone on with.
"""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_unet import __version__
from napari_unet._files import set_aside
from napari_unet.batch.ledger import read_ledger
from napari_unet.errors import OutputError
from napari_unet.io.fingerprint import fingerprint
from napari_unet.io.image import Image
from napari_unet.network.normalization import Intensities
from napari_unet.network.predictor import Predictor
from napari_unet.options import BatchOptions

__all__ = ["TABLES", "ResultPaths", "differences", "header", "read_record", "remove"]

TABLES = (".csv", ".parquet")

Entry = dict[str, Any]

_FORMAT = 1
_LINES = "tile", "plane", "objects", "linked"  # keys of numbers
_ENDS = "publish", "done"  # keys of numbers, or of None
_MOST = 2**53
_FREE = ("memory", "device", "precision")  # options that do not change a result
_NAMES = {
    "format": "the version of the record",
    "image": "the image",
    "intensities": "the pixels of the image",
    "model": "the model",
    "engine": "the device or its precision",
    "options": "the option",
}


@dataclass(frozen=True, slots=True)
class ResultPaths:
    """Where the files of one result are.

    Attributes
    ----------
    target
        The result: appears when it is complete.
    """

    target: Path

    @property
    def base(self) -> Path:
        """The hidden folder beside all results."""
        return self.target.parent / ".napari-unet"

    @property
    def ledger(self) -> Path:
        """What is finished; stays, so that a complete result is known again."""
        return self.base / f"{self.target.name}.jsonl"

    @property
    def work(self) -> Path:
        """Folder of all that is removed in the end."""
        return self.base / self.target.name

    @property
    def store(self) -> Path:
        """The OME-Zarr while it is made."""
        return self.work / "labels.ome.zarr"

    @property
    def tiff(self) -> Path:
        """The OME-TIFF while it is written from the store."""
        return self.work / "labels.ome.tif"

    @property
    def classes(self) -> Path:
        """The class of every pixel, of which objects are made."""
        return self.work / "classes"

    @property
    def scores(self) -> Path:
        """The score of every pixel, where a least one is in force."""
        return self.work / "scores"

    @property
    def unlinked(self) -> Path:
        """Objects plane by plane, before they are linked through Z."""
        return self.work / "planes"

    @property
    def tables(self) -> Path:
        """Folder of the measurements, a file for each plane."""
        return self.work / "tables"

    def table(self, suffix: str) -> Path:
        """Return the file of measurements beside the result."""
        name = self.target.name
        for ending in (".ome.zarr", ".ome.tif"):
            name = name.removesuffix(ending)
        return self.target.with_name(name + suffix)

    def found_tables(self) -> list[Path]:
        """Return the files of measurements that are there."""
        return [p for p in map(self.table, TABLES) if os.path.lexists(p)]

    def measured(self, *, linked: bool) -> bool:
        """Return whether tables are there that are to stay as they are.

        One of ours does not stay if somebody painted on the labels since, or if it has
        a row for each plane of objects that are `linked`.
        """
        folder, table = self.target.is_dir(), self.table(".csv")
        mark = self.target / "zarr.json" if folder else self.target
        if not table.is_file():
            return bool(self.found_tables())
        with table.open(errors="replace") as file:
            columns = {*file.readline().strip().split(",")}
        if not {"label", "bbox_y0"} <= columns:
            return True
        if linked and "volume" not in columns:
            return False
        # The time of the mark is that of the last stroke, see `io.editable_zarr`. That
        # of a TIFF is when it was written; tables of the run are no older.
        return not mark.is_file() or table.stat().st_mtime_ns >= mark.stat().st_mtime_ns

    def clear(self) -> None:
        """Remove all that was begun, but not the result.

        Raises
        ------
        OutputError
            If the ledger cannot be removed.
        """
        shutil.rmtree(self.work, ignore_errors=True)
        remove(self.ledger)


def remove(file: Path) -> None:
    """Remove a file of an earlier run, if it is there.

    Raises
    ------
    OutputError
        If the disk does not let it go.
    """
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"'{file}' of an earlier run cannot be removed "
            f"({error.strerror or error}). Remove it yourself, then start again."
        ) from error


def read_record(
    paths: ResultPaths, *, keep: bool = False
) -> tuple[list[Entry], list[str]]:
    """Return what stands in the ledger of a result, and what is to be said about it.

    One that makes no sense is set aside, or only left out if the files are to `keep`
    their places.

    Raises
    ------
    OutputError
        If it cannot be read, or a newer version wrote it.
    """
    entries = read_ledger(paths.ledger)
    try:
        if entries and entries[0]["format"] > _FORMAT:
            raise OutputError(
                f"'{paths.target}' was begun by a newer version of napari-unet. "
                "Update it, or choose another output folder."
            )
        _check(entries)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        said = [] if keep else [set_aside(paths.ledger, error)]
        return [], said
    return entries, []


def _check(entries: list[Entry]) -> None:
    """Raise unless the lines of a ledger are of the kinds that are written there."""
    for first in entries[:1]:
        (height, width), window = first["tile"]
        device, precision = first["engine"]
        named = isinstance(device, str) and isinstance(precision, str)
        if not named or not {*_NAMES} <= {*first}:
            raise ValueError("it does not begin as a record does")
        _check_numbers(1, height, width, window)
    for entry in entries[1:]:
        _check_numbers(0, *(entry[key] for key in _LINES if key in entry))
        _check_numbers(0, *(entry[k] for k in _ENDS if entry.get(k) is not None))
        if "plane" in entry and "objects" not in entry:
            raise ValueError("a plane without a number of objects")


def _check_numbers(least: int, *numbers: Any) -> None:
    for number in numbers:
        if type(number) is not int or not least <= number < _MOST:
            raise ValueError(f"{number!r:.40} is no number that stands there")


def header(
    image: Image,
    checksum: str,
    run: Predictor,
    options: BatchOptions,
    intensities: Intensities | None,
) -> dict[str, Any]:
    """Return what fixes a result, as JSON; the tile is added when it is chosen.

    `checksum` is that of the model.
    """
    kept = {k: v for k, v in asdict(options.segment).items() if k not in _FREE}
    if str(kept["channel"]).isdecimal():  # as it was always written
        kept["channel"] = int(kept["channel"])
    kept["min_score"] = kept["min_score"] or None  # as where nobody knew of it
    kept |= {"link_z": options.link_z, "format": options.format, "axes": options.axes}
    source = image.source or Path(image.name)
    about = {
        "format": _FORMAT,
        "version": __version__,
        "image": {
            "name": source.name,
            "shape": list(image.shape),
            "axes": image.axes,
            "dtype": str(image.dtype),
            **fingerprint(source),
        },
        "intensities": None
        if intensities is None
        else [list(intensities.offset), list(intensities.gain)],
        "model": checksum,
        "engine": [run.device.type, str(run.dtype).removeprefix("torch.")],
        "options": kept,
    }
    found: dict[str, Any] = json.loads(json.dumps(about))  # as it will be read back
    return found


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return what changed between two headers, in words."""
    found, flat = [], "Z" not in new["image"]["axes"]
    for key, name in _NAMES.items():
        was, now = old.get(key), new[key]
        if flat and key == "options" and isinstance(was, dict):
            was = was | {"link_z": now["link_z"]}  # there is nothing to link
        if was == now:
            continue
        if isinstance(was, dict) and isinstance(now, dict):
            for part in sorted(was.keys() | now.keys()):
                if was.get(part) != now.get(part):
                    said = f"{was.get(part)}, now {now.get(part)}"
                    found.append(f"{name} {_word(key, part)} (was {said})")
        elif key == "model":
            found.append(name)
        else:
            found.append(f"{name} (was {was}, now {now})")
    return found


def _word(key: str, part: str) -> str:
    if key != "image":
        return part
    return {"bytes": "has another size", "changed": "was written to"}.get(
        part, f"has another {part}"
    )
