"""Damaged input of every kind, given to every reader: `make fuzz`."""
