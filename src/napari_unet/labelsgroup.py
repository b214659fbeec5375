"""Labels that lie in their image: the folder ``labels`` of an OME-Zarr.

Only this file knows how an image names its labels, and labels their image.
"""

import json
from pathlib import Path
from typing import Any

from .errors import OutputError
from .safefile import write_whole

__all__ = ["announce", "image_around"]

_MARK = "zarr.json"


def image_around(target: Path) -> Path | None:
    """Return the OME-Zarr image in whose folder ``labels`` a target lies, or None.

    Raises
    ------
    OutputError
        If the image is older than OME-Zarr 0.5: ours would not be found in it.
    """
    labels = target.absolute().parent
    image = labels.parent
    if labels.name != "labels":
        return None
    if (image / ".zattrs").is_file():
        raise OutputError(
            f"'{image.name}' is an OME-Zarr before 0.5, in which labels of 0.5 are not "
            "found. Choose another output folder."
        )
    return image if "multiscales" in _read(image)["attributes"].get("ome", {}) else None


def announce(target: Path) -> None:
    """Enter labels that lie in their image into the list of those that it has.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    labels, mine = target.parent, _read(target)
    about = mine["attributes"].get("ome", {}).get("image-label")
    if about is None or image_around(target) is None:
        return
    about["source"] = {"image": "../../"}
    group = _read(labels)
    ome = group["attributes"].setdefault("ome", {"version": "0.5"})
    ome["labels"] = list(dict.fromkeys([*ome.get("labels", ()), target.name]))
    for folder, found in ((target, mine), (labels, group)):
        write_whole(folder / _MARK, json.dumps(found, indent=2).encode())


def _read(folder: Path) -> dict[str, Any]:
    """Return what a group says of itself; of one that is not there, nothing yet."""
    try:
        found: dict[str, Any] = json.loads((folder / _MARK).read_bytes())
    except (OSError, ValueError):
        found = {"zarr_format": 3, "node_type": "group"}
    found.setdefault("attributes", {})
    return found
