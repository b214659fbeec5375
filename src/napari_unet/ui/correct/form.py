"""Form of U-Net: Correct: its widgets, from top to bottom, and what they show."""

from typing import Any

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_unet.ui.correct.class_table import ClassTable
from napari_unet.ui.correct.curve import Curve
from napari_unet.ui.correct.form_state import Buttons, FormState, Learn
from napari_unet.ui.correct.image_list import ImageList
from napari_unet.ui.correct.invitation import Invitation
from napari_unet.ui.correct.learning_line import Quiet
from napari_unet.ui.correct.model_history import History
from napari_unet.ui.correct.overlays import changed_legend
from napari_unet.ui.correct.targets import SubjectChooser
from napari_unet.ui.correct.unpainted_classes import Lacking
from napari_unet.ui.session import Session
from napari_unet.ui.widgets.flow_layout import flowing
from napari_unet.ui.widgets.main_button import MainButton
from napari_unet.ui.widgets.progress import Progress

__all__ = ["CorrectForm"]

_ZERO = {
    "0 is background": True,
    "0 is where nobody looked": False,
}
_SECONDS = 20


class CorrectForm(QWidget):
    """All widgets of the dock, laid out; it renders a state, and decides nothing.

    Attributes
    ----------
    state
        What it shows; None before the first.
    overlays
        The boxes of the overlays, by name.
    foot
        What stays in view where the rest scrolls.
    """

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__()
        self.state: FormState | None = None
        self.subject = SubjectChooser(viewer, session)
        self.place = QLabel()
        self.open = QPushButton("Open...")
        self.invitation = Invitation()
        self.images = ImageList()
        self.offer = QLabel()
        self.go_on = QPushButton("Go on")
        self.from_labels = QPushButton("Start from labels")
        self.from_nothing = QPushButton("Start from nothing")
        self.zero = QComboBox()
        self.classes = ClassTable()
        self.new_classes = QPushButton("New model for my classes")
        self.right = QPushButton("This view is right")
        self.withdraw = QPushButton("Forget this view")
        self.next = QPushButton("Next uncertain")
        self.show_reviewed = QCheckBox("Reviewed")
        self.show_uncertain = QCheckBox("Uncertainty")
        self.show_changed = QCheckBox("Fixed, broken")
        self.overlays = {
            "reviewed": self.show_reviewed,
            "uncertain": self.show_uncertain,
            "changed": self.show_changed,
        }
        self.legend = QLabel(changed_legend())
        self.seconds = QSpinBox()
        self.improve = MainButton("Improve")
        self.stop = QPushButton("Stop")
        self.live = QCheckBox("Live")
        self.quiet = Quiet()
        self.lacking = Lacking()
        self.progress = Progress()
        self.curve, self.history = Curve(), History()
        self.undo = QPushButton("Undo improvement")
        self.save = QPushButton("Save model as...")
        self._set_up()
        self._explain()
        self._arrange()

    def show_state(self, state: FormState) -> None:
        """Show a state; lists that are as before keep their row and where they are."""
        before, self.state = self.state, state
        self._show_begin(state)
        self._enable(state.buttons)
        self._show_learn(state.learn, idle=state.buttons.improve)
        self.invitation.show_invite(state.invite)
        self.classes.set_rows(state.classes)
        if before is None or before.fixed != state.fixed:
            self.classes.set_editable(not state.fixed, state.fixed)
        if before is None or before.images != state.images:
            self.images.set_rows(state.images)
        models = state.models, state.model
        if before is None or (before.models, before.model) != models:
            self.history.set_models(*models)
        if not state.learned_here:
            self.curve.clear()
        scores = state.scores, state.model
        if before is None or (before.scores, before.model) != scores:
            self.curve.set_models(*scores)
        if state.hint is not None:
            self.progress.hint(state.hint)

    def untick(self, overlay: str) -> None:
        """Take the tick of an overlay away: it is not there any more."""
        self.overlays[overlay].setChecked(False)

    def _show_begin(self, state: FormState) -> None:
        begin, folder = state.begin, state.folder
        self.place.setText("" if folder is None else folder.name)
        self.place.setToolTip("" if folder is None else f"Kept in {folder}")
        self.offer.setText(begin.line)
        self.offer.setVisible(bool(begin.line))
        self.go_on.setVisible(begin.go_on)
        self.from_labels.setVisible(begin.from_labels)
        self.zero.setVisible(begin.from_labels)
        self.from_nothing.setVisible(begin.from_nothing)

    def _enable(self, can: Buttons) -> None:
        self.open.setEnabled(can.open)
        for button in (self.go_on, self.from_labels, self.from_nothing):
            button.setEnabled(can.begin)
        self.images.setEnabled(can.images)
        self.new_classes.setEnabled(can.new_classes)
        for button in (self.right, self.withdraw):
            button.setEnabled(can.review)
        self.next.setEnabled(can.next)
        self.improve.setEnabled(can.improve)
        self.stop.setEnabled(can.stop)
        self.live.setEnabled(can.live)
        self.undo.setEnabled(can.undo)
        self.save.setEnabled(can.save)
        self.show_reviewed.setEnabled(can.reviewed)
        self.show_uncertain.setEnabled(can.uncertain)
        self.show_changed.setEnabled(can.changed)

    def _show_learn(self, learn: Learn, *, idle: bool) -> None:
        self.improve.setToolTip(learn.improve)
        self.live.setToolTip(learn.live)
        self.undo.setToolTip(learn.undo)
        self.save.setToolTip(learn.save)
        self.lacking.follow(learn.unpainted, possible=learn.without, idle=idle)

    def _set_up(self) -> None:
        for text, dense in _ZERO.items():
            self.zero.addItem(text, dense)
        self.offer.setWordWrap(True)
        self.place.setMinimumWidth(1)  # a long name must not widen the dock
        self.seconds.setRange(1, 86_400)
        self.seconds.setValue(_SECONDS)
        self.seconds.setSuffix(" s")
        self.progress.save.hide()
        self.legend.setWordWrap(True)
        self.legend.hide()
        self.show_changed.toggled.connect(self.legend.setVisible)

    def _explain(self) -> None:
        tips = {
            self.open: "Keep the corrections in another project, with other images'.",
            self.go_on: "Segment this view with the project's model, and go on there.",
            self.from_labels: "Take these labels as they are: the net learns them.",
            self.from_nothing: "Paint the classes below on the bare image.",
            self.zero: "What the number 0 means in these labels.",
            self.new_classes: (
                "Begin a model for the classes in the table, with what the present one "
                "has learned about images. No other training images are needed."
            ),
            self.right: (
                "All that you see of this plane is as it should be: the model learns "
                "that, and no segmentation changes it."
            ),
            self.withdraw: (
                "Take back what was reviewed in this view: strokes, and what you said "
                "is right. The labels stay until the next segmentation."
            ),
            self.next: "Go where the model is least sure (key N).",
            self.show_reviewed: "Green: the pixels that somebody looked at.",
            self.show_uncertain: "Show where in this view the model is undecided.",
            self.show_changed: (
                "What the last improvement did to reviewed pixels. Blue: fixed; red: "
                "broken; yellow: still wrong; grey: right before and since."
            ),
            self.seconds: "How long Improve may take.",
            self.stop: "End now; the best model so far is kept.",
        }
        for widget, tip in tips.items():
            widget.setToolTip(tip)

    def _arrange(self) -> None:
        fields = QFormLayout()
        growth = QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow
        fields.setFieldGrowthPolicy(growth)
        fields.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        fields.addRow("Correct", self.subject)
        place = QHBoxLayout()
        place.addWidget(self.place, 1)
        place.addWidget(self.open)
        fields.addRow("Project", place)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(fields)
        layout.addWidget(self.invitation)
        layout.addWidget(self.images)
        layout.addWidget(self.offer)
        layout.addWidget(flowing(self.go_on, self.from_labels, self.from_nothing))
        layout.addWidget(self.zero)
        self.classes.bar.addWidget(self.new_classes)
        layout.addWidget(self.classes)
        layout.addWidget(flowing(self.right, self.withdraw, self.next))
        layout.addWidget(
            flowing(self.show_reviewed, self.show_uncertain, self.show_changed)
        )
        layout.addWidget(self.legend)
        layout.addWidget(
            flowing(
                (self.improve, 1), (self.seconds, 0), (self.stop, 0), (self.live, 0)
            )
        )
        layout.addWidget(self.quiet)
        layout.addWidget(self.lacking)
        layout.addWidget(self.progress)
        layout.addWidget(self.curve)
        layout.addWidget(self.history)
        self.foot = flowing(self.undo, self.save)
