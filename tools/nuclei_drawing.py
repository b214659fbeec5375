"""Synthetic nuclei: shape, chromatin and optical blur on a plane.

Everything is drawn at twice the resolution and averaged down. The truth is where a
body's own smooth profile, seen through the blur, is above half its maximum, which is
where a person would draw the outline.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = [
    "Array",
    "Body",
    "Pose",
    "Random",
    "Scene",
    "halve",
    "make_body",
    "outline",
    "polar",
    "speckle",
]

Array = NDArray[np.float64]
Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Body:
    """One nucleus, drawn around the centre of a small square at double resolution."""

    profile: Array  # 0 outside, about 1 inside: where it is
    stain: Array  # what it emits or absorbs


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a body lies: centre (Y, X) in pixels, angle, brightness and defocus."""

    y: float
    x: float
    angle: float = 0.0
    light: float = 1.0
    blur: float = 0.8  # standard deviation of the point spread function, in pixels


class Scene:
    """A plane (Y, X) that bodies are added to: their light and their outlines."""

    def __init__(self, height: int, width: int) -> None:
        self.light = np.zeros((height, width))
        self.best = np.full((height, width), 0.5)  # of the profiles seen so far
        self.labels = np.zeros((height, width), np.uint16)

    def add(self, body: Body, pose: Pose, label: int) -> None:
        """Draw `body` through the optics; it owns the pixels where it is strongest."""
        image, at = project(body.stain, pose)
        here, there = overlap(image.shape, at, self.light.shape)
        self.light[here] += pose.light * image[there]
        profile = project(body.profile, pose)[0][there]
        mine = profile > self.best[here]
        self.labels[here][mine] = label
        self.best[here][mine] = profile[mine]

    def room(self, body: Body, pose: Pose, gap: float) -> bool:
        """Tell whether `body` would stay `gap` pixels (or more) from all others."""
        image, at = project(body.profile, pose)
        here, there = overlap(image.shape, at, self.light.shape)
        mine = image[there] > 0.5
        if gap > 0:
            steps = ndimage.distance_transform_edt(~mine) if mine.any() else mine
            mine = steps <= gap
        return bool(mine.any()) and not self.labels[here][mine].any()


def project(drawing: Array, pose: Pose) -> tuple[Array, tuple[int, int]]:
    """Turn, shift, blur and average down; return the image and its first pixel."""
    size = drawing.shape[0]
    corner = int(np.floor(pose.y)) - size // 4, int(np.floor(pose.x)) - size // 4
    centre = 2 * (np.array([pose.y, pose.x]) - corner) - 0.5  # in fine pixels
    cos, sin = np.cos(pose.angle), np.sin(pose.angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    shift = (size - 1) / 2 - turn @ centre
    fine = ndimage.affine_transform(drawing, turn, shift, order=1)
    fine = ndimage.gaussian_filter(fine, 2 * pose.blur, mode="constant")
    return halve(fine), corner


def halve(fine: Array) -> Array:
    """Average blocks of 2 x 2 pixels."""
    rows, columns = fine.shape[0] // 2, fine.shape[1] // 2
    mean: Array = fine.reshape(rows, 2, columns, 2, *fine.shape[2:]).mean((1, 3))
    return mean


def overlap(
    shape: tuple[int, ...], at: tuple[int, int], whole: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the slices of a plane and of a patch laid `at` it that coincide."""
    here, there = [], []
    for n, start, size in zip(shape, at, whole, strict=True):
        first, last = min(max(start, 0), size), max(min(start + n, size), 0)
        here.append(slice(first, max(first, last)))
        there.append(slice(first - start, max(first, last) - start))
    return tuple(here), tuple(there)


def speckle(rng: Random, shape: tuple[int, int], fine: float, coarse: float) -> Array:
    """Return noise between two scales (blurs, in pixels), of variance 1."""
    noise = rng.normal(size=shape)
    band: Array = ndimage.gaussian_filter(noise, fine, mode="wrap")
    band -= ndimage.gaussian_filter(noise, coarse, mode="wrap")
    band /= band.std()
    return band


def outline(rng: Random, angles: Array, rough: float, elongation: float) -> Array:
    """Return radii around 1 of an irregular ellipse in the given directions."""
    a = np.sqrt(elongation)
    radii: Array = 1 / np.hypot(np.cos(angles) / a, np.sin(angles) * a)
    for k in range(2, 8):
        size = rng.normal(0, rough / (k - 1))
        radii *= 1 + size * np.cos(k * angles + rng.uniform(0, 2 * np.pi))
    return radii


def polar(size: int) -> tuple[Array, Array]:
    """Return distance and angle from the centre of a square."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(y, x), np.arctan2(y, x)


def make_body(
    rng: Random, diameter: float, elongation: float, *, dense: bool = False
) -> Body:
    """Draw one nucleus: outline, thickness, chromatin, nucleoli."""
    size = 2 * round(1.1 * diameter * np.sqrt(elongation) + 16)
    distance, angle = polar(size)
    relative = distance / (diameter * outline(rng, angle, 0.05, elongation))
    profile = np.clip((1 - relative) * diameter / 2 + 0.5, 0, 1)  # an edge of 1 pixel
    thickness = np.sqrt(np.clip(1 - relative**3.5, 0, 1))
    texture = 1 + 0.10 * speckle(rng, (size, size), 1.6, 5)
    texture += 0.10 * speckle(rng, (size, size), 5, 12)
    for _ in range(0 if dense else rng.integers(1, 5)):
        y, x = rng.normal(0, diameter * 0.33, 2) + (size - 1) / 2
        row, column = np.mgrid[:size, :size]
        spot = np.hypot(row - y, (column - x) * rng.uniform(0.7, 1.4))
        depth = rng.uniform(0.3, 0.6) / (1 + np.exp((spot - rng.uniform(3, 5)) / 0.8))
        texture *= 1 - depth
    return Body(profile, profile * thickness * np.clip(texture, 0.2, None))
