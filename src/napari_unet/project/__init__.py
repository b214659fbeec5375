"""A project folder: corrections, models and settings; no torch."""
