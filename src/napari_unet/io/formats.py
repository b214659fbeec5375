"""File formats by their first bytes, and the reader of each; PNG, JPEG and BMP here."""

from pathlib import Path

from napari_unet.errors import ImageError
from napari_unet.io.content import Content
from napari_unet.io.picture_size import bmp_size, jpeg_size, png_size
from napari_unet.io.tiff_reader import read_tiff
from napari_unet.io.zarr_reader import read_zarr

__all__ = ["read_content"]

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DECODERS = {
    b"\x89PNG": "png_decode",
    b"\xff\xd8\xff": "jpeg_decode",
    b"BM": "bmp_decode",
}
_BYTES = 2**28  # that a picture may unpack to, however small its file is
_RATIO = 100  # beyond that: how much smaller a real one may be in its file
_SIZES = {"png_decode": png_size, "jpeg_decode": jpeg_size, "bmp_decode": bmp_size}


def read_content(file: Path) -> Content:
    """Read everything but the pixels of a file or folder of any format known here.

    Raises
    ------
    ImageError
        If it is missing, empty, or no image of these formats.
    """
    if file.is_dir():
        return read_zarr(file)
    if not file.exists():
        raise ImageError(f"{file} does not exist. Check the name and the folder.")
    if not file.is_file():
        raise ImageError(
            f"{file.name} is neither a file nor a folder. Choose an image."
        )
    with file.open("rb") as stream:
        start = stream.read(16)
    if not start:
        raise ImageError(f"{file.name} is empty (0 bytes). Copy or export it again.")
    if start.startswith(_TIFF_MAGIC):
        return read_tiff(file)
    for magic, decoder in _DECODERS.items():
        if start.startswith(magic):
            return _read_picture(file, decoder)
    raise ImageError(
        f"{file.name} is no image that can be opened here: it starts with "
        f"{start[:8]!r}. Save it as TIFF, PNG, JPEG, BMP or OME-Zarr, for example with "
        "Fiji."
    )


def _read_picture(file: Path, decoder: str) -> Content:
    """Load a PNG, JPEG or BMP."""
    import imagecodecs  # slow to load, and most images are TIFF

    content = file.read_bytes()
    if decoder == "jpeg_decode" and b"\xff\xd9" not in content[-4096:]:
        raise ImageError(  # the decoder would fill the rest with grey
            f"{file.name} was cut off: the end of the picture is missing. Copy or "
            "export it again."
        )
    _check_size(file, content, decoder)
    pixels = getattr(imagecodecs, decoder)(content)
    if pixels.ndim == 3 and pixels.shape[-1] == 2:  # grey and alpha
        pixels = pixels[..., 0]
    if decoder == "jpeg_decode" and pixels.shape[2:] == (4,):
        raise ImageError(
            f"{file.name} has CMYK colours, which are for printing. Save it as RGB."
        )
    axes = "YXS" if pixels.ndim == 3 else "YX"
    return Content((pixels,), axes, True, {}, ())


def _check_size(file: Path, content: bytes, decoder: str) -> None:
    """Raise if a picture says that it is larger than anybody wrote into its file."""
    rows, columns, samples = _SIZES[decoder](content)
    whole = rows * columns * samples
    if whole > _BYTES and whole > _RATIO * len(content):
        raise ImageError(
            f"{file.name} would unpack from {len(content)} bytes to {whole / 1e6:.0f} "
            f"MB ({rows} x {columns} pixels), which is too much to read at a time. "
            "Save it as a tiled TIFF."
        )
