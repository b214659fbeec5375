"""The public Python API: what `import napari_unet` offers to scripts.

Nothing is computed here; every verb hands over to the package that does the work.
"""
