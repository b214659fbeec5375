"""Fields for a device, a diameter, a size and a score, which two docks have."""

from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QSpinBox

from napari_unet.network.header import own_defaults

__all__ = ["device_box", "diameter_box", "explain_defaults", "score_box", "size_box"]

_DEVICES = {
    "auto": "auto (GPU or CPU)",
    "cpu": "cpu",
    "cuda": "cuda: NVIDIA, AMD",
    "mps": "mps: Apple",
}


_DIAMETER = (
    "Typical diameter of the objects in this image, in pixels. The image is resampled "
    "so that the model sees objects of the size it was trained on. 0: as it is."
)


def device_box() -> QComboBox:
    """Return a list of the kinds of device that a net can run on."""
    box = QComboBox()
    for name, text in _DEVICES.items():
        box.addItem(text, name)
    box.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    box.setToolTip("Where the net runs. The result line names it afterwards.")
    return box


def diameter_box() -> QDoubleSpinBox:
    """Return a field for the diameter of objects; 0 for none."""
    box = QDoubleSpinBox()
    box.setRange(0, 10_000)
    box.setDecimals(1)
    box.setSuffix(" px")
    box.setSpecialValueText("as it is")
    box.setToolTip(_DIAMETER)
    return box


def size_box() -> QSpinBox:
    """Return a field for the least size of objects; 0 for the model's own."""
    box = QSpinBox()
    box.setRange(0, 10_000_000)
    box.setSuffix(" px")
    box.setSpecialValueText("the model's own")
    box.setToolTip(
        "Objects with fewer pixels than this are dropped. A model may have a least "
        "size of its own; 1 keeps everything."
    )
    return box


def score_box() -> QDoubleSpinBox:
    """Return a field for the least score of objects; 0 for the model's own."""
    box = QDoubleSpinBox()
    box.setRange(0, 1)
    box.setSingleStep(0.05)
    box.setSpecialValueText("the model's own")
    box.setToolTip(
        "Objects of which the model is less sure than this are dropped. Their score is "
        "the mean probability of their interior, 0 to 1, and then in the table, too. A "
        "model may have a least score of its own; 0.01 keeps everything."
    )
    return box


def explain_defaults(
    source: str, diameter: QDoubleSpinBox, least: QSpinBox, score: QDoubleSpinBox
) -> None:
    """Let the fields name what a model, by its name or file, has, while empty."""
    trained, own, sure = own_defaults(source)
    made = "" if trained is None else f" ({trained:g} px)"
    diameter.setSpecialValueText(f"as it is{made}")
    diameter.setToolTip(
        f"{_DIAMETER} The number is the diameter that the model was trained on."
    )
    size = "none" if own is None else f"{own:g} px"
    least.setSpecialValueText(f"the model's own: {size}")
    own_score = "none" if sure is None else f"{sure:.2f}"
    score.setSpecialValueText(f"the model's own: {own_score}")
