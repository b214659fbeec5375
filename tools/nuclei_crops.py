"""Crops that `nuclei` learns from: cut, disturbed, drawn, and what they should say."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from nuclei_data import Annotated
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_unet.network.normalization import LUMA, Scaling

__all__ = ["BATCH", "CLASSES", "CROP", "Sampler", "loss_of", "shares", "targets"]

CLASSES = ("background", "interior", "boundary")
CROP = 192
BATCH = 8
SEED = 20261122
SHARES = {"dsb2018": 0.58, "dsb2018_histology": 0.22, "bbbc039_u2os": 0.2}  # of crops
BLANK = 0.04  # of crops hold nothing but noise and shading
HARD = (
    0.5,
    3.0,
)  # least and most that an image's last errors change how often it comes
NOBODY = 1e6  # more than the number of any object
NEAR = 4  # pixels from two objects at which a border begins to count
BORDER = 6.0  # weight of a pixel right between two objects, beside 1 elsewhere


def grey(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Mix the channels of `image` (C, Y, X) with random weights: (Y, X).

    Colours are stains that absorb: each is made stronger or weaker first.
    """
    if image.shape[0] == 1:
        return image[0]
    stain = torch.from_numpy(np.exp(rng.normal(0, 0.25, 3)).astype(np.float32))
    image = 256 * ((image + 1) / 256) ** stain[:, None, None]  # Beer and Lambert
    weights = LUMA if rng.random() < 0.5 else rng.dirichlet((1, 1, 1))
    return torch.einsum("c,cyx->yx", torch.tensor(weights, dtype=torch.float32), image)


def scaled(plane: Tensor, rng: np.random.Generator) -> Tensor:
    """Scale `plane` (Y, X) by its own percentiles, from a sample as in use."""
    flat = plane.flatten()
    pick = torch.from_numpy(rng.integers(0, flat.numel(), 20_000))
    found = Scaling().measure(flat[pick][None].numpy())
    return (plane - found.offset[0]) * found.gain[0]


def crop(
    item: Annotated, rng: np.random.Generator, strength: float
) -> tuple[Tensor, Tensor]:
    """Cut, turn, flip and zoom one crop: image and instances, (CROP, CROP) each."""
    plane = scaled(grey(item.image, rng), rng)
    height, width = plane.shape
    zoom = float(np.clip(np.exp(rng.normal(0, 0.35 * strength)), 0.5, 2.0))
    aspect = float(np.exp(rng.normal(0, 0.08)))
    angle = rng.uniform(0, 2 * math.pi)
    half = CROP / 2 / zoom  # of the window, in pixels of the image
    y, x = (
        rng.uniform(min(half, n / 2) * 0.9, n - min(half, n / 2) * 0.9)
        for n in (height, width)
    )
    flip = rng.choice((-1.0, 1.0))
    cos, sin = math.cos(angle) * half, math.sin(angle) * half
    theta = torch.tensor(
        [
            [flip * cos * aspect * 2 / width, -sin * 2 / width, 2 * x / width - 1],
            [flip * sin * aspect * 2 / height, cos * 2 / height, 2 * y / height - 1],
        ],
        dtype=torch.float32,
    )
    grid = F.affine_grid(theta[None], [1, 1, CROP, CROP], align_corners=False)
    if zoom < 0.8:  # samples lie apart: smooth first, or noise is folded in
        plane = gaussian(plane[None, None], 0.4 / zoom)[0, 0]
    image = F.grid_sample(
        plane[None, None], grid, padding_mode="reflection", align_corners=False
    )
    labels = F.grid_sample(
        item.labels[None, None],
        grid,
        mode="nearest",
        padding_mode="reflection",
        align_corners=False,
    )
    if not labels.any():  # as if the whole image had been empty
        image = scaled(image[0, 0], rng)[None, None]
    return image[0, 0], labels[0, 0]


