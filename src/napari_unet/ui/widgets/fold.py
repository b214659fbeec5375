"""A collapsible section of a form."""

from qtpy.QtWidgets import QFormLayout, QPushButton, QVBoxLayout, QWidget

__all__ = ["Fold"]


class Fold(QWidget):
    """A title that folds and unfolds a form.

    It is no `superqt.QCollapsible` (0.9), which makes its content 0 pixels high and
    leaves it there: Tab goes through fields that nobody sees. Unfolded, its height is
    fixed by the size hint, so sentences that wrap in a narrow dock are cut; and its
    arrow is a picture in the colour of the theme that it was made in.

    Parameters
    ----------
    tip
        What there is below the title.

    Attributes
    ----------
    fields
        The layout that takes the fields.
    """

    def __init__(self, tip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = QPushButton()
        self.title.setCheckable(True)
        self.title.setStyleSheet(
            "text-align: left; border: none; background: transparent;"
        )
        self.title.setToolTip(tip)
        self._body = QWidget()
        self.fields = QFormLayout(self._body)
        self.fields.setContentsMargins(8, 0, 0, 4)
        growth = QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow
        self.fields.setFieldGrowthPolicy(growth)
        self.fields.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.title)
        layout.addWidget(self._body)
        self._name, self._changed = "Advanced", False
        self.title.toggled.connect(self._draw)
        self._draw()

    def expand(self) -> None:
        """Unfold the fields."""
        self.title.setChecked(True)

    def name_it(self, name: str) -> None:
        """Let the title say this."""
        self._name = name
        self._draw()

    def mark(self, changed: bool) -> None:
        """Say in the title whether any of the fields is set."""
        self._changed = changed
        self._draw()

    def _draw(self) -> None:
        arrow = "▾" if self.title.isChecked() else "▸"
        changed = " (changed)" if self._changed else ""
        self.title.setText(f"{arrow}  {self._name}{changed}")
        self._body.setVisible(self.title.isChecked())
