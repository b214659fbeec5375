"""Generator of the sample images: nuclei, movie and tissue, from one seed.

    python tools/make_samples.py [FOLDER]

No picture was copied: cells, light, stains and noise are all computed.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from nuclei_drawing import (
    Array,
    Body,
    Pose,
    Random,
    Scene,
    halve,
    make_body,
    outline,
    speckle,
)
from numpy.typing import NDArray
from scipy import ndimage

_FOLDER = Path(__file__).parents[1] / "src" / "napari_unet" / "sample_data"

__all__ = ["make_movie", "make_nuclei", "make_tissue", "write"]

Labels = NDArray[np.uint16]

SEED = 1957
PIXEL_SIZE = 0.325  # micrometres: a 20x objective, a camera with pixels of 6.5
INTERVAL = 300.0  # seconds between frames
OFFSET = 100.0  # grey levels that the camera adds
READ_NOISE = 3.0  # grey levels
METAPHASE = 3  # the frame in which one nucleus of the movie is about to divide
# Optical density of each stain in red, green, blue: round numbers near those of slides.
HAEMATOXYLIN = np.array([0.60, 0.72, 0.36])
EOSIN = np.array([0.10, 0.85, 0.40])
WHITE = np.array([243.0, 241.0, 244.0])  # the lamp on an empty slide
# Of every gland: centre (Y, X), radius of the lumen, all in pixels.
GLANDS = ((160, 150, 52), (385, 330, 66), (105, 405, 34), (440, 60, 40), (300, 540, 30))


# --- fluorescence ------------------------------------------------------------------


def scatter(rng: Random, scene: Scene, count: int) -> list[tuple[Body, Pose]]:
    """Put nuclei into a scene: some alone, some pushed against one that is there."""
    placed: list[tuple[Body, Pose]] = []
    while len(placed) < count:
        body = make_body(rng, rng.normal(25.5, 2.2), rng.uniform(1.0, 1.55))
        light = 480 * np.exp(rng.normal(0, 0.32))
        blur = 0.9 if rng.random() < 0.8 else rng.uniform(1.5, 2.2)
        angle, heading = rng.uniform(0, 2 * np.pi, 2)
        y, x = (rng.uniform(-8, n + 8) for n in scene.light.shape)
        touch = len(placed) > 3 and rng.random() < 0.36
        if touch:
            near = placed[rng.integers(len(placed))][1]
            y, x = near.y, near.x
        for step in np.arange(14, 45, 0.5) if touch else (0.0,):
            at = y + step * np.sin(heading), x + step * np.cos(heading)
            pose = Pose(*at, angle, light, blur)
            if scene.room(body, pose, 0 if touch else 3):
                placed.append((body, pose))
                scene.add(body, pose, len(placed))
                break
    return placed


def widefield(rng: Random, light: Array, background: float) -> Array:
    """Add what a widefield microscope adds: haze, and the lamp's uneven light."""
    haze = 0.08 * ndimage.gaussian_filter(light, 9)
    haze += 0.06 * ndimage.gaussian_filter(light, 30)
    height, width = light.shape
    cytoplasm = 1 + 0.25 * speckle(rng, (height, width), 12, 60)
    y, x = np.mgrid[:height, :width] / max(height, width)
    lamp = 0.5 + 0.55 * np.exp(-((y - 0.42) ** 2 + (x - 0.6) ** 2) / 0.5)
    seen: Array = lamp * (light + haze + background * cytoplasm)
    return seen


def camera(rng: Random, light: Array, gain: float = 1.0) -> NDArray[np.uint16]:
    """Return the grey levels that a camera reads: offset, shot noise, read noise."""
    # A normal law in place of Poisson's: the light is hundreds of photons, and its
    # random numbers are the same on every processor.
    noise = rng.normal(size=light.shape) * np.sqrt(gain * light + READ_NOISE**2)
    return np.clip(np.rint(OFFSET + light + noise), 0, 65535).astype(np.uint16)


def make_nuclei(rng: Random) -> tuple[NDArray[np.uint16], Labels]:
    """Return fluorescent nuclei (Y, X) and their instances."""
    scene = Scene(512, 512)
    scatter(rng, scene, 115)
    truth = consecutive(scene.labels)
    for _ in range(8):  # debris: fragments that are nobody's nucleus
        speck = make_body(rng, rng.uniform(2.5, 4.5), rng.uniform(1, 1.6), dense=True)
        y, x = rng.uniform(0, 512, 2)
        scene.add(speck, Pose(y, x, light=rng.uniform(60, 260), blur=1.0), 0)
    return camera(rng, widefield(rng, scene.light, 45)), truth


