"""How far a model is to be trusted: by the strokes that it has learned from.

Strokes show mistakes only, so how good a model is cannot be read from them. How often
it has learned from strokes already can.
"""

from collections.abc import Mapping
from typing import Any

__all__ = ["STROKES", "kept", "standing"]

STROKES = "strokes"  # in a card: how many the model has learned from
_SHIPPED = 64  # strokes that a model is worth that learned from whole images
_HALF = 8  # strokes that make a model half trusted
_KEPT = 0.4  # share of the weights that stays, of a model that is wholly trusted


def standing(card: Mapping[str, Any]) -> float:
    """Return how far the model with this card is to be trusted, 0 to 1.

    A model that has just been made for new classes has none, one that has learned from
    n strokes n / (n + 8). A card that says nothing is that of a shipped model.
    """
    known = card.get(STROKES, _SHIPPED)
    count = known if isinstance(known, int) and known >= 0 else _SHIPPED
    return count / (count + _HALF)


def kept(standing: float) -> float:
    """Return the share of the weights that stays as it was, 0 to 1."""
    return _KEPT * standing
