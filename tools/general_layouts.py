"""Where things lie in synthetic images: discs, stars, rods, cells, tubes and others.

A layout is a rule that draws regions of a square, numbered from 1; 0 is around them.
Superpixels of a real image are one, too.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import slic

__all__ = ["LAYOUTS", "Plane", "Random", "Rule", "layout", "smooth"]

Plane = NDArray[np.float32]
Random = np.random.Generator
Rule = Callable[[Random, int], NDArray[np.intp]]


def smooth(random: Random, side: int, *sigma: float) -> Plane:
    """Return noise (Y, X) of mean 0 and deviation 1, smoothed by `sigma`."""
    noise = random.standard_normal((side, side)).astype(np.float32)
    found: Plane = ndimage.gaussian_filter(noise, sigma, mode="wrap")
    return (found - found.mean()) / (found.std() + 1e-6)


def bodies(random: Random, side: int, size: float, lobes: float, long: float) -> Plane:
    """Return regions that are discs, stars or rods, numbered from 1."""
    found = np.zeros((side, side), np.intp)
    yy, xx = np.indices(found.shape)
    order, count = int(random.integers(3, 8)), 0.45 * side**2 / (np.pi * size**2 * long)
    for number in range(1, 2 + min(int(count * random.uniform(0.4, 1.0)), 150)):
        y, x = random.uniform(0, side, 2) + random.normal(0, 2, 2)
        turn, radius = random.uniform(0, 2 * np.pi), size * random.uniform(0.75, 1.3)
        dy, dx = yy - y, xx - x
        u = (dx * np.cos(turn) + dy * np.sin(turn)) / long
        v = dy * np.cos(turn) - dx * np.sin(turn)
        edge = radius * (1 + lobes * np.cos(order * np.arctan2(v, u) + turn))
        found[np.hypot(u, v) < edge] = number
    return found


def cells(random: Random, side: int, size: float, wall: float) -> NDArray[np.intp]:
    """Return Voronoi cells, numbered from 1, with walls of 0 between them."""
    count = max(4, int((side / size) ** 2))
    points = random.uniform(-size, side + size, (count * 2, 2))
    seeds = np.ones((side, side), bool)
    inside = points[((points >= 0) & (points < side)).all(1)].astype(int)
    seeds[tuple(inside.T)] = False
    bend = [smooth(random, side, 8, 8) * size / 8 for _ in range(2)]
    nearest = ndimage.distance_transform_edt(
        seeds, return_distances=False, return_indices=True
    )
    number = np.ravel_multi_index(tuple(nearest), (side, side))
    bent = np.clip(np.indices(seeds.shape) + np.stack(bend), 0, side - 1)
    number = number[tuple(bent.astype(int))]
    _, found = np.unique(number, return_inverse=True)
    found = found.reshape(side, side) + 1
    edge = ndimage.maximum_filter(found, 3) != ndimage.minimum_filter(found, 3)
    away = ndimage.distance_transform_edt(~edge)
    return np.where(away < wall, 0, found)


def tubes(random: Random, side: int, size: float, wide: float) -> NDArray[np.intp]:
    """Return tubes along the zero crossings of smooth noise."""
    noise = smooth(random, side, size, size)
    slope = np.hypot(*np.gradient(noise)) + 0.02
    return (np.abs(noise) / slope < wide).astype(np.intp)


def blobs(random: Random, side: int, size: float, share: float) -> NDArray[np.intp]:
    """Return the highest part of smooth noise, its islands numbered from 1."""
    noise = smooth(random, side, size, size)
    return ndimage.label(noise > np.quantile(noise, 1 - share))[0].astype(np.intp)


def layers(random: Random, side: int, size: float, angle: float) -> NDArray[np.intp]:
    """Return bands across the image, bent by noise; every second is 0."""
    yy, xx = np.indices((side, side)) / size
    along = np.cos(angle) * yy + np.sin(angle) * xx + random.uniform(0, 2)
    bands = np.floor(along / 4 + smooth(random, side, 12, 12) / 4).astype(np.intp)
    return np.where(bands % 2, 0, bands - bands.min() + 1)


def pieces(picture: Plane, random: Random, side: int, size: float) -> NDArray[np.intp]:
    """Return superpixels of a part of a real image; the darker ones are 0."""
    y, x = (random.integers(0, n - side + 1) for n in picture.shape)
    part = picture[y : y + side, x : x + side]
    found = slic(part, int((side / size) ** 2) + 2, 0.1, channel_axis=None)
    sizes = np.bincount(found.ravel()).clip(1)
    kept = np.bincount(found.ravel(), part.ravel()) / sizes > np.median(part)
    return np.where(kept[found], found, 0).astype(np.intp)


LAYOUTS = ("disc", "star", "rod", "cell", "tube", "blob", "layer", "piece")


def layout(kind: str, random: Random, pictures: Sequence[Plane]) -> Rule:
    """Draw how large things of one kind are, and return what draws them."""
    size = float(np.exp(random.uniform(np.log(4), np.log(22))))
    part, angle = random.uniform(0.15, 0.5), random.uniform(0, np.pi)
    lobes, wide = random.uniform(0.1, 0.4), random.uniform(1.2, 4.5)
    if kind == "piece" and pictures:
        picture = pictures[random.integers(len(pictures))]
        return lambda r, n: pieces(picture, r, n, size + 6)
    drawn: dict[str, Rule] = {
        "disc": lambda r, n: bodies(r, n, size, lobes / 5, 1.0 + part),
        "star": lambda r, n: bodies(r, n, size, lobes, 1.0),
        "rod": lambda r, n: bodies(r, n, max(size / 3, 2.0), 0.05, 2.5 + 8 * part),
        "cell": lambda r, n: cells(r, n, size + 10, wide),
        "tube": lambda r, n: tubes(r, n, size + 4, wide),
        "layer": lambda r, n: layers(r, n, size, angle),
    }
    return drawn.get(kind, lambda r, n: blobs(r, n, size, part))
