"""A project folder: corrections, images, models and settings; no torch."""
