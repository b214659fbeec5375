"""The table of classes by mouse and keyboard, and the colours in it."""

from itertools import combinations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLineEdit, QToolTip, QVBoxLayout, QWidget
from skimage.color import rgb2lab

from napari_unet.ui.correct.class_table import ClassRow, ClassTable, class_colours

LEFT = Qt.MouseButton.LeftButton
NUMBER, COLOUR, NAME, PIXELS, STROKES = range(5)


def rows(*names, **keywords):
    colours = class_colours(len(names))
    return [
        ClassRow(value, name, colour, **keywords)
        for value, (name, colour) in enumerate(zip(names, colours, strict=True))
    ]


@pytest.fixture
def table(qtbot):
    table = ClassTable()
    qtbot.addWidget(table)
    table.resize(352, 300)
    table.set_rows(rows("background", "cell", "membrane"))
    table.show()
    table.activateWindow()
    qtbot.waitUntil(table.isActiveWindow)
    return table


@pytest.fixture
def heard(table):
    """Return what the table said, in order."""
    said = []
    table.chosen.connect(lambda value: said.append(("chosen", value)))
    table.renamed.connect(lambda value, name: said.append(("renamed", value, name)))
    table.added.connect(lambda name: said.append(("added", name)))
    return said


def middle(table, row, column=NAME):
    return table.table.visualItemRect(table.table.item(row, column)).center()


def click(table, row, column=NAME):
    place = middle(table, row, column)
    QTest.mouseClick(table.table.viewport(), LEFT, pos=place)


def swatch(table, row):
    """Return the colour (R, G, B, A) in the middle of what marks a class."""
    image = table.table.cell(row, COLOUR).icon().pixmap(28).toImage()
    return image.pixelColor(image.width() // 2, image.height() // 2).getRgbF()


def double_click(table, row, column=NAME):
    click(table, row, column)
    place = middle(table, row, column)
    QTest.mouseDClick(table.table.viewport(), LEFT, pos=place)


def editor(table):
    (found,) = table.table.findChildren(QLineEdit)
    return found


def closed(table):
    return not table.table.findChildren(QLineEdit)


def retype(qtbot, table, name, key=Qt.Key.Key_Return):
    line = editor(table)
    line.selectAll()
    QTest.keyClicks(line, name) if name else QTest.keyClick(line, Qt.Key.Key_Delete)
    QTest.keyClick(line, key)
    qtbot.waitUntil(lambda: closed(table))


def shown(table, column):
    cells = (table.table.item(row, column) for row in range(table.table.rowCount()))
    return [cell.text() for cell in cells]


def test_rows_show_what_is_known_of_each_class(table):
    table.set_rows(
        [
            ClassRow(0, "background", (0, 0, 0, 0), strokes=12, pixels=3410),
            ClassRow(1, "cell", (1, 0, 0, 1), strokes=1204, pixels=12_345_678),
        ]
    )
    assert shown(table, NUMBER) == ["0", "1"]
    assert shown(table, NAME) == ["background", "cell"]
    assert shown(table, PIXELS) == ["3\u2009410", "12\u2009345\u2009678"]
    assert shown(table, STROKES) == ["12", "1\u2009204"]
    assert table.names() == ("background", "cell")
    for column in (PIXELS, STROKES):
        alignment = table.table.item(0, column).textAlignment()
        assert Qt.AlignmentFlag(alignment) & Qt.AlignmentFlag.AlignRight
    icon = table.table.item(1, COLOUR).icon()
    centre = icon.pixmap(16, 16).toImage().pixelColor(8, 8)
    assert centre.getRgb() == (255, 0, 0, 255)


def test_click_chooses_a_class_once_and_again(table, heard):
    click(table, 2)
    click(table, 1, COLOUR)
    click(table, 1, STROKES)
    assert heard == [("chosen", 2), ("chosen", 1), ("chosen", 1)]


def test_arrows_choose_and_tab_goes_on_to_the_button(table, heard):
    table.table.setFocus()
    table.select(0)
    QTest.keyClick(table.table, Qt.Key.Key_Down)
    QTest.keyClick(table.table, Qt.Key.Key_Down)
    QTest.keyClick(table.table, Qt.Key.Key_Up)
    assert heard == [("chosen", 1), ("chosen", 2), ("chosen", 1)]
    QTest.keyClick(table.table, Qt.Key.Key_Tab)
    assert QApplication.focusWidget() is table.add_button


def test_select_marks_a_row_without_a_signal(table, heard):
    table.select(2)
    assert table.table.currentRow() == 2
    assert [i.row() for i in table.table.selectionModel().selectedRows()] == [2]
    table.select(77)
    assert not table.table.selectionModel().selectedRows()
    assert heard == []


@pytest.mark.parametrize("key", ["F2", "Return", "Enter", "double click"])
def test_a_name_is_edited_in_place(table, heard, qtbot, key):
    if key == "double click":
        double_click(table, 1, STROKES)
    else:
        table.select(1)
        table.table.setFocus()
        QTest.keyClick(table.table, getattr(Qt.Key, f"Key_{key}"))
    heard.clear()
    retype(qtbot, table, "  nucleus   rim ")
    assert heard == [("renamed", 1, "nucleus rim")]
    assert table.names() == ("background", "nucleus rim", "membrane")
    assert shown(table, NAME) == list(table.names())
    assert QApplication.focusWidget() is table.table


def test_escape_keeps_the_name(table, heard, qtbot):
    double_click(table, 1)
    heard.clear()
    retype(qtbot, table, "nucleus", Qt.Key.Key_Escape)
    assert heard == []
    assert table.names()[1] == "cell"


def test_a_click_elsewhere_keeps_what_was_typed(table, heard, qtbot):
    double_click(table, 1)
    QTest.keyClicks(editor(table), "nucleus")
    click(table, 0)
    qtbot.waitUntil(lambda: closed(table))
    assert ("renamed", 1, "nucleus") in heard


def test_case_of_a_name_may_be_changed(table, heard, qtbot):
    double_click(table, 1)
    retype(qtbot, table, "Cell")
    assert heard[-1] == ("renamed", 1, "Cell")


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("Membrane", "Class 2 is called 'membrane' already."),
        ("", "A class needs a name."),
        ("   ", "A class needs a name."),
    ],
    ids=["taken", "empty", "blank"],
)
def test_bad_names_are_refused_with_the_reason(table, heard, qtbot, typed, reason):
    double_click(table, 1)
    heard.clear()
    line = editor(table)
    line.selectAll()
    QTest.keyClicks(line, typed) if typed else QTest.keyClick(line, Qt.Key.Key_Delete)
    assert line.toolTip() == reason
    assert "border" in line.styleSheet()
    QTest.keyClick(line, Qt.Key.Key_Return)
    text = f"{reason} It is 'cell' still."
    qtbot.waitUntil(lambda: QToolTip.text() == text)
    assert closed(table)
    assert heard == []
    assert shown(table, NAME) == ["background", "cell", "membrane"]
    assert table.table.item(1, NAME).toolTip() == text


