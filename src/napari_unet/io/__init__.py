"""Reading images and writing labels: TIFF and OME-Zarr, window by window; no torch."""
