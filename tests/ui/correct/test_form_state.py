"""What U-Net: Correct shows, says and offers in every situation, without a window."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from napari_unet.project.index import ModelRecord
from napari_unet.ui.correct.class_table import ClassRow
from napari_unet.ui.correct.facts import Facts, ProjectFacts, ResultFacts, Running
from napari_unet.ui.correct.form_state import Begin, Buttons, form_state

BLACK = (0.0, 0.0, 0.0, 1.0)
ROWS = ClassRow(0, "background", BLACK), ClassRow(1, "cell", BLACK)
PAINTED = replace(ROWS[0], pixels=9, strokes=1), replace(ROWS[1], pixels=9, strokes=1)
PROJECT = ProjectFacts(Path("/data/cells.unet"))
CLASSES = ResultFacts("nuclei", ("background", "cell"))
NEW = ModelRecord("new1", "new1.safetensors")
LEARNED = ModelRecord("v1", "v1.safetensors", "models/nuclei.safetensors", score=0.9)

NOTHING = Facts(rows=ROWS)
IMAGE = Facts("image", "an image", project=PROJECT, rows=ROWS, model="nuclei")
LABELS = replace(IMAGE, subject="labels")
UNBOUND = replace(IMAGE, subject="result", result=CLASSES)
BOUND = replace(UNBOUND, bound=True, known=2)
CELL = replace(BOUND, rows=(ROWS[0], PAINTED[1]), painted=1)
BOTH = replace(BOUND, rows=PAINTED, painted=2)
IMPROVED = replace(BOTH, model="v1", record=LEARNED, changed=True, learned_here=True)


def doing(facts, doing="Improving", **keywords):
    return replace(facts, running=Running(doing, **keywords))


def result(facts, **keywords):
    return replace(facts, result=replace(facts.result, **keywords))


def project(facts, **keywords):
    return replace(facts, project=replace(facts.project, **keywords))


def clickable(facts):
    """Return what can be clicked."""
    buttons = form_state(facts).buttons
    return {field.name for field in fields(Buttons) if getattr(buttons, field.name)}


STILL = {"open", "begin", "images"}
PAINTING = STILL | {"review", "next", "improve", "live", "reviewed", "uncertain"}


@pytest.mark.parametrize(
    ("facts", "can"),
    [
        pytest.param(NOTHING, {"images"}, id="no image"),
        pytest.param(IMAGE, STILL | {"new_classes"}, id="bare image"),
        pytest.param(LABELS, STILL | {"new_classes"}, id="own labels"),
        pytest.param(
            replace(LABELS, project=None),
            {"open", "images", "new_classes"},
            id="project that cannot be read",
        ),
        pytest.param(UNBOUND, STILL, id="result of these classes"),
        pytest.param(BOUND, PAINTING, id="painting"),
        pytest.param(
            result(BOUND, classes=("background", "interior", "boundary")),
            PAINTING | {"new_classes"},
            id="painting objects",
        ),
        pytest.param(
            replace(BOUND, rows=(*ROWS, ClassRow(2, "debris", BLACK))),
            PAINTING | {"new_classes"},
            id="class that the model does not know",
        ),
        pytest.param(
            replace(BOTH, record=NEW),
            PAINTING | {"save"},
            id="model of the project that has not learned",
        ),
        pytest.param(
            IMPROVED, PAINTING | {"undo", "save", "changed"}, id="after Improve"
        ),
        pytest.param(
            doing(IMPROVED),
            {"review", "stop", "live", "reviewed", "changed"},
            id="while Improve runs",
        ),
        pytest.param(
            result(doing(IMPROVED, stopping=True), taken=True, busy=True),
            {"live", "reviewed", "changed"},
            id="while Improve stops, and tiles arrive",
        ),
        pytest.param(
            doing(IMPROVED, "", learning=True),
            PAINTING | {"undo", "save", "changed", "stop"},
            id="learning goes on",
        ),
        pytest.param(
            doing(IMPROVED, "Asking", learning=True, stopping=True, unsure=True),
            {"review", "live", "reviewed", "uncertain", "changed"},
            id="uncertainty is asked for",
        ),
        pytest.param(
            result(IMPROVED, taken=True, busy=True),
            {"open", "images", "live", "reviewed", "uncertain", "save", "changed"},
            id="segmented by another dock",
        ),
        pytest.param(
            result(replace(UNBOUND, bound=False), paintable=False, classes=None),
            STILL,
            id="plane that is too large",
        ),
        pytest.param(result(BOUND, filed=True), PAINTING - {"live"}, id="labels file"),
        pytest.param(
            doing(result(BOUND, filed=True), "", live=True), PAINTING, id="Live is on"
        ),
    ],
)
def test_what_can_be_clicked(facts, can):
    assert clickable(facts) == can


@pytest.mark.parametrize(
    ("facts", "begin"),
    [
        pytest.param(NOTHING, Begin(), id="no image"),
        pytest.param(IMAGE, Begin("an image", from_nothing=True), id="bare image"),
        pytest.param(LABELS, Begin("an image", from_labels=True), id="own labels"),
        pytest.param(UNBOUND, Begin("an image", go_on=True), id="result"),
        pytest.param(
            result(UNBOUND, taken=True), Begin("an image"), id="result on its way"
        ),
        pytest.param(BOUND, Begin("an image"), id="painting"),
        pytest.param(
            project(IMAGE, earlier=True, active="v1"),
            Begin(
                "an image",
                "There are corrections and the model v1 in cells.unet from before.",
                go_on=True,
                from_nothing=True,
            ),
            id="work of an earlier session",
        ),
        pytest.param(
            project(BOUND, earlier=True),
            Begin(
                "an image",
                "There are corrections in cells.unet from before.",
                go_on=True,
            ),
            id="strokes of an earlier session",
        ),
        pytest.param(
            project(BOUND, behind=True, earlier=True, active="v2"),
            Begin(
                "an image",
                "These labels are of nuclei; v2 is in use in cells.unet.",
                go_on=True,
            ),
            id="labels of an older model",
        ),
        pytest.param(
            result(project(UNBOUND, earlier=True), paintable=False),
            Begin("an image", "There are corrections in cells.unet from before."),
            id="plane that is too large",
        ),
    ],
)
def test_ways_to_begin(facts, begin):
    assert form_state(facts).begin == begin


def test_ways_to_begin_stay_while_a_task_runs_on_the_same_image():
    before = form_state(IMAGE)
    running = doing(UNBOUND, "Making a model")
    assert form_state(running, before).begin == before.begin
    assert form_state(running).begin.go_on
    other = replace(running, image="another image")
    assert form_state(other, before).begin == Begin("another image", go_on=True)
    ended = replace(BOUND, running=Running())
    assert form_state(ended, before).begin == Begin("an image")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        pytest.param(NOTHING, "There is no image yet.", id="no image"),
        pytest.param(IMAGE, "Segment the image in U-Net: Segment, or", id="bare image"),
        pytest.param(LABELS, "Click 'Start from labels'", id="own labels"),
        pytest.param(
            project(IMAGE, earlier=True), "Go on, or name your own", id="earlier"
        ),
        pytest.param(
            replace(IMAGE, other=Path("/data/many.unet")),
            "Add the image to the project with the button above, or",
            id="image that may join",
        ),
        pytest.param(BOUND, "each class (background and cell)", id="nothing painted"),
        pytest.param(result(BOUND, paintable=False), "Crop a part", id="too large"),
        pytest.param(CELL, "", id="painted"),
        pytest.param(UNBOUND, "", id="result that nobody can paint on yet"),
    ],
)
def test_what_to_do_next(facts, words):
    hint = form_state(facts).hint
    assert words in hint
    assert bool(words) == bool(hint)
    assert form_state(doing(facts)).hint is None


@pytest.mark.parametrize(
    ("facts", "improve", "live"),
    [
        (IMAGE, "Segment an image first", "Segment an image first"),
        (BOUND, "Learn from all that was painted", "After each stroke"),
        (doing(BOUND), "Improving: wait until that", "After each stroke"),
        (result(BOUND, taken=True), "is being segmented", "After each stroke"),
        (result(UNBOUND, paintable=False), "Crop a part", "Crop a part"),
        (result(BOUND, filed=True), "Learn from all", "These labels are a file"),
    ],
    ids=["bare", "painting", "busy", "segmented", "too large", "file"],
)
def test_tips_say_what_waits_for_what(facts, improve, live):
    learn = form_state(facts).learn
    assert improve in learn.improve
    assert live in learn.live


@pytest.mark.parametrize(
    ("facts", "undo", "save"),
    [
        (NOTHING, "no improvement to undo", "Write the model in use"),
        (BOTH, "no improvement to undo", "nuclei is not of this project"),
        (IMPROVED, "Use nuclei again.", "Write the model in use"),
    ],
    ids=["no project", "model from elsewhere", "improved"],
)
def test_tips_say_what_is_taken_back_and_saved(facts, undo, save):
    learn = form_state(facts).learn
    assert undo in learn.undo
    assert save in learn.save


@pytest.mark.parametrize(
    ("facts", "names", "without"),
    [
        pytest.param(BOUND, [], False, id="nothing painted"),
        pytest.param(CELL, ["background"], False, id="one class says nothing"),
        pytest.param(
            replace(
                BOUND, rows=(*PAINTED, ClassRow(2, "debris", BLACK)), known=3, painted=2
            ),
            ["debris"],
            True,
            id="two of three",
        ),
        pytest.param(
            replace(BOTH, rows=(*PAINTED, ClassRow(2, "debris", BLACK))),
            [],
            False,
            id="class for the next new model",
        ),
        pytest.param(
            replace(CELL, record=LEARNED), [], False, id="model has learned here"
        ),
        pytest.param(replace(CELL, record=NEW), ["background"], False, id="new"),
        pytest.param(replace(CELL, bound=False), [], False, id="not painted on"),
    ],
)
def test_classes_without_a_stroke_are_asked_for(facts, names, without):
    learn = form_state(facts).learn
    assert [row.name for row in learn.unpainted] == names
    assert learn.without is without


def test_invitation_names_image_and_project_and_waits():
    facts = replace(IMAGE, title="b.tif", other=Path("/data/cells.unet"))
    invite = form_state(facts).invite
    assert invite.button == "Add 'b.tif' to cells.unet"
    assert "b.tif is not in cells.unet" in invite.line
    assert "/data/cells.unet" in invite.tip
    assert invite.enabled
    assert not form_state(doing(facts)).invite.enabled
    assert form_state(IMAGE).invite is None
    long = replace(facts, title="day 1 control well B03 field 2.tif")
    assert form_state(long).invite.button == "Add 'day 1 co...eld 2.tif' to cells.unet"


def test_classes_of_a_plane_that_is_too_large_are_fixed():
    assert form_state(BOUND).fixed == ""
    assert "Crop a part" in form_state(result(BOUND, paintable=False)).fixed


def test_lists_are_those_of_the_project():
    facts = project(IMPROVED, images=("image",), models=("model",), scores=("score",))
    state = form_state(facts)
    assert (state.images, state.models, state.scores) == (
        ("image",),
        ("model",),
        ("score",),
    )
    assert (state.folder, state.model) == (PROJECT.folder, "v1")
    assert (state.classes, state.learned_here) == (PAINTED, True)
    nowhere = form_state(replace(facts, project=None))
    assert (nowhere.folder, nowhere.images, nowhere.models) == (None, (), ())