def make_movie(rng: Random) -> tuple[NDArray[np.uint16], Labels]:
    """Return a movie (T, Y, X) that bleaches, and its objects, tracked over time."""
    first = Scene(256, 256)
    centre = Pose(122, 134)
    first.add(make_body(rng, 44, 1.0), centre, 1)  # room for the one that divides
    cells = scatter(rng, first, 22)
    speed = rng.normal((0.6, -0.9), 0.4, (len(cells), 2))
    spin = rng.normal(0, 0.05, len(cells))
    mother = [make_body(rng, 27, 1.3), make_body(rng, 19, 1.9, dense=True)]
    daughters = [make_body(rng, 17, 1.5, dense=True) for _ in range(2)]
    frames, truths = [], []
    for t in range(8):
        scene = Scene(256, 256)
        for i, (body, pose) in enumerate(cells):
            y, x = (pose.y, pose.x) + t * speed[i]
            moved = replace(pose, y=y, x=x, angle=pose.angle + t * spin[i])
            scene.add(body, moved, i + 4)
        divide(scene, t, centre, mother, daughters)
        seen = widefield(np.random.default_rng(SEED), scene.light, 45)
        frames.append(camera(rng, seen * np.exp(-t / 12)))
        truths.append(scene.labels)
    return np.stack(frames), consecutive(np.stack(truths))


def divide(
    scene: Scene, t: int, centre: Pose, mother: list[Body], daughters: list[Body]
) -> None:
    """Draw the dividing cell at frame `t`: the mother is object 1, then 2 and 3."""
    axis = 0.6
    if t <= METAPHASE:
        light = 620 + 60 * t if t < METAPHASE else 1300
        body = mother[t == METAPHASE]
        pose = replace(centre, angle=axis + np.pi / 2, light=light, blur=0.9)
        scene.add(body, pose, 1)
        return
    apart = (9.0, 12.0, 14.0, 15.5)[t - METAPHASE - 1]
    for label, side in ((2, -1), (3, 1)):
        y = centre.y + side * apart * np.sin(axis)
        x = centre.x + side * apart * np.cos(axis)
        pose = Pose(y, x, axis + np.pi / 2, 1150 - 70 * (t - METAPHASE), 0.9)
        scene.add(daughters[label - 2], pose, label)


def consecutive(labels: Labels) -> Labels:
    """Return `labels` numbered 1, 2, 3, ..., without slivers at the border."""
    sizes = np.bincount(labels.ravel())
    keep = (sizes >= 20) & (np.arange(len(sizes)) > 0)
    return (np.cumsum(keep) * keep).astype(np.uint16)[labels]


# --- stained tissue ----------------------------------------------------------------


def make_tissue(rng: Random) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return tissue (Y, X, RGB) and its classes: 0 lumen, 1 cytoplasm, 2 nucleus."""
    lumen = lumina(rng)  # 0..1
    away = ndimage.distance_transform_edt(lumen < 0.5)
    slope = np.stack(
        [ndimage.gaussian_filter(away, 6, order=o) for o in ((1, 0), (0, 1))]
    )
    heading = np.arctan2(slope[0], slope[1])  # out of the nearest lumen
    bend = np.clip((away - 40) / 30, 0, 1) * speckle(rng, (512, 512), 14, 60)
    heading = heading + 0.7 * bend
    scene = Scene(512, 512)
    epithelium(rng, scene, away, heading)
    stroma(rng, scene, away, heading)
    inside = 1 / (1 + np.exp((away - 46) / 1.5))  # 1 in the epithelium
    fibres = flow(rng, heading)
    fine = speckle(rng, (512, 512), 0.8, 3)
    eosin = inside * (0.30 + 0.03 * fine + 0.05 * speckle(rng, (512, 512), 4, 12))
    eosin += (1 - inside) * (0.36 + 0.10 * fibres + 0.03 * fine)
    eosin = np.clip(eosin, 0.05, None) * (1 - lumen)
    bluish = (0.10 * inside + 0.03) * (1 - lumen)
    haematoxylin = scene.light + bluish * (1 + 0.2 * fine)
    density = haematoxylin[..., None] * HAEMATOXYLIN + eosin[..., None] * EOSIN
    shown = WHITE * np.exp(-density) + rng.normal(0, 2.0, density.shape)
    classes = np.where(scene.labels > 0, 2, np.where(lumen > 0.5, 0, 1))
    return np.clip(np.rint(shown), 0, 255).astype(np.uint8), classes.astype(np.uint8)


def lumina(rng: Random) -> Array:
    """Return how empty every pixel is: the glands' lumina and some clefts."""
    empty = np.zeros((1024, 1024))
    y, x = np.mgrid[:1024, :1024]
    for row, column, radius in GLANDS:
        dy, dx = y - 2 * row, x - 2 * column
        edge = 2 * radius * outline(rng, np.arctan2(dy, dx), 0.2, rng.uniform(1, 1.6))
        empty = np.maximum(empty, np.clip((edge - np.hypot(dy, dx)) / 3 + 0.5, 0, 1))
    return halve(ndimage.gaussian_filter(empty, 1.5))


