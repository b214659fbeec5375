"""Learning from corrections: a first answer, then the whole net."""
