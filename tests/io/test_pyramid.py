"""Coarser levels follow what is written, whichever way it is written."""

import itertools
from typing import Any

import numpy as np
import pytest

from napari_unet.io.pyramid import LabelPyramid

KEYS = {
    "box": (0, slice(3, 900), slice(1001, 1404)),
    "whole": (),
    "plane": (1,),
    "indices": (np.array([0, 1]), np.array([3, 1049]), np.array([1024, 0])),
    "ellipsis": (..., slice(5, 6)),
    "negative": (-1, -1, -1),
    "nothing": (0, slice(5, 5), slice(0, 9)),
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_every_level_has_every_second_pixel_of_the_one_before(key: Any) -> None:
    labels = LabelPyramid(np.zeros((2, 1050, 2101), np.int32))
    assert [a.shape[1:] for a in labels.arrays] == [
        (1050, 2101),
        (525, 1051),
        (263, 526),
    ]
    written = np.random.default_rng(0).integers(1, 9, labels.shape, np.int32)
    labels[key] = written[key]
    wanted = np.zeros_like(written)
    wanted[key] = written[key]
    np.testing.assert_array_equal(labels, wanted)
    for finer, coarser in itertools.pairwise(labels.arrays):
        np.testing.assert_array_equal(coarser, finer[..., ::2, ::2])
