"""The command line: words in, sentences and one line of JSON out."""

from .commands import app, main

__all__ = ["app", "main"]
