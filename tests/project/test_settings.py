"""Settings of a project are read whoever wrote them."""

import pytest

from napari_unet.options import SegmentOptions
from napari_unet.project.settings import ProjectSettings, read_settings

STORED = {
    "labels": "classes",
    "draft": ["background", "cell"],
    "seen": {"a": {"channel": 1, "diameter": 20}},
    "annotation_s": 90.5,
    "annotation_s_at": {"v1": 60},
    "renaming": {"from": ["background", "cel"], "to": ["background", "cell"]},
}


def test_all_that_was_stored_is_read() -> None:
    found = read_settings({**STORED, "of somebody else": 3})
    names = ("background", "cell")
    assert found.labels == "classes"
    assert found.draft == names
    assert found.seen_as("a") == SegmentOptions(channel=1, diameter=20)
    assert found.seen_as("b") == SegmentOptions()
    assert found.annotation_s == 90.5
    assert found.annotation_s_at == {"v1": 60}
    assert found.renaming == (("background", "cel"), names)


@pytest.mark.parametrize("odd", [3, None, "x", [[]], {"from": 3}, {"": []}, -1, True])
def test_what_makes_no_sense_is_as_if_it_were_not_there(odd) -> None:
    found = read_settings(dict.fromkeys(STORED, odd))
    assert found.labels is None
    assert found.draft == ()
    assert found.renaming is None
    assert found.seen_as("a") == SegmentOptions()


@pytest.mark.parametrize("odd", [None, "90", [], -1, 1e12, float("nan")])
def test_times_that_nobody_can_have_painted_are_none(odd) -> None:
    found = read_settings({"annotation_s": odd, "annotation_s_at": {"v1": odd}})
    assert found.annotation_s == found.annotation_s_at["v1"] == 0


@pytest.mark.parametrize(
    "draft", [["background"], ["cell", "cell"], ["background", ""], ["background", 1]]
)
def test_draft_that_no_model_can_have_is_none(draft) -> None:
    assert read_settings({"draft": draft}) == ProjectSettings()
