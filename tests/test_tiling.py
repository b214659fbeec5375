"""Cores and windows: every promise that makes tiled equal to whole."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.errors import OptionsError
from napari_unet.tiling import (
    Tile,
    TilePlan,
    best_window,
    cut,
    plan_tiles,
    region,
    round_up,
    shifted,
)


@dataclass(frozen=True)
class Case:
    """A plane and a window that leaves a core between its halos."""

    shape: tuple[int, int]
    window: tuple[int, int]
    halo: int
    stride: int

    def plan(self) -> TilePlan:
        return plan_tiles(self.shape, self.window, self.halo, self.stride)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    stride = draw(st.sampled_from((1, 2, 4, 8, 16)))
    halo = stride * draw(st.integers(0, 5))
    smallest = 2 * halo + stride
    side = st.integers(1, 40 * stride)
    window = st.integers(smallest, smallest + 20 * stride)
    shape = draw(side), draw(side)
    return Case(shape, (draw(window), draw(window)), halo, stride)


def valid(tile: Tile, case: Case, axis: int) -> tuple[int, int]:
    """Range of pixels along `axis` for which the window gives the exact result."""
    read, n = tile.read[axis], case.shape[axis]
    end = read.stop + tile.pad[axis]
    first = read.start + case.halo if read.start else 0
    return first, min(n, end - case.halo if end < round_up(n, case.stride) else n)


@given(cases())
def test_every_pixel_is_in_exactly_one_core(case: Case) -> None:
    count = np.zeros(case.shape, int)
    for tile in case.plan().tiles:
        assert count[tile.core].size > 0
        count[tile.core] += 1
    assert (count == 1).all()


@given(cases())
def test_windows_share_one_shape_no_larger_than_asked(case: Case) -> None:
    plan = case.plan()
    for tile in plan.tiles:
        sides = tuple(
            read.stop - read.start + pad
            for read, pad in zip(tile.read, tile.pad, strict=True)
        )
        assert sides == plan.window
    for got, asked, n in zip(plan.window, case.window, case.shape, strict=True):
        assert got % case.stride == 0
        assert got <= max(
            asked, min(round_up(n, case.stride), round_up(asked, case.stride))
        )


@given(cases())
def test_cores_and_windows_are_aligned_to_the_stride(case: Case) -> None:
    for tile in case.plan().tiles:
        for core, read in zip(tile.core, tile.read, strict=True):
            assert core.start % case.stride == 0
            assert read.start % case.stride == 0


@given(cases())
def test_windows_lie_inside_the_padded_plane(case: Case) -> None:
    for tile in case.plan().tiles:
        for read, pad, n in zip(tile.read, tile.pad, case.shape, strict=True):
            assert 0 <= read.start < read.stop <= n
            assert 0 <= pad < case.stride
            assert read.stop + pad <= round_up(n, case.stride)
            assert pad == 0 or read.stop == n


@given(cases())
def test_halo_is_there_on_every_side_where_the_image_goes_on(case: Case) -> None:
    for tile in case.plan().tiles:
        for axis in (0, 1):
            first, last = valid(tile, case, axis)
            assert first <= tile.core[axis].start
            assert tile.core[axis].stop <= last


@given(cases())
def test_no_window_is_redundant(case: Case) -> None:
    plan = case.plan()
    for axis in (0, 1):
        ranges = sorted({valid(tile, case, axis) for tile in plan.tiles})
        for left_out in range(len(ranges)):
            seen = np.zeros(case.shape[axis], bool)
            for first, last in ranges[:left_out] + ranges[left_out + 1 :]:
                seen[first:last] = True
            assert not seen.all()


@given(cases())
def test_inner_is_the_core_within_the_window(case: Case) -> None:
    plane = np.arange(case.shape[0] * case.shape[1]).reshape(case.shape)
    for tile in case.plan().tiles:
        assert (plane[tile.read][tile.inner] == plane[tile.core]).all()


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (64, 64)])
def test_small_plane_is_one_window_padded_to_the_stride(shape: tuple[int, int]) -> None:
    plan = plan_tiles(shape, 256, 96, 16)
    whole = slice(0, shape[0]), slice(0, shape[1])
    pad = round_up(shape[0], 16) - shape[0], round_up(shape[1], 16) - shape[1]
    assert plan.tiles == (Tile(whole, whole, pad),)


def test_one_number_is_a_square_window() -> None:
    assert plan_tiles((900, 700), 320, 32, 16) == plan_tiles(
        (900, 700), (320, 320), 32, 16
    )


def test_window_without_a_core_is_refused_with_the_least_that_works() -> None:
    with pytest.raises(OptionsError, match=r"192 pixels is too small.*208 or more"):
        plan_tiles((1000, 1000), 192, 96, 16)
    assert len(plan_tiles((1000, 16), 208, 96, 16).tiles) > 1


# --- the choice of a window ----------------------------------------------------------


def work(size: int, window: int, halo: int, stride: int) -> int:
    """Pixels that the windows along one axis compute."""
    plan = plan_tiles((size, stride), (window, stride), halo, stride)
    return len(plan.tiles) * plan.window[0]


@given(
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    steps=st.integers(1, 3),  # every net has a halo
    room=st.integers(0, 3000),
)
def test_best_window_fits_and_none_is_cheaper(
    shape: tuple[int, int], steps: int, room: int
) -> None:
    stride, halo = 4, 4 * steps
    least = 2 * halo + stride
    pixels = least**2 + room
    found = best_window(shape, pixels, halo, stride)
    assert found[0] * found[1] <= pixels
    sides = range(least, 96, stride)
    rows, columns = ({n: work(size, n, halo, stride) for n in sides} for size in shape)
    best = min(rows[y] * columns[x] for y in sides for x in sides if y * x <= pixels)
    y, x = (work(size, n, halo, stride) for size, n in zip(shape, found, strict=True))
    assert y * x <= best


def test_best_window_is_the_whole_plane_when_it_fits() -> None:
    assert best_window((100, 130), 112 * 144, 96, 16) == (112, 144)


def test_best_window_refuses_less_than_one_core() -> None:
    with pytest.raises(OptionsError, match="needs 43264 or more"):
        best_window((5000, 5000), 43263, 96, 16)
    assert best_window((5000, 5000), 43264, 96, 16) == (208, 208)


# --- boxes ------------------------------------------------------------------------


@given(data=st.data(), stride=st.sampled_from((1, 4, 16)), steps=st.integers(0, 3))
def test_region_holds_the_box_its_halo_and_is_aligned(
    data: st.DataObject, stride: int, steps: int
) -> None:
    halo, shape, box = stride * steps, (150, 133), []
    for n in shape:
        start = data.draw(st.integers(0, n - 1))
        box.append(slice(start, data.draw(st.integers(start + 1, n))))
    found = region(shape, (box[0], box[1]), halo, stride)
    for side, inner, n in zip(found, box, shape, strict=True):
        assert side.start % stride == 0
        assert side.stop % stride == 0 or side.stop == n
        assert side.start <= max(0, inner.start - halo)
        assert side.start > inner.start - halo - stride
        assert side.stop >= min(n, inner.stop + halo)
        assert side.stop < inner.stop + halo + stride


def test_shifted_moves_a_box() -> None:
    box = slice(2, 5), slice(10, 11)
    assert shifted(box, 3, -4) == (slice(5, 8), slice(6, 7))


def test_cut_keeps_what_lies_within_the_limits() -> None:
    limits = slice(10, 20), slice(0, 5)
    assert cut((slice(5, 12), slice(1, 9)), limits) == (slice(10, 12), slice(1, 5))


@pytest.mark.parametrize("rows", [slice(0, 8), slice(25, 30)], ids=["before", "after"])
def test_cut_of_a_box_outside_is_empty(rows: slice) -> None:
    y, x = cut((rows, slice(0, 5)), (slice(10, 20), slice(0, 5)))
    assert np.zeros((40, 40))[y, x].size == 0


@pytest.mark.parametrize(
    ("n", "step", "expected"), [(0, 16, 0), (1, 16, 16), (16, 16, 16), (17, 16, 32)]
)
def test_round_up(n: int, step: int, expected: int) -> None:
    assert round_up(n, step) == expected
