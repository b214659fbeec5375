"""The annotation workflow without a window: strokes to targets, Improve, again."""
