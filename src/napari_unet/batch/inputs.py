"""Batch inputs: files from paths, folders and globs, and the names of their results.

The same words give the same names every time: a run that goes on must find what it
began.
"""

import glob
import os
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from napari_unet.errors import OptionsError
from napari_unet.io.suffixes import PICTURES, TIFFS
from napari_unet.io.zarr_groups import is_zarr
from napari_unet.options import StackFormat

__all__ = ["as_zarr", "find_inputs", "name_outputs"]

_ZARR, _TIFF = ".ome.zarr", ".ome.tif"
_SUFFIXES: dict[StackFormat, str] = {
    "ome-zarr": _ZARR,
    "ome-tiff": _TIFF,
    "auto": _TIFF,
}
_LEDGERS = ".napari-unet"


def find_inputs(words: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return the images that are named by files, folders and globs, each once.

    A folder stands for the images in it, not for those in folders of it; a folder that
    is a Zarr is an image. Results of a batch are no inputs, and several OME-TIFFs that
    are shown as one image are one input. Files that are not there are returned too:
    each is reported when its turn comes.

    Raises
    ------
    OptionsError
        If there is nothing to do.
    """
    found = dict.fromkeys(path for word in words for path in _expand(word))
    results = cache(_results)  # a folder may have 100,000 images
    images = [path for path in found if path.name not in results(path.parent)]
    if not any(os.path.lexists(path) for path in images):
        said = ", ".join(f"'{os.fspath(word)}'" for word in words) or "nothing"
        why = "only results of a batch are" if found and not images else "no image is"
        raise OptionsError(
            f"There is nothing to segment: {why} found for {said}. Name images, "
            "folders of images, or patterns such as 'data/*.tif'."
        )
    return _once(images)


def _once(images: list[Path]) -> list[Path]:
    """Return the images without files that are shown with one before them."""
    if sum(map(_is_ome, images)) < 2:
        return images
    from napari_unet.io.ome_dataset import (
        files_together,  # slow to load, and seldom needed
    )

    shown: set[Path] = set()
    kept = []
    for path in images:
        place = path.absolute()
        if place in shown:
            continue
        if _is_ome(path):
            shown |= files_together(place)
        kept.append(path)
    return kept


def _is_ome(path: Path) -> bool:
    """Whether a file may be one of several: then it has to be called so."""
    return ".ome." in path.name.lower() and path.is_file()


def _expand(word: str | os.PathLike[str]) -> list[Path]:
    path = Path(word).expanduser()
    if path.is_dir() and not is_zarr(Path(path)):
        with os.scandir(path) as entries:
            return [
                path / name for name in sorted(e.name for e in entries if _is_image(e))
            ]
    if not os.path.lexists(path) and glob.has_magic(str(path)):
        names = glob.glob(str(path), recursive=True)  # noqa: PTH207 - any root
        paths = map(Path, sorted(names))
        return [p for p in paths if _is_image(p) or p.is_file()]
    return [path]


def _is_image(path: "Path | os.DirEntry[str]") -> bool:
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return is_zarr(Path(path))
    return path.name.lower().endswith((*TIFFS, *PICTURES))


def _results(folder: Path) -> set[str]:
    """Return the names of all results of a batch in a folder."""
    try:
        return {
            path.stem
            for path in (folder / _LEDGERS).iterdir()
            if path.suffix == ".jsonl"
        }
    except OSError:
        return set()


def name_outputs(inputs: Sequence[Path], folder: Path, form: StackFormat) -> list[Path]:
    """Return where the result of each input goes: its stem, told apart if need be.

    Those of one stem get the name of their folder in front; two in one folder keep
    their suffixes, too; and more folders are named if that is not enough. For
    ``"auto"`` they are those of OME-TIFF; `as_zarr` says what they are otherwise.
    """
    full = [path.absolute() for path in inputs]
    names = [_stem(path) for path in full]
    for depth in range(1, max((len(p.parts) for p in full), default=0) + 2):
        # Case does not tell names apart on every disk.
        count = Counter(name.casefold() for name in names)
        if len(count) == len(names):
            break
        names = [
            _longer(path, depth) if count[name.casefold()] > 1 else name
            for path, name in zip(full, names, strict=True)
        ]
    return [folder / (name + _SUFFIXES[form]) for name in names]


def as_zarr(target: Path) -> Path:
    """Return the name of the same result as an OME-Zarr."""
    return target.with_name(target.name.removesuffix(_TIFF) + _ZARR)


def _longer(path: Path, depth: int) -> str:
    """Return a name of more words: first the folder, then the suffix, then folders."""
    if depth == 1:
        return f"{path.parent.name}_{_stem(path)}"
    return "_".join((*path.parts[1:-1][1 - depth :], path.name))


def _stem(path: Path) -> str:
    return re.sub(r"(\.ome)?\.[^.]*$", "", path.name, flags=re.IGNORECASE) or path.name
