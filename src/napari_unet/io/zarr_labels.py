"""Labels inside an OME-Zarr image: the folder ``labels``, found and announced.

Only this file knows how an image names its labels, and labels their image.
"""

import json
from pathlib import Path
from typing import Any

from napari_unet._files import read_regular, write_whole
from napari_unet.errors import OutputError
from napari_unet.io.zarr_groups import described, image_folder, is_zarr

__all__ = ["announce", "find_labels", "image_around", "says_labels"]

_MARK, _OLD_MARK = "zarr.json", ".zattrs"


def find_labels(image: Path) -> tuple[list[Path], list[str]]:
    """Return the labels that lie in an OME-Zarr image, and sentences about the others.

    However imperfect the folder ``labels`` is, the image is none the worse for it.
    """
    image, _ = image_folder(image)
    folder = image / "labels"
    if not folder.is_dir() or not is_zarr(image):
        return [], []
    try:
        names = described(folder).get("labels") or []
    except FileNotFoundError:
        note = (
            f"Labels of {image.name} are not shown: its folder 'labels' does not say "
            "which there are. If a batch writes to it, open the image again when that "
            "has ended."
        )
        return [], [note]
    except (OSError, ValueError, RecursionError) as error:
        return [], [f"Labels of {image.name} cannot be read: {error}."]
    found, said = [], []
    for name in names if isinstance(names, list) else [names]:
        place = folder / str(name)
        if not is_zarr(place):
            said.append(f"The labels '{name}' that {image.name} names are not there.")
        elif not place.resolve().is_relative_to(image.resolve()):
            said.append(f"The labels '{name}' lie outside of {image.name}; left out.")
        else:
            found.append(place)
    return found, said


def says_labels(folder: Path) -> bool:
    """Return whether an OME-Zarr says of itself that its numbers are labels."""
    try:
        return "image-label" in described(folder)
    except (OSError, ValueError, RecursionError):
        return False


def image_around(target: Path) -> Path | None:
    """Return the OME-Zarr image in whose folder ``labels`` a target lies, or None.

    Raises
    ------
    OutputError
        If the image is older than OME-Zarr 0.5: ours would not be found in it; or if
        the list of its labels is damaged.
    """
    labels = target.absolute().parent
    image = labels.parent
    if labels.name != "labels":
        return None
    if (image / _OLD_MARK).is_file():
        raise OutputError(
            f"'{image.name}' is an OME-Zarr before 0.5, in which labels of 0.5 are not "
            "found. Choose another output folder."
        )
    if "multiscales" not in _attributes(_read(image)):
        return None
    _read(labels)
    return image


def announce(target: Path) -> None:
    """Enter labels that lie in their image into the list of those that it has.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    labels, mine = target.parent, _read(target)
    about = _attributes(mine).get("image-label")
    if about is None or image_around(target) is None:
        return
    about["source"] = {"image": "../../"}
    group = _read(labels)
    ome = group["attributes"].setdefault("ome", {"version": "0.5"})
    ome["labels"] = list(dict.fromkeys([*(ome.get("labels") or ()), target.name]))
    for folder, found in ((target, mine), (labels, group)):
        write_whole(folder / _MARK, json.dumps(found, indent=2).encode())


def _attributes(found: dict[str, Any]) -> dict[str, Any]:
    ome = found["attributes"].get("ome")
    return ome if isinstance(ome, dict) else {}


def _read(folder: Path) -> dict[str, Any]:
    """Return what a group says of itself; of one that is not there, nothing yet.

    Raises
    ------
    OutputError
        If what it says is damaged: it would be replaced.
    """
    try:
        found = json.loads(read_regular(folder / _MARK))
        if not isinstance(found.setdefault("attributes", {}), dict):
            raise ValueError("its attributes are none")
    except (FileNotFoundError, NotADirectoryError):
        return {"zarr_format": 3, "node_type": "group", "attributes": {}}
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise OutputError(
            f"'{folder / _MARK}' is damaged ({error}). Repair or remove it, or choose "
            "another output folder."
        ) from error
    return dict(found)
