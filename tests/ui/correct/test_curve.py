"""The curves: drawn late and seldom, readable in every theme, and what they say."""

import math
import re
import subprocess
import sys
import time
from itertools import combinations

import numpy as np
import pyqtgraph as pg
import pytest
from helpers.looks import THEMES, contrast, style
from qtpy.QtCore import QPointF, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_unet.ui.correct.curve import Curve, Point, verdict

LEFT = Qt.MouseButton.LeftButton
POINTS = [
    Point(2.0, 0.6, 0.7, "v1", "nuclei"),
    Point(4.0, 0.7, 0.8, "v2", "v1"),
    Point(7.5, 0.8, 0.803, "v3", "v2"),
]


@pytest.fixture
def curve(qtbot):
    curve = Curve()
    qtbot.addWidget(curve)
    curve.setStyleSheet(style("dark"))
    curve.resize(352, 240)
    curve.show()
    return curve


def item(curve, tab=0):
    """Return what pyqtgraph draws in a tab."""
    return curve.pages.widget(tab).getPlotItem()


def right(curve):
    """Return the view of the scores, whose axis is the right one."""
    return item(curve).getAxis("right").linkedView()


def drawn(curve):
    """Return the seconds and scores in the plot of the training."""
    (loss,), (score,) = item(curve).listDataItems(), right(curve).addedItems
    seconds, scores = loss.getData()[0], score.getData()[1]
    return tuple([] if data is None else list(data) for data in (seconds, scores))


def found(curve, kind):
    """Return what there is of a kind in the plot of the models."""
    return [part for part in item(curve, 1).items if isinstance(part, kind)]


def names(curve):
    """Return the names that are drawn, in the order in which they found a place."""
    return [text.toPlainText() for text in found(curve, pg.TextItem)]


def picture(widget):
    """Return the pixels (Y, X, 3) of a widget as it is on screen."""
    image = widget.grab().toImage()
    image = image.convertToFormat(image.Format.Format_RGB888)
    data = image.constBits().asarray(image.sizeInBytes())
    rows = np.array(data, np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)


def click_tab(curve, index):
    QTest.mouseClick(curve.tabs, LEFT, pos=curve.tabs.tabRect(index).center())


