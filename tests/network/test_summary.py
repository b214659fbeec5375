import json

import pytest

from napari_unet.errors import OptionsError
from napari_unet.network.model import Model, UNet, UNetSpec
from napari_unet.network.summary import describe, rows

FULL = UNetSpec(3, ("background", "a", "b"), width=64, depth=4)
CELLS = UNetSpec(1, ("background", "cell"), width=16, depth=2)
TINY = UNetSpec(1, ("background", "cell"), width=4, depth=2, convs_per_block=1)

WORKED = [
    pytest.param(
        FULL,
        256,
        "256 x 256 x 64|128 x 128 x 128|64 x 64 x 256|32 x 32 x 512|16 x 16 x 1024|"
        "32 x 32 x 512|32 x 32 x (512+512)|32 x 32 x 512|"
        "64 x 64 x 256|64 x 64 x (256+256)|64 x 64 x 256|"
        "128 x 128 x 128|128 x 128 x (128+128)|128 x 128 x 128|"
        "256 x 256 x 64|256 x 256 x (64+64)|256 x 256 x 64|256 x 256 x 3",
        id="full",
    ),
    pytest.param(
        CELLS,
        64,
        "64 x 64 x 16|32 x 32 x 32|16 x 16 x 64|"
        "32 x 32 x 32|32 x 32 x (32+32)|32 x 32 x 32|"
        "64 x 64 x 16|64 x 64 x (16+16)|64 x 64 x 16|64 x 64 x 2",
        id="cells",
    ),
    pytest.param(
        TINY,
        8,
        "8 x 8 x 4|4 x 4 x 8|2 x 2 x 16|"
        "4 x 4 x 8|4 x 4 x (8+8)|4 x 4 x 8|"
        "8 x 8 x 4|8 x 8 x (4+4)|8 x 8 x 4|8 x 8 x 2",
        id="tiny",
    ),
]


@pytest.mark.parametrize(("spec", "size", "expected"), WORKED)
@pytest.mark.parametrize("up", ["transpose", "upsample"])
def test_worked_cases_have_these_shapes_level_by_level(spec, size, expected, up):
    spec = UNetSpec(
        spec.in_channels, spec.classes, spec.width, spec.depth, spec.convs_per_block, up
    )
    assert "|".join(row.text for row in rows(spec, size)) == expected


def test_rows_are_named_in_the_order_of_computing():
    assert [row.name for row in rows(TINY, 8)] == [
        "encoder 1",
        "encoder 2",
        "bottleneck",
        "up 2",
        "concatenate 2",
        "decoder 2",
        "up 1",
        "concatenate 1",
        "decoder 1",
        "head",
    ]


def test_operations_of_the_tiny_net_are_those_counted_by_hand():
    # 2 x output pixels x kernel x inputs x outputs; up: 2 x input pixels x 4 x ...
    by_hand = {
        "encoder 1": 2 * 64 * 9 * 1 * 4,
        "encoder 2": 2 * 16 * 9 * 4 * 8,
        "bottleneck": 2 * 4 * 9 * 8 * 16,
        "up 2": 2 * 4 * 4 * 16 * 8,
        "concatenate 2": 0,
        "decoder 2": 2 * 16 * 9 * 16 * 8,
        "up 1": 2 * 16 * 4 * 8 * 4,
        "concatenate 1": 0,
        "decoder 1": 2 * 64 * 9 * 8 * 4,
        "head": 2 * 64 * 1 * 4 * 2,
    }
    assert {row.name: row.flops for row in rows(TINY, 8)} == by_hand


def test_upsampling_costs_a_3x3_convolution_at_full_size():
    spec = UNetSpec(1, ("background", "cell"), 4, 2, 1, "upsample")
    up = next(row for row in rows(spec, 8) if row.name == "up 1")
    assert up.flops == 2 * 64 * 9 * 8 * 4


def test_parameters_of_the_tiny_net_are_those_counted_by_hand():
    # weights of a convolution + 2 per channel for BatchNorm; biases in up and head
    by_hand = [44, 304, 1184, 520, 0, 1168, 132, 0, 296, 10]
    assert [row.parameters for row in rows(TINY, 8)] == by_hand


@pytest.mark.parametrize("spec", [FULL, CELLS, TINY], ids=["full", "cells", "tiny"])
def test_parameters_add_up_to_those_of_the_real_net(spec):
    total = sum(p.numel() for p in UNet(spec).parameters())
    assert sum(row.parameters for row in rows(spec)) == total


def test_operations_grow_with_the_area():
    small, large = rows(CELLS, 64, 32), rows(CELLS, 64, 64)
    assert sum(r.flops for r in large) == 2 * sum(r.flops for r in small)
    assert small[0].shape == (64, 32, 16)


@pytest.mark.parametrize("size", [0, -8, 6, 9])
def test_a_size_that_does_not_fit_is_refused_with_what_would_fit(size):
    with pytest.raises(OptionsError, match="multiple of 4"):
        rows(TINY, size)


def test_without_a_size_a_multiple_of_the_stride_is_taken():
    deep = UNetSpec(1, ("background", "cell"), width=1, depth=9, convs_per_block=1)
    assert rows(deep)[0].shape[:2] == (512, 512)
    assert rows(TINY)[0].shape[:2] == (256, 256)


def test_description_is_complete_and_fits_json():
    card = {"licence": "CC0", "data": ["dsb2018"], "diameter": 24}
    about = describe(Model(UNet(TINY).eval(), card=card, name="tiny"))
    assert json.loads(json.dumps(about)) == about
    assert about["classes"] == ["background", "cell"]
    assert about["parameters"] == 44 + 304 + 1184 + 520 + 1168 + 132 + 296 + 10
    assert about["halo"] == TINY.halo
    assert (about["licence"], about["data"], about["diameter"]) == (
        "CC0",
        ["dsb2018"],
        24.0,
    )
    assert len(about["sha256"]) == 64


def test_description_of_a_model_without_a_card_says_nothing_untrue():
    about = describe(Model(UNet(TINY).eval()))
    assert about["licence"] is about["data"] is about["diameter"] is None
