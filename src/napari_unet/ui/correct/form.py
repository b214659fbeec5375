"""Form of U-Net: Correct: its widgets, from top to bottom."""

from pathlib import Path
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
from napari_unet.ui.correct.image_list import ImageList
from napari_unet.ui.correct.invitation import Invitation
from napari_unet.ui.correct.learning_line import Quiet
from napari_unet.ui.correct.missing_classes import can_learn, lacking
from napari_unet.ui.correct.model_history import History
from napari_unet.ui.correct.overlays import changed_legend
from napari_unet.ui.correct.state import CorrectionState
from napari_unet.ui.correct.targets import SubjectChooser
from napari_unet.ui.correct.unpainted_classes import Lacking, listed
from napari_unet.ui.session import Session
from napari_unet.ui.widgets.flow_layout import flowing
from napari_unet.ui.widgets.progress import Progress

__all__ = ["CorrectForm"]

_ZERO = {
    "0 is background": True,
    "0 is where nobody looked": False,
}
_SECONDS = 20


class CorrectForm(QWidget):
    """All widgets of the dock, laid out.

    Attributes
    ----------
    foot
        What stays in view where the rest scrolls.
    """

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__()
        self._offered: Any = None  # the image layer that ways to begin are offered for
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
        self.legend = QLabel(changed_legend())
        self.seconds = QSpinBox()
        self.improve = QPushButton("Improve")
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

    def show_place(self, folder: Path | None) -> None:
        """Show where corrections are kept, short enough for the dock."""
        self.place.setText("" if folder is None else folder.name)
        self.place.setToolTip("" if folder is None else f"Kept in {folder}")

    def follow(
        self, desk: CorrectionState, doing: str, stopping: bool, *, going: bool
    ) -> None:
        """Let the buttons follow what is on the desk, and what runs.

        Parameters
        ----------
        going
            Whether learning goes on after Improve, which nothing waits for.
        """
        subject, result = desk.subject, desk.result
        bound, idle = desk.correcting is not None, not doing
        busy = result is not None and result.taken
        large = result is not None and not result.paintable
        if idle or self._offered is not desk.image_layer:
            self._follow_offers(desk)  # else they would come and go with what is done
        new = (
            result is None or result.rules is None or desk.names != result.rules.classes
        )
        for button in (self.go_on, self.from_labels, self.from_nothing):
            button.setEnabled(idle and not busy and desk.project is not None)
        self.open.setEnabled(idle and subject is not None)
        self.invitation.follow(desk, idle=idle and not busy)
        self.images.setEnabled(idle)
        new &= subject is not None and not large
        self.new_classes.setEnabled(idle and new)
        self.classes.set_editable(not large, _TOO_LARGE if large else "")
        for button in (self.right, self.withdraw):
            button.setEnabled(bound and result is not None and not result.busy)
        self.next.setEnabled(idle and bound and not busy)
        self._follow_learning(desk, doing, stopping)
        self.stop.setEnabled(self.stop.isEnabled() or (idle and going))
        if idle:
            self.progress.hint(_next_step(desk))

    def _follow_offers(self, desk: CorrectionState) -> None:
        """Offer the ways to begin that there are now."""
        subject, result, found = desk.subject, desk.result, desk.found
        self._offered = desk.image_layer
        self.offer.setText(found)
        self.offer.setVisible(bool(found))
        kind = None if subject is None else subject.kind
        large = result is not None and not result.paintable
        bound = desk.correcting is not None
        waiting = result is not None and not bound and not result.taken
        self.go_on.setVisible((bool(found) or waiting) and not large)
        self.from_labels.setVisible(kind == "labels")
        self.zero.setVisible(kind == "labels")
        self.from_nothing.setVisible(kind == "image")

    def _follow_learning(
        self, desk: CorrectionState, doing: str, stopping: bool
    ) -> None:
        result = desk.result
        busy = result is not None and result.taken
        record = desk.record
        ready = not doing and desk.correcting is not None and not busy
        self.improve.setEnabled(ready)
        self.improve.setToolTip(_why_not(desk, doing, busy))
        rows = lacking(desk)
        possible = bool(rows) and can_learn(desk)
        self.lacking.follow(rows, possible=possible, idle=ready)
        why = _why_not_live(desk)
        self.live.setEnabled(not why or self.live.isChecked())
        self.live.setToolTip(why or _LIVE)
        self.stop.setEnabled(bool(doing) and not stopping)
        self.stop.setToolTip("End now; the best model so far is kept.")
        improved = record is not None and record.score is not None
        self.undo.setEnabled(not doing and not busy and improved)
        self.undo.setToolTip(
            f"Use {Path(record.parent).stem} again."
            if record is not None and improved
            else "There is no improvement to undo."
        )
        self.save.setEnabled(not doing and record is not None)
        self.save.setToolTip(
            f"{desk.known_as} is not of this project, and a file already."
            if record is None and desk.project is not None
            else "Write the model in use as one file, for any image."
        )

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
        font = self.improve.font()
        font.setBold(True)
        self.improve.setFont(font)
        self.improve.setMinimumHeight(34)

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


def _next_step(desk: CorrectionState) -> str | None:
    """Return what to do first; None once something was painted."""
    subject = desk.subject
    if subject is None:
        return "There is no image yet. Open one with File > Open."
    if desk.result is not None and not desk.result.paintable:
        return _TOO_LARGE
    if subject.kind == "labels":
        return (
            "Click 'Start from labels' to take this layer as what is right. Say below "
            "the button what its 0 means."
        )
    if desk.correcting is None and desk.result is None:
        begin = "Go on" if desk.found else "Segment the image in U-Net: Segment"
        if desk.other is not None:
            begin = "Add the image to the project with the button above"
        own = "name your own classes here and make a new model for them"
        return f"{begin}, or {own}."
    if desk.correcting is not None and not any(row.pixels for row in desk.rows()):
        names = listed([row.name for row in desk.rows()], "and")
        return (
            "Click a class in the table to take the brush, and paint over what is "
            f"wrong: at least one stroke of each class ({names}). Then click Improve."
        )
    return None


_TOO_LARGE = (
    "napari cannot paint on planes of more than 16384 rows or columns. Crop a part of "
    "the image, correct that, and segment the whole with its model."
)


_LIVE = (
    "After each stroke the labels in view follow what you painted, within about a "
    "second. Only the last step of the model is fitted for that, and it is not kept: "
    "Improve teaches the whole model."
)


def _why_not_live(desk: CorrectionState) -> str:
    if desk.correcting is not None and desk.correcting.result.file is not None:
        return (
            "These labels are a file, which Live would change after every stroke. "
            "Improve learns from what you paint."
        )
    return "" if desk.correcting is not None else _why_not(desk, "", busy=False)


def _why_not(desk: CorrectionState, doing: str, busy: bool) -> str:
    if doing:
        return f"{doing}: wait until that has ended."
    if busy:
        return "The result is being segmented: wait until that has ended."
    if desk.result is not None and not desk.result.paintable:
        return _TOO_LARGE
    if desk.correcting is None:
        return "Segment an image first, or start from labels or from nothing."
    return (
        "Learn from all that was painted. The new model is used only if it is right on "
        "as much of that as the model in use, or more; where most pixels are labelled, "
        "if it is better on those that were held out."
    )