def epithelium(rng: Random, scene: Scene, away: Array, heading: Array) -> None:
    """Line the lumina with oval nuclei that point at them."""
    for _ in range(6000):
        y, x = rng.uniform(0, 512, 2)
        depth = away[int(y), int(x)]
        if not rng.normal(26, 4) - 6 < depth < 38 or depth < 14:
            continue
        body = stained(rng, rng.normal(13.5, 1.0), rng.uniform(1.2, 1.7))
        angle = heading[int(y), int(x)] + rng.normal(0, 0.2)
        pose = Pose(y, x, angle, rng.uniform(0.6, 1.0), 0.8)
        if scene.room(body, pose, 0):
            scene.add(body, pose, 1)


def stroma(rng: Random, scene: Scene, away: Array, heading: Array) -> None:
    """Lay thin dark nuclei along the fibres, and a few round ones between them."""
    for _ in range(150):
        y, x = rng.uniform(0, 512, 2)
        if away[int(y), int(x)] < 54:
            continue
        spindle = rng.random() < 0.75
        shape = (8.5, rng.uniform(2.2, 4.0)) if spindle else (10.5, 1.1)
        body = stained(rng, shape[0], shape[1])
        angle = heading[int(y), int(x)] + np.pi / 2 + rng.normal(0, 0.15)
        pose = Pose(y, x, angle, rng.uniform(0.9, 1.4), 0.8)
        if scene.room(body, pose, 3):
            scene.add(body, pose, 1)


def stained(rng: Random, diameter: float, elongation: float) -> Body:
    """Draw a nucleus as haematoxylin shows it: a dark rim, clumps, nucleoli."""
    body = make_body(rng, diameter, elongation, dense=True)
    rim = np.clip(body.profile - ndimage.gaussian_filter(body.profile, 2.5), 0, 1)
    clumps = np.clip(speckle(rng, (len(rim), len(rim)), 1.8, 4) - 1.2, 0, 2)
    stain = body.profile * (0.8 + 0.25 * clumps) + 0.2 * body.stain + 0.7 * rim
    return Body(body.profile, stain)


def flow(rng: Random, heading: Array) -> Array:
    """Return fibres across `heading`: noise drawn out along them, of variance 1."""
    noise = speckle(rng, (512, 512), 0.9, 8)
    place = np.mgrid[:512, :512].astype(float)
    along = np.stack([np.cos(heading), -np.sin(heading)])
    total = np.zeros_like(noise)
    for step in range(-14, 15):
        total += ndimage.map_coordinates(
            noise, place + step * along, order=1, mode="wrap"
        )
    total += 6 * total.std() * 0.12 * speckle(rng, (512, 512), 6, 30)
    fibres: Array = total / total.std()
    return fibres


# --- files -------------------------------------------------------------------------


def write(folder: Path) -> None:
    """Write the three samples and their truths, compressed, into `folder`."""
    nuclei = make_nuclei(np.random.default_rng(SEED))
    movie = make_movie(np.random.default_rng(SEED + 1))
    tissue, classes = make_tissue(np.random.default_rng(SEED + 2))
    about: dict[str, Any] = {"axes": "YX", "unit": "um"}
    save_for_fiji(folder / "nuclei.tif", nuclei[0], about)
    save_for_fiji(folder / "nuclei_truth.tif", nuclei[1], about)
    about = {"axes": "TYX", "unit": "um", "finterval": INTERVAL, "fps": 5.0}
    save_for_fiji(folder / "nuclei_movie.tif", movie[0], about)
    save_for_fiji(folder / "nuclei_movie_truth.tif", movie[1], about)
    plain: dict[str, Any] = {"compression": "zlib", "metadata": None}
    tifffile.imwrite(folder / "tissue_rgb.tif", tissue, photometric="rgb", **plain)
    tifffile.imwrite(
        folder / "tissue_rgb_truth.tif", classes, photometric="minisblack", **plain
    )


def save_for_fiji(path: Path, data: Labels, about: dict[str, Any]) -> None:
    """Write an ImageJ TIFF whose pixels have a size."""
    per_um = 1 / PIXEL_SIZE
    tifffile.imwrite(
        path,
        data,
        imagej=True,
        compression="zlib",
        resolution=(per_um, per_um),
        metadata=about,
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else _FOLDER)
