"""The front door: what `import napari_unet` offers to scripts, a module for each verb.

Nothing is computed here; every verb hands over to the package that does the work.
"""
