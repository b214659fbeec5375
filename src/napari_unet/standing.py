"""How far a model is to be trusted: by what it has learned from.

Strokes show mistakes only, so how good a model is cannot be read from them. How often
it has learned from strokes already can.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["NEW", "STROKES", "Standing", "standing"]

STROKES = "strokes"  # in a card: how many the model has learned from
NEW = "new classes"  # in a card: whether it was begun for other classes
_SHIPPED = 64  # strokes that a model is worth that learned from whole images
_HALF = 8  # strokes that make a model half trusted


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a model stays what it was while it learns.

    Attributes
    ----------
    share
        0 to 1: not at all, or wholly.
    proven
        Whether it began with whole images of the same classes, as a shipped model has.
    """

    share: float
    proven: bool

    @property
    def head_trust(self) -> float:
        """Weight of what it says where nobody looked, next to 1, in a first answer."""
        return (0.03 + 2 * self.share) * (4 if self.proven else 1)

    @property
    def net_trust(self) -> float:
        """Weight of the first answer where nobody looked, next to 1 for strokes."""
        return 4.0 if self.proven else 1.0

    @property
    def kept(self) -> float:
        """Share of the weights that stays as it was."""
        return (0.9 if self.proven else 0.4) * self.share

    @property
    def rate(self) -> float:
        """The learning rate of the whole net."""
        return 3e-4 if self.proven else 1e-3


def standing(card: Mapping[str, Any]) -> Standing:
    """Return how far the model with this card is to be trusted.

    A model that was just made for new classes is not, one that has learned from n
    strokes n / (n + 8). Any other is a shipped one, or began as one: 64 strokes more.
    """
    proven = not card.get(NEW)
    known = card.get(STROKES, 0)
    count = known if isinstance(known, int) and known > 0 else 0
    count += _SHIPPED * proven
    return Standing(count / (count + _HALF), proven)
