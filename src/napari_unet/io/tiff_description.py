"""TIFF metadata outside OME: scale, times and channels of ImageJ and microscopes.

Only this file knows where ImageJ, microscopes, slide scanners and plain TIFF put them.
OME-XML is a language of its own: see `ome_xml`.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from xml.sax.saxutils import unescape

import tifffile

from napari_unet._files import DAMAGE
from napari_unet.io.axes import unit_word
from napari_unet.io.content import Steps

__all__ = ["describe", "imagej_channels"]

_DOTS = {2: 25_400.0, 3: 10_000.0, 4: 1000.0, 5: 1.0}  # are counted per micrometers
_COARSEST = 20.0  # micrometers: larger pixels are a printer's 72 to 1200 dpi
_ORDER = "czt"  # how ImageJ counts planes, the fastest first
_POSITION = re.compile(r"^([czt]:\d+/\d+\s*)+(-\s*)?", re.IGNORECASE)
_MPP = re.compile(r"\|\s*MPP\s*=\s*([\d.,]+)", re.IGNORECASE)

_NAME = re.compile(r"<Name>([^<]*)</Name>")

_Description = tuple[Steps, tuple[str, ...]]


def describe(tiff: tifffile.TiffFile) -> _Description:
    """Return the pixel sizes and channel names from whoever wrote the file.

    What is not said is left out. There may be fewer names than channels.
    """
    page = tiff.pages.first
    if tiff.is_imagej and tiff.imagej_metadata:
        return _describe_imagej(tiff.imagej_metadata, page)
    if tiff.is_lsm and tiff.lsm_metadata:
        return _describe_lsm(tiff.lsm_metadata)
    if tiff.is_stk and tiff.stk_metadata:
        return _describe_stk(tiff.stk_metadata, page), ()
    for kind, read in _OTHERS.items():
        if getattr(tiff, f"is_{kind}"):
            with suppress(*DAMAGE):
                return read(tiff), ()
    if tiff.is_qpi:
        return _printed(page), _names_in_pages(tiff)
    scanned = _MPP.search(page.description) if tiff.is_svs else None
    if scanned:
        return dict.fromkeys(
            "YX", (_number(scanned[1].replace(",", ".")), "micrometer")
        ), ()
    return _printed(page), ()


def imagej_channels(tiff: tifffile.TiffFile) -> bool:
    """Whether the samples of a pixel are channels to ImageJ, which TIFF calls colours.

    ImageJ's own colours have 8 bits; it composes channels of more in one pixel.
    """
    if not (tiff.is_imagej and tiff.imagej_metadata):
        return False
    page = tiff.pages.first
    said = tiff.imagej_metadata.get("channels", 1)
    return page.samplesperpixel > 1 and (
        said == page.samplesperpixel or page.dtype != "uint8"
    )


def _printed(page: tifffile.TiffPage) -> Steps:
    """Return the pixel size that plain TIFF has, in dots per inch or centimeter."""
    unit = _DOTS.get(int(page.resolutionunit or 0))
    if unit is None:
        return {}
    sizes = {a: unit / r for a, r in zip("XY", page.resolution, strict=True) if r > 0}
    if any(size > _COARSEST for size in sizes.values()):
        return {}
    return {a: (size, "micrometer") for a, size in sizes.items()}


def _describe_imagej(meta: dict[str, Any], page: tifffile.TiffPage) -> _Description:
    unit = str(meta.get("unit", "pixel"))
    units = {a: str(meta.get(f"{a.lower()}unit", unit)) for a in "XYZ"}
    if all(unit_word(units[a]) == "pixel" for a in "XY"):
        steps = _printed(page)
    else:
        resolution = zip("XY", page.resolution, strict=True)
        steps = {a: (1 / r, units[a]) for a, r in resolution if r > 0}
    if "spacing" in meta:
        steps["Z"] = (abs(_number(meta["spacing"])), units["Z"])
    interval, fps = (_number(meta.get(name, 0)) for name in ("finterval", "fps"))
    if interval > 0:
        steps["T"] = (interval, str(meta.get("tunit", "second")))
    elif fps > 0:  # how fast it is played, which is how fast a video was taken
        steps["T"] = (1 / fps, "second")
    return steps, _labelled(meta)


def _labelled(meta: dict[str, Any]) -> tuple[str, ...]:
    """Return what the labels of all slices of a channel agree on.

    Without their positions, as in "c:1/2 z:1/3 - DAPI". What all channels are called is
    the name of none.
    """
    labels = [_POSITION.sub("", str(label)) for label in meta.get("Labels") or ()]
    count = int(_number(meta.get("channels", 1)))
    order = str(meta.get("order", _ORDER)).lower()
    if not labels or count < 1 or sorted(order) != sorted(_ORDER):
        return ()
    sizes = {"c": count, "z": meta.get("slices", 1), "t": meta.get("frames", 1)}
    stride = 1
    for axis in order[: order.index("c")]:
        stride *= max(int(_number(sizes[axis])), 1)
    stride = 1 if len(labels) == count else stride
    called: list[set[str]] = [set() for _ in range(count)]
    for n, label in enumerate(labels):
        called[n // stride % count].add(_first_line(label))
    names = tuple(said.pop() if len(said) == 1 else "" for said in called)
    return () if count > 1 and len(set(names)) == 1 else names


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0].strip()


def _describe_lsm(meta: dict[str, Any]) -> _Description:
    steps = {a: (_number(meta.get(f"VoxelSize{a}")) * 1e6, "micrometer") for a in "XYZ"}
    steps["T"] = (_number(meta.get("TimeIntervall")), "second")
    names: Sequence[Any] = (meta.get("ChannelColors") or {}).get("ColorNames") or ()
    return steps, tuple(str(name).strip() for name in names)


def _describe_stk(meta: dict[str, Any], page: tifffile.TiffPage) -> Steps:
    """Return what MetaMorph notes, if it was calibrated."""
    unit = str(meta.get("CalibrationUnits", "pixel"))
    if unit_word(unit) == "pixel":
        return _printed(page)
    steps = {a: (_number(meta.get(f"{a}Calibration")), unit) for a in "XY"}
    distances = {float(z) for z in meta.get("ZDistance", ())}
    if len(distances) == 1:
        steps["Z"] = (distances.pop(), unit)
    return steps


def _describe_metaseries(tiff: Any) -> Steps:
    """Return what MetaMorph and MetaXpress note, if they were calibrated."""
    about = tiff.metaseries_metadata["PlaneInfo"]
    unit = str(about["spatial-calibration-units"])
    sizes = {a: _number(about[f"spatial-calibration-{a.lower()}"]) for a in "XY"}
    known = about.get("spatial-calibration-state", True)
    return {a: (size, unit) for a, size in sizes.items() if known}


def _describe_fei(tiff: Any) -> Steps:
    scan = tiff.fei_metadata["Scan"]  # in meters
    sizes = {a: scan[name] for a, name in (("X", "PixelWidth"), ("Y", "PixelHeight"))}
    return {a: (_number(size) * 1e6, "micrometer") for a, size in sizes.items()}


def _describe_sem(tiff: Any) -> Steps:
    about = tiff.sem_metadata
    _, size, unit = about.get("ap_image_pixel_size") or about["ap_pixel_size"]
    return dict.fromkeys("XY", (_number(size), str(unit)))


_OTHERS: dict[str, Callable[[Any], Steps]] = {
    "metaseries": _describe_metaseries,
    "fei": _describe_fei,
    "sem": _describe_sem,
}


def _names_in_pages(tiff: Any) -> tuple[str, ...]:
    """Return how the pages of a PerkinElmer scanner are called, each a channel."""
    called = (_NAME.search(page.description) for page in tiff.series[0])
    names = tuple(unescape(name[1]).strip() if name else "" for name in called)
    return names if len(names) > 1 else ()


def _number(value: Any) -> float:
    """Return a number; 0, which counts as unknown, if it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0
