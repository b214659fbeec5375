"""What is painted on a result counts: how strokes are heard and kept."""
