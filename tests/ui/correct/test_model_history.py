"""The list of models, by mouse and keyboard."""

import datetime as dt

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_unet.ui.correct.model_history import History, ModelRow, short_time

LEFT = Qt.MouseButton.LeftButton
NOW = dt.datetime.now(dt.UTC)
ROWS = (
    ModelRow("nuclei"),
    ModelRow("v1", "2026-03-02T12:00:00+00:00", 1, 0.8104, 0.75, "nuclei"),
    ModelRow("v2", NOW.isoformat(), 1234, 0.882, 0.86, "v1"),
)


@pytest.fixture
def history(qtbot):
    history = History()
    qtbot.addWidget(history)
    history.resize(352, 300)
    history.show()
    history.activateWindow()
    qtbot.waitUntil(history.isActiveWindow)
    return history


@pytest.fixture
def wanted(history):
    names = []
    history.wanted.connect(names.append)
    return names


def texts(history, row):
    return [history.table.item(row, column).text() for column in range(5)]


def double_click(history, row):
    place = history.table.visualItemRect(history.table.item(row, 0)).center()
    QTest.mouseClick(history.table.viewport(), LEFT, pos=place)
    QTest.mouseDClick(history.table.viewport(), LEFT, pos=place)


def test_empty_history_is_one_line_that_says_what_to_do(history):
    assert history.hint.isVisible()
    assert "Improve" in history.hint.text()
    assert not history.table.isVisible()
    assert history.sizeHint().height() < 40
    assert history.hint.sizeHint().width() < 352


def test_rows_show_what_is_known_of_each_model(history):
    history.set_models(ROWS, "v2")
    assert texts(history, 0) == ["nuclei", "", "", "", "-"]
    assert texts(history, 1)[3:] == ["1", "81.0 %"]
    today = NOW.astimezone().strftime("%H:%M")
    assert texts(history, 2) == ["v2", "in use", today, "1\u2009234", "88.2 %"]
    tip = history.table.item(1, 0).toolTip()
    assert "improved from 'nuclei'" in tip
    assert "2026-03-02" in tip
    assert "score 81.0 % on the reviewed pixels (nuclei: 75.0 %)" in tip
    assert "Enter" in tip
    assert history.table.item(2, 0).toolTip().endswith("It is in use.")
    assert not history.hint.isVisible()


def test_only_the_active_model_is_bold(history):
    for active in ("v2", "v1", ""):
        history.set_models(ROWS, active)
        for index, row in enumerate(ROWS):
            items = [history.table.item(index, column) for column in range(5)]
            assert {i.font().bold() for i in items} == {row.name == active}
            assert (items[1].text() == "in use") == (row.name == active)


@pytest.mark.parametrize("key", ["Return", "Enter", "double click"])
def test_a_model_is_wanted_again(history, wanted, key):
    history.set_models(ROWS, "v2")
    if key == "double click":
        double_click(history, 1)
    else:
        history.table.setFocus()
        QTest.keyClick(history.table, Qt.Key.Key_Up)
        QTest.keyClick(history.table, getattr(Qt.Key, f"Key_{key}"))
    assert wanted == ["v1"]


def test_the_model_in_use_is_not_wanted_again(history, wanted):
    history.set_models(ROWS, "v2")
    double_click(history, 2)
    QTest.keyClick(history.table, Qt.Key.Key_Return)
    assert wanted == []


def test_going_through_the_list_wants_nothing(history, wanted):
    history.set_models(ROWS, "v2")
    history.table.setFocus()
    QTest.keyClick(history.table, Qt.Key.Key_Up)
    QTest.keyClick(history.table, Qt.Key.Key_Up)
    assert wanted == []
    assert history.table.currentRow() == 0


@pytest.mark.parametrize("count", [1, 4, 5, 30])
def test_at_most_four_rows_are_in_view_the_newest_among_them(history, count):
    rows = [ModelRow(f"v{i}", NOW.isoformat(), i, 0.5) for i in range(count)]
    history.set_models(rows, "")
    QApplication.processEvents()
    table = history.table
    assert table.viewport().height() == min(count, 4) * table.rowHeight(0)
    last = table.visualItemRect(table.item(count - 1, 0))
    assert table.viewport().rect().contains(last.center())


def test_the_active_model_is_in_view(history):
    rows = [ModelRow(f"v{i}") for i in range(30)]
    history.set_models(rows, "v3")
    QApplication.processEvents()
    place = history.table.visualItemRect(history.table.item(3, 0)).center()
    assert history.table.viewport().rect().contains(place)
    history.set_models(rows[:2], "v1")
    assert history.table.rowCount() == 2


def test_a_long_name_leaves_room_for_the_rest(history):
    row = ModelRow("n" * 80, "2025-03-02T12:00:00+00:00", 1234, 0.882)
    history.set_models([row], row.name)
    QApplication.processEvents()
    table = history.table
    for column in range(1, 5):
        assert table.columnWidth(column) >= table.sizeHintForColumn(column)
    assert table.horizontalHeader().length() <= table.viewport().width()
    assert table.columnWidth(0) > 60


@pytest.mark.parametrize(
    ("time", "text"),
    [
        ("2026-11-25T12:05:00", "12:05"),
        ("2026-11-24T23:05:00", "24 Nov"),
        ("2025-11-25T12:05:00", "2025-11"),
        ("", ""),
        ("yesterday", ""),
    ],
    ids=["today", "this year", "earlier", "unknown", "damaged"],
)
def test_times_are_as_short_as_they_are_clear(time, text):
    if time[:1] == "2":  # of this computer, as UTC: what a project stores
        time = dt.datetime.fromisoformat(time).astimezone(dt.UTC).isoformat()
    assert short_time(time, dt.date(2026, 11, 25)) == text