def test_name_that_becomes_good_is_no_longer_marked(table):
    double_click(table, 1)
    line = editor(table)
    line.clear()
    QTest.keyClicks(line, "membrane")
    assert line.styleSheet()
    QTest.keyClicks(line, "s")
    assert not line.styleSheet()


def test_added_class_is_edited_at_once(table, heard, qtbot):
    QTest.mouseClick(table.add_button, LEFT)
    assert heard == [("added", "class 3"), ("chosen", 3)]
    assert editor(table).text() == "class 3"
    retype(qtbot, table, "vesicle")
    assert heard[2:] == [("renamed", 3, "vesicle")]
    assert table.names() == ("background", "cell", "membrane", "vesicle")
    assert swatch(table, 3) == pytest.approx(class_colours(4)[3], abs=0.01)


def test_added_class_is_edited_though_its_owner_sets_the_rows(table, qtbot):
    colour = (1.0, 0.0, 1.0, 1.0)
    new = [*rows("background", "cell", "membrane"), ClassRow(3, "class 3", colour)]
    table.added.connect(lambda name: table.set_rows(new))
    QTest.mouseClick(table.add_button, LEFT)
    retype(qtbot, table, "", Qt.Key.Key_Escape)
    assert table.names()[3] == "class 3"
    assert swatch(table, 3) == pytest.approx(colour, abs=0.01)


def test_added_class_gets_a_name_that_is_free(table):
    table.set_rows(rows("background", "Class 2"))
    QTest.mouseClick(table.add_button, LEFT)
    assert table.names()[2] == "class 3"


def test_new_counts_leave_a_name_that_is_being_typed(table, heard, qtbot):
    double_click(table, 1)
    QTest.keyClicks(editor(table), "nucl")
    table.set_rows(rows("background", "cell", "membrane", pixels=77))
    assert editor(table).text() == "nucl"
    assert shown(table, PIXELS) == ["77"] * 3
    QTest.keyClick(editor(table), Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: closed(table))
    assert heard[-1] == ("renamed", 1, "nucl")
    assert shown(table, PIXELS) == ["77"] * 3


def test_fixed_names_are_chosen_but_not_edited(table, heard):
    table.set_editable(False, "The model gives the names of objects.")
    double_click(table, 1)
    QTest.keyClick(table.table, Qt.Key.Key_F2)
    assert closed(table)
    assert heard[0] == ("chosen", 1)
    assert not table.add_button.isEnabled()
    assert table.add_button.toolTip() == "The model gives the names of objects."
    table.set_editable(True)
    assert table.add_button.isEnabled()
    assert "renames" in table.table.item(1, NAME).toolTip()


