"""Learning from strokes and from whole labelled images."""
