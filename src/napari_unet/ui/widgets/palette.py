"""Class colours, distinct on grey images and for colour-blind people."""

from colorsys import hsv_to_rgb

__all__ = ["Colour", "class_colours"]

Colour = tuple[float, float, float, float]
"""Red, green, blue and opacity, 0 to 1."""

# Okabe & Ito 2008, "Color Universal Design", https://jfly.uni-koeln.de/color/, without
# black. Each is the one farthest from those before it and from greys up to 60 %: the
# least CIELAB distance to normal vision and to the simulations of protanopia,
# deuteranopia and tritanopia of Machado 2009. The last two look grey to some.
_OKABE_ITO = (
    (0xD5, 0x5E, 0x00),  # vermilion
    (0x56, 0xB4, 0xE9),  # sky blue
    (0xF0, 0xE4, 0x42),  # yellow
    (0x00, 0x72, 0xB2),  # blue
    (0xE6, 0x9F, 0x00),  # orange
    (0x00, 0x9E, 0x73),  # bluish green
    (0xCC, 0x79, 0xA7),  # reddish purple
)
_HUES = 40
_TONES = ((1, 1), (1, 0.7), (0.55, 1), (0.6, 0.75), (0.3, 1), (0.35, 0.7), (0.8, 0.85))
_DARKEST = 0.2  # of grey images is near black
_MOST = 254  # classes that a model can have

_RGB = tuple[float, float, float]


def class_colours(n: int) -> list[Colour]:
    """Return a colour for each of `n` classes, always the same ones.

    The background, which is first, is transparent; the next seven are those of Okabe
    and Ito, then follow others, each as far as can be from all before it.

    Raises
    ------
    ValueError
        If there are more than a model can have.

    Examples
    --------
    >>> class_colours(2)[0], class_colours(2)[1][2:]
    ((0.0, 0.0, 0.0, 0.0), (0.0, 1.0))
    """
    if not 0 <= n <= _MOST:
        raise ValueError(f"There are no {n} colours for classes; {_MOST} are the most.")
    colours = [(r / 255, g / 255, b / 255) for r, g, b in _OKABE_ITO]
    opaque = [*colours, *_others(colours, n - 1 - len(colours))]
    return [(0.0, 0.0, 0.0, 0.0), *((*colour, 1.0) for colour in opaque)][:n]


def _others(known: list[_RGB], count: int) -> list[_RGB]:
    """Return `count` colours, each as far as can be from `known` and the rest."""
    if count <= 0:
        return []
    pool = [hsv_to_rgb(h / _HUES, s, v) for s, v in _TONES for h in range(_HUES)]
    pool = [rgb for rgb in pool if _luma(rgb) > _DARKEST]
    gaps = [min(_distance(rgb, other) for other in known) for rgb in pool]
    found = []
    for _ in range(count):
        new = pool[max(range(len(pool)), key=gaps.__getitem__)]
        found.append(new)
        gaps = [
            min(gap, _distance(rgb, new)) for gap, rgb in zip(gaps, pool, strict=True)
        ]
    return found


def _luma(rgb: _RGB) -> float:
    return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]  # ITU-R BT.601


def _distance(one: _RGB, two: _RGB) -> float:
    """Return how different two colours look; https://www.compuphase.com/cmetric.htm."""
    red = (one[0] + two[0]) / 2
    weights = (2 + red, 4, 3 - red)
    return sum(
        weight * (a - b) ** 2 for weight, a, b in zip(weights, one, two, strict=True)
    )
