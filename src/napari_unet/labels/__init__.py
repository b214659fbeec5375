"""Maps of objects: how they are found, joined, measured and compared; no torch."""
