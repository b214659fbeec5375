"""The baseline in the manner of StarDist: what it learns gives objects back."""

import numpy as np
import pytest
import star_baseline as tool
import torch


def discs(shape=(64, 80)):
    """Return two discs that touch, and one that the image's edge cuts."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, np.float32)
    for number, (row, column, radius) in enumerate(
        [(30, 25, 12), (30, 50, 13), (60, 8, 9)], 1
    ):
        labels[(y - row) ** 2 + (x - column) ** 2 < radius**2] = number
    return torch.from_numpy(labels)


def test_objects_come_back_from_their_own_stars():
    labels = discs()
    centre, edge = tool.stars(labels[None])
    assert centre.shape == (1, 32, 40)
    assert edge.shape == (1, 32, 32, 40)
    right, up = float(edge[0, 0, 15, 12]), float(edge[0, 8, 15, 12])
    assert (right, up) == pytest.approx((12, 12), abs=1.5)  # half pixels, rounding
    assert centre[0, 15, 12] > 0.9 > 0.3 > centre[0, 15, 8]
    found = tool.polygons(centre[0].numpy(), edge[0].numpy(), (64, 80), 0.5)
    figures = tool.judge(labels.numpy().astype(np.int32), found)
    half = figures.found[0]
    assert (half.tp, half.fp, half.fn) == (3, 0, 0)
    assert figures.dice > 0.95


def test_an_image_without_objects_has_no_stars():
    centre, edge = tool.stars(torch.zeros(1, 32, 32))
    assert not centre.any()
    assert not edge.any()
    assert not tool.polygons(centre[0].numpy(), edge[0].numpy(), (32, 32), 0.5).any()