def test_nothing_is_loaded_or_takes_room_before_a_training():
    code = (
        "import sys, time; from qtpy.QtWidgets import QApplication"
        "; a = QApplication([])"
        "; from napari_unet.ui.correct.curve import Curve"
        "; t = time.process_time(); c = Curve()"
        "; c.set_models([], ''); s = time.process_time() - t"
        "; assert c.sizeHint().height() < 40 and s < 1, (c.sizeHint(), s)"
        "; assert not {'pyqtgraph', 'torch', 'napari'} & set(sys.modules)"
        "; c.begin(); assert 'pyqtgraph' in sys.modules"
        "; assert c.sizeHint().height() > 120"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_before_a_training_a_line_says_so(curve):
    assert "No training yet" in curve.line.text()
    assert not curve.tabs.isVisible()


def test_steps_are_drawn_when_the_training_is_over(curve):
    curve.begin()
    curve.add(0.5, 1.0, None)
    curve.add(1.0, 0.8, 0.6)
    curve.add(1.5, 0.7)
    curve.add(2.0, 0.5, 0.75)
    curve.finish()
    assert drawn(curve) == ([0.5, 1.0, 1.5, 2.0], [60, 75])
    assert "loss 0.5" in curve.legend.text()
    assert "score on reviewed pixels 75.0 %" in curve.legend.text()


def test_redraws_at_most_five_times_a_second(curve):
    curve.begin()
    redraws = []
    (loss,) = item(curve).listDataItems()
    loss.sigPlotChanged.connect(lambda _: redraws.append(1))
    begun, steps = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < 1:
        steps += 1
        curve.add(passed, 1 / steps)
        QApplication.processEvents()
    assert 1 <= len(redraws) <= 5
    assert steps > 100


def test_training_without_a_score_has_no_axis_for_it(curve):
    curve.begin()
    curve.add(1.0, 0.5)
    curve.finish()
    assert item(curve).getAxis("right")._tickLevels == []
    assert "score on" not in curve.legend.text()
    curve.add(2.0, 0.4, 0.9)
    curve.finish()
    assert item(curve).getAxis("right")._tickLevels is None
    assert "score on reviewed pixels 90.0 %" in curve.legend.text()


def test_what_was_added_last_is_drawn_without_finish(curve, qtbot):
    curve.begin()
    curve.add(1.0, 0.5, 0.9)
    qtbot.waitUntil(lambda: drawn(curve) == ([1.0], [90]))


def test_begin_forgets_the_last_training(curve):
    curve.begin()
    curve.add(1.0, 0.5, 0.9)
    curve.finish()
    click_tab(curve, 1)
    curve.begin()
    assert curve.tabs.currentIndex() == 0
    curve.add(0.1, 2.0)
    curve.finish()
    assert drawn(curve) == ([0.1], [])


def test_numbers_that_are_none_are_left_out(curve):
    curve.begin()
    curve.add(0.5, math.nan, math.inf)
    curve.add(1.0, 0.5, math.nan)
    curve.finish()
    assert drawn(curve) == ([1.0], [])


def test_long_training_is_drawn_fast_to_its_last_step(curve):
    curve.begin()
    for step in range(60_000):
        curve.add(step / 100, 1.0 + step % 7)
    begun = time.process_time()
    curve.finish()
    assert time.process_time() - begun < 0.2
    xs, _ = drawn(curve)
    assert len(xs) <= 4000
    assert xs[-1] == pytest.approx(599.99)


def test_axes_show_all_that_was_drawn(curve):
    curve.begin()
    for step in range(50):
        curve.add(step, 3.0 - step / 20, 0.4 + step / 100)
    curve.finish()
    (x0, x1), (y0, y1) = item(curve).vb.viewRange()
    assert x0 <= 0 < 49 <= x1
    assert y0 <= 0.55 < 3.0 <= y1
    (x2, x3), (y2, y3) = right(curve).viewRange()
    assert (x2, x3) == pytest.approx((x0, x1), abs=0.5)
    assert y2 <= 40 < 89 <= y3


def test_a_steady_score_does_not_look_like_a_mountain(curve):
    points = [Point(i, 0.8, 0.8 + 0.001 * (i % 2), f"v{i}", "") for i in range(6)]
    curve.set_models(points, "v5")
    low, high = item(curve, 1).vb.viewRange()[1]
    assert high - low > 10


def test_tabs_turn_by_mouse_and_keyboard(curve):
    curve.begin()
    curve.add(1.0, 0.5)
    curve.finish()
    curve.set_models(POINTS, "v3")
    assert curve.pages.currentIndex() == 0
    click_tab(curve, 1)
    assert curve.pages.currentIndex() == 1
    assert "minutes of annotation" in curve.legend.text()
    QTest.keyClick(curve.tabs, Qt.Key.Key_Left)
    assert curve.pages.currentIndex() == 0
    assert "loss" in curve.legend.text()


def test_models_have_their_names_and_a_verdict(curve):
    curve.set_models(POINTS, "v3")
    click_tab(curve, 1)
    QApplication.processEvents()
    (dots,) = found(curve, pg.ScatterPlotItem)
    assert list(dots.getData()[1]) == pytest.approx([70, 80, 80.3])
    assert names(curve) == ["v3", "v2", "v1"]
    assert curve.line.text() == verdict(POINTS)
    curve.set_models([], "")
    assert names(curve) == []
    assert curve.line.text() == verdict([])


def test_only_models_up_to_the_one_in_use_count(curve):
    fallen = [*POINTS, Point(9.0, 0.9, 0.8, "v4", "v3")]
    curve.set_models(fallen, "v4")
    assert "go back to v3" in curve.line.text()
    curve.set_models(fallen, "v3")
    assert curve.line.text() == verdict(POINTS)


def test_lines_join_only_what_can_be_compared(curve):
    curve.set_models(POINTS, "v3")
    (line,) = found(curve, pg.PlotDataItem)
    assert list(line.getData()[0]) == [2.0, 2.0, 4.0, 4.0, 7.5, 7.5]
    assert line.opts["connect"] == "pairs"


def test_what_is_empty_is_a_sentence_and_no_axes(curve):
    curve.begin()
    assert curve.empty.isVisible()
    assert not curve.legend.isVisible()
    curve.add(1.0, 0.5, 0.9)
    curve.finish()
    assert not curve.empty.isVisible()
    click_tab(curve, 1)
    assert curve.empty.isVisible()
    assert "Nothing was improved" in curve.empty.text()


def test_scores_that_come_at_the_end_are_drawn_from_before_to_after(curve):
    curve.begin()
    curve.add(1.0, 0.5, math.nan)
    curve.add(4.0, 0.4, math.nan)
    curve.finish(0.5, 0.75)
    assert drawn(curve) == ([1.0, 4.0], [50, 75])


def test_another_project_has_no_curve_of_this_one(curve):
    curve.begin()
    curve.add(1.0, 0.5, 0.9)
    curve.clear()
    assert drawn(curve) == ([], [])
    assert curve.empty.isVisible()


@pytest.mark.parametrize("tab", [0, 1])
def test_nothing_widens_the_dock(curve, tab):
    curve.begin()
    curve.add(1.0, 0.5, 0.9)
    curve.set_models(POINTS, "v3")
    click_tab(curve, tab)
    curve.finish()
    QApplication.processEvents()
    assert curve.minimumSizeHint().width() < 340


def test_names_of_models_of_one_minute_do_not_cover_each_other(curve):
    points = [Point(0.0, 0.5, 0.5 + i / 10, f"v{i}", "") for i in range(4)]
    curve.set_models(points, "v3")
    click_tab(curve, 1)
    QApplication.processEvents()
    assert names(curve)[0] == "v3"
    assert_apart(curve, points)


def test_names_of_points_that_are_near_all_find_a_place(curve):
    points = [
        Point(2.0, 0.60, 0.65, "v1", "nuclei"),
        Point(2.4, 0.70, 0.78, "v2", "v1"),
        Point(2.8, 0.80, 0.85, "v3", "v2"),
        Point(7.5, 0.81, 0.86, "v4", "v3"),
    ]
    curve.set_models(points, "v4")
    click_tab(curve, 1)
    QApplication.processEvents()
    assert len(names(curve)) == 4
    assert_apart(curve, points)


def assert_apart(curve, points):
    """Names lie neither on each other nor on a point, and all of them is seen."""
    texts = found(curve, pg.TextItem)
    rects = [text.mapRectToScene(text.boundingRect()) for text in texts]
    inner = [rect.adjusted(1, 1, -1, -1) for rect in rects]
    for one, two in combinations(inner, 2):
        assert not one.intersects(two)
    view = item(curve, 1).vb
    whole = view.mapRectToScene(view.boundingRect()).adjusted(-1, -1, 1, 1)
    assert all(whole.contains(rect) for rect in inner)
    for point in points:
        dot = view.mapViewToScene(QPointF(point.minutes, 100 * point.score))
        assert not any(rect.contains(dot) for rect in inner)


def test_names_that_would_lie_on_each_other_are_left_out_the_newest_first(curve):
    points = [Point(i / 10, 0.5, 0.5 + i / 100, f"model {i}", "") for i in range(40)]
    curve.set_models(points, "model 39")
    click_tab(curve, 1)
    QApplication.processEvents()
    assert names(curve)[0] == "model 39"
    assert len(names(curve)) < 10
    assert_apart(curve, points)


@pytest.mark.parametrize("first", THEMES)
def test_curves_stand_out_when_the_theme_changes(curve, first):
    curve.setStyleSheet(style(first))
    curve.begin()
    for step in range(30):
        curve.add(step, 1 / (1 + step), 0.5 + step / 100)
    curve.finish()
    for theme in (first, *(name for name in THEMES if name != first)):
        curve.setStyleSheet(style(theme))
        QApplication.processEvents()
        pixels = picture(curve.pages.widget(0)).reshape(-1, 3)
        background = tuple(int(THEMES[theme][0][i : i + 2], 16) for i in (1, 3, 5))
        assert (pixels == background).all(axis=1).mean() > 0.7
        colours = re.findall(r"color='(#\w{6})'", curve.legend.text())
        assert len(colours) == 2
        for colour in colours:
            rgb = tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
            assert (pixels == rgb).all(axis=1).sum() > 20
            assert contrast(rgb, background) > 4.5


def test_everything_explains_itself(curve):
    curve.begin()
    for widget in (curve.tabs, curve.pages.widget(0), curve.pages.widget(1)):
        assert widget.accessibleName()
    assert curve.tabs.tabToolTip(0)
    assert curve.tabs.tabToolTip(1)
    assert curve.line.toolTip()


def scores(*gains, minutes=2.0):
    """Return improvements of other strokes each time, so that scores go up and down."""
    return [
        Point(minutes * i, 0.6 - 0.1 * i, 0.6 - 0.1 * i + gain, f"v{i}", f"v{i - 1}")
        for i, gain in enumerate(gains, 1)
    ]


LITTLE = "more strokes of this kind change little."
FALL = "look at the last strokes again, or go back to v2."


@pytest.mark.parametrize(
    ("points", "text"),
    [
        ((), "Too early to say when to stop: 0 of the 3 improvements that it takes."),
        (
            scores(0.1, 0.1),
            "Too early to say when to stop: 2 of the 3 improvements that it takes.",
        ),
        (
            scores(0.8, 0.003, 0.003),
            f"The last two improvements gained 0.3 % each: {LITTLE}",
        ),
        (
            scores(0.8, 0.004, 0.001),
            f"The last two improvements gained 0.4 % and 0.1 %: {LITTLE}",
        ),
        (
            scores(0.8, 0.0, 0.0),
            f"The last two improvements gained nothing: {LITTLE}",
        ),
        (
            scores(0.8, -0.005, 0.003),
            f"The last two improvements gained nothing and 0.3 %: {LITTLE}",
        ),
        (scores(0.0, 0.1, 0.11), "v3 gained 11.0 % in 2 min of annotation: go on."),
        (
            scores(0.0, 0.1, 0.11, minutes=0.5),
            "v3 gained 11.0 % in 30 s of annotation: go on.",
        ),
        (scores(0.0, 0.1, 0.11, minutes=0), "v3 gained 11.0 %: go on."),
        (
            scores(0.0, 0.1, 0.002),
            "v3 gained 0.2 %: another round will tell if that is all.",
        ),
        (
            scores(0.0, 0.1, -0.005),
            "v3 gained nothing: another round will tell if that is all.",
        ),
        (
            scores(0.0, 0.1, -0.03),
            f"v3 scores 3.0 % less than v2: {FALL}",
        ),
    ],
)
def test_verdict_says_whether_more_strokes_are_worth_it(points, text):
    assert verdict(points) == text
