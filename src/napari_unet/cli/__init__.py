"""The command line, `napari-unet`; its entry point is `main`."""

from .commands import app, main

__all__ = ["app", "main"]
