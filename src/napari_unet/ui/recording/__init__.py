"""Recording of strokes: painting on a result is kept as corrections."""
