"""Learning that goes on after Improve, while somebody paints, on a real canvas."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.window import job_threads, missed

from napari_unet.network.model import load
from napari_unet.project.project import Project
from napari_unet.training import continuation, fine_tune, fine_tune_state
from napari_unet.ui.correct import keep_learning, stillness
from napari_unet.ui.correct.dock import CorrectDock
from napari_unet.ui.session import session_of
from napari_unet.ui.settings import read_correct_settings


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """Let steps be small, and more of them be worth it."""
    monkeypatch.setattr(fine_tune, "_PATCH", 32)
    monkeypatch.setattr(fine_tune, "_STEPS", 4)
    monkeypatch.setattr(continuation, "_LOOK", 5)
    monkeypatch.setattr(continuation, "_RATE", 3.0)
    monkeypatch.setattr(keep_learning, "_EVERY", 1)
    monkeypatch.setattr(stillness, "_REST", 0.1)
    monkeypatch.setattr(stillness, "_UNDONE", 0.2)


@pytest.fixture
def endless(monkeypatch):
    """Let it end only when it is told to."""
    monkeypatch.setattr(continuation, "_AS_LONG", 10**6)
    monkeypatch.setattr(continuation, "_PATIENCE", 10**6)


def noisy():
    noise = np.random.default_rng(0).normal(0, 60, (64, 96))
    return (missed() + noise).clip(0).astype(np.uint16)


def improve(window):
    """Open, segment, paint, click Improve, and let learning go on after it."""
    window.use("fresh")
    window.file(noisy())
    window.segmented()
    window.paint(99, (40, 20), (40, 40))
    window.erase((30, 20), (30, 40))
    window.correct.form.quiet.box.setChecked(True)
    window.correct.form.seconds.setValue(20)
    assert window.do("Improve").startswith("v1 is in use")


def said(window):
    return window.correct.form.quiet.line.text()


def learn(window):
    """Let learning go on until no better model is on its way into its place."""
    jobs = session_of(window.viewer).jobs
    window.until(lambda: "more steps" in said(window) and not jobs)


def going(window):
    return window.correct.keep_learning.going


def all_shown(window):
    """Whether no better model waits until it can be shown."""
    return not window.correct.keep_learning.round.better


def kept(window, name="v1"):
    return window.project.model_file(name).read_bytes()


def record(window, name="v1"):
    return next(m for m in window.project.index.models if m.name == name)


def test_better_model_takes_the_place_of_the_one_that_improve_made(window):
    improve(window)
    before, first = kept(window), record(window)
    seen = window.target() != 255
    labels = window.labels.copy()
    assert "v1 goes on learning quietly" in said(window)
    window.until(lambda: "v1 has learned all it can" in said(window))
    window.until(lambda: all_shown(window))
    window.idle()
    assert not going(window)
    assert kept(window) != before
    assert [m.name for m in window.project.index.models] == ["v1"]
    assert record(window) == replace(first, score=record(window).score)
    assert record(window).score >= first.score
    assert f"{record(window).score:.0%} are right" in said(window)
    assert Project.open(window.project.folder).index.models == (record(window),)
    assert window.layer.name == "cells [v1]"
    np.testing.assert_array_equal(window.labels[seen], labels[seen])
    shown = window.labels.copy()
    window.segmented("Segment this view")  # the view is what the new file makes of it
    np.testing.assert_array_equal(window.labels > 0, shown > 0)
    card = load(window.project.model_file("v1")).card
    assert [("went on" in step) for step in card["history"]] == [False, True]
    window.do("Undo improvement")
    assert window.layer.name == "cells [fresh]"
    assert not said(window)


def test_nothing_waits_for_it_and_stop_ends_it(window, endless):
    improve(window)
    learn(window)
    for text in ("Improve", "Undo improvement", "Next uncertain", "This view is right"):
        assert window.button(text).isEnabled(), text
    assert window.layer.editable
    window.do("Next uncertain")
    window.until(lambda: "goes on learning quietly" in said(window))
    window.click("Stop")
    assert "v1 learns no more: stopped" in said(window)
    window.until(lambda: not job_threads())
    window.until(lambda: not window.button("Stop").isEnabled())
    window.until(lambda: all_shown(window))
    window.idle()
    assert window.button("Improve").isEnabled()


def test_stroke_that_is_drawn_is_waited_for(window, endless):
    improve(window)
    before = kept(window)
    window.take("paint", 77, size=5)
    window.press(50, 20)
    window.move(50, 30)
    window.until(lambda: not all_shown(window))
    window.qtbot.wait(4 * keep_learning._TICK)  # it could have been shown by now
    assert kept(window) == before
    assert window.layer.editable
    window.move(50, 40)
    window.release(50, 40)
    window.until(lambda: kept(window) != before)
    window.until(lambda: not session_of(window.viewer).jobs)
    assert (window.labels[50, 20:41] == 77).all()
    assert (window.target()[50, 20:41] != 255).all()
    assert window.layer.mode == "paint"
    window.click("Stop")


def lesson(window):
    """Return where the lesson of the round stands."""
    name = window.correct.keep_learning.round.lesson.name
    return session_of(window.viewer).lessons[name].continuation


def test_improve_goes_on_from_where_it_is(window, endless):
    improve(window)
    first = lesson(window)
    window.paint(99, (38, 20), (38, 40))
    learn(window)
    window.click("Improve")
    assert not said(window)
    assert not going(window)
    line = window.idle()
    assert line.startswith(("v2 is in use", "v1 stays in use"))
    second = lesson(window)
    assert second is not first
    trainer = second.trainer
    state = trainer.optimiser.state_dict()["state"]
    assert {int(slots["step"]) > trainer.steps for slots in state.values()} == {True}
    assert first.steps < 1000  # it ended when the next lesson began
    window.correct.keep_learning.end()


@pytest.mark.parametrize("what", ["undo", "image", "labels", "dock", "viewer", "box"])
def test_it_ends_with_what_it_is_about(window, endless, what):
    window.underlay()
    improve(window)
    learn(window)
    quiet = window.correct.form.quiet
    if what == "undo":
        window.do("Undo improvement")
        assert window.layer.name == "cells [fresh]"
    elif what == "image":
        window.viewer.layers.remove("cells")
    elif what == "labels":
        window.viewer.layers.remove("cells [v1]")
    elif what == "dock":
        window.close_dock()
    elif what == "viewer":
        window.viewer.close()
        window.events()
    else:
        quiet.box.click()
        assert "stopped" in quiet.line.text()
    if what in ("undo", "image", "labels"):
        assert not going(window)
        assert not said(window)
    window.until(lambda: not job_threads())


def test_it_rests_while_something_else_runs(window, endless):
    improve(window)
    learn(window)
    job = window.correct.keep_learning.round.job
    window.click("Segment", window.segment)
    assert job.paused
    assert "when that has ended" in said(window)
    window.idle()
    assert not job.paused
    steps = window.correct.keep_learning.round.steps
    window.until(lambda: window.correct.keep_learning.round.steps > steps)
    window.click("Stop")


def test_model_stays_as_it_is_once_a_batch_works_with_it(hand, window, endless, images):
    improve(window)
    hand.add(images)
    assert hand.dock.form.model.name() == "v1"
    learn(window)
    hand.start()
    before = kept(window)
    assert "U-Net: Batch works with it" in said(window)
    window.until(lambda: not job_threads())
    assert kept(window) == before


def test_what_improve_took_back_may_become_better_later(window, monkeypatch):
    monkeypatch.setattr(continuation, "score", lambda *_: 0.91)
    found = iter([0.9, 0.8, 0.8])  # the model before, the whole net, the first answer
    monkeypatch.setattr(fine_tune_state, "score", lambda *_: next(found))
    window.use("fresh")
    window.file(noisy())
    window.segmented()
    window.paint(99, (40, 20), (40, 40))
    window.erase((30, 20), (30, 40))
    window.correct.form.quiet.box.setChecked(True)
    assert "fresh stays in use" in window.do("Improve")
    assert "fresh goes on learning quietly" in said(window)
    window.until(lambda: window.project.index.models)
    window.until(lambda: "v1 has learned all it can" in said(window))
    window.idle()
    assert record(window).before == 0.9
    assert record(window).score == 0.91
    assert window.layer.name == "cells [v1]"
    assert window.segment.form.model.name() == "v1"
    window.do("Undo improvement")
    assert window.layer.name == "cells [fresh]"


def test_nothing_goes_on_where_the_box_is_not_ticked(window):
    window.file(noisy())
    window.segmented()
    window.paint(99, (40, 20), (40, 40))
    window.erase((30, 20), (30, 40))
    assert not window.correct.form.quiet.box.isChecked()
    assert window.do("Improve").startswith("v1 is in use")
    assert not going(window)
    assert not said(window)


def test_box_is_remembered(window):
    box = window.correct.form.quiet.box
    box.setChecked(True)  # it is, but for these tests
    box.click()
    window.close_dock()
    dock = CorrectDock(window.viewer)
    window.qtbot.addWidget(dock)
    assert not dock.form.quiet.box.isChecked()
    dock.form.quiet.box.click()
    assert read_correct_settings().go_on
