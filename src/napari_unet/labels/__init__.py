"""Label maps: objects found, joined, measured and compared; no torch."""
