"""Fields for a device, a diameter and a size, which two docks have."""

from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QSpinBox

from napari_unet.network.header import own_sizes

__all__ = ["device_box", "diameter_box", "explain_sizes", "size_box"]

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


def explain_sizes(source: str, diameter: QDoubleSpinBox, least: QSpinBox) -> None:
    """Let the fields name the sizes of a model, by its name or file, while empty."""
    trained, own = own_sizes(source)
    made = "" if trained is None else f" ({trained:g} px)"
    diameter.setSpecialValueText(f"as it is{made}")
    diameter.setToolTip(
        f"{_DIAMETER} The number is the diameter that the model was trained on."
    )
    size = "none" if own is None else f"{own:g} px"
    least.setSpecialValueText(f"the model's own: {size}")
