"""Options are checked at the door, with messages that say what to give instead."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from napari_unet.errors import OptionsError, UNetError
from napari_unet.options import SegmentOptions, TrainOptions, parse_memory


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("700MB", 700_000_000),
        ("700 mb", 700_000_000),
        ("2GB", 2_000_000_000),
        (" 2 G ", 2_000_000_000),
        ("1.5GB", 1_500_000_000),
        ("4k", 4_000),
        ("3T", 3_000_000_000_000),
        ("512B", 512),
        ("1KiB", 1024),
        ("1MiB", 1024**2),
        ("1.5GiB", 3 * 1024**3 // 2),
        ("2 TiB", 2 * 1024**4),
    ],
)
def test_memory_is_read_in_any_unit(text: str, expected: int) -> None:
    assert parse_memory(text) == expected


@pytest.mark.parametrize(
    "text", ["", "GB", "2XB", "-1GB", "0", "0.0GB", "1,5GB", "2GB!", "nan", "1e9"]
)
def test_what_is_no_memory_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(OptionsError, match="700MB or 2GB") as caught:
        parse_memory(text)
    assert repr(text) in str(caught.value)


def test_defaults_are_accepted() -> None:
    options = SegmentOptions()
    assert options.device == "auto"
    assert options.output is None


@pytest.mark.parametrize(
    "good",
    [
        {"output": "objects"},
        {"output": "classes"},
        {"output": "probabilities"},
        {"channel": 0},
        {"channel": "DAPI"},
        {"tile": 256, "memory": 700_000_000},
        {"min_size": 0},
        {"min_score": 0},
        {"min_score": 0.6},
        {"min_score": 1},
        {"threshold": 0.5},
        {"diameter": 12.5},
        {"scale": 0.5},
        {"precision": "fp32", "per_plane": True},
    ],
    ids=str,
)
def test_sensible_options_are_kept(good: dict[str, Any]) -> None:
    options = SegmentOptions(**good)
    assert {name: getattr(options, name) for name in good} == good


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"output": "masks"}, "'masks'.*objects, classes, probabilities"),
        ({"precision": "fp16"}, "'fp16'.*auto, fp32, bf16"),
        ({"diameter": 20, "scale": 2}, "both|Both"),
        ({"tile": 0}, "tile is 0"),
        ({"tile": -64}, "tile is -64"),
        ({"memory": 0}, "memory is 0"),
        ({"diameter": 0}, "diameter is 0"),
        ({"diameter": float("nan")}, "diameter is nan"),
        ({"scale": -1.0}, "scale is -1"),
        ({"scale": float("inf")}, "scale is inf"),
        ({"min_size": -1}, "min_size is -1"),
        ({"min_score": -0.1}, "min_score is -0.1; it must be 0 to 1"),
        ({"min_score": 60}, "min_score is 60"),
        ({"min_score": float("nan")}, "min_score is nan"),
        ({"threshold": 0}, "threshold is 0"),
        ({"threshold": 1}, "threshold is 1"),
        ({"threshold": float("nan")}, "threshold is nan"),
    ],
    ids=str,
)
def test_impossible_options_are_refused(bad: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionsError, match=says):
        SegmentOptions(**bad)


def test_options_travel_unchanged() -> None:
    options = SegmentOptions(tile=256)
    with pytest.raises(FrozenInstanceError):
        options.tile = 512  # type: ignore[misc]


def test_errors_of_options_belong_to_the_family() -> None:
    assert issubclass(OptionsError, UNetError)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seed_that_no_generator_takes_is_refused(seed) -> None:
    with pytest.raises(OptionsError, match="seed is"):
        TrainOptions(seed=seed)