def test_no_more_classes_than_a_model_can_have(table):
    table.set_rows(rows(*(f"c{i}" for i in range(254))))
    assert not table.add_button.isEnabled()
    assert "254" in table.add_button.toolTip()


@pytest.mark.parametrize("count", [1, 3, 6, 7, 40])
def test_height_fits_up_to_six_rows(table, count):
    table.set_rows(rows(*(f"c{i}" for i in range(count))))
    QApplication.processEvents()
    inside = table.table.viewport().height()
    assert inside == min(count, 6) * table.table.rowHeight(0)
    assert table.table.verticalScrollBar().isVisible() == (count > 6)


def test_nothing_is_cut_off_but_a_long_name(table):
    table.set_rows(rows("x" * 60, "cell", pixels=1_234_567_890, strokes=12_345))
    QApplication.processEvents()
    for column in (NUMBER, COLOUR, PIXELS, STROKES):
        width = table.table.columnWidth(column)
        assert width >= table.table.sizeHintForColumn(column)
    header = table.table.horizontalHeader()
    assert header.length() <= table.table.viewport().width()
    assert table.table.columnWidth(NAME) > 60


def test_everything_explains_itself(table):
    assert table.table.accessibleName()
    assert table.add_button.accessibleName()
    assert table.add_button.toolTip()
    for column in range(5):
        assert table.table.horizontalHeaderItem(column).toolTip()
        assert "cell" in table.table.item(1, column).toolTip()
    assert "Background" in table.table.item(0, NAME).toolTip()


def test_keys_without_a_use_go_on_to_napari(qtbot):
    class Window(QWidget):
        def keyPressEvent(self, event):
            keys.append(event.text() or event.key())

    keys = []
    window, table = Window(), ClassTable()
    qtbot.addWidget(window)
    QVBoxLayout(window).addWidget(table)
    table.set_rows(rows("background", "2nd"))
    window.show()
    click(table, 0)
    for key in (Qt.Key.Key_2, Qt.Key.Key_Space, Qt.Key.Key_Up, Qt.Key.Key_Return):
        QTest.keyClick(table.table, key)
    assert keys == ["2", " "]
    QTest.keyClicks(editor(table), "m")
    QTest.keyClick(editor(table), Qt.Key.Key_Return)
    assert keys == ["2", " "]


def test_key_of_the_brush_works_after_a_click_on_a_class(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    layer = viewer.add_labels(np.zeros((32, 32), np.uint8))
    table = ClassTable()
    table.set_rows(rows("background", "cell"))
    table.chosen.connect(lambda value: setattr(layer, "selected_label", value))
    viewer.window.add_dock_widget(table, area="right")
    click(table, 1)
    assert layer.selected_label == 1
    QTest.keyClick(table.table, Qt.Key.Key_2)
    qtbot.waitUntil(lambda: str(layer.mode) == "paint")


def test_drag_over_rows_chooses_where_it_ends(table, heard):
    view = table.table.viewport()
    QTest.mousePress(view, LEFT, pos=middle(table, 0))
    QTest.mouseMove(view, middle(table, 2) + QPoint(1, 0))
    QTest.mouseRelease(view, LEFT, pos=middle(table, 2))
    assert heard[-1] == ("chosen", table.table.currentRow())


# --- colours ------------------------------------------------------------------------

# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def seen(colours, sight):
    """Return CIELAB coordinates of colours (N, 3) as somebody sees them."""
    rgb = np.asarray(colours, float)[:, :3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.asarray(SIGHTS[sight]).T, 0, 1)
    rgb = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    )
    return rgb2lab(rgb)


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize(("classes", "least"), [(3, 30), (5, 20), (8, 6)])
def test_colours_differ_from_each_other_and_from_grey(sight, classes, least):
    greys = [(grey,) * 3 for grey in np.linspace(0, 0.6, 7)]
    colours = seen(class_colours(classes)[1:], sight)
    for one, two in combinations(colours, 2):
        assert np.linalg.norm(one - two) > least
    for colour in colours:
        assert np.linalg.norm(colour - seen(greys, sight), axis=1).min() > least


def test_more_colours_than_okabe_and_ito_have_are_told_apart():
    colours = class_colours(24)
    assert all(len(c) == 4 and min(c) >= 0 and max(c) <= 1 for c in colours)
    lab = seen(colours[1:], "normal")
    assert min(np.linalg.norm(a - b) for a, b in combinations(lab, 2)) > 10
    assert len(set(class_colours(254))) == 254


@pytest.mark.parametrize("n", [0, 1, 2, 8, 9, 20])
def test_colours_stay_when_a_class_is_added(n):
    assert len(class_colours(n)) == n
    assert class_colours(n) == class_colours(n + 1)[:n]
    assert class_colours(n + 1)[0] == (0, 0, 0, 0)


def test_too_many_colours_are_refused():
    with pytest.raises(ValueError, match="254"):
        class_colours(255)
