"""Trust in the model before, by its agreement with a first answer.

Strokes show mistakes only, so how good a model is cannot be read from how it does on
them. A first answer that was fitted to them without the model can be compared with it
everywhere else: where the two agree, both are right, as a rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "FILTERS",
    "NEARLY_RIGHT",
    "STROKES",
    "Standing",
    "agrees",
    "is_new",
    "noted",
    "standing",
]

STROKES = "strokes"  # in a card: how many the model has learned from
NEARLY_RIGHT = "nearly right"  # in a card: whether it was, at its first lesson
FILTERS = "filters"  # in a card: how much they counted then, 0 to 1
_AGREES = 0.65  # Dice of every class of two answers, of which a good model has more
_AGREES_NEW = 0.73  # of a model for new classes, of which nobody has seen anything yet
_KNOWN = 64  # strokes that a model is worth that was nearly right from the beginning
_HALF = 8  # strokes that make a model half trusted
_SHARE = 0.25  # of the filters, when a net has learned from many strokes


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a model stays what it was while it learns.

    Attributes
    ----------
    strokes
        How many it has learned from.
    proven
        Whether it was nearly right already when it learned for the first time.
    filters
        Share of a reader of plain filters in its first answer then, 0 to below 1.
    """

    strokes: int = 0
    proven: bool = False
    filters: float = 0.0

    @property
    def share(self) -> float:
        """How far it is trusted, 0 to 1.

        One that has learned from n strokes is n / (n + 8); one that was nearly right
        before it learned from any, as if it had learned from 64 more.
        """
        known = self.strokes + _KNOWN * self.proven
        return known / (known + _HALF)

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
        """Share of a head's weights that stays as it was in a first answer."""
        return (0.9 if self.proven else 0.4) * self.share

    @property
    def steadied(self) -> float:
        """How far the whole net, when it has learned, moves back to a first answer."""
        return 0.9 * self.share if self.proven else 0.5

    @property
    def rate(self) -> float:
        """The learning rate of the whole net."""
        return 3e-4 if self.proven else 1e-3

    def mixed(self, strokes: int) -> float:
        """Return the share of the filters' reader in a model of so many strokes.

        It moves to a quarter as the net learns what the filters cannot tell it.
        """
        if self.proven or not strokes:
            return 0.0
        left = min(1.0, 2 * _HALF / (strokes + _HALF))
        return _SHARE + (self.filters - _SHARE) * left


def is_new(card: Mapping[str, Any]) -> bool:
    """Return whether the model with this card was made for new classes, and no more."""
    history = card.get("history") or [""]  # all that older ones have
    made = str(history[-1]).startswith("new classes") and STROKES not in card
    return made or card.get(STROKES) == 0


def agrees(agreement: float, *, new: bool) -> bool:
    """Return whether a model is nearly right that agrees so far with another answer.

    Parameters
    ----------
    agreement
        The least Dice of a class between what it says and a first answer that was
        fitted to strokes without it, where nobody painted.
    new
        Whether its classes are new to it. Who corrects a model that was trained for
        them has seen it at work, and less is asked of it.
    """
    return agreement >= (_AGREES_NEW if new else _AGREES)


def standing(card: Mapping[str, Any]) -> Standing | None:
    """Return how far the model with this card is to be trusted.

    None for one that has not learned from strokes yet: it is to be found out.
    """
    proven, known = card.get(NEARLY_RIGHT), card.get(STROKES)
    if not isinstance(proven, bool) or not isinstance(known, int) or known < 1:
        return None
    share = card.get(FILTERS)
    if not isinstance(share, int | float) or not 0 <= share < 1:
        share = _SHARE
    return Standing(known, proven, share)


def noted(standing: Standing, strokes: int) -> dict[str, Any]:
    """Return what the card of a model says that learned from so many strokes."""
    return {
        STROKES: strokes,
        NEARLY_RIGHT: standing.proven,
        FILTERS: round(standing.filters, 3),
    }
