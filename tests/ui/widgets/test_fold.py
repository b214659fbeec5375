"""A section of a form that folds: what is folded is away, and nothing else is cut."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLabel, QLineEdit, QVBoxLayout, QWidget

from napari_unet.ui.widgets.fold import Fold


@pytest.fixture
def form(qtbot):
    """Return a narrow form with a fold, a field and a sentence in it, and one below."""
    form = QWidget()
    form.fold, form.field, form.below = Fold("Rarely needed."), QLineEdit(), QLineEdit()
    form.sentence = QLabel("A sentence that needs a few lines in a narrow dock. " * 3)
    form.sentence.setWordWrap(True)
    form.fold.fields.addRow("Field", form.field)
    form.fold.fields.addRow(form.sentence)
    layout = QVBoxLayout(form)
    layout.addWidget(form.fold)
    layout.addWidget(form.below)
    layout.addStretch(1)
    qtbot.addWidget(form)
    form.resize(200, 500)
    with qtbot.waitActive(form):
        form.show()
        form.activateWindow()
    return form


def press(*keys):
    for key in keys:
        QTest.keyClick(QApplication.focusWidget(), key)
        QApplication.processEvents()
    return QApplication.focusWidget()


def test_keys_fold_and_unfold_and_pass_what_is_folded(form):
    form.fold.title.setFocus()
    assert press(Qt.Key.Key_Tab) is form.below
    assert press(Qt.Key.Key_Backtab) is form.fold.title
    assert press(Qt.Key.Key_Space, Qt.Key.Key_Tab) is form.field
    assert form.field.isVisible()
    press(Qt.Key.Key_Backtab, Qt.Key.Key_Space)
    assert not form.field.isVisible()


def test_sentence_that_wraps_is_not_cut(form):
    form.fold.expand()
    for width in (200, 160, 300):
        form.resize(width, 500)
        QApplication.processEvents()
        need = form.sentence.heightForWidth(form.sentence.width())
        assert form.sentence.height() >= need
