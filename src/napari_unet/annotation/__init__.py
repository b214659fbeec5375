"""The annotation workflow, without a window: strokes, Improve, segmenting again."""
