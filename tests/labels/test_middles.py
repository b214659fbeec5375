"""Where a class is seen best."""

import numpy as np
import pytest

from napari_unet.labels.middles import middle_of


def test_the_widest_place_is_found_and_lies_inside():
    mask = np.zeros((60, 80), bool)
    mask[2:8, 2:8] = True
    mask[20:51, 30:61] = True
    mask[50, 60] = False
    y, x, radius = middle_of(mask)
    assert abs(y - 35) <= 1
    assert abs(x - 45) <= 1
    assert abs(radius - 16) <= 1
    yy, xx = np.mgrid[:60, :80]
    assert mask[np.hypot(yy - y, xx - x) < radius - 1].all()


def test_a_disk_does_not_hang_over_the_border():
    assert middle_of(np.ones((41, 41), bool)) == (20, 20, 21)


@pytest.mark.parametrize("size", [20, 3000])
def test_nothing_is_found_in_an_empty_mask_and_a_speck_in_a_large_one(size):
    mask = np.zeros((size, size), bool)
    assert middle_of(mask) is None
    mask[7, 11] = True
    y, x, _ = middle_of(mask)
    assert (y, x) == (7, 11)
