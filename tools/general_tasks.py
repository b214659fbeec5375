"""Synthetic tasks to learn from few strokes: two images of one kind, and their classes.

A task draws materials (grey, texture, direction), layouts (discs, stars, rods, cells
with walls, tubes, blobs, layers, superpixels of a real image) and optics once, and two
scenes with them. Which materials are one class is drawn, too. Nothing imitates a
particular set of images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from general_layouts import LAYOUTS, Plane, Random, Rule, layout, smooth
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["SIDE", "Scene", "draw_task"]

SIDE = 160  # of an image, in pixels
LEAST = 0.02  # share of the pixels that every class has in both images
APART = 0.18  # least difference of grey where textures are alike


@dataclass(frozen=True)
class Scene:
    """An image (Y, X) float32 of about 0 to 1, and its classes (Y, X) uint8."""

    image: Plane
    classes: NDArray[np.uint8]


@dataclass(frozen=True)
class Material:
    """What fills a region: grey, and noise of a size, a strength and a direction."""

    grey: float
    strength: float
    sigma: tuple[float, float]
    angle: float
    cells: float  # how much grey differs from region to region


# --- what things look like -----------------------------------------------------------


def material(random: Random, others: Sequence[Material]) -> Material:
    """Draw a material that can be told from `others`, by grey or by texture."""
    while True:
        fine, ratio = np.exp(random.uniform(-0.7, 1.6)), 1.0
        if random.random() < 0.4:
            ratio = random.uniform(2, 5)
        strength = random.choice([0.02, 0.06, 0.12, 0.2])
        found = Material(
            random.uniform(0, 1),
            strength,
            (fine, fine * ratio),
            random.uniform(0, 180),
            random.choice([0.0, 0.05, 0.12]),
        )
        if others and random.random() < 0.25:  # in texture alone
            found = Material(others[0].grey, *_values(found)[1:])
        if all(_differ(found, other) for other in others):
            return found


def _values(one: Material) -> tuple[float, float, tuple[float, float], float, float]:
    return one.grey, one.strength, one.sigma, one.angle, one.cells


def _differ(a: Material, b: Material) -> bool:
    rough = max(a.strength, b.strength) >= 0.12
    strength = max(a.strength, b.strength) >= 3 * min(a.strength, b.strength)
    sizes = [np.log(a.sigma[i] / b.sigma[i]) for i in (0, 1)]
    scale = max(map(abs, sizes)) > 1.0
    return abs(a.grey - b.grey) > APART or (rough and (strength or scale))


def _textured(one: Material, regions: NDArray[np.intp], random: Random) -> Plane:
    side = regions.shape[0]
    wide = smooth(random, side + side // 2, *one.sigma)
    turned = ndimage.rotate(wide, one.angle, reshape=False, order=1, mode="wrap")
    low = side // 4
    texture = turned[low : low + side, low : low + side]
    cell = random.standard_normal(regions.max() + 1).astype(np.float32)
    return one.grey + one.strength * texture + one.cells * cell[regions]


@dataclass(frozen=True)
class Optics:
    """How a scene is seen; the strengths are 0 where there is no such effect."""

    halo: float
    halo_size: float
    relief: float
    relief_angle: float
    blur: float
    shading: float
    gamma: float
    noise: float
    grains: float  # size of the noise, pixels

    def see(self, scene: Plane, body: Plane, random: Random) -> Plane:
        """Return the image of a scene whose things are 1 in `body`."""
        wide = ndimage.gaussian_filter(body, self.halo_size)
        near = ndimage.gaussian_filter(body, 1.0)
        seen = scene + self.halo * (wide - near)
        height = ndimage.gaussian_filter(body + 0.5 * scene, 1.5)
        dy, dx = np.gradient(height)
        angle = self.relief_angle
        slope = np.cos(angle) * dy + np.sin(angle) * dx
        if self.relief:
            seen = 0.25 * seen + self.relief * slope
        seen = ndimage.gaussian_filter(seen, self.blur)
        yy, xx = np.indices(seen.shape) / seen.shape[0] - 0.5
        turn = random.uniform(0, 2 * np.pi)
        seen = seen * (1 + self.shading * (np.cos(turn) * yy + np.sin(turn) * xx))
        low, high = np.percentile(seen, (1, 99.8))
        seen = np.clip((seen - low) / (high - low + 1e-6), 0, 1.2) ** self.gamma
        noise = smooth(random, seen.shape[0], self.grains, self.grains)
        seen = seen + self.noise * noise
        low, high = np.percentile(seen, (1, 99.8))
        found: Plane = ((seen - low) / (high - low + 1e-6)).astype(np.float32)
        return found.clip(-1, 4)


def optics(random: Random) -> Optics:
    """Draw how images of a task are seen."""
    halo = random.uniform(0.3, 1.2) if random.random() < 0.35 else 0.0
    relief = random.uniform(1.5, 4) if random.random() < 0.2 else 0.0
    return Optics(
        halo * random.choice([-1, 1]),
        random.uniform(2, 6),
        relief,
        random.uniform(0, 2 * np.pi),
        random.uniform(0.3, 1.6),
        random.choice([0.0, random.uniform(0, 0.8)]),
        float(np.exp(random.uniform(-0.7, 0.7))),
        random.choice([0.01, 0.02, 0.05, 0.1]),
        random.uniform(0.0, 0.9),
    )


# --- a task --------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """Layouts, one above the other, their materials, and the class of every material.

    The first material is that of the ground. Where ``band`` is above 0, the rims of the
    uppermost things are of a material of their own, ``band`` pixels wide.
    """

    rules: tuple[Rule, ...]
    materials: tuple[Material, ...]
    classes: tuple[int, ...]
    band: int
    optics: Optics

    def scene(self, random: Random, side: int) -> Scene:
        """Draw one image of the task."""
        where = np.zeros((side, side), np.intp)
        image = _textured(self.materials[0], where, random)
        for number, rule in enumerate(self.rules, 1):
            regions = rule(random, side)
            inside = regions > 0
            shown = _textured(self.materials[number], regions, random)
            image = np.where(inside, shown, image)
            where[inside] = number
        if self.band:
            core = ndimage.distance_transform_edt(inside)
            rim = inside & (core <= self.band)
            shown = _textured(self.materials[-1], regions, random)
            image = np.where(rim, shown, image)
            where[rim] = len(self.materials) - 1
        body = (where > 0).astype(np.float32)
        seen = self.optics.see(image.astype(np.float32), body, random)
        return Scene(seen, np.array(self.classes, np.uint8)[where])


def draw_task(
    seed: int, pictures: Sequence[Plane] = (), side: int = SIDE
) -> tuple[Scene, Scene]:
    """Return two images of the task of a seed; each shows all its classes.

    Parameters
    ----------
    pictures
        Real images (Y, X), at least ``side`` long, for superpixels; where there are
        none, blobs take their place.
    side
        Of the images, in pixels.
    """
    random = np.random.default_rng(seed)
    while True:
        kinds = random.choice(LAYOUTS, random.integers(1, 4))
        band = int(random.integers(2, 5)) if random.random() < 0.3 else 0
        materials: list[Material] = []
        for _ in range(1 + len(kinds) + (band > 0)):
            materials.append(material(random, materials))
        classes = _classes(random, len(materials))
        rules = tuple(layout(kind, random, pictures) for kind in kinds)
        task = Task(rules, tuple(materials), classes, band, optics(random))
        first, second = (task.scene(random, side) for _ in range(2))
        shares = [np.bincount(s.classes.ravel(), minlength=9) for s in (first, second)]
        least = min(share[c] for share in shares for c in set(classes))
        if least >= LEAST * side**2:
            return first, second


def _classes(random: Random, materials: int) -> tuple[int, ...]:
    """Return a class for every material: all apart, or some of them merged."""
    count = int(random.integers(2, materials + 1))
    while True:
        drawn = random.integers(0, count, materials)
        if random.random() < 0.5:
            drawn = np.minimum(np.arange(materials), count - 1)
        if len(set(drawn)) == count:
            return tuple(int(c) for c in drawn)