def blank(rng: np.random.Generator) -> Tensor:
    """Return an image (CROP, CROP) without objects: noise, shading, or nothing."""
    image = torch.zeros(CROP, CROP)
    if rng.random() < 0.8:
        noise = torch.from_numpy(rng.normal(0, 1, image.shape).astype(np.float32))
        if rng.random() < 0.5:
            noise = gaussian(noise[None, None], rng.uniform(0.5, 3))[0, 0]
        image = noise / noise.std()
    if rng.random() < 0.5:
        image = image + field(rng, float(np.exp(rng.uniform(-2, 3))))
    return scaled(image, rng)


def gaussian(image: Tensor, sigma: float) -> Tensor:
    """Blur (N, 1, Y, X) by a Gaussian of `sigma` pixels."""
    radius = max(1, math.ceil(3 * sigma))
    at = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-(at**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    image = F.pad(image, (radius,) * 4, mode="replicate")
    image = F.conv2d(image, kernel[None, None, :, None])
    return F.conv2d(image, kernel[None, None, None, :])


def field(rng: np.random.Generator, sigma: float) -> Tensor:
    """Return a smooth random field (CROP, CROP) of standard deviation about `sigma`."""
    coarse = torch.from_numpy(rng.normal(0, sigma, (1, 1, 4, 4)).astype(np.float32))
    return F.interpolate(coarse, (CROP, CROP), mode="bicubic", align_corners=True)[0, 0]


def disturb(image: Tensor, rng: np.random.Generator, strength: float) -> Tensor:
    """Make `image` (CROP, CROP) look as if another microscope had taken it."""

    def happens(probability: float) -> bool:
        return bool(rng.random() < probability * strength)

    if happens(0.5):
        image = image.clamp(0, 1.5) ** float(np.exp(rng.normal(0, 0.4)))
    if happens(0.2):
        image = 1 - image
    if happens(0.35):
        image = image * torch.exp(field(rng, 0.3))
    if happens(0.25):
        image = image + field(rng, 0.15)
    if happens(0.3):
        image = gaussian(image[None, None], rng.uniform(0.5, 2.0))[0, 0]
    if happens(0.4):
        sigma = float(np.exp(rng.uniform(math.log(0.01), math.log(0.15))))
        noise = torch.from_numpy(rng.normal(0, sigma, image.shape).astype(np.float32))
        shot = image.clamp(0.05, 1).sqrt() if rng.random() < 0.5 else 1.0
        image = image + noise * shot
    if happens(0.7):
        image = image * float(np.exp(rng.normal(0, 0.2))) + rng.normal(0, 0.08)
    return image.clamp(-1, 4)


# --- what the net should say ---------------------------------------------------------


def targets(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return classes (N, Y, X) int64 and loss weights for instances (N, Y, X).

    Boundary: the outermost pixel of every object; two pixels where objects touch. The
    weight rises where two objects are near, inside them and in the gap between, as in
    the U-Net paper (Ronneberger et al. 2015, eq. 2), in steps of whole pixels: the
    share of the radii up to `NEAR` at which a square window sees both.
    """
    x = labels[:, None]
    inside = x > 0
    high = x  # greatest and least number of an object in a window that grows
    low = torch.where(inside, x, torch.full_like(x, NOBODY))
    edge = inside & ((highest(x) != x) | (-highest(-x) != x))
    near = torch.zeros_like(x)
    for radius in range(1, NEAR + 1):
        high, low = highest(high), -highest(-low)
        both = (low < high) & (low < NOBODY)
        near += both / NEAR
        if radius == 2:
            edge |= inside & both
    classes = torch.where(edge, 2, torch.where(inside, 1, 0))[:, 0]
    weights = 1 + 0.5 * edge + BORDER * near**2
    return classes, weights[:, 0]


def highest(x: Tensor) -> Tensor:
    """Return the maximum of (N, 1, Y, X) among each pixel and its 8 neighbours."""
    x = F.pad(x, (1, 1, 1, 1), value=-math.inf)  # ten times as fast as max_pool2d
    x = torch.maximum(torch.maximum(x[..., :-2, :], x[..., 1:-1, :]), x[..., 2:, :])
    return torch.maximum(torch.maximum(x[..., :-2], x[..., 1:-1]), x[..., 2:])


def loss_of(logits: Tensor, classes: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return weighted cross-entropy plus soft Dice, and the error of each crop (N,)."""
    entropy = F.cross_entropy(logits, classes, reduction="none") * weights
    p = logits.softmax(1)[:, 1:]
    truth = F.one_hot(classes, len(CLASSES)).movedim(-1, 1)[:, 1:].float()
    both = (p * truth).sum((0, 2, 3))
    dice = (2 * both + 1) / (p.sum((0, 2, 3)) + truth.sum((0, 2, 3)) + 1)
    loss = entropy.sum() / weights.sum() + 0.5 * (1 - dice).mean()
    return loss, (entropy.sum((1, 2)) / weights.sum((1, 2))).detach()


# --- which crops come ----------------------------------------------------------------


def shares(items: Sequence[Annotated]) -> NDArray[np.float64]:
    """Return how often each image is drawn; the sum is 1.

    Each set has its share. Within it a kind of image counts by the square root of its
    groups, and within a kind a group by the square root of its images.
    """
    images = Counter((i.kind, i.group) for i in items)
    groups = Counter(kind for kind, _ in images)
    weights = np.array([images[i.kind, i.group] ** -0.5 for i in items])
    kinds = {kind: count**0.5 for kind, count in groups.items()}
    for of, share in (("kind", kinds), ("set", SHARES)):
        names = np.array([getattr(i, of) for i in items])
        for name in np.unique(names):
            weights[names == name] *= share[name] / weights[names == name].sum()
    return weights / weights.sum()


class Sampler:
    """Draws crops; step `n` is the same for every run with the same seed and errors."""

    def __init__(self, items: Sequence[Annotated]) -> None:
        self.items = items
        self.shares = shares(items)
        self.sets = np.array([item.set for item in items])
        self.errors = np.ones(len(items))  # of each image, smoothed over its crops

    def learn(self, picks: NDArray[np.intp], errors: NDArray[np.float64]) -> None:
        """Remember the errors of the crops that were cut from images `picks`."""
        for index, error in zip(picks, errors, strict=True):
            if index >= 0:
                self.errors[index] += 0.2 * (error - self.errors[index])

    def weights(self) -> NDArray[np.float64]:
        """Return how often each image is drawn: within a set, hard ones more often."""
        found = self.shares.copy()
        for name in np.unique(self.sets):
            own = self.sets == name
            mean = np.average(self.errors[own], weights=self.shares[own])
            found[own] *= np.clip(self.errors[own] / mean, *HARD)
            found[own] *= self.shares[own].sum() / found[own].sum()
        return found

    def cut(
        self, step: int, weights: NDArray[np.float64], strength: float
    ) -> tuple[NDArray[np.intp], Tensor, Tensor]:
        """Return image numbers (-1: blank), crops (N, 1, Y, X), instances (N, Y, X)."""
        rng = np.random.default_rng((SEED, step))
        picks = rng.choice(len(self.items), BATCH, p=weights)
        picks[rng.random(BATCH) < BLANK] = -1
        images, labels = [], []
        for index in picks:
            if index < 0:
                image, instances = blank(rng), torch.zeros(CROP, CROP)
            else:
                image, instances = crop(self.items[index], rng, strength)
            images.append(disturb(image, rng, strength))
            labels.append(instances)
        return picks, torch.stack(images)[:, None], torch.stack(labels)

    def batch(
        self, step: int, weights: NDArray[np.float64], strength: float
    ) -> tuple[NDArray[np.intp], Tensor, Tensor, Tensor]:
        """Return images' numbers (-1: blank), crops (N, 1, Y, X), classes, weights."""
        picks, images, labels = self.cut(step, weights, strength)
        return picks, images, *targets(labels)
