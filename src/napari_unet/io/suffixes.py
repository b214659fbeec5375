"""File name suffixes of images."""

__all__ = ["PICTURES", "TIFFS"]

# Microscopes and slide scanners write TIFF under names of their own.
TIFFS = (
    *(".tif", ".tiff", ".btf", ".tf2", ".tf8", ".lsm", ".stk"),
    *(".svs", ".ndpi", ".qptiff", ".scn", ".bif", ".ptif", ".ptiff", ".zif", ".flex"),
)
PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
